"""What a CUDA graph does, on the CPU: operations written down once, then done again.

A :class:`Tape` sees every operation below autograd. Replayed, each reads the tensors it
read, where they lay, and writes its results where they were; no line of Python runs again.
What was a number of Python's then stays as it was, and what moved is noticed. A
:class:`NoSync` refuses operations whose result the host must know before it can go on, and
numbers that the host sends to the device.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# Each waits for the device: for a number, or for the size of its result.
SYNCHRONISING = {
    "_local_scalar_dense",
    "equal",
    "is_nonzero",
    "item",
    "masked_select",
    "nonzero",
    "unique_consecutive",
    "unique_dim",
    "_unique",
    "_unique2",
    "bincount",
    "histc",
    "repeat_interleave",
    # torch.tensor(...) and the like: a copy from pageable memory.
    "lift_fresh",
}

INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}
MASKS = {torch.bool, torch.uint8}


class SyncError(AssertionError):
    """An operation would wait for the device."""


class NoSync(TorchDispatchMode):
    """Refuses what would make the host wait for a device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.__name__.split(".")[0]
        if name in SYNCHRONISING:
            raise SyncError(name)
        if name in INDEXING and any(i is not None and i.dtype in MASKS for i in args[1]):
            raise SyncError(f"{name} by a mask")
        return func(*args, **kwargs)


class Tape(NoSync):
    """Does operations and writes them down."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[tuple[Callable, tuple, dict, list[Tensor], list[int]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = super().__torch_dispatch__(func, types, args, kwargs)
        self.entries.append(
            (func, args, kwargs, list(_fresh(func, result)), _addresses(args, kwargs))
        )
        return result

    def replay(self) -> None:
        """Do the operations again, on the same tensors."""
        with torch.no_grad():
            for func, args, kwargs, results, addresses in self.entries:
                assert _addresses(args, kwargs) == addresses, f"a tensor of {func} has moved"
                again = _fresh(func, func(*args, **kwargs))
                for before, now in zip(results, again, strict=True):
                    before.copy_(now)


def _addresses(args: tuple, kwargs: dict) -> list[int]:
    leaves = tree_leaves((args, kwargs))
    return [leaf.data_ptr() for leaf in leaves if isinstance(leaf, Tensor)]


def _fresh(func: Any, result: Any) -> Iterator[Tensor]:
    """Results with memory of their own: neither views nor what was written in place."""
    returns = func._schema.returns
    values = result if len(returns) > 1 else [result]
    for value, returned in zip(values, returns, strict=False):
        if returned.alias_info is None:
            yield from (leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor))


class TapeRecorder:
    """Captures work on a tape. The work is done meanwhile: the first replay does nothing."""

    def __init__(self) -> None:
        self.n_warm_ups = self.n_captures = self.n_replays = 0
        self.is_closed = False

    def warm_up(self, work: Callable[[], None]) -> None:
        self.n_warm_ups += 1
        work()

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        self.n_captures += 1
        before = self.n_replays
        with Tape() as tape:
            work()

        def replay() -> None:
            if self.n_replays > before:
                tape.replay()
            self.n_replays += 1

        return replay

    def close(self) -> None:
        self.is_closed = True
