"""Scales of an axis: linear, logarithmic, or linear with logarithmic tails."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self

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


@dataclass(frozen=True)
class Scale:
    """Map between numbers and positions on an axis.

    Attributes
    ----------
    kind : "linear", "log" or "tails"
        "tails" is linear from ``low`` to ``high``, at 0 and 1 of the axis, and logarithmic in
        the distance from there.
    low, high : float
        Ends of the middle.
    """

    kind: Literal["linear", "log", "tails"] = "linear"
    low: float = 0.0
    high: float = 1.0

    @classmethod
    def of(cls, usual: FloatArray, shown: FloatArray) -> Self:
        """Choose a scale from usual numbers and the numbers to show.

        Parameters
        ----------
        usual, shown : ndarray
            Numbers; NaN is ignored.
        """
        usual = usual[~np.isnan(usual)]
        everything = np.concatenate([usual, shown[~np.isnan(shown)]])
        if len(usual) == 0:
            return cls()
        low, median, high = np.quantile(usual, [CENTRAL[0], 0.5, CENTRAL[1]]).tolist()
        if everything.min() > 0 and high > SKEWED * median:
            return cls("log")
        with np.errstate(over="ignore"):
            is_wide = np.ptp(everything) > WIDEST * (high - low)
        if not is_wide:
            return cls()
        if low == high:  # the middle is as wide as the distance to the next number
            away = np.abs(everything - low)
            low, high = low - away[away > 0].min(), high + away[away > 0].min()
        return cls("tails", low, high)

    def forward(self, numbers: FloatArray) -> FloatArray:
        """Return the positions of numbers on the axis."""
        numbers = np.ma.filled(numbers, np.nan)  # the logarithm of a masked array masks more
        if self.kind == "linear":
            return numbers
        if self.kind == "log":
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.log(numbers)
        width = self.high - self.low
        inside = np.clip(numbers, self.low, self.high)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            steps = np.log(np.abs(numbers - inside)) - np.log(SHRINK * width)
            tails = np.sign(numbers - inside) * SHRINK * np.logaddexp(0, steps)
        return (inside - self.low) / width + tails

    def inverse(self, places: FloatArray) -> FloatArray:
        """Return the number at each position of the axis."""
        places = np.ma.filled(places, np.nan)
        if self.kind == "linear":
            return places
        with np.errstate(over="ignore", invalid="ignore"):
            if self.kind == "log":
                return np.exp(places).clip(max=LARGEST)
            width, inside = self.high - self.low, np.clip(places, 0, 1)
            distance = SHRINK * width * np.expm1(np.abs(places - inside) / SHRINK)
            tails = np.sign(places - inside) * distance.clip(max=LARGEST)
            return self.low + width * inside + tails

    def set_on(self, axis: Axis) -> None:
        """Set this scale on an axis, before anything is drawn along it."""
        along_x = isinstance(axis, XAxis)
        set_scale = axis.axes.set_xscale if along_x else axis.axes.set_yscale
        if self.kind == "log":
            set_scale("log")
        elif self.kind == "tails":
            set_scale("function", functions=(self.forward, self.inverse))

    def note(self, spell: Callable[[float], str]) -> str:
        """Return the note on logarithmic tails for the axis label; empty for other scales."""
        if self.kind != "tails":
            return ""
        return f"logarithmic beyond {spell(self.low)} to {spell(self.high)}"

    def set_ticks(self, axis: Axis, numbers: FloatArray) -> None:
        """Set the ticks of an axis with tails: some in the middle, some outside."""
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
