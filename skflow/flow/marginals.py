r"""Marginals: monotone maps of each column to about N(0, 1) (gaussianization).

A column is sent through a rational-quadratic spline whose knots are quantiles of
the training rows. Beyond the outer knots the map grows logarithmically,

.. math:: y = y_m + s \log(1 + \delta (x - x_m) / s),

so that :math:`y^2` stays finite out to 1e300; the smaller ``s``, the heavier the tail. A
bound of a column is a knot that is sent to 8, unless the tail goes as far on its own:
what lies beyond it keeps a place on the line, as it must to come back, but next to no
probability.

Modes that lie far apart, with nothing between them (:mod:`skflow.flow.modes`), are each
sent to a normal distribution of its own, and the gaps between them are drawn together.
A single map to N(0, 1) would squeeze a mode to a spike, or press the modes against each
other; a mixture layer separates neither well.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from torch import Tensor

from skflow.flow import rational_quadratic
from skflow.flow.bijection import Bijection, split_absent
from skflow.flow.context import NO_CONTEXT, Context
from skflow.flow.modes import split_modes
from skflow.flow.rational_quadratic import Knots

FloatArray = NDArray[np.float64]

# Below 1/4 a tail is so heavy that draws from it have no mean to speak of.
TAIL_SCALES = 2.0 ** np.arange(-2, 5)
TAIL_ROWS = 5.5  # rows beyond an outer knot: enough to judge the tail's weight
MIN_GAP = 1e-4  # between knots, as a share of their spread
BOUND_SCORE = 8.0  # where a column's bound is sent
BOUND_TAIL = 0.25  # tail scale beyond a bound
SLACK = 1.5  # of scores, beyond the last of the quantiles
PAD = 1.5  # standard deviations of a mode that follow its last quantile, towards a gap
GAP = 1.0  # what a gap between modes is drawn together to, in the same unit
BINS_OF_GAP = 3  # the gap and the pads beside it
ON_BOUND = 0.99  # share of the way to the bound from which a value lies on it
UNBOUNDED = (-math.inf, math.inf)
LARGEST = float(np.finfo(np.float64).max)


class _ColumnMap(NamedTuple):
    """Parameters of one column's map."""

    x: FloatArray
    y: FloatArray
    derivative: FloatArray
    lower_tail: float
    upper_tail: float


class Marginals(Bijection):
    """Monotone map of each column on its own; see the module's text for the formula.

    Buffers are float64 and stay so: far values and exact inverses need it.
    """

    x_knots: Tensor
    y_knots: Tensor
    derivatives: Tensor
    lower_tail: Tensor
    upper_tail: Tensor

    def __init__(self, columns: list[_ColumnMap]) -> None:
        super().__init__()

        def stack(name: str, n_rows: int) -> Tensor:
            rows = [getattr(column, name) for column in columns]
            matrix = np.array(rows, dtype=np.float64).reshape(len(columns), n_rows)
            return torch.tensor(matrix.T[:, :, None].copy())

        n_knots = len(columns[0].x) if columns else 2
        self.register_buffer("x_knots", stack("x", n_knots))
        self.register_buffer("y_knots", stack("y", n_knots))
        self.register_buffer("derivatives", stack("derivative", n_knots))
        self.register_buffer("lower_tail", stack("lower_tail", 1)[0])
        self.register_buffer("upper_tail", stack("upper_tail", 1)[0])

    @classmethod
    def fit(
        cls,
        table: FloatArray,
        n_bins: int,
        bounds: Sequence[tuple[float, float]] | None = None,
    ) -> "Marginals":
        """Fit one map per column of ``table``, ``(n_rows, n_columns)``; NaN is absent.

        With one bin the map is affine between its two inner knots (standardised
        columns); with more it Gaussianises. ``bounds`` are those of each column.
        """
        bounds = bounds or [UNBOUNDED] * table.shape[1]
        modes = [split_modes(np.sort(values[~np.isnan(values)])) for values in table.T]
        n_modes = [len(of_column) for of_column in modes]
        # All columns have as many bins, so that they are one array.
        total = max((max(n_bins, n) + BINS_OF_GAP * (n - 1) for n in n_modes), default=n_bins)
        columns = zip(modes, bounds, strict=True)
        affine = n_bins == 1
        return cls([_fit_column(parts, total, affine, *limits) for parts, limits in columns])

    @classmethod
    def blank(cls, n_columns: int, n_knots: int) -> "Marginals":
        """Return maps of the given sizes, to load a state into."""
        maps = cls([])
        n_knots = n_knots if n_columns else len(maps.x_knots)
        knots = torch.ones(n_knots, n_columns, 1, dtype=torch.float64)
        maps.x_knots, maps.y_knots, maps.derivatives = knots, knots.clone(), knots.clone()
        maps.lower_tail, maps.upper_tail = knots[0].clone(), knots[0].clone()
        return maps

    def of_columns(self, columns: list[int]) -> "Marginals":
        """Return the maps of some of the columns."""
        part = Marginals.blank(len(columns), len(self.x_knots))
        part.load_state_dict({name: t[..., columns, :] for name, t in self.state_dict().items()})
        return part

    def is_within_reach(self, x: Tensor) -> Tensor:
        """Mask of rows whose values lie no farther out than those of fitted rows may.

        Missing values count as within reach.
        """
        y, _ = self.forward_and_log_det(x)
        inside = (y > self.y_knots[1] - SLACK) & (y < self.y_knots[-2] + SLACK)
        return (inside | y.isnan()).all(dim=0)

    def forward_and_log_det(
        self, x: Tensor, context: Context = NO_CONTEXT
    ) -> tuple[Tensor, Tensor]:
        """Map original values to about N(0, 1)."""
        x, absent = split_absent(x)
        knots = Knots(self.x_knots, self.y_knots, self.derivatives)
        inside = x.clamp(knots.x[0], knots.x[-1])
        cell = rational_quadratic.select_bin(inside, knots.x, knots)
        y, log_derivative = rational_quadratic.forward_and_log_derivative(inside, cell)
        y_above, log_above = _log_tail(x - knots.x[-1], knots.derivative[-1], self.upper_tail)
        y_below, log_below = _log_tail(knots.x[0] - x, knots.derivative[0], self.lower_tail)
        above, below = x > knots.x[-1], x < knots.x[0]
        y = torch.where(above, knots.y[-1] + y_above, y)
        y = torch.where(below, knots.y[0] - y_below, y)
        log_derivative = torch.where(above, log_above, log_derivative)
        log_derivative = torch.where(below, log_below, log_derivative)
        return y.masked_fill(absent, torch.nan), log_derivative.masked_fill(absent, 0.0).sum(dim=0)

    def inverse_and_log_det(
        self, z: Tensor, context: Context = NO_CONTEXT
    ) -> tuple[Tensor, Tensor]:
        """Map back to original values."""
        z, absent = split_absent(z)
        knots = Knots(self.x_knots, self.y_knots, self.derivatives)
        inside = z.clamp(knots.y[0], knots.y[-1])
        cell = rational_quadratic.select_bin(inside, knots.y, knots)
        x, log_derivative = rational_quadratic.inverse_and_log_derivative(inside, cell)
        x_above, log_above = _exp_tail(z - knots.y[-1], knots.derivative[-1], self.upper_tail)
        x_below, log_below = _exp_tail(knots.y[0] - z, knots.derivative[0], self.lower_tail)
        above, below = z > knots.y[-1], z < knots.y[0]
        x = torch.where(above, knots.x[-1] + x_above, x)
        x = torch.where(below, knots.x[0] - x_below, x).clamp(-LARGEST, LARGEST)
        log_derivative = torch.where(above, log_above, log_derivative)
        log_derivative = torch.where(below, log_below, log_derivative)
        return x.masked_fill(absent, torch.nan), log_derivative.masked_fill(absent, 0.0).sum(dim=0)


def _log_tail(distance: Tensor, derivative: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """``s log(1 + derivative * distance / s)`` and the log of its derivative."""
    distance = distance.clamp_min(0)
    rate = derivative / scale
    product = distance * rate
    far = distance.log() + rate.log()
    log1p = torch.where(product < 1e150, torch.log1p(product), far)
    return scale * log1p, derivative.log() - log1p


def _exp_tail(rise: Tensor, derivative: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Inverse of :func:`_log_tail`, and the log of the inverse's derivative."""
    exponent = rise.clamp_min(0) / scale
    rate = derivative / scale
    far = torch.exp((exponent - rate.log()).clamp_max(math.log(LARGEST)))
    distance = torch.where(exponent < 300, torch.expm1(exponent.clamp_max(300)) / rate, far)
    return distance.clamp_max(LARGEST), exponent - derivative.log()


def _fit_column(
    modes: list[FloatArray], n_bins: int, affine: bool, low: float, high: float
) -> _ColumnMap:
    values = np.concatenate(modes)
    if len(values) < 2:  # nothing to learn: encoded columns are of moderate size
        modes = [values := np.array([-1.0, 1.0])]
    x, y, centres = _join_modes(modes, n_bins, affine)
    slopes = np.diff(y) / np.diff(x)
    # Harmonic means keep the spline monotone and follow the flatter neighbour.
    inner = 2 / (1 / slopes[:-1] + 1 / slopes[1:])
    derivative = np.concatenate((slopes[:1], inner, slopes[-1:]))
    upper = _outer_knot(values - x[-1], y[-1] - centres[-1], derivative[-1], high - x[-1])
    # The lower side is the upper side of the mirrored column.
    lower = _outer_knot(x[0] - values, centres[0] - y[0], derivative[0], x[0] - low)
    shares = np.array([len(mode) for mode in modes]) / len(values)
    mean = shares @ centres
    deviation = math.sqrt(1 + shares @ (centres - mean) ** 2) if len(modes) > 1 else 1.0
    y = np.concatenate(([y[0] - lower.rise], y, [y[-1] + upper.rise]))
    derivative = np.concatenate(([lower.derivative], derivative, [upper.derivative]))
    return _ColumnMap(
        x=np.concatenate(([x[0] - lower.distance], x, [x[-1] + upper.distance])),
        y=(y - mean) / deviation,
        derivative=derivative / deviation,
        lower_tail=lower.tail / deviation,
        upper_tail=upper.tail / deviation,
    )


def _join_modes(
    modes: list[FloatArray], n_bins: int, affine: bool
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return knots of all modes, where they are sent, and the centres of the modes there.

    Each mode keeps a standard deviation of 1. Its map goes on for :data:`PAD` into the gap
    beside it, so that the flat map of the gap begins where no rows are left.
    """
    rest = n_bins - BINS_OF_GAP * (len(modes) - 1) - len(modes)
    ends = np.cumsum([len(mode) for mode in modes]) * rest // sum(map(len, modes))
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


class _OuterKnot(NamedTuple):
    """The last knot of one side, relative to the one before it, and the tail beyond."""

    distance: float
    rise: float
    derivative: float
    tail: float


def _outer_knot(
    exceedances: FloatArray, start: float, derivative: float, room: float
) -> _OuterKnot:
    """Put a knot on the bound, ``room`` beyond the knot before it, or on the tail's own curve.

    A bound that the tail sends far out needs no knot. Nor does one with values on it,
    too few to be an atom: they want the tail's density.
    """
    tail = _fit_tail(exceedances, start, derivative)
    spread = float(np.abs(exceedances).max())

    def reach(distance: float) -> float:
        # start + tail * log(1 + derivative * distance / tail), free of overflow.
        return start + tail * np.logaddexp(0, np.log(distance) + np.log(derivative / tail))

    free = np.count_nonzero(exceedances > ON_BOUND * room) < 2
    if MIN_GAP * spread < room < math.inf and free and reach(room) < BOUND_SCORE:
        rise = max(BOUND_SCORE - start, 1.0)
        # With this slope the bin is a Moebius function: its derivative is monotone.
        return _OuterKnot(room, rise, (rise / room) ** 2 / derivative, BOUND_TAIL)
    # The tail is its own continuation from any of its points.
    rise = min(1.0, tail)
    growth = math.exp(rise / tail)
    return _OuterKnot(tail / derivative * (growth - 1), rise, derivative / growth, tail)


def _place_knots(values: FloatArray, n_bins: int, affine: bool) -> tuple[FloatArray, FloatArray]:
    """Return knots at interpolated quantiles and where they are sent: on a line, if affine."""
    distinct, counts = np.unique(values, return_counts=True)
    # Mid-distribution: a repeated value sits in the middle of its own step.
    levels = (np.cumsum(counts) - counts / 2) / counts.sum()
    edge = min(TAIL_ROWS / len(values), 0.3)
    # Levels halfway between equal steps in probability and equal steps in score:
    # the middle is resolved finely and the tails are not left to one bin.
    spread = 1.5
    outer = ndtri(1 - edge) / spread
    scores = spread * ndtri(np.linspace(ndtr(-outer), ndtr(outer), n_bins + 1))
    # Between two neighbouring quantiles, so that no knot is the value of one row.
    below, above = ndtr(scores) - 0.4 / len(values), ndtr(scores) + 0.6 / len(values)
    x = (np.interp(below, levels, distinct) + np.interp(above, levels, distinct)) / 2
    # A column of one value can still come here: constant within a fold.
    extent = x[-1] - x[0] or distinct[-1] - distinct[0] or abs(distinct[0]) or 1.0
    steps = MIN_GAP * extent * np.arange(n_bins + 1)
    x = np.maximum.accumulate(x - steps) + steps
    if not affine:
        return x, scores
    clipped = values.clip(x[0], x[-1])
    deviation = clipped.std() or x[-1] - x[0]
    return x, (x - clipped.mean()) / deviation


def _fit_tail(distances: FloatArray, start: float, derivative: float) -> float:
    """Most likely tail scale, for N(0, 1) at the other side of the map."""
    exceedances = distances[distances > 0][:, None]
    # log(1 + derivative * exceedance / scale), free of overflow.
    log1p = np.logaddexp(0, np.log(exceedances) + np.log(derivative) - np.log(TAIL_SCALES))
    log_likelihood = -((start + TAIL_SCALES * log1p) ** 2) / 2 - log1p
    prior = -(np.log2(TAIL_SCALES / 2) ** 2) / 8
    return float(TAIL_SCALES[np.argmax(log_likelihood.sum(axis=0) + prior)])
