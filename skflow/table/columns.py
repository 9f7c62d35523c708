"""One reversible codec per column."""

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from skflow.table.schema import Kind

FloatArray = NDArray[np.float64]

LARGEST = float(np.finfo(np.float64).max)
DIGITS = 13
# A column is wide, and bent by asinh, when a hundredth of its nonzero values is
# this much smaller than the largest tenth.
WIDE_RATIO = 1e-5
# It is bent as well when its largest value is this much larger than that tenth: divided
# by the largest, the others would lose their digits, and in the end underflow.
FAR_RATIO = 1e6
# asinh(r) = sign(r) log(2 |r|) to the last digit beyond this, where r may overflow.
FAR = 1e150


class ColumnCodec(Protocol):
    """Values of one column to encoded values of moderate size, and back.

    Attributes
    ----------
    scale : float
        Typical magnitude of the column's values; errors are judged against it.
    """

    scale: float

    def encode(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return encoded values and the log-derivative of the encoding, row by row."""
        ...

    def decode(self, encoded: FloatArray) -> FloatArray:
        """Return the values, snapped to the column's grid or digits."""
        ...


class Scaled:
    """Division by a power of two: exact, and free of overflow later on."""

    def __init__(self, values: FloatArray) -> None:
        self.exponent = int(np.frexp(np.abs(values).max())[1])
        self.scale = _typical_magnitude(values)

    def encode(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Scale down; the log-derivative is constant."""
        with np.errstate(over="ignore", under="ignore"):
            encoded = np.ldexp(values, -self.exponent).clip(-LARGEST, LARGEST)
        return encoded, np.full(len(values), -self.exponent * math.log(2))

    def decode(self, encoded: FloatArray) -> FloatArray:
        """Scale up."""
        with np.errstate(over="ignore", under="ignore"):
            return np.ldexp(encoded, self.exponent).clip(-LARGEST, LARGEST)


class Bent:
    r"""``asinh((x - centre) / pivot)``: for values that span many orders of magnitude.

    Relative precision near the centre survives, where a flow's error, which is
    absolute, would swallow it.
    """

    def __init__(self, centre: float, pivot: float) -> None:
        self.centre = centre
        self.pivot = pivot
        self.scale = max(abs(centre), pivot)

    def encode(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Bend; far out the logarithm is taken before anything can overflow."""
        with np.errstate(over="ignore", divide="ignore", invalid="ignore", under="ignore"):
            offset = (values - self.centre).clip(-LARGEST, LARGEST)
            ratio = offset / self.pivot
            size = np.log(np.abs(offset)) - math.log(self.pivot) + math.log(2)
            encoded = np.where(np.abs(ratio) < FAR, np.arcsinh(ratio), np.sign(offset) * size)
            log_derivative = -np.log(np.hypot(offset, self.pivot).clip(max=LARGEST))
        return encoded, log_derivative

    def decode(self, encoded: FloatArray) -> FloatArray:
        """Unbend."""
        with np.errstate(over="ignore", under="ignore"):
            near = self.pivot * np.sinh(encoded.clip(-300, 300))
            far = np.sign(encoded) * np.exp(np.abs(encoded) + math.log(self.pivot) - math.log(2))
            offset = np.where(np.abs(encoded) < 300, near, far)
            return (self.centre + offset).clip(-LARGEST, LARGEST)


def fit_column(values: FloatArray, kind: Kind) -> ColumnCodec:
    """Choose the encoding of a column from its training values."""
    if kind == "constant":
        centre = float(values[0])
        return Bent(centre, pivot=abs(centre) or 1.0)
    pivot = _find_pivot(values)
    return Bent(0.0, pivot) if pivot > 0 else Scaled(values)


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


def _round(values: FloatArray, decimals: int) -> FloatArray:
    # Powers of ten above 10^22 are not exact in float64; beyond them, and where
    # the value would overflow, Python's own correctly rounded conversion serves.
    if abs(decimals) <= 22:
        power = 10.0 ** abs(decimals)
        return np.rint(values * power) / power if decimals >= 0 else np.rint(values / power) * power
    return np.array([float(f"{value:.{DIGITS - 1}e}") for value in values])


def _typical_magnitude(values: FloatArray) -> float:
    return float(np.quantile(np.abs(values), 0.9)) or float(np.abs(values).max())


def _find_pivot(values: FloatArray) -> float:
    """Where asinh turns from linear to logarithmic; 0 for a column of one scale."""
    magnitudes = np.abs(values[values != 0])
    small = np.quantile(magnitudes, 0.01, method="lower")
    large = np.quantile(magnitudes, 0.9, method="higher")
    if small < WIDE_RATIO * large:
        return max(float(small) / 10, float(np.finfo(np.float64).tiny))
    return float(large) if magnitudes.max() / FAR_RATIO > large else 0.0
