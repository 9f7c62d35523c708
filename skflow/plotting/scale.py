"""Scales of an axis: linear, logarithmic, or linear with logarithmic tails."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from matplotlib.axis import Axis, XAxis
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

CENTRAL = (0.01, 0.99)  # quantiles at the ends of the middle
WIDEST = 50.0  # largest range of a linear axis, in widths of the middle
SKEWED = 10.0  # least ratio of the 99 % quantile to the median for a logarithmic axis
SHRINK = 0.1  # length of a factor of e of the distance from the middle, in widths of the middle
GAP = 0.15  # least distance of two ticks outside the middle, relative to the axis
LARGEST = float(np.finfo(np.float64).max) / 4


class Scale:
    """A linear map between numbers and positions on an axis: each number is its position.

    Attributes
    ----------
    is_linear : bool
    """

    is_linear: ClassVar[bool] = True

    def forward(self, numbers: FloatArray) -> FloatArray:
        """Return the positions of numbers on the axis."""
        return np.ma.filled(numbers, np.nan)

    def inverse(self, places: FloatArray) -> FloatArray:
        """Return the number at each position of the axis."""
        return np.ma.filled(places, np.nan)

    def set_on(self, axis: Axis) -> None:
        """Set this scale on an axis, before anything is drawn along it."""

    def set_ticks(self, axis: Axis, numbers: FloatArray) -> None:
        """Set the ticks of an axis, where matplotlib's own are not enough."""

    def note(self, spell: Callable[[float], str]) -> str:
        """Return the note on the scale for the axis label; empty where ticks show it."""
        return ""


class LogScale(Scale):
    """A logarithmic map of positive numbers."""

    is_linear = False

    def forward(self, numbers: FloatArray) -> FloatArray:
        """Return natural logarithms."""
        # Before, not after: the logarithm of a masked array masks more.
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(np.ma.filled(numbers, np.nan))

    def inverse(self, places: FloatArray) -> FloatArray:
        """Return exponentials."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.exp(np.ma.filled(places, np.nan)).clip(max=LARGEST)

    def set_on(self, axis: Axis) -> None:
        """Set matplotlib's logarithmic scale."""
        _setter(axis)("log")


@dataclass(frozen=True)
class TailScale(Scale):
    """A map that is linear in the middle, and logarithmic in the distance from there.

    Attributes
    ----------
    low, high : float
        Ends of the middle, at 0 and 1 of the axis.
    """

    low: float
    high: float
    is_linear = False

    def forward(self, numbers: FloatArray) -> FloatArray:
        """Return the positions of numbers on the axis."""
        numbers = np.ma.filled(numbers, np.nan)
        width = self.high - self.low
        inside = np.clip(numbers, self.low, self.high)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            steps = np.log(np.abs(numbers - inside)) - np.log(SHRINK * width)
            tails = np.sign(numbers - inside) * SHRINK * np.logaddexp(0, steps)
        return (inside - self.low) / width + tails

    def inverse(self, places: FloatArray) -> FloatArray:
        """Return the number at each position of the axis."""
        places = np.ma.filled(places, np.nan)
        width, inside = self.high - self.low, np.clip(places, 0, 1)
        with np.errstate(over="ignore", invalid="ignore"):
            distance = SHRINK * width * np.expm1(np.abs(places - inside) / SHRINK)
            tails = np.sign(places - inside) * distance.clip(max=LARGEST)
            return self.low + width * inside + tails

    def set_on(self, axis: Axis) -> None:
        """Set a scale of matplotlib from the two functions."""
        _setter(axis)("function", functions=(self.forward, self.inverse))

    def note(self, spell: Callable[[float], str]) -> str:
        """Return the note on logarithmic tails for the axis label."""
        return f"logarithmic beyond {spell(self.low)} to {spell(self.high)}"

    def set_ticks(self, axis: Axis, numbers: FloatArray) -> None:
        """Set ticks: some in the middle, some outside."""
        inside = np.asarray(MaxNLocator(4).tick_values(self.low, self.high))
        inside = inside[(inside >= self.low) & (inside <= self.high)]
        ticks = [*inside.tolist(), *self.ticks_outside(numbers)]
        axis.set_ticks(ticks, [f"{tick:.4g}" for tick in ticks])

    def ticks_outside(self, numbers: FloatArray, *, powers: bool = True) -> list[float]:
        """Return ticks outside the middle: powers of ten if some fit, else the extreme.

        Parameters
        ----------
        numbers : ndarray
            All numbers that are drawn, without NaN.
        powers : bool, default=True
            Whether powers of ten are round numbers; they are not for dates.
        """
        lowest, highest = float(numbers.min()), float(numbers.max())
        ends = self._place(min(lowest, self.low)), self._place(max(highest, self.high))
        gap = GAP * (ends[1] - ends[0])
        ticks: list[float] = []
        for sign, end, farthest in ((-1.0, self.low, lowest), (1.0, self.high, highest)):
            decades = [sign * 10.0**power for power in range(-300, 309)] if powers else []
            within = [tick for tick in decades if sign * tick <= sign * farthest]
            found = self._spaced(within, end, sign, gap)
            ticks += found or self._spaced([farthest], end, sign, gap)
        return ticks

    def _spaced(self, ticks: list[float], start: float, sign: float, gap: float) -> list[float]:
        """Return the ticks at a distance of ``gap`` or more from the one before."""
        found = [start]
        for tick in ticks:
            if sign * (self._place(tick) - self._place(found[-1])) >= gap:
                found.append(tick)
        return found[1:]

    def _place(self, number: float) -> float:
        return float(self.forward(np.array([number]))[0])


def choose_scale(usual: FloatArray, shown: FloatArray) -> Scale:
    """Return a scale for usual numbers and the numbers to show; NaN is ignored."""
    usual = usual[~np.isnan(usual)]
    everything = np.concatenate([usual, shown[~np.isnan(shown)]])
    if len(usual) == 0:
        return Scale()
    low, median, high = np.quantile(usual, [CENTRAL[0], 0.5, CENTRAL[1]]).tolist()
    if everything.min() > 0 and high > SKEWED * median:
        return LogScale()
    with np.errstate(over="ignore"):
        is_wide = np.ptp(everything) > WIDEST * (high - low)
    if not is_wide:
        return Scale()
    if low == high:  # the middle is as wide as the distance to the next number
        away = np.abs(everything - low)
        low, high = low - away[away > 0].min(), high + away[away > 0].min()
    return TailScale(low, high)


def _setter(axis: Axis) -> Callable[..., None]:
    return axis.axes.set_xscale if isinstance(axis, XAxis) else axis.axes.set_yscale
