r"""Integrals of densities that are known at nodes of a line, one line per row.

Between neighbouring nodes the logarithm of a density is taken to be linear: a cell of
width w, with a and b at its ends, holds the mass

.. math:: w \, (b - a) / (\log b - \log a).

Where values lie on a grid, so do the nodes, and a cell of few grid points holds their sum
instead: a geometric series, of which each end counts half.

Nodes are added where extending the neighbouring cells into a cell would change its mass by
most, until the integrals converge.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

FloatArray = NDArray[np.float64]
Rows = NDArray[np.intp]

LEVEL = 1e-6  # difference of logarithms below which a cell is level
INSIDE = 0.02  # of a cell's width, between a new node and its ends
MOST_SUMMED = 64  # grid points of a cell that is summed over
TIE = 1e-6  # difference of log-densities of grid points that may be due to rounding

N_ADDED = 10  # nodes of a row at once
MOST_ROUNDS = 12
TOLERANCE = 0.01  # relative error of an integral
NEGLIGIBLE = 0.02  # share of that error, in a cell that is not refined
PARABOLA = 3.0  # extended lines overshoot a parabola by so much
HIGHEST = 50.0  # log of an error that is large enough


class Nodes(NamedTuple):
    """Nodes of lines, and the density there; all of one shape.

    Attributes
    ----------
    places : ndarray
        Z-coordinates: points of the line that is integrated over.
    log_density : ndarray
        Log-density per unit of the line.
    heights : ndarray
        Log-density per unit of the column.
    steps : ndarray
        Points of the grid, in steps; meaningless without a grid.
    """

    places: FloatArray
    log_density: FloatArray
    heights: FloatArray
    steps: FloatArray

    def raised(self, by: FloatArray) -> "Nodes":
        """Return nodes with something added to their log-densities."""
        log_density, heights = self.log_density + by, self.heights + by
        return self._replace(log_density=log_density, heights=heights)


@dataclass(frozen=True)
class Curve:
    """A density at nodes of a line, one line per row.

    Attributes
    ----------
    nodes : Nodes
        Places, of shape (n_rows, n_nodes), sorted; repetitions of the last one are padding.
    step : float, default=0.0
        Width of the grid that values and nodes lie on, in units of the column; 0 for none.
    """

    nodes: Nodes
    step: float = 0.0

    @classmethod
    def through(cls, nodes: Nodes, *, step: float = 0.0) -> Self:
        """Sort the nodes of each row; one that is there twice counts once."""
        places = np.sort(nodes.places, axis=1)
        order = np.argsort(nodes.places, axis=1, kind="stable")
        again = np.zeros(places.shape, dtype=bool)
        again[:, 1:] = np.diff(places, axis=1) <= 0
        if again.any():
            last = np.take_along_axis(order, (~again).cumsum(axis=1).argmax(axis=1)[:, None], 1)
            kept_first = np.argsort(again, axis=1, kind="stable")
            order = np.where(
                np.take_along_axis(again, kept_first, 1),
                last,
                np.take_along_axis(order, kept_first, 1),
            )
        return cls(Nodes(*(np.take_along_axis(part, order, 1) for part in nodes)), step)

    def with_nodes(self, rows: Rows, added: Nodes) -> Self:
        """Add nodes to some rows: each element of ``added``, ``(n_added,)``, to one of them."""
        counts = np.bincount(rows, minlength=len(self.nodes.places))
        order = np.argsort(rows, kind="stable")
        column = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        parts = []
        for old, new in zip(self.nodes, added, strict=True):
            more = np.repeat(old[:, -1:], counts.max(initial=0), axis=1)
            more[rows[order], column] = new[order]
            parts.append(np.concatenate((old, more), axis=1))
        return self.through(Nodes(*parts), step=self.step)

    def log_masses(self) -> FloatArray:
        """Log-mass of each cell between neighbouring nodes, ``(n_rows, n_nodes - 1)``."""
        masses = self._integrals()
        if self.step:
            left, right = self.nodes.heights[:, :-1], self.nodes.heights[:, 1:]
            n_steps, summed = self._n_steps()
            sums = math.log(self.step) + _log_sum(left, right, n_steps, n_steps)
            masses = np.where(summed, sums, masses)
        return masses

    def log_mass(self) -> FloatArray:
        """Log of the integral over the whole line, ``(n_rows,)``."""
        return logsumexp(self.log_masses(), axis=1)

    def log_mass_below(self, level: FloatArray) -> FloatArray:
        """Log-mass where the height is at most ``level``, ``(n_rows,)``."""
        level = level[:, None] + (TIE if self.step else 0.0)
        log_density, heights = self.nodes.log_density, self.nodes.heights
        left, right = heights[:, :-1], heights[:, 1:]
        rise = np.where(right == left, 1.0, right - left)
        with np.errstate(over="ignore"):
            crossing = ((level - left) / rise).clip(0, 1)
        start = np.where((left > level) & (right <= level), crossing, 0.0)
        end = np.where((left <= level) & (right > level), crossing, 1.0)
        slope = np.diff(log_density, axis=1)
        mean = _log_mean(log_density[:, :-1] + start * slope, log_density[:, :-1] + end * slope)
        with np.errstate(divide="ignore"):
            width = np.log(np.diff(self.nodes.places, axis=1)) + np.log(end - start)
        masses = width + mean
        if self.step:
            n_steps, summed = self._n_steps()
            low, high = np.minimum(left, right), np.maximum(left, right)
            per_step = np.maximum(high - low, LEVEL) / np.maximum(n_steps, 1)
            with np.errstate(over="ignore"):
                n_below = np.floor((level - low).clip(0, 1e6) / per_step).clip(0, n_steps)
            n_below = np.where(high <= level, n_steps, np.minimum(n_below, n_steps - 1))
            sums = math.log(self.step) + _log_sum(low, high, n_steps, n_below)
            masses = np.where(summed, sums, masses)
        below = (left <= level) | (right <= level)
        return logsumexp(np.where(below, masses, -np.inf), axis=1)

    def quantile(self, share: float) -> FloatArray:
        """Z-coordinate below which this share of each row's mass lies, ``(n_rows,)``."""
        nodes, cells = self.nodes.places, self.log_masses()
        cumulative = np.cumsum(np.exp(cells - logsumexp(cells, axis=1, keepdims=True)), axis=1)
        cell = (cumulative < share).sum(axis=1).clip(max=cells.shape[1] - 1)
        rows = np.arange(len(nodes))
        before = np.where(cell > 0, cumulative[rows, cell - 1], 0.0)
        mass = (cumulative[rows, cell] - before).clip(np.finfo(np.float64).tiny)
        within = ((share - before) / mass).clip(0, 1)
        return nodes[rows, cell] + within * (nodes[rows, cell + 1] - nodes[rows, cell])

    def take(self, rows: Rows) -> Self:
        """Some of the rows."""
        return type(self)(Nodes(*(part[rows] for part in self.nodes)), self.step)

    def put(self, rows: Rows, others: Self) -> Self:
        """Replace some of the rows."""
        n_nodes = max(self.nodes.places.shape[1], others.nodes.places.shape[1])
        parts = []
        for old, new in zip(self.nodes, others.nodes, strict=True):
            old, new = (
                np.pad(part, ((0, 0), (0, n_nodes - part.shape[1])), mode="edge")
                for part in (old, new)
            )
            old[rows] = new
            parts.append(old)
        return type(self)(Nodes(*parts), self.step)

    def errors(self, level: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Estimate what each cell adds to the error of integrals, and where it is best cut.

        Returns
        -------
        errors : ndarray of shape (n_rows, n_nodes - 1)
            Relative to all mass or, where that is more, to the mass below ``level``.
        places : ndarray of shape (n_rows, n_nodes - 1)
            Where the lines through the neighbouring cells meet, or the middle.
        """
        places, log_density, heights, _ = self.nodes
        width = np.diff(places, axis=1)
        there = width > 0
        slope = np.diff(log_density, axis=1) / np.where(there, width, 1.0)
        before, after = slope.copy(), slope.copy()
        before[:, 1:] = slope[:, :-1]
        after[:, :-1] = np.where(there[:, 1:], slope[:, 1:], slope[:, :-1])
        left, right = log_density[:, :-1], log_density[:, 1:]
        from_left, from_right = left + before * width, right - after * width
        meets = ((before > slope) & (slope > after)) | ((before < slope) & (slope < after))
        turn = np.where(meets, before - after, 1.0)
        at = np.where(meets, ((from_right - left) / turn).clip(0, width), width / 2)
        apex = left + before * at
        own = self._integrals()
        total = logsumexp(own, axis=1, keepdims=True)

        def share(log_mass: FloatArray) -> FloatArray:
            return np.exp((log_mass - total).clip(max=HIGHEST))

        with np.errstate(divide="ignore"):
            log_width = np.log(width)
            log_at, log_rest = np.log(at), np.log(width - at)
        lines = np.logaddexp(log_at + _log_mean(left, apex), log_rest + _log_mean(apex, right))
        bent = np.abs(share(lines) - share(own)) / (1.0 if self.step else PARABOLA)
        ends = (log_width + _log_mean(left, from_left), log_width + _log_mean(from_right, right))
        broken = np.maximum(*(np.abs(share(end) - share(own)) for end in ends))
        errors = np.where(there, np.where(meets, bent, broken), 0.0)
        below = self.log_mass_below(level)[:, None]
        per_unit = log_density - heights
        at_level = level[:, None] + np.maximum(per_unit[:, :-1], per_unit[:, 1:])
        reaches = np.minimum(heights[:, :-1], heights[:, 1:]) <= level[:, None]
        of_below = np.where(reaches, np.minimum(errors, share(log_width + at_level)), 0.0)
        # Where the level is crossed, or the peak between nodes rises above it, is uncertain.
        rises = np.diff(heights, axis=1) / np.where(there, width, 1.0)
        bends = np.zeros(width.shape)
        bends[:, 1:] = np.abs(np.diff(rises, axis=1)) * there[:, 1:] * there[:, :-1]
        bends[:, :-1] = np.maximum(bends[:, :-1], bends[:, 1:])
        sag = bends * width / 4
        rise = np.maximum(np.abs(np.diff(heights, axis=1)), LEVEL)
        highest = np.maximum(heights[:, :-1], heights[:, 1:])
        crossed = reaches & (np.maximum(highest, apex - at_level + level[:, None]) > level[:, None])
        shifted = share(own) * np.where(highest > level[:, None], (sag / rise).clip(max=1), 1.0)
        of_below = np.where(crossed, np.maximum(of_below, shifted), of_below)
        known = np.isfinite(below)
        scale = np.exp((total - np.where(known, below, total)).clip(max=600.0))
        errors = np.maximum(errors, np.where(known, of_below * scale, 0.0))
        least = np.full(width.shape, INSIDE)
        if self.step:  # a new node is another grid point than the ends
            n_steps = self._n_steps()[0]
            errors = np.where(n_steps <= 1, 0.0, errors)
            least = np.maximum(least, 1 / np.maximum(n_steps, 2))
        inside = (at / np.where(there, width, 1.0)).clip(least, 1 - least)
        return errors, places[:, :-1] + inside * width

    def _integrals(self) -> FloatArray:
        log_density = self.nodes.log_density
        with np.errstate(divide="ignore"):  # of nodes that coincide
            log_width = np.log(np.diff(self.nodes.places, axis=1))
        return log_width + _log_mean(log_density[:, :-1], log_density[:, 1:])

    def _n_steps(self) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Steps of the grid within each cell, and whether these are summed over."""
        n_steps = np.rint(np.diff(self.nodes.steps, axis=1))
        return n_steps, (n_steps >= 1) & (n_steps <= MOST_SUMMED)


def refine(curve: Curve, level: FloatArray, evaluate: Callable[[Rows, FloatArray], Nodes]) -> Curve:
    """Add nodes to a curve until its mass, and the mass below ``level``, have converged.

    Parameters
    ----------
    curve : Curve
    level : ndarray of shape (n_rows,)
    evaluate : callable
        Nodes of rows, by index, at places.
    """
    active = np.arange(len(level))
    for _ in range(MOST_ROUNDS):
        with np.errstate(over="ignore"):  # of slopes between nodes that nearly coincide
            errors, places = curve.take(active).errors(level[active])
        open_rows = errors.sum(axis=1) > TOLERANCE
        active, errors, places = active[open_rows], errors[open_rows], places[open_rows]
        if not len(active):
            break
        row, at = worst_places(errors, places, N_ADDED, TOLERANCE)
        curve = curve.with_nodes(active[row], evaluate(active[row], at))
    return curve


def worst_places(
    errors: FloatArray, places: FloatArray, most: int, tolerance: float
) -> tuple[Rows, FloatArray]:
    """Return rows and places where errors are largest, at most so many in each row."""
    worst = np.argsort(-errors, axis=1, kind="stable")[:, :most]
    large = np.minimum(NEGLIGIBLE * tolerance, errors.max(axis=1, keepdims=True))
    row, rank = np.nonzero(np.take_along_axis(errors, worst, 1) >= large)
    return row, places[row, worst[row, rank]]


def _log_mean(left: FloatArray, right: FloatArray) -> FloatArray:
    """Log of the logarithmic mean of two positive numbers, from their logarithms."""
    step = np.abs(right - left)
    steep = np.maximum(step, LEVEL)
    of_steep = np.maximum(left, right) + np.log(-np.expm1(-steep) / steep)
    return np.where(step < LEVEL, (left + right) / 2, of_steep)


def _log_sum(low: FloatArray, high: FloatArray, n_steps: FloatArray, n: FloatArray) -> FloatArray:
    """Log of a geometric series from ``low`` on to its term n; each end counts half.

    The logarithm of term 0 is ``low``, that of term ``n_steps`` is ``high``.
    """
    low, high = np.minimum(low, high), np.maximum(low, high)
    n = np.clip(n, 0, MOST_SUMMED)  # of cells that are not summed over, it could overflow
    rate = np.maximum(high - low, LEVEL) / np.maximum(n_steps, 1)
    series = np.expm1(-(n + 1) * rate) / np.expm1(-rate)
    ends = (np.exp(-n * rate) + (n == n_steps)) / 2
    return low + n * rate + np.log(np.maximum(series - ends, 0.25))
