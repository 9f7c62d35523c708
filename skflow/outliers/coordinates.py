"""Embedding of rows as points: columns as numbers of comparable size, without an inverse.

Distances need what densities do without: that 4 lies between 3 and 5 although each is a
level, and that a category is as far from one other as from the next.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from skflow.table.codec import TableCodec
from skflow.table.column_codec import ColumnCodec
from skflow.table.storage import StoredColumn, StoredTable

FloatArray = NDArray[np.float64]

MOST_LEVELS = 20  # of a category that have an axis each; the rest are near each other
FARTHEST = 1e6  # beyond so many standard deviations all points are equally far


class Coordinates:
    """Standardised coordinates of rows: axes of numbers, then indicators of levels.

    A number is an axis of mean 0, in units of its standard deviation among the rows that
    were fitted, so the unit of a column does not matter; where it is missing it lies at the
    mean. Whether it is missing is a category of two levels. A category has an indicator per
    level, above 0 where a row has that level and 0 elsewhere; all of them together vary as
    much as one number.

    Parameters
    ----------
    axes : list of NumberAxes or LevelAxes
        Axes of each column.
    means : ndarray of shape (n_numbers,)
    scales : ndarray of shape (n_axes,)
        Scales of numbers, then of indicators, of all columns one after the other.
    """

    def __init__(
        self, axes: list["NumberAxes | LevelAxes"], means: FloatArray, scales: FloatArray
    ) -> None:
        self.axes = axes
        self.means = means
        self.scales = scales

    @classmethod
    def fit(cls, codec: TableCodec, table: StoredTable) -> Self:
        """Fit to the rows of a table that the codec describes."""
        weight = table.weight
        axes = [
            NumberAxes(each) if each.is_ordered else LevelAxes.fit(each, column, weight)
            for each, column in zip(codec.columns, table.columns, strict=True)
        ]
        numbers, indicators = _read(axes, table)
        means = _mean(numbers, weight)
        scales = [_scale(numbers - means, weight)]
        for column in indicators:
            deviations = _scale(column - _mean(column, weight), weight)
            n_varying = float(np.count_nonzero(np.ptp(column, axis=0)))
            scales.append(deviations * np.sqrt(max(1.0, n_varying)))
        return cls(axes, means, np.concatenate(scales))

    @property
    def n_axes(self) -> int:
        """Number of coordinates of a row."""
        return len(self.scales)

    @property
    def columns(self) -> NDArray[np.intp]:
        """The column of each coordinate."""
        numbers = np.repeat(np.arange(len(self.axes)), [a.n_numbers for a in self.axes])
        indicators = np.repeat(np.arange(len(self.axes)), [a.n_indicators for a in self.axes])
        return np.concatenate((numbers, indicators)).astype(np.intp)

    @property
    def n_levels(self) -> NDArray[np.int64]:
        """For each indicator, how many its column has."""
        n_indicators = np.array([axes.n_indicators for axes in self.axes], dtype=np.int64)
        return np.repeat(n_indicators, n_indicators)

    def __call__(self, table: StoredTable) -> FloatArray:
        """Coordinates of rows, ``(n_rows, n_axes)``."""
        numbers, indicators = _read(self.axes, table)
        points = np.column_stack([numbers - self.means, *indicators])
        with np.errstate(over="ignore"):  # farther than any number is as far as all far ones
            points /= self.scales
        return np.nan_to_num(points.clip(-FARTHEST, FARTHEST), copy=False, nan=0.0)


class NumberAxes:
    """A number, NaN where missing, and whether it is missing where it ever was."""

    n_numbers = 1
    levels: NDArray[np.int64] | None = None

    def __init__(self, codec: ColumnCodec) -> None:
        self.codec = codec

    @property
    def n_indicators(self) -> int:
        """Two where the number may be missing."""
        return 2 if self.codec.labels.markers else 0

    def numbers(self, column: StoredColumn) -> list[FloatArray]:
        """Return one array, ``(n_rows,)``."""
        return [self.codec.numbers(column)]

    def indicators(self, column: StoredColumn) -> FloatArray:
        """Return ``(n_rows, n_indicators)``."""
        both = np.column_stack((column.present, ~column.present))
        return both[:, : self.n_indicators].astype(np.float64)


class LevelAxes:
    """Which of the frequent levels a category, or its absence, is, or which other one."""

    n_numbers = 0

    def __init__(self, codec: ColumnCodec, levels: NDArray[np.int64]) -> None:
        self.codec = codec
        self.levels = levels

    @classmethod
    def fit(cls, codec: ColumnCodec, column: StoredColumn, weight: FloatArray | None) -> Self:
        """Find the levels that are frequent, by the weights of their rows."""
        counts = np.bincount(codec.encode(column).labels, weight, minlength=codec.labels.n_labels)
        frequent = np.argsort(-counts[: codec.labels.n_labels], kind="stable")[:MOST_LEVELS]
        return cls(codec, frequent[counts[frequent] > 0])

    @property
    def n_indicators(self) -> int:
        """One more than levels."""
        return len(self.levels) + 1

    def numbers(self, column: StoredColumn) -> list[FloatArray]:
        """Return no array."""
        return []

    def indicators(self, column: StoredColumn) -> FloatArray:
        """Return ``(n_rows, n_indicators)``; the last is of all levels that are not frequent."""
        labels = self.codec.encode(column).labels
        is_level = labels[:, None] == self.levels
        return np.column_stack((is_level, ~is_level.any(axis=1))).astype(np.float64)


def _read(
    axes: Sequence[NumberAxes | LevelAxes], table: StoredTable
) -> tuple[FloatArray, list[FloatArray]]:
    """Return numbers, and the indicators of each column."""
    pairs = list(zip(axes, table.columns, strict=True))
    numbers = [number for each, column in pairs for number in each.numbers(column)]
    indicators = [each.indicators(column) for each, column in pairs]
    return np.array(numbers).reshape(len(numbers), table.n_rows).T, indicators


def _mean(raw: FloatArray, weight: FloatArray | None) -> FloatArray:
    """Weighted mean of each axis, 0 where it has no number."""
    present = ~np.isnan(raw)
    mass = np.count_nonzero(present, axis=0) if weight is None else weight @ present
    total = np.nansum(raw if weight is None else raw * weight[:, None], axis=0)
    return total / np.where(mass > 0, mass, 1)


def _scale(centred: FloatArray, weight: FloatArray | None) -> FloatArray:
    """Standard deviation of each axis; 1 where it does not vary."""
    deviation: FloatArray = np.sqrt(_mean(centred**2, weight))
    return np.where(deviation > 0, deviation, 1.0)
