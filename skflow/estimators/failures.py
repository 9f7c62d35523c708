"""Fits that fail or are interrupted: what is kept, and what the error says."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch

from skflow.exceptions import warn_caller


@contextmanager
def keep_earlier_fit(estimator: Any) -> Iterator[None]:
    """Put an estimator's state back where a fit fails.

    A first fit that is interrupted by the user stays, with the best weights so
    far; a later one gives way to the fit before it. A warning says which.
    """
    before = vars(estimator).copy()
    try:
        yield
    except BaseException as error:
        is_interrupted, is_first = isinstance(error, KeyboardInterrupt), "n_iter_" not in before
        kept = "the earlier fit is kept" if not is_first else "there is nothing to keep yet"
        if is_interrupted and is_first and "n_iter_" in vars(estimator):
            kept = f"the best weights of {estimator.n_iter_} epochs are kept, and can be used"
        else:
            vars(estimator).clear()
            vars(estimator).update(before)
        if is_interrupted:
            with suppress(Warning):  # an error made of it would hide the interrupt
                warn_caller(f"The fit of {type(estimator).__name__} was interrupted; {kept}.")
        raise


@contextmanager
def explained_exhaustion() -> Iterator[None]:
    """Raise a MemoryError that says what to lower, where torch runs out of memory."""
    try:
        yield
    except RuntimeError as error:
        # On a CPU torch raises no type of its own.
        if not (isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)):
            raise
        raise MemoryError(
            "The fit does not fit into memory. Lower hidden_units, n_layers, n_bins or "
            f"batch_size, or fit fewer rows. ({str(error).splitlines()[0]})"
        ) from error
