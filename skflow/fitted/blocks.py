"""Rows of blocks, sent to a device and back."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skflow.flow.model import Rows
from skflow.rows import EncodedRows


def send(array: NDArray, device: torch.device) -> Tensor:
    """Send an array with rows to the device, each row a column of the tensor."""
    if device.type == "cpu":
        return torch.tensor(np.ascontiguousarray(array.T))
    dtype = torch.from_numpy(np.empty(0, array.dtype)).dtype
    # Transposed into memory that the device reads by itself: the host can go on.
    columns = torch.empty(array.T.shape, dtype=dtype, pin_memory=True)
    columns.numpy()[...] = array.T
    return columns.to(device, non_blocking=True)


def send_rows(rows: EncodedRows, device: torch.device) -> tuple[Tensor, Rows]:
    """Send encoded rows to the device: their log-volumes in nats, ``(n_rows,)``, and themselves."""
    arrays = (rows.log_volume, rows.labels, rows.novel, rows.values)
    log_volume, *encoded = (send(array, device) for array in arrays)
    return log_volume, Rows(*encoded)


def send_given(rows: EncodedRows, device: torch.device) -> Rows | None:
    """Send the conditions of encoded rows to the device, where they have some."""
    return None if rows.given is None else send_rows(rows.given, device)[1]


def join(parts: list[Tensor]) -> NDArray:
    """Join tensors of blocks, whose last axis is rows, to an array whose first is."""
    return np.concatenate([part.numpy().T for part in parts])
