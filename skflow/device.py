"""Where to compute."""

import os
import threading
from contextlib import AbstractContextManager, nullcontext

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
    except (RuntimeError, TypeError) as error:
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


class _OneThread:
    """One CPU thread for torch, within a Python thread, for as long as anything is in it.

    Torch has a number of threads for the process, which each Python thread copies when
    it first uses torch, and another may have lowered by then. So what is put back is
    what the first to come found, and each thread puts it back for itself.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.n_inside = 0
        self.n_threads = 0
        self.own = threading.local()

    def __enter__(self) -> None:
        with self.lock:
            # Always asked: a thread that has not yet used torch makes its copy now.
            n_threads = torch.get_num_threads()
            if self.n_inside == 0:
                self.n_threads = n_threads
            self.n_inside += 1
            self.own.depth = getattr(self.own, "depth", 0) + 1
            torch.set_num_threads(1)

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.n_inside -= 1
            self.own.depth -= 1
            if self.own.depth == 0:
                torch.set_num_threads(self.n_threads)


_one_thread = _OneThread()


def _after_fork() -> None:
    """Use one thread in a process that was forked.

    Those of OpenMP do not survive a fork: a child that asked them for work would wait for
    ever. Nor may it wait for a lock that another thread held at that moment.
    """
    torch.set_num_threads(1)
    _one_thread.__init__()  # type: ignore[misc]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def one_thread() -> AbstractContextManager[None]:
    """Use one CPU thread for a while; several Python threads may do so at the same time."""
    return _one_thread


def fitting_threads(n_cells: int) -> AbstractContextManager[None]:
    """Use one CPU thread for a while where the table is small.

    Elsewhere torch's own number is kept: that of ``torch.set_num_threads``, or of
    ``OMP_NUM_THREADS``, by which joblib's workers share the cores.
    """
    return one_thread() if n_cells < THREADED_CELLS else nullcontext()
