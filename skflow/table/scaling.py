"""Scalings: numbers of any size to encoded values of moderate size, and back."""

import math
from fractions import Fraction
from functools import lru_cache
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from skflow.table.units import Number

FloatArray = NDArray[np.float64]

SMALLEST_SUBNORMAL = float(np.finfo(np.float64).smallest_subnormal)
LARGEST = float(np.finfo(np.float64).max)
SMALLEST = float(np.finfo(np.float64).tiny)
DIGITS = 13
# A column is scaled by asinh when a hundredth of its different nonzero values is this much smaller
# than the largest tenth. (One that many rows repeat shows no range.)
WIDE_RATIO = 1e-5
# So it is when its largest value is this much larger than that tenth: divided by the largest,
# the others would lose their digits, and at last underflow.
FAR_RATIO = 1e6
# asinh(r) = sign(r) log(2 |r|) to the last digit beyond this, where r may overflow.
FAR = 1e150
# Relative error of encoded values that decoding must undo.
NOISE = 1e-13
# Error of numbers near 0 that come back through a flow, as a share of the column's scale.
NEAR_ZERO = 6e-15
# Narrow floats too small to keep their digits are scaled by an asinh of their own, within this
# share of the column's scale.
NEAR_ZERO_EDGE = 1e-3
# Powers of two below the smallest training number that keep their digits there as well.
ROOM = 10


class Scaling(Protocol):
    """Numbers of one column to encoded values, increasing, and back.

    Attributes
    ----------
    scale : float
        Typical magnitude of the numbers, to which errors are relative.
    """

    scale: float

    def encode(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return encoded values and the log-derivative of the encoding, row by row."""
        ...

    def decode(self, encoded: FloatArray) -> FloatArray:
        """Return the numbers, as exactly as the encoding allows."""
        ...

    def state(self) -> dict[str, Any]:
        """Return the form and its parameters, as numbers, strings and dicts."""
        ...


class PowerOfTwoScaling:
    """Division by a power of two: exact, and free of overflow later on."""

    def __init__(self, exponent: int, scale: float) -> None:
        self.exponent = exponent
        self.scale = scale

    @classmethod
    def fit(cls, values: FloatArray) -> Self:
        """Choose the power of two by the largest value."""
        magnitudes = np.abs(values[values != 0])
        exponent = int(np.frexp(magnitudes.max(initial=0.0))[1])
        return cls(exponent, typical(magnitudes, 0.9) if magnitudes.size else 1.0)

    def encode(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Scale down; the log-derivative is constant."""
        with np.errstate(over="ignore", under="ignore"):
            encoded = np.ldexp(values, -self.exponent).clip(-LARGEST, LARGEST)
        return encoded, np.full(len(values), -self.exponent * math.log(2))

    def decode(self, encoded: FloatArray) -> FloatArray:
        """Scale up."""
        with np.errstate(over="ignore", under="ignore"):
            return np.ldexp(encoded, self.exponent).clip(-LARGEST, LARGEST)

    def state(self) -> dict[str, Any]:
        """Return the exponent and the scale."""
        return {"form": "power of two", "exponent": self.exponent, "scale": self.scale}


class AsinhScaling:
    r"""``asinh((x - centre) / pivot)``: for values that span many orders of magnitude.

    It keeps the relative precision of values near the centre. A flow's error is absolute, and
    would exceed them otherwise.
    """

    def __init__(self, centre: float, pivot: float) -> None:
        self.centre = centre
        self.pivot = pivot
        self.scale = max(abs(centre), pivot)

    def encode(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Take asinh; far out the logarithm first, so that nothing overflows."""
        with np.errstate(over="ignore", divide="ignore", invalid="ignore", under="ignore"):
            offset = (values - self.centre).clip(-LARGEST, LARGEST)
            ratio = offset / self.pivot
            size = np.log(np.abs(offset)) - math.log(self.pivot) + math.log(2)
            encoded = np.where(np.abs(ratio) < FAR, np.arcsinh(ratio), np.sign(offset) * size)
            log_derivative = -np.log(np.hypot(offset, self.pivot).clip(max=LARGEST))
        return encoded, log_derivative

    def decode(self, encoded: FloatArray) -> FloatArray:
        """Take sinh."""
        with np.errstate(over="ignore", under="ignore"):
            near = self.pivot * np.sinh(encoded.clip(-300, 300))
            far = np.sign(encoded) * np.exp(np.abs(encoded) + math.log(self.pivot) - math.log(2))
            offset = np.where(np.abs(encoded) < 300, near, far)
            return (self.centre + offset).clip(-LARGEST, LARGEST)

    def state(self) -> dict[str, Any]:
        """Return the centre and the pivot."""
        return {"form": "asinh", "centre": self.centre, "pivot": self.pivot}


class NearZeroAsinhScaling:
    r"""Another scaling, after ``gain * asinh(x / pivot)`` of numbers within ``edge`` of 0.

    Other numbers are left as they are; ``gain`` makes the map continuous. So the smallest
    numbers keep their digits, at no cost to any other number.

    Parameters
    ----------
    base : Scaling
        Applied to all numbers afterwards.
    edge, pivot : float
        Above 0, in the unit of the numbers.
    """

    def __init__(self, base: Scaling, edge: float, pivot: float) -> None:
        self.base = base
        self.edge = edge
        self.pivot = pivot
        self.gain = edge / math.asinh(edge / pivot)
        self.scale = base.scale

    def encode(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Spread numbers near 0, then encode all."""
        near = np.abs(values) < self.edge
        inside = np.where(near, values, 0.0)
        spread = np.where(near, self.gain * np.arcsinh(inside / self.pivot), values)
        encoded, log_derivative = self.base.encode(spread)
        steeper = math.log(self.gain) - np.log(np.hypot(inside, self.pivot))
        return encoded, log_derivative + np.where(near, steeper, 0.0)

    def decode(self, encoded: FloatArray) -> FloatArray:
        """Decode, then draw together what is near 0."""
        spread = self.base.decode(encoded)
        near = np.abs(spread) < self.edge
        inside = np.where(near, spread, 0.0)
        return np.where(near, self.pivot * np.sinh(inside / self.gain), spread)

    def state(self) -> dict[str, Any]:
        """Return the encoding of other numbers, the edge and the pivot."""
        parameters = {"base": self.base.state(), "edge": self.edge, "pivot": self.pivot}
        return {"form": "asinh near zero", **parameters}


def fit_scaling(values: FloatArray, resolution: float = 0.0) -> Scaling:
    """Choose the encoding of a column's numbers.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
    resolution : float, default=0.0
        Spacing to which decoded numbers are snapped. Asinh is not used where it would cost
        digits of the largest number at this spacing.
    """
    pivot = _find_pivot(values)
    if pivot == 0:
        return PowerOfTwoScaling.fit(values)
    asinh = AsinhScaling(0.0, pivot)
    farthest = np.abs(values).max(keepdims=True)
    lost = resolution > 0 and decoding_error(asinh, farthest)[0] > 0.2 * resolution
    return PowerOfTwoScaling.fit(values) if lost else asinh


def fit_novel_scaling(levels: FloatArray, others: FloatArray) -> AsinhScaling:
    """Return the scaling of numbers that are none of a column's known levels.

    ``others`` are such numbers among the training rows; they give the scale where the
    levels are all 0.
    """
    magnitudes = np.abs(others[others != 0])
    usual = typical(magnitudes, 0.9) if magnitudes.size else 1.0
    if not levels.size:
        return AsinhScaling(0.0, max(usual, SMALLEST))
    # Halves first: the sum of two huge numbers could overflow.
    centre = float(levels.min() / 2 + levels.max() / 2)
    half_range = float(levels.max() / 2 - levels.min() / 2)
    return AsinhScaling(centre, max(half_range or abs(centre) or usual, SMALLEST))


def fit_near_zero(scaling: Scaling, values: FloatArray, epsilon: float) -> tuple[Scaling, float]:
    """Add an asinh near 0 where small numbers would lose a relative precision of ``epsilon``.

    Returns
    -------
    scaling : Scaling
    smallest : float
        Magnitude from which on numbers come back with that precision.
    """
    magnitudes = np.abs(values[values != 0])
    reach = _find_reach(scaling, magnitudes)
    # A float's half step is a quarter of epsilon times the float, or up to twice that.
    smallest, least = 4 * NEAR_ZERO / epsilon * reach, magnitudes.min(initial=np.inf)
    if least >= smallest:
        return scaling, smallest
    edge = NEAR_ZERO_EDGE * reach
    # A power of two of the edge, below all numbers, so that it is none of them.
    pivot = math.ldexp(edge, math.floor(math.log2(least / edge)) - ROOM)
    return NearZeroAsinhScaling(scaling, edge, pivot), pivot


def _find_reach(scaling: Scaling, magnitudes: FloatArray) -> float:
    """Return the magnitude to which a flow's error near 0 is relative."""
    if not magnitudes.size:
        return scaling.scale
    largest = magnitudes[magnitudes >= np.quantile(magnitudes, 0.9, method="higher")]
    encoded, _ = scaling.encode(np.array([typical(largest, 0.0)]))
    _, log_slope = scaling.encode(np.zeros(1))
    return max(scaling.scale, float(np.abs(encoded[0]) * np.exp(-log_slope[0])))


def decoding_error(scaling: Scaling, values: FloatArray) -> FloatArray:
    """Return a bound of the error of decoded numbers if encoded ones err by ``NOISE``."""
    encoded, log_derivative = scaling.encode(values)
    with np.errstate(over="ignore"):
        return NOISE * np.maximum(np.abs(encoded), 1e-2) * np.exp(-log_derivative)


def typical(magnitudes: FloatArray, quantile: float) -> float:
    """Return the geometric mean of positive numbers around a quantile.

    It is no row's own, and scales with the unit of the column.
    """
    ordered = np.sort(magnitudes)
    middle = round(quantile * (len(ordered) - 1))
    around = ordered[max(0, middle - 2) : middle + 3]
    logarithms = np.log(around)
    # A single number gives its order of magnitude only.
    lone = len(around) == 1
    mean = math.log(2) * round(logarithms[0] / math.log(2)) if lone else logarithms.mean()
    return min(max(float(np.exp(mean)), SMALLEST_SUBNORMAL), LARGEST)


def round_to_digits(values: FloatArray, scale: float) -> FloatArray:
    """Round to 13 digits below ``scale``, or of the value where that is larger.

    A float64 of at most that many digits then comes back equal: the flow's own
    error is smaller than the last of them.
    """
    magnitude = np.maximum(np.abs(values), scale)
    decimals = DIGITS - 1 - np.floor(np.log10(magnitude))
    rounded = np.empty_like(values)
    for step in np.unique(decimals):
        rows = decimals == step
        rounded[rows] = _round(values[rows], int(step))
    return rounded


def round_to_step(values: FloatArray, step: float) -> FloatArray:
    """Return the nearest multiples of ``step``, as decimals are read."""
    decimals = -round(math.log10(step))
    # Beyond 2^53 steps floats are coarser than the grid.
    near = values.clip(-(2.0**53) * step, 2.0**53 * step)
    if step == float(f"1e{-decimals}"):
        rounded = _round(near, decimals)
    else:
        rounded = multiples_of(step, steps_in(near, step))
    return np.where(np.abs(values) < 2.0**53 * step, rounded, values)


def steps_in(values: FloatArray, step: float) -> FloatArray:
    """Return the nearest whole numbers of steps."""
    ratio = decimal_ratio(step)
    with np.errstate(over="ignore"):
        return np.rint(values * float(ratio.denominator) / float(ratio.numerator))


def multiples_of(step: float, counts: FloatArray) -> FloatArray:
    """Return multiples of a step, as decimals are read: 3 times 0.05 is 0.15."""
    ratio = decimal_ratio(step)
    return counts * float(ratio.numerator) / float(ratio.denominator)


@lru_cache
def decimal_ratio(number: Number) -> Fraction:
    """Return the fraction that a number is read as: 0.3 is three tenths."""
    return Fraction(str(number))


def _round(values: FloatArray, decimals: int) -> FloatArray:
    # Powers of ten above 10^22 are not exact in float64; Python's own conversion beyond
    # them is correctly rounded.
    if abs(decimals) <= 22:
        power = 10.0 ** abs(decimals)
        return np.rint(values * power) / power if decimals >= 0 else np.rint(values / power) * power
    return np.array([_round_one(value, decimals) for value in values.tolist()])


def _round_one(value: float, decimals: int) -> float:
    try:
        return round(value, decimals)
    except OverflowError:  # at the largest floats
        return value


def _find_pivot(values: FloatArray) -> float:
    """Return where asinh turns from linear to logarithmic; 0 for a column of one scale."""
    magnitudes = np.abs(values[values != 0])
    if not magnitudes.size:
        return 0.0
    small, large = typical(np.unique(magnitudes), 0.01), typical(magnitudes, 0.9)
    if small < WIDE_RATIO * large:
        return max(small / 10, SMALLEST)
    return large if magnitudes.max() / FAR_RATIO > large else 0.0
