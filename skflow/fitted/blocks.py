"""Rows of whole tables through a model, a block at a time."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skflow.flow.model import Model
from skflow.flow.torch_state import usual_torch

Step = Callable[..., Sequence[Tensor]]

CPU_ENTRIES = 2_000_000  # of a block's largest array
CUDA_ENTRIES = 64_000_000  # beyond it a GPU is busy anyway
ARRAYS = 16  # of that size, at most, that are held at once
FEWEST_ROWS = 64


@usual_torch()
def apply_by_blocks(step: Step, model: Model, arrays: Sequence[NDArray]) -> list[NDArray]:
    """Apply a step of the model to the rows of arrays; return arrays of as many rows.

    The step takes tensors where the model is, in which each row is a column, and returns
    such. A block for which memory does not suffice there is halved.
    """
    n_rows, device = len(arrays[0]), model.value_label.device
    size = _rows_at_once(n_rows, model.entries_per_row, device)
    results: list[list[NDArray]] = []
    first = 0
    while first < n_rows:
        block = [array[first : first + size] for array in arrays]
        try:
            results.append(_apply(step, model, block, device))
        except torch.OutOfMemoryError:
            if size <= FEWEST_ROWS:
                raise
            size = math.ceil(size / 2)
        else:
            first += size
    return concatenate(results)


def concatenate(results: Sequence[Sequence[NDArray]]) -> list[NDArray]:
    """Join the arrays of one block after the other."""
    return [np.concatenate(blocks) for blocks in zip(*results, strict=True)]


def _apply(
    step: Step, model: Model, block: Sequence[NDArray], device: torch.device
) -> list[NDArray]:
    with torch.inference_mode():
        tensors = [_send(rows, device) for rows in block]
        return [tensor.cpu().numpy().T for tensor in step(model, *tensors)]


def _rows_at_once(n_rows: int, entries_per_row: int, device: torch.device) -> int:
    """Rows of a block: about the same for all blocks."""
    most = max(FEWEST_ROWS, _entries_at_once(device) // entries_per_row)
    return math.ceil(n_rows / math.ceil(n_rows / most))


def _entries_at_once(device: torch.device) -> int:
    """Entries of the largest array of a block."""
    if device.type == "cpu":
        return CPU_ENTRIES
    free, _ = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return min(CUDA_ENTRIES, (free + unused) // (8 * ARRAYS))


def _send(rows: NDArray, device: torch.device) -> Tensor:
    """Send rows to the device, each a column of the tensor."""
    if device.type == "cpu":
        return torch.tensor(np.ascontiguousarray(rows.T))
    dtype = torch.from_numpy(np.empty(0, rows.dtype)).dtype
    # Transposed into memory that the device reads by itself: the host can go on.
    columns = torch.empty(rows.T.shape, dtype=dtype, pin_memory=True)
    columns.numpy()[...] = rows.T
    return columns.to(device, non_blocking=True)
