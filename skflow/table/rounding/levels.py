r"""Rounding levels of a column: each number's own, and its position among those of one level.

Level :math:`l` holds the multiples of its step :math:`k_l` that are no multiples of the next,
:math:`k_{l+1} = r_l k_l`; the coarsest level holds all multiples of its step. In each run of
:math:`r_l` multiples one is left out, so the others get cells that are wider by as much,

.. math:: w_l = k_l \, \frac{r_l}{r_l - 1},

which tile the line: multiple :math:`m r_l + 1 + j` with :math:`0 \le j < r_l - 1` has the number
:math:`i = m (r_l - 1) + j` and the cell from :math:`i w_l` to :math:`(i + 1) w_l`. Its position is
the middle of the cell, less than half a step away from the multiple itself. A density of
positions, given the level, then is a probability of cells: each cell is one number, and each
number has one cell.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
LevelArray = NDArray[np.int64]

FARTHEST = 2.0**52  # steps from 0: beyond them floats are coarser than half a step


class RoundingLevels:
    """Numbers of each rounding level, counted without those of coarser levels.

    Numbers are in steps of the finest level, which are whole on the grid.

    Parameters
    ----------
    steps : sequence of int
        Step of each level, ascending from 1; each divides the next.

    Attributes
    ----------
    widths : ndarray of shape (n_levels,)
        Width of each level's cells.

    Examples
    --------
    >>> levels = RoundingLevels([1, 5])
    >>> numbers = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    >>> levels.level_of(numbers)
    array([0, 0, 0, 0, 1, 0])
    >>> levels.position(numbers, levels.level_of(numbers))
    array([0.625, 1.875, 3.125, 4.375, 5.   , 5.625])
    """

    def __init__(self, steps: Sequence[int]) -> None:
        self.steps = np.array(steps, dtype=np.float64)
        # No multiple is left out of the coarsest level, as of one in an infinite run.
        ratios = [larger // smaller for smaller, larger in pairwise(steps)]
        self._left_out = np.array([*ratios, 0], dtype=np.float64)
        stretch = [ratio / (ratio - 1) for ratio in ratios]
        self.widths: FloatArray = self.steps * [*stretch, 1.0]
        # Middle of the cell 0, in widths.
        self._start = np.where(self._left_out > 0, 0.5, 0.0)

    def __len__(self) -> int:
        return len(self.steps)

    def level_of(self, numbers: FloatArray) -> LevelArray:
        """Return the coarsest level whose step divides each number; 0 off the grid."""
        level = np.zeros(len(numbers), dtype=np.int64)
        near = np.abs(numbers) < FARTHEST
        for coarser, step in enumerate(self.steps[1:], 1):
            level[near & (np.fmod(numbers, step) == 0)] = coarser
        return level

    def position(self, numbers: FloatArray, level: LevelArray) -> FloatArray:
        """Return the middles of cells; off the grid, of the finest level, points between them."""
        multiple, left_out = numbers / self.steps[level], self._left_out[level]
        run = np.maximum(left_out, 2)
        rest = np.mod(multiple, run)
        # Between two numbers with one left out between them, half as many cells per step.
        inside = rest.clip(1, run - 1)
        index = (multiple - rest) / run * (run - 1) + inside - 1 + (rest - inside) / 2
        position = (index + self._start[level]) * self.widths[level]
        counted = (left_out > 0) & (np.abs(numbers) < FARTHEST)
        return np.where(counted, position, numbers)

    def number(self, position: FloatArray, level: LevelArray) -> FloatArray:
        """Return the numbers of positions: the nearest ones of all levels but the finest."""
        index = self.index_of(position, level)
        numbers = self.number_of(np.where(level > 0, np.rint(index), index), level)
        return np.where((level == 0) & (np.abs(position) >= FARTHEST), position, numbers)

    def nearest(self, position: FloatArray, level: LevelArray) -> FloatArray:
        """Return the nearest middles of cells."""
        return self.position_of(self.index(position, level), level)

    def index(self, position: FloatArray, level: LevelArray) -> FloatArray:
        """Return the cells of positions, whole numbers."""
        return np.rint(self.index_of(position, level))

    def index_of(self, position: FloatArray, level: LevelArray | int) -> FloatArray:
        """Return positions in cells from the middle of the first one, 0, on."""
        return position / self.widths[level] - self._start[level]

    def position_of(self, index: FloatArray, level: LevelArray | int) -> FloatArray:
        """Return the positions of :meth:`index_of`."""
        return (index + self._start[level]) * self.widths[level]

    def number_of(self, index: FloatArray, level: LevelArray) -> FloatArray:
        """Return the numbers of cells, which are counted from 0 on; of the finest level, any."""
        left_out = self._left_out[level]
        run = np.maximum(left_out, 2)
        rest = np.mod(index + 0.5, run - 1)
        inside = rest.clip(0.5, run - 1.5)
        multiple = (index + 0.5 - rest) / (run - 1) * run + inside + 0.5 + 2 * (rest - inside)
        return np.where(left_out > 0, multiple, index) * self.steps[level]

    def first_indices(self, low: FloatArray, level: int) -> FloatArray:
        """Return the cells of the first numbers at or above each of ``low``, or infinities."""
        mirrored = self.last_indices(-low, level)
        return -mirrored - (1 if self._left_out[level] else 0)

    def last_indices(self, high: FloatArray, level: int) -> FloatArray:
        """Return the cells of the last numbers at or below each of ``high``, or infinities."""
        multiple, run = np.floor(high / self.steps[level]), self._left_out[level]
        if not run:
            return multiple
        with np.errstate(invalid="ignore"):
            rest = np.mod(multiple, run)
            index = (multiple - rest) / run * (run - 1) + rest - 1
        return np.where(np.isfinite(multiple), index, multiple)

    def ends(self, first: FloatArray, last: FloatArray) -> tuple[float, float]:
        """Return the ends of all cells between the first and the last of each level."""
        low = (first + self._start - 0.5) * self.widths
        high = (last + self._start + 0.5) * self.widths
        return float(low.min()), float(high.max())
