"""Rows as points: every column as numbers of comparable size, one way only.

Distances want what densities do without: that 4 lies between 3 and 5 although each is a
level, and that a category is as far from one other as from the next.
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from skflow.table.codec import TableCodec
from skflow.table.columns import CategoryColumn, ColumnCodec, NumberColumn
from skflow.table.storage import StoredColumn, StoredTable

FloatArray = NDArray[np.float64]

MOST_LEVELS = 20  # of a category that have an axis each; the rest are near each other
FARTHEST = 1e6  # beyond so many standard deviations all points are equally far


class Coordinates:
    """Standardised coordinates of rows.

    A number is an axis; where it is missing it lies at the mean, and a further axis says
    so. A category is an axis per level, which all together vary as much as one number.
    Each axis has mean 0 among the rows that were fitted and is in units of its standard
    deviation there, so the unit of a column does not matter.

    Parameters
    ----------
    axes : list of NumberAxes or LevelAxes
        Of each column.
    means, scales : ndarray of shape (n_axes,)
        Of the axes of all columns, one after the other.
    """

    def __init__(
        self, axes: list["NumberAxes | LevelAxes"], means: FloatArray, scales: FloatArray
    ) -> None:
        self.axes = axes
        self.means = means
        self.scales = scales

    @classmethod
    def fit(cls, codec: TableCodec, table: StoredTable) -> Self:
        """Fit to the rows of a table that the codec is of."""
        axes = [_axes(*pair) for pair in zip(codec.columns, table.columns, strict=True)]
        raw = [axis(column) for axis, column in zip(axes, table.columns, strict=True)]
        means = [_mean(part) for part in raw]
        scales = [
            _scale(part - mean, is_category=isinstance(axis, LevelAxes))
            for part, mean, axis in zip(raw, means, axes, strict=True)
        ]
        return cls(axes, np.concatenate(means), np.concatenate(scales))

    @property
    def n_axes(self) -> int:
        """Number of coordinates of a row."""
        return len(self.means)

    def __call__(self, table: StoredTable) -> FloatArray:
        """Return coordinates, ``(n_rows, n_axes)``."""
        raw = [axes(column) for axes, column in zip(self.axes, table.columns, strict=True)]
        points = np.concatenate(raw, axis=1)
        points -= self.means
        with np.errstate(over="ignore"):  # farther than any number is as far as all far ones
            points /= self.scales
        return np.nan_to_num(points.clip(-FARTHEST, FARTHEST), copy=False, nan=0.0)


class NumberAxes:
    """A number, NaN where missing, and whether it is missing where it ever was."""

    def __init__(self, codec: NumberColumn) -> None:
        self.codec = codec

    def __call__(self, column: StoredColumn) -> FloatArray:
        """Return ``(n_rows, n_axes)``."""
        numbers = self.codec.scaling.encode(self.codec.line.read(column))[0]
        axes = [np.where(column.present, numbers, np.nan)]
        if self.codec.labels.markers:
            axes.append(np.where(column.present, 0.0, 1.0))
        return np.column_stack(axes)


class LevelAxes:
    """Whether a category, or its absence, is this or that level, of the frequent ones."""

    def __init__(self, codec: ColumnCodec, levels: NDArray[np.int64]) -> None:
        self.codec = codec
        self.levels = levels

    @classmethod
    def fit(cls, codec: ColumnCodec, column: StoredColumn) -> Self:
        """Find the frequent levels."""
        counts = np.bincount(codec.encode(column).labels, minlength=codec.labels.n_labels)
        frequent = np.argsort(-counts[: codec.labels.n_labels], kind="stable")
        return cls(codec, frequent[:MOST_LEVELS])

    def __call__(self, column: StoredColumn) -> FloatArray:
        """Return ``(n_rows, n_axes)``."""
        labels = self.codec.encode(column).labels
        return (labels[:, None] == self.levels).astype(np.float64)


def _axes(codec: ColumnCodec, column: StoredColumn) -> NumberAxes | LevelAxes:
    if isinstance(codec, CategoryColumn) or codec.categorical:
        return LevelAxes.fit(codec, column)
    return NumberAxes(codec)


def _mean(raw: FloatArray) -> FloatArray:
    """Mean of each axis, 0 where it has no number."""
    n_present = np.count_nonzero(~np.isnan(raw), axis=0)
    return np.nansum(raw, axis=0) / np.maximum(n_present, 1)


def _scale(centred: FloatArray, *, is_category: bool) -> FloatArray:
    """Standard deviation of each axis; 1 where it does not vary."""
    deviation = np.sqrt(_mean(centred**2))
    varies = deviation > 0
    together = np.sqrt(np.count_nonzero(varies)) if is_category and varies.any() else 1.0
    return np.where(varies, deviation * together, 1.0)
