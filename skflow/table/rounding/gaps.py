"""Cells of numbers that have a label of their own: those of their neighbours fill them."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class Gaps:
    """Cells of one rounding level, without those of atoms.

    Cells are counted by whole numbers; cell i extends from i - 1/2 to i + 1/2, but beside a run of
    atoms as far as the middle of the run. The middle of such a cell is moved, and points between
    whole numbers with it, so that they keep their order.

    Parameters
    ----------
    taken : ndarray of shape (n_atoms,)
        Cells of the atoms, ascending.

    Examples
    --------
    >>> gaps = Gaps(np.array([5.0]))
    >>> index = np.array([3.0, 4.0, 6.0])
    >>> gaps.widths(index), gaps.shift(index)
    (array([1. , 1.5, 1.5]), array([3.  , 4.25, 5.75]))
    """

    def __init__(self, taken: FloatArray) -> None:
        starts_run = np.diff(taken, prepend=-np.inf) != 1
        self._first = taken[starts_run]
        self._last = taken[np.append(starts_run[1:], np.full(min(1, len(taken)), True))]
        self._middle = (self._first + self._last) / 2
        beside = np.concatenate((self._first - 1, self._last + 1))
        near = np.concatenate((beside - 1, beside, beside + 1))
        self._knots = np.setdiff1d(near, taken)
        below, above = self._reach(self._knots)
        self._shifts = (above - below) / 2

    @property
    def widest(self) -> float:
        """Width of the widest cell."""
        return float(self.widths(self._knots).max(initial=1.0))

    def widths(self, index: FloatArray) -> FloatArray:
        """Return the widths of cells; 1 of what is no whole number."""
        below, above = self._reach(index)
        return below + above

    def shift(self, index: FloatArray) -> FloatArray:
        """Return the middles of cells."""
        if not len(self._knots):
            return index
        return index + np.interp(index, self._knots, self._shifts, 0.0, 0.0)

    def undo_shift(self, middle: FloatArray) -> FloatArray:
        """Return the cells of middles, and of points between them."""
        if not len(self._knots):
            return middle
        moved = self._knots + self._shifts
        return middle - np.interp(middle, moved, self._shifts, 0.0, 0.0)

    def upper_ends(self, index: FloatArray) -> FloatArray:
        """Return the upper ends of cells, those of atoms included."""
        run = np.searchsorted(self._first, index + 1, side="right") - 1
        if not len(self._first):
            return index + 0.5
        is_before = (run >= 0) & (index <= self._last[run])
        return np.where(is_before, self._middle[run], index + 0.5)

    def free(self, point: FloatArray) -> FloatArray:
        """Return the cells that points lie in."""
        index = np.rint(point)
        run = np.searchsorted(self._first, index, side="right") - 1
        if not len(self._first):
            return index
        beside = np.where(point < self._middle[run], self._first[run] - 1, self._last[run] + 1)
        return np.where((run >= 0) & (index <= self._last[run]), beside, index)

    def within(self, first: float, last: float) -> tuple[float, float, "Gaps"]:
        """Return the outermost cells of a range that are no atoms', and the gaps between them.

        Where all cells of the range are those of atoms, they stay.
        """
        if not len(self._first):
            return first, last, self
        runs = list(zip(self._first, self._last, strict=True))
        lowest = next((high + 1 for low, high in runs if low <= first <= high), first)
        highest = next((low - 1 for low, high in runs if low <= last <= high), last)
        inner = [np.arange(low, high + 1) for low, high in runs if lowest < low and high < highest]
        if lowest > highest:
            return first, last, Gaps(np.empty(0))
        return lowest, highest, Gaps(np.concatenate([np.empty(0), *inner]))

    def _reach(self, index: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return how far cells extend to both sides."""
        begin = np.searchsorted(self._first, index, side="right")
        first, middle = np.append(self._first, np.nan), np.append(self._middle, np.nan)
        is_after, is_before = (
            index == np.append(self._last, np.nan)[begin - 1] + 1,
            index == first[begin] - 1,
        )
        return np.where(is_after, index - middle[begin - 1], 0.5), np.where(
            is_before, middle[begin] - index, 0.5
        )
