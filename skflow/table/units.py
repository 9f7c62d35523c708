"""Numbers of a schema: seconds of dates and durations, exactly, and their spelling."""

import math
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

# A number of a column: int where it is whole (exact at any size), Decimal for dates
# and durations that are not whole seconds (floats lose their digits), else float.
Number = int | float | Decimal

# Dates and durations are counted in nanoseconds; the unit of their density is the second.
PER_SECOND = 10**9

# Seconds per tick of NumPy's time units.
TICKS = {
    "D": Fraction(86400),
    "h": Fraction(3600),
    "m": Fraction(60),
    "s": Fraction(1),
    "ms": Fraction(1, 10**3),
    "us": Fraction(1, 10**6),
    "ns": Fraction(1, 10**9),
}

# Units of the clock, coarsest first, in nanoseconds.
CLOCK = tuple(int(tick * PER_SECOND) for tick in sorted(TICKS.values(), reverse=True))


# Seconds, minutes and hours of which times are multiples where they are round, in seconds.
ROUND_TIMES = tuple(
    Fraction(count * unit)
    for unit, counts in (
        (1, (1, 5, 10, 15, 30)),
        (60, (1, 5, 10, 15, 30)),
        (3600, (1, 2, 3, 6, 12, 24)),
    )
    for count in counts
)
ROUND_DIGITS = (Fraction(1), Fraction(2), Fraction(5, 2), Fraction(5))  # times powers of ten


def decades(width: Fraction, farthest: Fraction) -> set[Fraction]:
    """Return round numbers from one decade around ``width`` to the one of ``farthest``."""
    decade = Fraction(10) ** math.floor(math.log10(width))
    steps: set[Fraction] = set()
    while decade <= farthest:
        steps |= {digits * decade for digits in ROUND_DIGITS}
        decade *= 10
    return steps


def seconds_of(nanoseconds: int) -> Number:
    """Return seconds exactly, as an int where they are whole."""
    whole, rest = divmod(nanoseconds, PER_SECOND)
    return whole if rest == 0 else Decimal(nanoseconds).scaleb(-9).normalize()


def spell_date(seconds: Number) -> str:
    """Return seconds since 1970 as a date."""
    try:
        text = datetime.fromtimestamp(int(seconds // 1), UTC).replace(tzinfo=None).isoformat(" ")
    except (ValueError, OverflowError, OSError):  # outside the years 1 to 9999
        return f"{seconds} s"
    fraction = seconds % 1
    return text + f"{fraction:f}"[1:] if fraction else text.removesuffix(" 00:00:00")


def spell_duration(seconds: Number) -> str:
    """Return seconds in the largest unit that divides them."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds and seconds % size == 0:
            return f"{int(seconds) // size} {unit}"
    return f"{seconds} s"
