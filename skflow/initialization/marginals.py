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
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from skflow.flow.marginals import ColumnMap, Marginals
from skflow.initialization.modes import WeightedValues, ascending_columns, find_modes

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
TINY = float(np.finfo(np.float64).tiny)  # a weight: one level has a line


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
    low, high = np.reshape(bounds or [UNBOUNDED] * table.shape[1], (-1, 2)).T
    are_lines = np.isin(np.arange(table.shape[1]), list(lines))
    of_line, others = np.flatnonzero(are_lines), np.flatnonzero(~are_lines)
    groups = list(find_modes(table, weight, others)) if n_bins else []
    # All columns have as many bins, so that they are one array.
    n_modes = {len(modes) for _, modes in groups}
    total = max((max(n_bins, n) + BINS_OF_GAP * (n - 1) for n in n_modes), default=max(n_bins, 1))
    maps: dict[int, ColumnMap] = {}
    for columns, modes in groups:
        fitted = fit_columns(modes, total, n_bins == 1, low[columns], high[columns])
        maps |= zip(columns.tolist(), fitted, strict=True)
    for columns, values in ascending_columns(table, weight, of_line, least=TINY):
        maps |= zip(columns.tolist(), fit_lines(values, total), strict=True)
    for columns, values in ascending_columns(table, weight, others[: 0 if n_bins else None]):
        fitted = fit_straight_lines(values, low[columns], high[columns])
        maps |= zip(columns.tolist(), fitted, strict=True)
    return Marginals([maps[j] for j in range(table.shape[1])])


def gaussianizing_bins(n_rows: float) -> int:
    """Bins of a gaussianizing marginal: resolution grows as the cube root of the rows."""
    return int(np.clip(round(n_rows ** (1 / 3)), 4, 32))


def fit_columns(
    modes: list[WeightedValues], n_bins: int, affine: bool, low: FloatArray, high: FloatArray
) -> list[ColumnMap]:
    """Fit columns of one mode, or one column of several, with their bounds ``(n_columns,)``."""
    values, weight = modes[0] if len(modes) == 1 else np.concatenate(modes, axis=2)
    x, y, centres = _join_modes(modes, n_bins, affine)
    slopes = np.diff(y) / np.diff(x)
    # Harmonic means keep the spline monotone and follow the flatter neighbour.
    inner = 2 / (1 / slopes[:, :-1] + 1 / slopes[:, 1:])
    derivative = np.concatenate((slopes[:, :1], inner, slopes[:, -1:]), axis=1)
    first, last = x[:, 0], x[:, -1]
    beyond = WeightedValues(values - last[:, None], weight)
    upper = _outer_knots(beyond, y[:, -1] - centres[-1], derivative[:, -1], high - last)
    # The lower side is the upper side of the mirrored column.
    beyond = WeightedValues((first[:, None] - values)[:, ::-1], weight[:, ::-1])
    lower = _outer_knots(beyond, centres[0] - y[:, 0], derivative[:, 0], first - low)
    shares = np.array([mode.mass[0] for mode in modes])
    shares /= shares.sum()
    mean = shares @ centres
    deviation = math.sqrt(1 + shares @ (centres - mean) ** 2) if len(modes) > 1 else 1.0
    x = np.column_stack((first - lower.distance, x, last + upper.distance))
    y = np.column_stack((y[:, 0] - lower.rise, y, y[:, -1] + upper.rise))
    derivative = np.column_stack((lower.derivative, derivative, upper.derivative)) / deviation
    tails = lower.tail / deviation, upper.tail / deviation
    return list(map(ColumnMap, x, (y - mean) / deviation, derivative, *tails))


def fit_lines(values: WeightedValues, n_bins: int) -> list[ColumnMap]:
    """Return maps that standardize values along a line from the first to the last."""
    first, last, mean, deviation = _extents(values)
    x = np.linspace(first, last, n_bins + 3, axis=1)
    slopes = np.repeat(1 / deviation[:, None], n_bins + 3, axis=1)
    y = (x - mean[:, None]) / deviation[:, None]
    return list(map(ColumnMap, x, y, slopes, *np.full((2, len(x)), LINE_TAIL)))


class _OuterKnots(NamedTuple):
    """The last knots of one side, relative to those before them, and the tails beyond."""

    distance: FloatArray
    rise: FloatArray
    derivative: FloatArray
    tail: FloatArray


def fit_straight_lines(
    values: WeightedValues, low: FloatArray, high: FloatArray
) -> list[ColumnMap]:
    """Return maps that standardize values along a line to far beyond the last one.

    Where a bound is near, the line ends at the value next to it.
    """
    first, last, mean, deviation = _extents(values)
    start, end = (first - mean) / deviation, (last - mean) / deviation
    lower = _line_ends(-start, (first - low) / deviation)
    upper = _line_ends(end, (high - last) / deviation)
    knots = np.column_stack((start - lower.distance, start, end, end + upper.distance))
    y = np.column_stack((start - lower.rise, start, end, end + upper.rise))
    one = np.ones(len(start))
    derivative = np.column_stack((lower.derivative, one, one, upper.derivative))
    x, slopes = mean[:, None] + deviation[:, None] * knots, derivative / deviation[:, None]
    return list(map(ColumnMap, x, y, slopes, lower.tail, upper.tail))


@np.errstate(all="ignore")  # each knot has two places, one of which is taken
def _line_ends(start: FloatArray, room: FloatArray) -> _OuterKnots:
    """Put knots beyond the last values, ``room`` before a bound, in standard deviations."""
    rise = LINE_BOUND - start
    of_bound = (room, rise, (rise / room) ** 2, np.array(BOUND_TAIL))
    of_line = map(np.array, (LINE_MARGIN, LINE_MARGIN, 1.0, LINE_TAIL))
    bounded = (start + room < LINE_BOUND) & (room > MIN_GAP)
    return _OuterKnots(*(np.where(bounded, *both) for both in zip(of_bound, of_line, strict=True)))


def _extents(values: WeightedValues) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return first values, last values, means and deviations of lines that are no points."""
    first, last, deviation = values.x[:, 0], values.x[:, -1], values.deviation()
    deviation = np.where(deviation, deviation, np.where(first, np.abs(first), 1.0))
    return first, np.where(last > first, last, first + deviation), values.mean(), deviation


def _join_modes(
    modes: list[WeightedValues], n_bins: int, affine: bool
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return knots of all modes, where they are sent, and the centres of the modes there.

    Each mode keeps a standard deviation of 1. Its map goes on for :data:`PAD` into the gap
    beside it, so that the flat map of the gap begins where no rows are left.
    """
    rest = n_bins - BINS_OF_GAP * (len(modes) - 1) - len(modes)
    mass = np.array([mode.mass[0] for mode in modes])
    ends = (np.cumsum(mass) * rest // mass.sum()).astype(int)
    ends[-1] = rest  # sums of weights are rounded
    knots = [
        place_knots(mode, 1 + extra, affine)
        for mode, extra in zip(modes, np.diff(ends, prepend=0).tolist(), strict=True)
    ]
    x, y = knots[0]
    centres = [0.0]
    for x_next, y_next in knots[1:]:
        gap = x_next[0, 0] - x[0, -1]
        left, left_slope = _pad(x, y, gap, -1)
        right, right_slope = _pad(x_next, y_next, gap, 0)
        start = y[0, -1] + left * left_slope + GAP + right * right_slope
        centres.append(start - y_next[0, 0])
        pads = [[x[0, -1] + left, x_next[0, 0] - right]]
        pads_sent = [[y[0, -1] + left * left_slope, start - right * right_slope]]
        x = np.concatenate((x, pads, x_next), axis=1)
        y = np.concatenate((y, pads_sent, y_next + centres[-1]), axis=1)
    return x, y, np.array(centres)


def _pad(x: FloatArray, y: FloatArray, gap: float, end: int) -> tuple[float, float]:
    """Return the width of the pad at one end of a mode, and the slope that it goes on with."""
    slope = float(np.diff(y)[0, end] / np.diff(x)[0, end])
    return min(PAD / slope, gap / 4), slope


@np.errstate(all="ignore")  # each knot has two places, one of which is taken
def _outer_knots(
    beyond: WeightedValues, start: FloatArray, derivative: FloatArray, room: FloatArray
) -> _OuterKnots:
    """Put a knot on each bound, ``room`` beyond the knot before it, or on the tail's own curve.

    A bound that the tail sends far out needs no knot. Nor does one with values on it,
    too few to be an atom: they want the tail's density.
    """
    tail = _fit_tails(beyond, start, derivative)
    spread = np.abs(beyond.x[:, [0, -1]]).max(axis=1)
    # start + tail * log(1 + derivative * room / tail), free of overflow.
    reach = start + tail * np.logaddexp(0, np.log(room) + np.log(derivative / tail))
    on_bound = np.where(beyond.x > ON_BOUND * room[:, None], beyond.weight, 0.0).sum(axis=1)
    is_near = (MIN_GAP * spread < room) & (room < math.inf) & (reach < BOUND_SCORE)
    bounded = is_near & (on_bound < 2)
    rise = np.maximum(BOUND_SCORE - start, 1.0)
    # With this slope the bin is a Moebius function: its derivative is monotone.
    of_bound = _OuterKnots(room, rise, (rise / room) ** 2 / derivative, np.array(BOUND_TAIL))
    # The tail is its own continuation from any of its points.
    rise = np.minimum(1.0, tail)
    growth = np.exp(rise / tail)
    of_tail = _OuterKnots(tail / derivative * (growth - 1), rise, derivative / growth, tail)
    return _OuterKnots(*(np.where(bounded, *both) for both in zip(of_bound, of_tail, strict=True)))


def place_knots(values: WeightedValues, n_bins: int, affine: bool) -> tuple[FloatArray, FloatArray]:
    """Return knots at interpolated quantiles and where they are sent: on a line, if affine."""
    mass = values.mass
    scores = np.stack([_knot_scores(own, n_bins) for own in mass.tolist()])
    # Between two neighbouring quantiles, so that no knot is the value of one row.
    below, above = ndtr(scores) - 0.4 / mass[:, None], ndtr(scores) + 0.6 / mass[:, None]
    x = quantiles(values, np.concatenate((below, above), axis=1))
    x = (x[:, : n_bins + 1] + x[:, n_bins + 1 :]) / 2
    # A column of one value can still come here: constant within a fold.
    first, last = values.x[:, 0], values.x[:, -1]
    extents = (x[:, -1] - x[:, 0], last - first, np.abs(first))
    extent = np.select([extent != 0 for extent in extents], extents, 1.0)
    steps = MIN_GAP * extent[:, None] * np.arange(n_bins + 1)
    x = np.maximum.accumulate(x - steps, axis=1) + steps
    if not affine:
        return x, np.broadcast_to(scores, x.shape)
    clipped = values._replace(x=values.x.clip(x[:, :1], x[:, -1:]))
    deviation = clipped.deviation()
    deviation = np.where(deviation, deviation, x[:, -1] - x[:, 0])
    return x, (x - clipped.mean()[:, None]) / deviation[:, None]


def quantiles(values: WeightedValues, levels: FloatArray) -> FloatArray:
    """Return interpolated quantiles, ``(n_columns, n_levels)``.

    Levels are those of the mid-distribution: a repeated value sits in the middle of its own step.
    """
    x, mass = values.x, np.cumsum(values.weight, axis=1)
    index = np.arange(x.shape[1])
    differs = np.diff(x, axis=1) > 0
    first = np.maximum.accumulate(np.insert(differs * index[1:], 0, 0, axis=1), axis=1)
    last = np.where(np.append(differs, np.full((len(x), 1), True), axis=1), index, len(index))
    last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    mass = np.broadcast_to(np.insert(mass, 0, 0.0, axis=1), (len(x), len(index) + 1))
    through = np.take_along_axis(mass, last + 1, axis=1)
    counts = through - np.take_along_axis(mass, first, axis=1)
    of_value = (through - counts / 2) / mass[:, -1:]
    levels = np.broadcast_to(levels, (len(x), levels.shape[1]))
    return np.stack([np.interp(*each) for each in zip(levels, of_value, x, strict=True)])


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


def _fit_tails(beyond: WeightedValues, start: FloatArray, derivative: FloatArray) -> FloatArray:
    """Return most likely tail scales, for N(0, 1) at the other side of the map."""
    most = np.count_nonzero(beyond.x > 0, axis=1).max()
    distances, weight = beyond.x[:, -most:, None], beyond.weight[:, -most:, None]
    # log(1 + derivative * distance / scale), free of overflow.
    offset = np.log(derivative)[:, None, None] - np.log(TAIL_SCALES)
    log1p = np.logaddexp(0, np.log(distances) + offset)
    log_likelihood = -((start[:, None, None] + TAIL_SCALES * log1p) ** 2) / 2 - log1p
    prior = -(np.log2(TAIL_SCALES / 2) ** 2) / 8
    total = np.where(distances > 0, weight * log_likelihood, 0.0).sum(axis=1)
    scales: FloatArray = TAIL_SCALES[np.argmax(total + prior, axis=1)]
    return scales
