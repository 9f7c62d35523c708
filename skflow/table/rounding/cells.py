"""Cells of a column's numbers: one for each point of the grid, counted level by level.

Atoms have no cell: those of their neighbours fill it, so that probabilities sum to 1.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skflow.table.coordinates import CoordinateSystem, Precision
from skflow.table.rounding.gaps import Gaps
from skflow.table.rounding.levels import FARTHEST, LevelArray, RoundingLevels
from skflow.table.scaling import decimal_ratio, round_to_step
from skflow.table.specification import ColumnSpecification

FloatArray = NDArray[np.float64]


class Located(NamedTuple):
    """Cells of numbers, each ``(n_rows,)``: rounding level, middle and width, in coordinates."""

    level: LevelArray
    position: FloatArray
    width: FloatArray


class Cells:
    """Coordinates of a column as positions among those of their rounding level, and back.

    Where there is one level, positions away from atoms are the coordinates themselves.

    Parameters
    ----------
    schema : ColumnSpecification
    coordinates : CoordinateSystem
    support : tuple of (float, float)
        In coordinates.
    atoms : sequence of float
        Coordinates of the numbers without a cell.

    Attributes
    ----------
    n_levels : int
    widths : ndarray of shape (n_levels,)
        Width of the cells of each level, in coordinates, but for those beside atoms; 0 where there
        is no grid.
    widest : float
        Width of the widest cell.
    edges : tuple of (float, float)
        Ends of the outermost cells within the support, in coordinates.
    are_even : bool
        Whether each point of the grid is the middle of a cell one step wide.
    """

    def __init__(
        self,
        schema: ColumnSpecification,
        coordinates: CoordinateSystem,
        support: tuple[float, float],
        atoms: Sequence[float],
    ) -> None:
        self._coordinates = coordinates
        self._levels = RoundingLevels(level_steps(schema))
        self._step = coordinates.step
        self._support = support
        self.n_levels = len(self._levels)
        self.widths = self._step * self._levels.widths
        self.widest = float(self.widths.max())
        low, high = support
        self.edges = low - self._step / 2, high + self._step / 2
        self._taken = np.empty(0)
        if self._step and len(atoms):
            counts = coordinates.count(np.sort(atoms))
            self._taken = counts[counts == np.rint(counts)]
        self.are_even = True
        if self._step and (len(self._taken) or self.n_levels > 1):
            first, last, gaps = self._layout
            self.are_even = self.n_levels == 1 and bool(first > last)
        if not self.are_even:
            low, high = self._levels.ends(first, last)
            self.edges = low * self._step, high * self._step
            wider = [of_level.widest for of_level in gaps]
            self.widest = float((self.widths * wider).max())

    @cached_property
    def _layout(self) -> tuple[FloatArray, FloatArray, list[Gaps]]:
        """The first and the last cell of each level within the support, and the gaps."""
        low, high = self._coordinates.count(np.array(self._support))[:, None]
        level = self._levels.level_of(self._taken)
        index = self._levels.index(self._levels.position(self._taken, level), level)
        first, last = np.zeros((2, self.n_levels))
        gaps: list[Gaps] = []
        for own in range(self.n_levels):
            lowest = self._levels.first_indices(low, own)[0]
            highest = self._levels.last_indices(high, own)[0]
            first[own], last[own], inner = Gaps(index[level == own]).within(lowest, highest)
            gaps.append(inner)
        return first, last, gaps

    def locate(self, x: FloatArray) -> Located:
        """Return the cells of coordinates."""
        if self.are_even:
            return Located(np.zeros(len(x), dtype=np.int64), x, np.full(len(x), self._step))
        counts = self._coordinates.count(x).clip(-FARTHEST, FARTHEST)
        level, width = self._levels.level_of(counts), np.zeros(len(x))
        position = self._levels.position(counts, level)
        for own, gaps in enumerate(self._layout[2]):
            rows = level == own
            index = self._levels.index_of(position[rows], level[rows])
            # Whole but for rounding errors, where the number is on the grid.
            whole = np.where(counts[rows] == np.rint(counts[rows]), np.rint(index), index)
            width[rows] = gaps.widths(whole) * self.widths[own]
            shift = (gaps.shift(whole) - whole) * self._levels.widths[own]
            position[rows] += shift
        return Located(level, x + self._step * (position - counts), width)

    def nearest(self, position: FloatArray, level: LevelArray) -> FloatArray:
        """Return the nearest middles of cells, those of atoms included."""
        if self.n_levels == 1:
            return round_to_step(position, self._step)
        # Beyond 2^53 steps floats are coarser than cells.
        farthest = 2.0**53 * self._step
        steps = position.clip(-farthest, farthest) / self._step
        middle = self._levels.nearest(steps, level) * self._step
        return np.where(np.abs(position) < farthest, middle, position)

    def ends_up_to(self, counts: FloatArray, level: int) -> FloatArray:
        """Return the upper ends of the last cells of a level up to numbers of steps.

        They are -inf where there is no such cell within the support, and inf where that was all.
        """
        first, last, gaps = self._layout
        index = self._levels.last_indices(counts, level)
        ends = self._levels.position_of(gaps[level].upper_ends(index), level) * self._step
        ends = np.where(index >= last[level], np.inf, ends)
        return np.where(index < first[level], -np.inf, ends)

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
        if self.are_even:
            x = self._coordinates.snap(position, precision, on_grid=on_grid)
        else:
            x = self._snap_cells(position, level, precision, on_grid=on_grid)
        return x.clip(*self._support) + 0.0 if on_grid else x  # no negative zeros

    def _snap_cells(
        self, position: FloatArray, level: LevelArray, precision: Precision, *, on_grid: bool
    ) -> FloatArray:
        farthest = FARTHEST * self._step
        counts = position.clip(-farthest, farthest) / self._step
        index = self._levels.index_of(counts, level)
        for own, (first, last, gaps) in enumerate(zip(*self._layout, strict=True)):
            rows = level == own
            if on_grid:
                index[rows] = gaps.free(index[rows].clip(first, last))
            else:
                index[rows] = gaps.undo_shift(index[rows])
        if on_grid:
            placed = self._coordinates.place(self._levels.number_of(index, level))
            return np.where(np.abs(position) < farthest, placed, position)
        numbers = self._levels.number(self._levels.position_of(index, level), level)
        shifted = position + self._step * (numbers - counts)
        off_grid = self._coordinates.snap(shifted, precision, on_grid=False)
        return np.where(level > 0, self._coordinates.place(np.rint(numbers)), off_grid)


def level_steps(schema: ColumnSpecification) -> list[int]:
    """Return the steps of a column's rounding levels, in steps of its grid, from 1 on."""
    if schema.step is None:
        return [1]
    step = decimal_ratio(schema.step)
    return [1, *(int(decimal_ratio(coarser) / step) for coarser in schema.rounding)]
