"""Stored numbers, dates and durations as float64 coordinates, and back.

Floats are their own coordinates. Integers, dates and durations are counted from an
origin, in steps of their grid, in integer arithmetic: no digit is lost where 64 bits
exceed a float's 53.
"""

import math
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from skflow.table.distinct import OFF_GRID, precision_of
from skflow.table.known import nearest_held
from skflow.table.scaling import (
    NEAR_ZERO,
    multiples_of,
    round_to_digits,
    round_to_step,
    steps_in,
)
from skflow.table.specification import ColumnSpecification
from skflow.table.storage import StoredColumn
from skflow.table.units import Number

FloatArray = NDArray[np.float64]

# A flow's error where it contracts most, as a share of the column's scale: decoded numbers
# that lie so near to the grid were on it.
NEAR = 3e-12
# Narrow floats are not rounded. Decoded numbers below this share of the smallest number that
# comes back exactly were 0, or differ from it by no more than the flow's error; times their
# precision, of which that smallest number is a multiple.
ZERO, ZERO_PER_EPSILON = 0.5, NEAR / (4 * NEAR_ZERO)
# Largest number of grid steps that a column may span for each to come back.
MOST_STEPS = 2**40
WORD = 2**64
BEYOND = 2**1024  # every float


class Precision(NamedTuple):
    """Precision of coordinates that were decoded from a flow.

    Attributes
    ----------
    scale : float
        Typical magnitude of the coordinates.
    smallest : float
        Magnitude from which on narrow floats have all of their digits; 0 for others.
    error : ndarray
        Largest error of each coordinate.
    """

    scale: float
    smallest: float
    error: FloatArray


class CoordinateSystem(Protocol):
    """Coordinates of one column's numbers: increasing, in float64.

    Attributes
    ----------
    step : float
        Width of the grid in coordinates; 0 where there is none.
    log_unit : float
        Log of the coordinates per unit of the column, in nats.
    resolution : float
        Spacing to which coordinates are snapped, so that each comes back; 0 where they are not.
    epsilon : float
        Relative precision of narrow floats, which all come back; 0 of other numbers.
    """

    step: float
    log_unit: float
    resolution: float
    epsilon: float

    def read(self, column: StoredColumn) -> FloatArray:
        """Return coordinates; a finite filler where a value is missing."""
        ...

    def coordinate_of(self, number: Number | Fraction) -> float:
        """Return the coordinate of a number."""
        ...

    def count(self, x: FloatArray) -> FloatArray:
        """Return coordinates in steps of the grid from 0: whole numbers on it."""
        ...

    def place(self, counts: FloatArray) -> FloatArray:
        """Return the coordinates of whole numbers of steps."""
        ...

    def snap(self, x: FloatArray, precision: Precision, *, on_grid: bool) -> FloatArray:
        """Remove the error of coordinates: round them, or snap them to a grid."""
        ...

    def write(self, x: FloatArray) -> NDArray[Any]:
        """Return the stored values, in the fitted dtype."""
        ...

    def state(self) -> dict[str, Any]:
        """Return what was fitted beside the schema: origin and narrowness, or None."""
        ...


class FloatCoordinates:
    """Numbers as float64, which are their own coordinates.

    Used for floats, for integers of more digits than a float holds, and for booleans as 0
    and 1.
    """

    log_unit = 0.0
    resolution = 0.0

    def __init__(self, stored: StoredColumn, schema: ColumnSpecification) -> None:
        self.dtype = stored.values.dtype
        self.step = 0.0 if schema.step is None else float(schema.step)
        narrow = self.dtype.kind == "f" and self.dtype.itemsize < 8
        self.epsilon = float(np.finfo(self.dtype).eps) if narrow else 0.0

    def read(self, column: StoredColumn) -> FloatArray:
        """Return the values themselves."""
        return np.where(column.present, column.values, 0).astype(np.float64) + 0.0

    def coordinate_of(self, number: Number | Fraction) -> float:
        """Return the number itself."""
        return float(number)

    def count(self, x: FloatArray) -> FloatArray:
        """Return multiples of the step, whole where the dtype holds none that is nearer."""
        counts = steps_in(x, self.step)
        with np.errstate(over="ignore", invalid="ignore"):
            spacing = precision_of(x.astype(self.dtype if self.epsilon else np.float64))
            # Narrow floats beside the one that is nearest to a point of the grid come back as well.
            units = 0.5 if self.epsilon else OFF_GRID
            is_near = np.abs(x - multiples_of(self.step, counts)) <= units * spacing
            return np.where(is_near, counts, x / self.step)

    def place(self, counts: FloatArray) -> FloatArray:
        """Return multiples of the step, as decimals are read."""
        return multiples_of(self.step, counts)

    def snap(self, x: FloatArray, precision: Precision, *, on_grid: bool) -> FloatArray:
        """Round to 13 digits, or to the grid where that is as near as the error.

        Narrow floats are snapped to what they can hold by writing.
        """
        if self.epsilon:
            zero = min(ZERO, ZERO_PER_EPSILON * self.epsilon) * precision.smallest
            rounded = np.where(np.abs(x) < zero, 0.0, x)
        else:
            rounded = round_to_digits(x, precision.scale)
        if not self.step:
            return rounded
        nearest = round_to_step(x, self.step)
        near = _is_near(x, nearest, precision, self.step)
        return np.where(on_grid | near, nearest, rounded)

    def write(self, x: FloatArray) -> NDArray[Any]:
        """Cast to the dtype, within its limits."""
        if self.dtype.kind == "b":
            return x >= 0.5
        if self.dtype.kind in "iu":
            limits = np.iinfo(self.dtype)
            # As floats the limits of 64 bits round outward: the last value inside them.
            low, high = float(limits.min), _round_inward(float(limits.max))
            return np.rint(x).clip(low, high).astype(self.dtype)
        limit = float(np.finfo(self.dtype).max)
        with np.errstate(under="ignore"):
            return x.clip(-limit, limit).astype(self.dtype)

    def state(self) -> dict[str, Any]:
        """Return no origin."""
        return {"origin": None, "narrow": None}


class IntegerGrid:
    """Integers, dates and durations, counted from an origin in steps of their grid.

    Parameters
    ----------
    stored : StoredColumn
    schema : ColumnSpecification
    origin : int
        Position of coordinate 0, in base units (nanoseconds, or the unit of the column).
    narrow : bool
        Whether the column spans so few ticks that off the grid they come back as well.
    is_exact : bool
        Whether values come back exactly: on a grid, and as levels.

    Attributes
    ----------
    unit : int
        Base units per unit of the column: nanoseconds per second, or 1.
    tick, width : int
        Base units per stored count, and per step of the grid.
    """

    epsilon = 0.0

    def __init__(
        self,
        stored: StoredColumn,
        schema: ColumnSpecification,
        origin: int,
        *,
        narrow: bool,
        is_exact: bool,
    ) -> None:
        self.dtype = stored.values.dtype
        self.unit = stored.family.base_units
        self.tick = int(stored.tick * self.unit)
        self.width = _width(schema.step, self.unit)
        self.origin = origin
        self.narrow = narrow
        self.log_unit = math.log(self.unit / self.width)
        self.step = 0.0 if schema.step is None else 1.0
        self.resolution = (self.tick / self.width if narrow else 1.0) if is_exact else 0.0
        clock = stored.family.clock
        finer = [unit for unit in clock if self.tick <= unit < self.width]
        self.units = [1.0, *(unit / self.width for unit in finer)] if is_exact else []
        self.finer_ticks = [unit // self.tick for unit in finer]

    @classmethod
    def fit(cls, column: StoredColumn, schema: ColumnSpecification, *, is_exact: bool) -> Self:
        """Place the origin near the middle of a column's values."""
        values, unit = column.values[column.present], column.family.base_units
        tick = int(column.tick * unit)
        low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
        coarsest = schema.rounding[-1] if schema.rounding else schema.step
        origin = _coarse_origin(low * tick, high * tick, _width(coarsest, unit))
        narrow = high - low <= MOST_STEPS
        return cls(column, schema, origin, narrow=narrow, is_exact=is_exact)

    def read(self, column: StoredColumn) -> FloatArray:
        """Count steps from the origin, exactly below 2^53 of them."""
        values = np.where(column.present, column.values, np.zeros((), column.values.dtype))
        tick = int(column.tick * self.unit)
        start, rest = divmod(self.origin, tick)
        if values.dtype.kind == "b":
            values = values.astype(np.int64)
        if values.dtype.kind == "f":
            nearest = float(start)
            ticks = (values.astype(np.float64) - nearest) - float(start - int(nearest))
        else:
            ticks = _subtract(values, start)
        if tick >= self.width:
            return ticks * (tick // self.width) - rest / self.width
        return ticks / (self.width // tick)

    def coordinate_of(self, number: Number | Fraction) -> float:
        """Return the coordinate of a number of the schema, exactly."""
        return float((Fraction(number) * self.unit - self.origin) / self.width)

    def count(self, x: FloatArray) -> FloatArray:
        """Return coordinates as they are: the origin is a multiple of all rounding levels."""
        return x

    def place(self, counts: FloatArray) -> FloatArray:
        """Return whole numbers as they are."""
        return counts

    def snap(self, x: FloatArray, precision: Precision, *, on_grid: bool) -> FloatArray:
        """Snap to the grid, or to the coarsest unit of the clock, that the error allows."""
        if on_grid:
            return np.rint(x) if self.step else x
        snapped, open_rows = x.copy(), np.full(len(x), True)
        for unit in self.units:
            with np.errstate(over="ignore", invalid="ignore"):  # far too large x
                nearest = np.rint(x / unit) * unit
                near = open_rows & _is_near(x, nearest, precision, unit)
            snapped[near], open_rows[near] = nearest[near], False
        return snapped

    def write(self, x: FloatArray) -> NDArray[Any]:
        """Count ticks from the origin; within the dtype's limits, exactly."""
        start, rest = divmod(self.origin, self.tick)
        limits = np.iinfo(self.dtype)
        lowest = limits.min + (self.unit > 1)  # NumPy keeps the least date for NaT
        factor = max(1, self.width // self.tick)
        if self.tick > self.width:
            x = (x + rest / self.width) / (self.tick // self.width)
        low, high = (lowest - start) / factor, (limits.max - start) / factor
        x = x.clip(_round_inward(low), _round_inward(high))
        whole = np.rint(x)
        # Whole steps times ticks per step may need all of 64 bits, the rest does not.
        magnitude = np.abs(whole).astype(np.uint64) * np.uint64(factor)
        offset = np.where(whole < 0, -magnitude, magnitude)
        offset += self._ticks_within(x, whole, factor).astype(np.int64).view(np.uint64)
        wide = np.uint64 if self.dtype == np.uint64 else np.int64
        ticks = (offset + np.uint64(start % WORD)).view(wide)
        # A nearest unit of the clock may lie beyond the limits.
        ticks = np.where((x > 0) & (ticks < start), limits.max, ticks)
        ticks = np.where((x < 0) & (ticks > start), lowest, ticks)
        return ticks.clip(lowest, limits.max).astype(self.dtype)

    def _ticks_within(self, x: FloatArray, whole: FloatArray, factor: int) -> FloatArray:
        """Ticks beyond whole steps, rounded to the coarsest unit of the clock that is as near."""
        ticks, error = (x - whole) * factor, np.spacing(np.abs(x)) * factor
        rounded, is_open = np.rint(ticks), error >= 0.5
        for unit in self.finer_ticks:
            nearest = np.rint(ticks / unit) * unit
            near = is_open & (np.abs(ticks - nearest) <= error)
            rounded, is_open = np.where(near, nearest, rounded), is_open & ~near
        return rounded

    def state(self) -> dict[str, Any]:
        """Return the origin and whether the column is narrow."""
        return {"origin": self.origin, "narrow": self.narrow}


def support_within(
    schema: ColumnSpecification, stored: StoredColumn
) -> tuple[Fraction | None, Fraction | None]:
    """Return the ends of a support, moved inward to the grid or to the ticks of integers."""
    counted = stored.values.dtype.kind in "iu"
    step = stored.tick if schema.step is None and counted else schema.step
    return ends_on_grid(schema.low, schema.high, step)


@lru_cache(maxsize=256, typed=True)  # fractions are slow, and columns of wide tables much alike
def ends_on_grid(
    low: Number | None, high: Number | None, step: Number | Fraction | None
) -> tuple[Fraction | None, Fraction | None]:
    """Return the first and the last point of a grid within a support; its ends without one."""
    # As decimals are read: 0.3 is three steps of 0.1.
    lowest, highest = (None if end is None else Fraction(str(end)) for end in (low, high))
    if step is None:
        return lowest, highest
    width = Fraction(str(step))
    first = None if lowest is None else math.ceil(lowest / width) * width
    last = None if highest is None else math.floor(highest / width) * width
    if first is not None and last is not None and first > last:
        return lowest, highest  # no point of the grid lies between
    return first, last


@lru_cache(maxsize=256)
def stored_limits(
    low: Fraction | None, high: Fraction | None, tick: Fraction, dtype: np.dtype
) -> tuple[Any, Any]:
    """Return the least and the largest value that a column can store within a support."""
    least = -BEYOND if low is None else low / tick
    largest = BEYOND if high is None else high / tick
    if dtype.kind != "f":
        least, largest = math.ceil(least), math.floor(largest)
    return nearest_held(least, dtype), nearest_held(largest, dtype)


def _width(step: Number | None, unit: int) -> int:
    return unit if step is None else int(Fraction(step) * unit)


def _coarse_origin(low: int, high: int, width: int) -> int:
    """Return a number near the middle of a range, in whole steps and few binary digits.

    A multiple of a power of two of the span is the same at every resolution, and no row's own.
    """
    span, middle = (high - low) // width, (low + high) // 2 // width
    coarse = 1 << max(10, span.bit_length())
    return (middle + coarse // 2) // coarse * coarse * width


def _subtract(values: NDArray[Any], start: int) -> FloatArray:
    """Subtract before rounding to float64, so that no digit of 64 bits is lost."""
    near = values.astype(np.float64) - float(start)
    words = values.astype(np.uint64 if values.dtype.kind == "u" else np.int64).view(np.uint64)
    with np.errstate(over="ignore"):
        exact = (words - np.uint64(start % WORD)).view(np.int64).astype(np.float64)
    # Modulo 2^64: right where the difference has 63 bits; beyond, both are rounded alike.
    return np.where(np.abs(near) < 2.0**62, exact, near)


def _is_near(
    x: FloatArray, nearest: FloatArray, precision: Precision, step: float
) -> NDArray[np.bool_]:
    """Whether each ``x`` is its nearest point on a grid of width ``step``, but for its error."""
    # The flow's error where it contracts most, if the grid is coarse enough for it.
    slack = NEAR * precision.scale if 2 * NEAR * precision.scale < step else 0.0
    near: NDArray[np.bool_] = np.abs(x - nearest) <= np.maximum(precision.error, slack)
    return near & (2 * precision.error < step)


def _round_inward(bound: float) -> float:
    """Return a float no farther out than the integer that ``bound`` was rounded from."""
    return float(np.nextafter(bound, 0)) if abs(bound) >= 2**53 else float(bound)
