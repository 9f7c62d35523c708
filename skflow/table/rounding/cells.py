"""Cells of a column's numbers: one for each point of the grid, counted level by level."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from skflow.table.coordinates import CoordinateSystem, Precision
from skflow.table.rounding.levels import LevelArray, RoundingLevels
from skflow.table.scaling import decimal_ratio, round_to_step
from skflow.table.specification import ColumnSpecification

FloatArray = NDArray[np.float64]


class Cells:
    """Coordinates of a column as positions among those of their rounding level, and back.

    Where there is one level, positions are the coordinates themselves.

    Parameters
    ----------
    schema : ColumnSpecification
    coordinates : CoordinateSystem
    support : tuple of (float, float)
        In coordinates.
    known : collection of float
        Coordinates of the numbers that have a label of their own.

    Attributes
    ----------
    n_levels : int
    widths : ndarray of shape (n_levels,)
        Width of the cells of each level, in coordinates; 0 where there is no grid.
    log_stretch : ndarray of shape (n_levels,)
        Log of these widths in steps of the grid.
    edges : tuple of (float, float)
        Ends of the outermost cells within the support, in coordinates.
    """

    def __init__(
        self,
        schema: ColumnSpecification,
        coordinates: CoordinateSystem,
        support: tuple[float, float],
        known: Collection[float],
    ) -> None:
        self._coordinates = coordinates
        self._levels = RoundingLevels(level_steps(schema))
        self._step = coordinates.step
        self._support = support
        self.n_levels = len(self._levels)
        self.widths = self._step * self._levels.widths
        self.log_stretch = np.log(self._levels.widths)
        low, high = support
        self.edges = low - self._step / 2, high + self._step / 2
        if self._step:
            first, last = self._outermost(known if self._is_rounded else ())
            self._range = np.array((first, last))
        if self._is_rounded:
            low, high = self._levels.ends(first, last)
            self.edges = low * self._step, high * self._step

    @property
    def _is_rounded(self) -> bool:
        return self.n_levels > 1

    def _outermost(self, known: Collection[float]) -> tuple[FloatArray, FloatArray]:
        """Return the first and the last cell of each level within the support.

        The coarsest cell about an end of the support would lie across it; there is none where the
        end has a label of its own.
        """
        low, high = self._coordinates.count(np.array(self._support))[:, None]
        levels, coarsest = range(self.n_levels), self._levels.steps[-1]
        first = np.concatenate([self._levels.first_indices(low, level) for level in levels])
        last = np.concatenate([self._levels.last_indices(high, level) for level in levels])
        first[-1] += self._support[0] in known and first[-1] * coarsest == low[0]
        last[-1] -= self._support[1] in known and last[-1] * coarsest == high[0]
        return first, last

    def locate(self, x: FloatArray) -> tuple[LevelArray, FloatArray]:
        """Return the rounding level and the position of coordinates."""
        if not self._is_rounded:
            return np.zeros(len(x), dtype=np.int64), x
        counts = self._coordinates.count(x)
        level = self._levels.level_of(counts)
        with np.errstate(invalid="ignore"):  # beyond all steps
            shift = self._step * (self._levels.position(counts, level) - counts)
        return level, x + np.nan_to_num(shift)

    def nearest(self, position: FloatArray, level: LevelArray) -> FloatArray:
        """Return the nearest middles of cells; positions themselves where there is no grid."""
        if not self._step:
            return position
        if not self._is_rounded:
            return round_to_step(position, self._step)
        return self._levels.nearest(position / self._step, level) * self._step

    def ends_up_to(self, counts: FloatArray, level: int) -> FloatArray:
        """Return the upper ends of the last cells of a level up to numbers of steps.

        They are -inf where there is no such cell within the support, and inf where that was all.
        """
        index = self._levels.last_indices(counts, level)
        ends = self._levels.upper_ends(index, level) * self._step
        first, last = self._range[:, level]
        return np.where(index < first, -np.inf, np.where(index >= last, np.inf, ends))

    def snap(
        self, position: FloatArray, level: LevelArray, precision: Precision, *, on_grid: bool
    ) -> FloatArray:
        """Return the coordinates of positions, without their error.

        With ``on_grid``, positions are random draws: reflected at the ends of the outermost cells,
        and snapped to the numbers within the support.
        """
        if on_grid:
            low_edge, high_edge = self.edges
            position = np.where(position < low_edge, 2 * low_edge - position, position)
            position = np.where(position > high_edge, 2 * high_edge - position, position)
        if self._is_rounded:
            x = self._snap_rounded(position, level, precision, on_grid=on_grid)
        else:
            x = self._coordinates.snap(position, precision, on_grid=on_grid)
        return x.clip(*self._support) + 0.0 if on_grid else x  # no negative zeros

    def _snap_rounded(
        self, position: FloatArray, level: LevelArray, precision: Precision, *, on_grid: bool
    ) -> FloatArray:
        counts = position / self._step
        if on_grid:
            index = self._levels.index(counts, level).clip(*self._range[:, level])
            return self._coordinates.place(self._levels.number_of(index, level))
        numbers = self._levels.number(counts, level)
        with np.errstate(invalid="ignore"):  # beyond all steps
            shift = self._step * (numbers - counts)
        off_grid = self._coordinates.snap(position + np.nan_to_num(shift), precision, on_grid=False)
        return np.where(level > 0, self._coordinates.place(np.rint(numbers)), off_grid)


def level_steps(schema: ColumnSpecification) -> list[int]:
    """Return the steps of a column's rounding levels, in steps of its grid, from 1 on."""
    if schema.step is None:
        return [1]
    step = decimal_ratio(schema.step)
    return [1, *(int(decimal_ratio(coarser) / step) for coarser in schema.rounding)]
