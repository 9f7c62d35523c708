"""Blocks of rows on a device: as many rows at a time as its memory holds."""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skflow.flow.model import Model, Rows
from skflow.flow.torch_state import usual_torch
from skflow.rows import EncodedRows

CPU_ENTRIES = 2_000_000  # of a block's largest array
CUDA_ENTRIES = 64_000_000  # beyond it a GPU is busy anyway
ARRAYS = 16  # of that size, at most, that are held at once
FEWEST_ROWS = 64


class Block:
    """Rows that are computed at once, as a context: ``with block:`` stands around the work.

    Within it torch is in inference mode. An error of torch that memory is exhausted ends the
    work and is not raised where the block can be halved.

    Parameters
    ----------
    rows : slice
    can_be_halved : bool

    Attributes
    ----------
    is_exhausted : bool
        Whether memory did not suffice.
    """

    def __init__(self, rows: slice, can_be_halved: bool) -> None:
        self.rows = rows
        self.can_be_halved = can_be_halved
        self.is_exhausted = False
        self._modes = ExitStack()

    def __enter__(self) -> None:
        self._modes.enter_context(usual_torch())
        self._modes.enter_context(torch.inference_mode())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._modes.close()
        self.is_exhausted = isinstance(error, torch.OutOfMemoryError)
        return self.is_exhausted and self.can_be_halved


def device_blocks(n_rows: int, model: Model, most_on_cpu: int | None = None) -> Iterator[Block]:
    """Yield blocks of rows whose arrays fit into the memory of the model's device.

    A block whose work exhausted the memory is not passed: its rows come again, in halves.

    Parameters
    ----------
    n_rows : int
    model : Model
    most_on_cpu : int, optional
        Rows of a block on the CPU, at most, where its caches count.
    """
    most = rows_at_once(model.value_label.device, model.entries_per_row, most_on_cpu)
    first, size = 0, math.ceil(n_rows / math.ceil(n_rows / most))  # about the same for all
    while first < n_rows:
        block = Block(slice(first, min(first + size, n_rows)), size > FEWEST_ROWS)
        yield block
        if block.is_exhausted:
            size = math.ceil(size / 2)
        else:
            first += size


def rows_at_once(device: torch.device, entries_per_row: int, most_on_cpu: int | None = None) -> int:
    """Return the rows for whose largest arrays, of ``entries_per_row``, the device has memory."""
    if device.type == "cpu":
        most = max(FEWEST_ROWS, CPU_ENTRIES // entries_per_row)
        return most if most_on_cpu is None else min(most, most_on_cpu)
    free, _ = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    entries = min(CUDA_ENTRIES, (free + unused) // (8 * ARRAYS))
    return max(FEWEST_ROWS, entries // entries_per_row)


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
