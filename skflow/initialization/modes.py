"""Columns' values in ascending order, and their modes.

Columns that have as many values and one mode are one block of arrays, so that thousands of columns
cost few calls; a column with several modes is a block of its own.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skflow.rows import weighted_mean

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

FAR = 10  # how many times wider a gap is than the modes beside it
FEWEST_ROWS = 20  # of a mode
FEWEST_SHARE = 0.02  # of the rows in a mode: fewer are a tail
MOST_MODES = 8
LEAST_MASS = 2.0  # rows of a column to which a density can be fitted
BLOCK_ENTRIES = 2**20  # values of a block


class WeightedValues(NamedTuple):
    """Ascending values of columns, ``(n_columns, n_rows)``, and the weight of each.

    Weights that all columns share are one row, ``(1, n_rows)``.
    """

    x: FloatArray
    weight: FloatArray

    @property
    def mass(self) -> FloatArray:
        """Sums of the weights: numbers of rows, where each has weight 1."""
        mass: FloatArray = self.weight.sum(axis=1)
        return mass

    def mean(self) -> FloatArray:
        """Weighted means, ``(n_columns,)``."""
        mean: FloatArray = weighted_mean(self.x, self.weight)
        return mean

    def deviation(self) -> FloatArray:
        """Weighted standard deviations, ``(n_columns,)``."""
        squares = (self.x - self.mean()[:, None]) ** 2
        deviation: FloatArray = np.sqrt(weighted_mean(squares, self.weight))
        return deviation

    def take(self, columns: NDArray[Any]) -> "WeightedValues":
        """Return some of the columns, by index or mask."""
        if columns.dtype == bool and columns.all():
            return self
        shared = len(self.weight) == 1
        return WeightedValues(self.x[columns], self.weight if shared else self.weight[columns])

    def split(self, positions: IntArray) -> list["WeightedValues"]:
        """Cut before these positions."""
        parts = (np.split(array, positions, axis=1) for array in self)
        return [WeightedValues(*part) for part in zip(*parts, strict=True)]


class ModesOfColumns(NamedTuple):
    """Columns with as many values and one mode, or one column with several.

    Attributes
    ----------
    columns : ndarray of shape (n_columns,)
    modes : list of WeightedValues
        In ascending order.
    """

    columns: IntArray
    modes: list[WeightedValues]


def find_modes(
    table: FloatArray, weight: FloatArray | None, columns: IntArray
) -> Iterator[ModesOfColumns]:
    r"""Split columns where a gap is far wider than the values on either side.

    With :math:`m` the least number of rows in a mode, the gap after :math:`x_i` is a candidate if

    .. math:: x_{i+1} - x_i > 10 \max(x_i - x_{i-m+1}, x_{i+m} - x_{i+1}).

    Rows are counted by their weights. Modes are then joined, those with the narrowest gap first,
    until each gap is 10 times as wide as the standard deviation of either mode beside it.

    Parameters
    ----------
    table : ndarray of shape (n_rows, n_columns)
        NaN is missing. A column of fewer than two rows is replaced by -1 and 1.
    weight : ndarray of shape (n_rows,), optional
    columns : ndarray of int
        Indices of the columns to split.
    """
    for alike, values in ascending_columns(table, weight, columns):
        largest = np.abs(values.x[:, [0, -1]]).max(axis=1, keepdims=True)
        # Squares of huge numbers would overflow.
        scaled = values._replace(x=values.x / np.where(largest, largest, 1.0))
        gaps = far_gaps(scaled)
        several = np.count_nonzero(gaps, axis=1) > 0
        if not several.all():
            yield ModesOfColumns(alike[~several], [values.take(~several)])
        for j in np.flatnonzero(several)[:, None]:
            far = join_near_modes(scaled.take(j), 1 + np.flatnonzero(gaps[j]))
            yield ModesOfColumns(alike[j], values.take(j).split(far))


def ascending_columns(
    table: FloatArray, weight: FloatArray | None, columns: IntArray, least: float = LEAST_MASS
) -> Iterator[tuple[IntArray, WeightedValues]]:
    """Yield columns that have as many values, and these in ascending order, block by block.

    Columns of values whose weights sum to less than ``least`` are replaced by -1 and 1.
    """
    if not columns.size:
        return
    if weight is not None and not weight.all():
        table, weight = table[weight > 0], weight[weight > 0]
    counts = len(table) - np.count_nonzero(np.isnan(table), axis=0)
    size = 1 + BLOCK_ENTRIES // (1 + len(table))
    for n_values in np.unique(counts[columns]):
        alike = columns[counts[columns] == n_values]
        for block in np.split(alike, range(size, len(alike), size)):
            x = np.ascontiguousarray(table[:, block].T)
            if weight is None:
                x.sort(axis=1)  # NaN comes last
                values = WeightedValues(x[:, :n_values], np.ones((1, n_values)))
            else:
                order = x.argsort(axis=1)[:, :n_values]
                values = WeightedValues(np.take_along_axis(x, order, axis=1), weight[order])
            too_few = np.broadcast_to(values.mass < least, len(block))
            if too_few.any():  # encoded values are of moderate size
                ends = np.repeat([[-1.0, 1.0]], np.count_nonzero(too_few), axis=0)
                yield block[too_few], WeightedValues(ends, np.ones((1, 2)))
            if not too_few.all():
                yield block[~too_few], values.take(~too_few)


def far_gaps(values: WeightedValues) -> NDArray[np.bool_]:
    """Return which gaps are candidates, ``(n_columns, n_rows - 1)``."""
    rows = np.cumsum(values.weight, axis=1)  # up to and with each value
    mass, x = rows[:, -1:], values.x
    m = np.maximum(FEWEST_ROWS, np.rint(FEWEST_SHARE * mass))
    each = list(zip(rows, m, strict=True))
    first = np.stack([np.searchsorted(own, own[:-1] - n, side="right") for own, n in each])
    last = np.stack([np.searchsorted(own, own[:-1] + n) for own, n in each])
    below = x[:, :-1] - np.take_along_axis(x, first, axis=1)
    above = np.take_along_axis(x, last.clip(max=x.shape[1] - 1), axis=1) - x[:, 1:]
    is_inner = (rows[:, :-1] >= m) & (rows[:, :-1] <= mass - m)
    far: NDArray[np.bool_] = is_inner & (np.diff(x, axis=1) > FAR * np.maximum(below, above))
    return far


def join_near_modes(values: WeightedValues, far: IntArray) -> IntArray:
    """Return where modes begin of those that begin at ``far``, after joins of near ones."""
    modes = values.split(far)
    while len(modes) > 1:
        deviations = np.concatenate([mode.deviation() for mode in modes])
        gaps = np.array([b.x[0, 0] - a.x[0, -1] for a, b in pairwise(modes)])
        with np.errstate(divide="ignore"):  # a mode may be one value
            ratios = gaps / np.maximum(deviations[:-1], deviations[1:])
        nearest = int(np.argmin(ratios))
        if ratios[nearest] > FAR and len(modes) <= MOST_MODES:
            break
        far = np.delete(far, nearest)
        modes = values.split(far)
    return far
