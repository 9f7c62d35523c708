"""Where to compute."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Cells of a table below which several threads wait for each other longer than
# they work; on a busy machine a small fit takes 40 times longer with two.
THREADED_CELLS = 1_000_000

# Cells below which a CPU ends before a GPU has been set up: a guess, until
# benchmarks/gpu.py has measured it.
CUDA_CELLS = 100_000


def resolve_device(device: str | torch.device, n_cells: int) -> torch.device:
    """Turn a ``device`` parameter into a device; "auto" means CUDA where it pays.

    Raises
    ------
    ValueError
        Where the device is unknown, absent, or lacks float64 (MPS).
    """
    if device == "auto":
        pays = torch.cuda.is_available() and n_cells >= CUDA_CELLS
        return torch.device("cuda" if pays else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f"device must be 'auto', 'cpu' or 'cuda[:index]', got {device!r}."
        ) from error
    if resolved.type not in ("cpu", "cuda"):
        raise ValueError(
            f"device must be 'auto', 'cpu' or 'cuda[:index]', got {device!r}: "
            "scores are computed in float64, which other devices lack."
        )
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={device!r} was asked for, but torch finds no CUDA device. "
            "Use device='auto' or device='cpu'."
        )
    return resolved


@contextmanager
def fitting_threads(n_cells: int) -> Iterator[None]:
    """Use one CPU thread for a while where the table is small."""
    n_threads = torch.get_num_threads()
    if n_cells < THREADED_CELLS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
