r"""The initial fit of the marginals: knots at quantiles, tails by likelihood, modes apart.

Knots of a column's map (:mod:`skflow.flow.marginals`) are quantiles of the training rows. The
scale of each tail is the likeliest of a few. A bound of a column is a knot that is sent to 8,
unless the tail goes as far on its own: what lies beyond the bound keeps a place on the line, as
it must to come back, but next to no probability.

Modes that lie far apart, with nothing between them, are each sent to a normal distribution of
its own, and the gaps between them are drawn together. A single map to N(0, 1) would squeeze a
mode to a spike, or press the modes against each other; a mixture layer separates neither well.

Levels of a condition are standardized along one line: they need no density, and a number between
two of them must stay between. So are all columns where no bin is asked for: linear functions of
other columns stay linear, out to the last row and beyond.
"""

import math
from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from skflow.flow.marginals import ColumnMap, Marginals
from skflow.rows import weighted_mean

FloatArray = NDArray[np.float64]

# Below 1/4 a tail is so heavy that draws from it have no mean.
TAIL_SCALES = 2.0 ** np.arange(-2, 5)
TAIL_ROWS = 5.5  # rows beyond an outer knot: enough to fit the tail's weight
MIN_GAP = 1e-4  # between knots, as a share of their spread
BOUND_SCORE = 8.0  # where a column's bound is sent
BOUND_TAIL = 0.25  # tail scale beyond a bound
PAD = 1.5  # standard deviations of a mode that follow its last quantile, towards a gap
GAP = 1.0  # what a gap between modes is drawn together to, in the same unit
BINS_OF_GAP = 3  # the gap and the pads beside it
LINE_TAIL = 2.0  # tail scale beyond levels, and beyond straight lines
LINE_MARGIN = 4.0  # standard deviations that a straight line goes on for, beyond the last value
LINE_BOUND = 4.0  # where a bound nearer than that is sent, beyond a straight line
ON_BOUND = 0.99  # share of the way to the bound from which a value lies on it
UNBOUNDED = (-math.inf, math.inf)

FAR = 10  # how many times wider a gap is than the modes beside it
FEWEST_ROWS = 20  # of a mode
FEWEST_SHARE = 0.02  # of the rows in a mode: fewer are a tail
MOST_MODES = 8


class WeightedValues(NamedTuple):
    """Ascending values of one column, and the weight of each, ``(n_rows,)``."""

    x: FloatArray
    weight: FloatArray

    @property
    def mass(self) -> float:
        """Sum of the weights: the number of rows, where each has weight 1."""
        return float(self.weight.sum())

    def mean(self) -> float:
        """Weighted mean."""
        return float(weighted_mean(self.x, self.weight))

    def deviation(self) -> float:
        """Weighted standard deviation."""
        return float(np.sqrt(weighted_mean((self.x - self.mean()) ** 2, self.weight)))

    def split(self, positions: NDArray[np.intp]) -> list["WeightedValues"]:
        """Cut before these positions."""
        parts = zip(np.split(self.x, positions), np.split(self.weight, positions), strict=True)
        return [WeightedValues(*part) for part in parts]


def fit_marginals(
    table: FloatArray,
    n_bins: int,
    bounds: Sequence[tuple[float, float]] | None = None,
    weight: FloatArray | None = None,
    lines: Collection[int] = (),
) -> Marginals:
    """Fit one map per column.

    Without a bin the map is a straight line, to far beyond the values. With one bin it is affine
    between its two inner knots (standardized columns); with more it gaussianizes.

    Parameters
    ----------
    table : ndarray of shape (n_rows, n_columns)
        NaN is missing.
    n_bins : int
    bounds : sequence of (low, high), optional
        Support of each column.
    weight : ndarray of shape (n_rows,), optional
        A row of weight 2 counts as two equal rows, a row of weight 0 as none.
    lines : collection of int
        Columns that are standardized along one line, levels of a condition.
    """
    bounds = bounds or [UNBOUNDED] * table.shape[1]
    weight = np.ones(len(table)) if weight is None else weight
    ascending = [_sorted_values(column, weight) for column in table.T]
    modes = [
        [values] if n_bins == 0 or j in lines else split_modes(values)
        for j, values in enumerate(ascending)
    ]
    n_modes = [len(of_column) for of_column in modes]
    # All columns have as many bins, so that they are one array.
    total = max((max(n_bins, n) + BINS_OF_GAP * (n - 1) for n in n_modes), default=n_bins)

    def fit(j: int, limits: tuple[float, float]) -> ColumnMap:
        if j in lines:
            return fit_line(modes[j][0], total)
        if n_bins == 0:
            return fit_straight_line(modes[j][0], *limits)
        return _fit_column(modes[j], total, n_bins == 1, *limits)

    return Marginals([fit(j, limits) for j, limits in enumerate(bounds)])


def gaussianizing_bins(n_rows: float) -> int:
    """Bins of a gaussianizing marginal: resolution grows as the cube root of the rows."""
    return int(np.clip(round(n_rows ** (1 / 3)), 4, 32))


def _sorted_values(column: FloatArray, weight: FloatArray) -> WeightedValues:
    there = ~np.isnan(column) & (weight > 0)
    order = np.argsort(column[there])
    return WeightedValues(column[there][order], weight[there][order])


def split_modes(values: WeightedValues) -> list[WeightedValues]:
    r"""Split ascending values where a gap is far wider than the values on either side.

    With :math:`m` the least number of rows in a mode, the gap after :math:`x_i` is a candidate if

    .. math:: x_{i+1} - x_i > 10 \max(x_i - x_{i-m+1}, x_{i+m} - x_{i+1}).

    Rows are counted by their weights. Modes are then joined, those with the narrowest gap first,
    until each gap is 10 times as wide as the standard deviation of either mode beside it.

    Returns
    -------
    modes : list of WeightedValues
        One at least, in ascending order.
    """
    rows = np.cumsum(values.weight)  # up to and with each value
    mass = float(rows[-1]) if len(rows) else 0.0
    m = max(FEWEST_ROWS, round(FEWEST_SHARE * mass))
    if mass < 2 * m:
        return [values]
    # Scaled to 1 first: squares of huge numbers would overflow.
    x = values.x / (np.abs(values.x).max() or 1.0)
    last = np.flatnonzero((rows >= m) & (rows <= mass - m))
    first = last + 1
    below = x[last] - x[np.searchsorted(rows, rows[last] - m, side="right")]
    above = x[np.searchsorted(rows, rows[last] + m).clip(max=len(x) - 1)] - x[first]
    far = first[x[first] - x[last] > FAR * np.maximum(below, above)]
    scaled = values._replace(x=x)
    modes = scaled.split(far)
    while len(modes) > 1:
        deviations = np.array([mode.deviation() for mode in modes])
        gaps = np.array([b.x[0] - a.x[-1] for a, b in pairwise(modes)])
        with np.errstate(divide="ignore"):  # a mode may be one value
            ratios = gaps / np.maximum(deviations[:-1], deviations[1:])
        nearest = int(np.argmin(ratios))
        if ratios[nearest] > FAR and len(modes) <= MOST_MODES:
            break
        far = np.delete(far, nearest)
        modes = scaled.split(far)
    return values.split(far)


def _fit_column(
    modes: list[WeightedValues], n_bins: int, affine: bool, low: float, high: float
) -> ColumnMap:
    if sum(mode.mass for mode in modes) < 2:  # too few: encoded columns are of moderate size
        modes = [WeightedValues(np.array([-1.0, 1.0]), np.ones(2))]
    values, weight = np.concatenate(modes, axis=1)
    x, y, centres = _join_modes(modes, n_bins, affine)
    slopes = np.diff(y) / np.diff(x)
    # Harmonic means keep the spline monotone and follow the flatter neighbour.
    inner = 2 / (1 / slopes[:-1] + 1 / slopes[1:])
    derivative = np.concatenate((slopes[:1], inner, slopes[-1:]))
    upper = _outer_knot(values - x[-1], weight, y[-1] - centres[-1], derivative[-1], high - x[-1])
    # The lower side is the upper side of the mirrored column.
    lower = _outer_knot(x[0] - values, weight, centres[0] - y[0], derivative[0], x[0] - low)
    shares = np.array([mode.mass for mode in modes]) / weight.sum()
    mean = shares @ centres
    deviation = math.sqrt(1 + shares @ (centres - mean) ** 2) if len(modes) > 1 else 1.0
    y = np.concatenate(([y[0] - lower.rise], y, [y[-1] + upper.rise]))
    derivative = np.concatenate(([lower.derivative], derivative, [upper.derivative]))
    return ColumnMap(
        x=np.concatenate(([x[0] - lower.distance], x, [x[-1] + upper.distance])),
        y=(y - mean) / deviation,
        derivative=derivative / deviation,
        lower_tail=lower.tail / deviation,
        upper_tail=upper.tail / deviation,
    )


def fit_line(values: WeightedValues, n_bins: int) -> ColumnMap:
    """Return the map that standardizes values along a line from the first to the last."""
    first, last, mean, deviation = _extent(values)
    x = np.linspace(first, last, n_bins + 3)
    slopes = np.full(len(x), 1 / deviation)
    return ColumnMap(x, (x - mean) / deviation, slopes, LINE_TAIL, LINE_TAIL)


class _OuterKnot(NamedTuple):
    """The last knot of one side, relative to the one before it, and the tail beyond."""

    distance: float
    rise: float
    derivative: float
    tail: float


def fit_straight_line(values: WeightedValues, low: float, high: float) -> ColumnMap:
    """Return the map that standardizes values along a line to far beyond the last one.

    Where a bound is near, the line ends at the value next to it.
    """
    first, last, mean, deviation = _extent(values)
    start, end = (first - mean) / deviation, (last - mean) / deviation
    lower = _line_end(-start, (first - low) / deviation)
    upper = _line_end(end, (high - last) / deviation)
    knots = np.array([start - lower.distance, start, end, end + upper.distance])
    return ColumnMap(
        mean + deviation * knots,
        np.array([start - lower.rise, start, end, end + upper.rise]),
        np.array([lower.derivative, 1.0, 1.0, upper.derivative]) / deviation,
        lower.tail,
        upper.tail,
    )


def _line_end(start: float, room: float) -> _OuterKnot:
    """Put the knot beyond the last value, ``room`` before a bound, in standard deviations."""
    if start + room < LINE_BOUND and room > MIN_GAP:
        rise = LINE_BOUND - start
        return _OuterKnot(room, rise, (rise / room) ** 2, BOUND_TAIL)
    return _OuterKnot(LINE_MARGIN, LINE_MARGIN, 1.0, LINE_TAIL)


def _extent(values: WeightedValues) -> tuple[float, float, float, float]:
    """Return first value, last value, mean and standard deviation of a line that is not a point."""
    if not len(values.x):
        values = WeightedValues(np.array([-1.0, 1.0]), np.ones(2))
    first, last = values.x[0], values.x[-1]
    deviation = values.deviation() or abs(first) or 1.0
    return first, last if last > first else first + deviation, values.mean(), deviation


def _join_modes(
    modes: list[WeightedValues], n_bins: int, affine: bool
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return knots of all modes, where they are sent, and the centres of the modes there.

    Each mode keeps a standard deviation of 1. Its map goes on for :data:`PAD` into the gap
    beside it, so that the flat map of the gap begins where no rows are left.
    """
    rest = n_bins - BINS_OF_GAP * (len(modes) - 1) - len(modes)
    mass = np.array([mode.mass for mode in modes])
    ends = (np.cumsum(mass) * rest // mass.sum()).astype(int)
    ends[-1] = rest  # sums of weights are rounded
    knots = [
        _place_knots(mode, 1 + extra, affine)
        for mode, extra in zip(modes, np.diff(ends, prepend=0).tolist(), strict=True)
    ]
    x, y = knots[0]
    centres = [0.0]
    for x_next, y_next in knots[1:]:
        gap = x_next[0] - x[-1]
        left, left_slope = _pad(x, y, gap, -1)
        right, right_slope = _pad(x_next, y_next, gap, 0)
        start = y[-1] + left * left_slope + GAP + right * right_slope
        centres.append(start - y_next[0])
        x = np.concatenate((x, [x[-1] + left, x_next[0] - right], x_next))
        pads = [y[-1] + left * left_slope, start - right * right_slope]
        y = np.concatenate((y, pads, y_next + centres[-1]))
    return x, y, np.array(centres)


def _pad(x: FloatArray, y: FloatArray, gap: float, end: int) -> tuple[float, float]:
    """Return the width of the pad at one end of a mode, and the slope that it goes on with."""
    slope = float(np.diff(y)[end] / np.diff(x)[end])
    return min(PAD / slope, gap / 4), slope


def _outer_knot(
    exceedances: FloatArray, weight: FloatArray, start: float, derivative: float, room: float
) -> _OuterKnot:
    """Put a knot on the bound, ``room`` beyond the knot before it, or on the tail's own curve.

    A bound that the tail sends far out needs no knot. Nor does one with values on it,
    too few to be an atom: they want the tail's density.
    """
    tail = _fit_tail(exceedances, weight, start, derivative)
    spread = float(np.abs(exceedances).max())

    def reach(distance: float) -> float:
        # start + tail * log(1 + derivative * distance / tail), free of overflow.
        return start + tail * np.logaddexp(0, np.log(distance) + np.log(derivative / tail))

    free = weight[exceedances > ON_BOUND * room].sum() < 2
    if MIN_GAP * spread < room < math.inf and free and reach(room) < BOUND_SCORE:
        rise = max(BOUND_SCORE - start, 1.0)
        # With this slope the bin is a Moebius function: its derivative is monotone.
        return _OuterKnot(room, rise, (rise / room) ** 2 / derivative, BOUND_TAIL)
    # The tail is its own continuation from any of its points.
    rise = min(1.0, tail)
    growth = math.exp(rise / tail)
    return _OuterKnot(tail / derivative * (growth - 1), rise, derivative / growth, tail)


def _place_knots(
    values: WeightedValues, n_bins: int, affine: bool
) -> tuple[FloatArray, FloatArray]:
    """Return knots at interpolated quantiles and where they are sent: on a line, if affine."""
    distinct, first = np.unique(values.x, return_index=True)
    counts, mass = np.add.reduceat(values.weight, first), values.mass
    # Mid-distribution: a repeated value sits in the middle of its own step.
    levels = (np.cumsum(counts) - counts / 2) / counts.sum()
    scores = _knot_scores(mass, n_bins)
    # Between two neighbouring quantiles, so that no knot is the value of one row.
    below, above = ndtr(scores) - 0.4 / mass, ndtr(scores) + 0.6 / mass
    x = (np.interp(below, levels, distinct) + np.interp(above, levels, distinct)) / 2
    # A column of one value can still come here: constant within a fold.
    extent = x[-1] - x[0] or distinct[-1] - distinct[0] or abs(distinct[0]) or 1.0
    steps = MIN_GAP * extent * np.arange(n_bins + 1)
    x = np.maximum.accumulate(x - steps) + steps
    if not affine:
        return x, scores
    clipped = values._replace(x=values.x.clip(x[0], x[-1]))
    deviation = clipped.deviation() or x[-1] - x[0]
    return x, (x - clipped.mean()) / deviation


@lru_cache  # most columns have a value in every row
def _knot_scores(mass: float, n_bins: int) -> FloatArray:
    """Return where knots at quantiles of so many rows are sent."""
    edge = min(TAIL_ROWS / mass, 0.3)
    # Levels halfway between equal steps in probability and equal steps in score:
    # the middle is resolved finely and the tails are not left to one bin.
    spread = 1.5
    outer = ndtri(1 - edge) / spread
    scores: FloatArray = spread * ndtri(np.linspace(ndtr(-outer), ndtr(outer), n_bins + 1))
    return scores


def _fit_tail(distances: FloatArray, weight: FloatArray, start: float, derivative: float) -> float:
    """Most likely tail scale, for N(0, 1) at the other side of the map."""
    beyond = distances > 0
    exceedances = distances[beyond][:, None]
    # log(1 + derivative * exceedance / scale), free of overflow.
    log1p = np.logaddexp(0, np.log(exceedances) + np.log(derivative) - np.log(TAIL_SCALES))
    log_likelihood = -((start + TAIL_SCALES * log1p) ** 2) / 2 - log1p
    prior = -(np.log2(TAIL_SCALES / 2) ** 2) / 8
    total = (weight[beyond][:, None] * log_likelihood).sum(axis=0)
    return float(TAIL_SCALES[np.argmax(total + prior)])
