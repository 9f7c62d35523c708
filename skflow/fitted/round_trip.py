"""The error of the round trip: rows to latents and back."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skflow.table.storage import StoredColumn


class InverseError(NamedTuple):
    """Error of ``inverse_transform(transform(X))``.

    Attributes
    ----------
    share_equal : float
        Fraction of cells that came back equal by ``==``.
    largest_error : float
        Largest difference, relative to the column's scale or the value itself,
        whichever is larger.
    """

    share_equal: float
    largest_error: float


def compare_columns(
    original: Sequence[StoredColumn], returned: Sequence[StoredColumn], scales: NDArray[np.float64]
) -> InverseError:
    """Compare columns with those that came back; numbers have a scale, others NaN."""
    equal, errors = [], [0.0]
    for before, after, scale in zip(original, returned, scales, strict=True):
        there = before.present & after.present
        same = (before.missing == after.missing) & (~there | (before.values == after.values))
        equal.append(same)
        if np.isfinite(scale) and there.any():
            x, y = before.values[there].astype(np.float64), after.values[there].astype(np.float64)
            size = np.maximum(np.abs(x), scale)
            # Divided first: the difference of two huge numbers could overflow.
            errors.append(float(np.abs(y / size - x / size).max()))
    return InverseError(float(np.mean(equal)), max(errors))
