"""Blocks of rows on a device: as many rows at a time as its memory holds."""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType

import torch

from skflow.flow.model import Model
from skflow.torch_state import usual_torch

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
    most = rows_at_once(model.value_labels.device, model.entries_per_row, most_on_cpu)
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
