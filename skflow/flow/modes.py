"""Modes of a column that lie far apart, with nothing between them."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

FAR = 10  # how many times wider a gap is than the modes beside it
FEWEST_ROWS = 20  # of a mode
FEWEST_SHARE = 0.02  # of the rows in a mode: fewer are a tail
MOST_MODES = 8


def split_modes(values: FloatArray) -> list[FloatArray]:
    r"""Split ascending values where a gap is far wider than the values on either side.

    With :math:`m` the least size of a mode, the gap after :math:`x_i` is a candidate if

    .. math:: x_{i+1} - x_i > 10 \max(x_i - x_{i-m+1}, x_{i+m} - x_{i+1}).

    Modes are then joined, those with the narrowest gap first, until each gap is 10 times
    as wide as the standard deviation of either mode beside it.

    Returns
    -------
    modes : list of ndarray
        One at least, in ascending order.
    """
    m = max(FEWEST_ROWS, round(FEWEST_SHARE * len(values)))
    if len(values) < 2 * m:
        return [values]
    # Scaled to 1 first: squares of huge numbers would overflow.
    x = values / (np.abs(values).max() or 1.0)
    last, first = x[m - 1 : len(x) - m], x[m : len(x) - m + 1]
    below, above = last - x[: len(last)], x[2 * m - 1 :] - first
    far = np.flatnonzero(first - last > FAR * np.maximum(below, above)) + m
    modes = np.split(x, far)
    while len(modes) > 1:
        deviations = np.array([mode.std() for mode in modes])
        gaps = np.array([b[0] - a[-1] for a, b in pairwise(modes)])
        with np.errstate(divide="ignore"):  # a mode may be one value
            ratios = gaps / np.maximum(deviations[:-1], deviations[1:])
        nearest = int(np.argmin(ratios))
        if ratios[nearest] > FAR and len(modes) <= MOST_MODES:
            break
        far = np.delete(far, nearest)
        modes = np.split(x, far)
    return np.split(values, far)
