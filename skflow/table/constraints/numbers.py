"""Numbers of a column in any unit, and numbers written exactly into the storage of another."""

from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from skflow.table.scaling import decimal_ratio, multiples_of
from skflow.table.storage import StoredColumn

FloatArray = NDArray[np.float64]

# How a number that is no whole count of steps becomes one. "exact" implies no cell then;
# "nearest" takes ties to the even count, "half up" away from 0; "down" and "up" are towards
# minus and plus infinity.
Rounding = Literal["exact", "nearest", "half up", "down", "up"]

MOST_STEPS = 2.0**52  # beyond them a float64 has no halves
MOST_PLACES = 10  # of narrow floats
EPSILON = float(np.finfo(np.float64).eps)
LEAST_ERROR, MOST_ERROR = 1e-9, 0.1  # of a count of steps, within which it is whole or a tie


def numbers_in(column: StoredColumn, unit: Fraction | None = None) -> FloatArray:
    """Return the values of a column as multiples of ``unit``, itself in the column's unit.

    Floats of 32 bits or less are read as the decimals they are written as, unless there is no
    unit: 0.1 is a tenth. Ticks are divided as integers first: nanoseconds since 1970 need more
    digits than a float64 has, their whole seconds do not.
    """
    values = column.values
    if values.dtype.kind != "f":
        ratio = column.tick / (unit or 1)
        whole, rest = np.divmod(values.astype(np.int64), ratio.denominator)
        return whole * float(ratio.numerator) + rest * float(ratio)
    numbers = values.astype(np.float64)
    if unit is None:
        return numbers
    if values.dtype.itemsize < numbers.dtype.itemsize:
        numbers = as_decimals(values)
    return numbers * float(unit.denominator) / float(unit.numerator)


def as_decimals(values: NDArray[Any]) -> FloatArray:
    """Return narrow floats as decimals of the fewest places that are read as them."""
    numbers = values.astype(np.float64)
    left = np.flatnonzero(np.isfinite(numbers))
    for places in range(MOST_PLACES):
        exact = values[left].astype(np.float64)
        decimals = np.rint(exact * 10.0**places) / 10.0**places
        with np.errstate(over="ignore"):
            is_read = decimals.astype(values.dtype) == values[left]
        numbers[left[is_read]] = decimals[is_read]
        left = left[~is_read]
    return numbers


def round_counts(counts: FloatArray, error: FloatArray, rounding: Rounding) -> FloatArray:
    """Return whole counts of steps; NaN where ``rounding`` gives none.

    Parameters
    ----------
    counts : ndarray of shape (n_rows,)
    error : ndarray of shape (n_rows,)
        Error of each count. Nearer than that to a whole number it is this number, and nearer
        to a tie it is a tie: 0.1 + 0.2 counts as 0.3.
    rounding : {"exact", "nearest", "half up", "down", "up"}
    """
    nearest, below = np.rint(counts), np.floor(counts)
    is_whole = np.abs(counts - nearest) <= error
    if rounding == "exact":
        return np.where(is_whole, nearest, np.nan)
    if rounding in ("down", "up"):
        return np.where(is_whole, nearest, below if rounding == "down" else np.ceil(counts))
    is_tie = np.abs(counts - below - 0.5) <= error
    tied = below + (counts > 0) if rounding == "half up" else np.rint(below + 0.5)
    return np.where(is_tie, tied, nearest)


def write_counts(
    counts: FloatArray, step: Fraction, like: StoredColumn
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return whole counts of steps in a column's storage, and where it holds them exactly.

    Floats are those nearest to the decimal, as decimals are read; integers and ticks are
    computed as integers.
    """
    dtype = like.values.dtype
    is_held = np.isfinite(counts) & (np.abs(counts) <= MOST_STEPS)
    counts = np.where(is_held, counts, 0.0) + 0.0
    if dtype.kind == "f":
        return write_floats(multiples_of(float(step), counts), is_held, dtype)
    ratio = step / like.tick
    limits = np.iinfo(dtype)
    largest = min(int(limits.max), int(np.iinfo(np.int64).max))
    is_held &= np.abs(counts) <= largest // ratio.numerator
    ticks = np.where(is_held, counts, 0.0).astype(np.int64) * ratio.numerator
    is_held &= (ticks % ratio.denominator == 0) & (ticks // ratio.denominator >= int(limits.min))
    return np.where(is_held, ticks // ratio.denominator, 0).astype(dtype), is_held


def write_floats(
    numbers: FloatArray, is_held: NDArray[np.bool_], dtype: np.dtype
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return numbers in a dtype of floats, and where they are finite there."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        values = numbers.astype(dtype)
    is_held = is_held & np.isfinite(values)
    return np.where(is_held, values, dtype.type(0)), is_held


def unit_of(step: float | None, like: StoredColumn) -> Fraction | None:
    """Return the step in which a target is counted; None for floats without a grid."""
    if step is not None:
        return decimal_ratio(step)
    return None if like.values.dtype.kind == "f" else like.tick
