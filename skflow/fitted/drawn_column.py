"""Distribution of one column in each row by draws: a marginal of several predicted columns."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from skflow.table.number_codecs import NumberCodec
from skflow.table.storage import StoredColumn

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class DrawnColumn:
    """Distribution of a column of numbers, dates or durations in each row, by its draws.

    Attributes
    ----------
    codec : NumberCodec
    draws : ndarray of shape (n_rows, n_draws)
        Coordinates; draw k of all columns of a row is one draw of the row.
    """

    codec: NumberCodec
    draws: FloatArray

    def __len__(self) -> int:
        return len(self.draws)

    def take(self, rows: slice | NDArray) -> Self:
        """Return some of the rows."""
        return replace(self, draws=self.draws[rows])

    @cached_property
    def ordered(self) -> FloatArray:
        """Draws in ascending order in each row, ``(n_rows, n_draws)``."""
        return np.sort(self.draws, axis=1)

    def cdf(self, x: FloatArray, *, below: bool = False) -> FloatArray:
        """Share of draws of at most ``x``, ``(n_rows, n_places)``; or of less."""
        counts = np.less if below else np.less_equal
        return np.column_stack([counts(self.draws, at[:, None]).mean(axis=1) for at in x.T])

    def ppf(self, u: FloatArray) -> StoredColumn:
        """Quantiles of probabilities ``(n_rows, n_places)``, as cells, one row after the other."""
        n_draws = self.draws.shape[1]
        place = np.ceil(u * n_draws).astype(np.int64).clip(1, n_draws) - 1
        return self.cells(np.take_along_axis(self.ordered, place, axis=1).ravel())

    def mean(self) -> FloatArray:
        """Mean of each row, ``(n_rows,)``."""
        return np.asarray(self.draws.mean(axis=1))

    def std(self) -> FloatArray:
        """Standard deviation of each row, ``(n_rows,)``."""
        scale = self.codec.scaling.scale or 1.0
        return np.asarray((self.draws / scale).std(axis=1) * scale)

    def crps(self, x: FloatArray) -> FloatArray:
        r"""Continuous ranked probability score of a number in each row, ``(n_rows,)``.

        :math:`E|X - x| - E|X - X'| / 2` over pairs of different draws.
        """
        n_draws = self.draws.shape[1]
        ranks = 2 * np.arange(n_draws) - (n_draws - 1)
        between = 2 * (ranks * self.ordered).sum(axis=1) / (n_draws * (n_draws - 1))
        return np.asarray(np.abs(self.draws - x[:, None]).mean(axis=1) - between / 2)

    def cells(self, x: FloatArray) -> StoredColumn:
        """Cells of coordinates, ``(n_cells,)``."""
        return self.codec.stored.filled(self.codec.coordinates.write(x))
