"""How exactly rows come back."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class InverseError(NamedTuple):
    """What ``inverse_transform(transform(X))`` lost.

    Attributes
    ----------
    share_equal : float
        Share of cells that came back equal by ``==``.
    largest_error : float
        Largest difference, relative to the column's scale or the value itself,
        whichever is larger.
    """

    share_equal: float
    largest_error: float


def compare_rows(
    matrix: NDArray[np.float64], columns: Sequence[NDArray], scales: NDArray[np.float64]
) -> InverseError:
    """Compare rows with the columns that came back."""
    returned = np.column_stack(columns).astype(np.float64)
    size = np.maximum(np.abs(matrix), scales)
    # Divided first: the difference of two huge numbers could overflow.
    error = np.abs(returned / size - matrix / size)
    return InverseError(float((returned == matrix).mean()), float(error.max()))
