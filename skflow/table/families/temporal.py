"""What dates and durations share: stored ticks, of which the unit is the second."""

import math
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from skflow.table import units
from skflow.table.families.family import Bounds, Family


class Temporal(Family):
    """Dates or durations, stored as int64 ticks."""

    dtype_kinds = "i"
    base_units: ClassVar[int] = units.PER_SECOND
    clock = units.CLOCK
    is_temporal = True
    numpy_kind: ClassVar[str]

    def to_array(self, values: NDArray[Any], tick: Fraction) -> NDArray[Any]:
        """Return datetime64 or timedelta64 values."""
        unit = next(name for name, size in units.TICKS.items() if size == tick)
        return values.astype(np.int64).view(f"{self.numpy_kind}8[{unit}]")

    def deviation(self, number: NDArray[np.float64]) -> NDArray[Any]:
        """Return durations in nanoseconds."""
        return (units.PER_SECOND * number).astype("m8[ns]")

    def from_stored(self, value: Any, tick: int) -> units.Number:
        """Return seconds, exactly."""
        return units.seconds_of(tick * value)

    def to_stored(self, bounds: Bounds, tick: Fraction) -> Bounds:
        """Return the ends of a support in ticks, rounded inward."""
        low, high = bounds
        return (
            None if low is None else math.ceil(Fraction(low) / tick),
            None if high is None else math.floor(Fraction(high) / tick),
        )

    def spell_stored(self, values: NDArray[Any], tick: Fraction) -> list[str]:
        """Return ticks as text, for messages."""
        nanoseconds = int(tick * units.PER_SECOND)
        seconds = [units.seconds_of(nanoseconds * ticks) for ticks in values.tolist()]
        return list(map(self.spell, seconds))

    def plain(self, value: Any) -> Any:
        """Return text."""
        return self.spell(value)

    def plain_step(self, step: Any) -> Any:
        """Return text."""
        return self.spell_step(step)

    def round_steps(self, width: Fraction, farthest: Fraction) -> set[Fraction]:
        """Return units of the clock and round numbers of them, decimals of seconds included."""
        return units.decades(width, Fraction(1)) | set(units.ROUND_TIMES)

    def as_step(self, width: Fraction) -> units.Number:
        """Return seconds, exactly."""
        return units.seconds_of(int(width * units.PER_SECOND))

    def spell_step(self, step: units.Number) -> str:
        """Return a step as a duration."""
        return units.spell_duration(step)


def exact_seconds(time: np.datetime64 | np.timedelta64) -> units.Number:
    """Return seconds of a NumPy time, exactly.

    Raises
    ------
    ValueError
        Where it is missing.
    """
    if np.isnat(time):
        raise ValueError
    unit, count = np.datetime_data(time.dtype)
    if unit in ("Y", "M", "W"):
        time, unit, count = time.astype(f"{time.dtype.kind}8[D]"), "D", 1
    ticks = time.astype(np.int64).item() * count
    return units.seconds_of(int(ticks * units.TICKS[unit] * units.PER_SECOND))
