"""Numbers of hours and minutes as minutes since midnight, and back: 517 as 317.

The map increases, and so has an inverse. A number that is no time, such as 575, lies between
the minutes beside it, close to their middle.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

HOUR, HUNDRED = 60, 100
LAST = 23 * HUNDRED + HOUR - 1
MIDNIGHT = 24 * HUNDRED  # at the end of a day
WIDTH = 2.0**-16  # minutes from one number that is no time to the next: they share next to nothing
NUMBERS = np.array([0.0, HOUR - 1, HOUR, HUNDRED - 1, HUNDRED])
_REACH = WIDTH * (HUNDRED - 1 - HOUR) / 2
MINUTES = np.array([0.0, HOUR - 1, HOUR - 0.5 - _REACH, HOUR - 0.5 + _REACH, HOUR])


def minutes_since_midnight(numbers: FloatArray) -> FloatArray:
    """Return the minutes of numbers such as 517; below 0 and beyond a day as well."""
    hours, rest = np.divmod(numbers, HUNDRED)
    return HOUR * hours + np.interp(rest, NUMBERS, MINUTES)


def hours_and_minutes(minutes: FloatArray) -> FloatArray:
    """Return the numbers of minutes since midnight, those that are times exactly."""
    hours, rest = np.divmod(minutes, HOUR)
    return HUNDRED * hours + np.interp(rest, MINUTES, NUMBERS)


def log_slope(numbers: FloatArray) -> FloatArray:
    """Return the log of minutes per unit of numbers: 0 of times."""
    rest = np.mod(numbers, HUNDRED)
    return np.where((rest >= HOUR) & (rest <= HUNDRED - 1), math.log(WIDTH), 0.0)


def are_times(numbers: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether numbers are times, from 0 to 2400."""
    rest = numbers % HUNDRED
    is_within = (numbers >= 0) & (numbers <= MIDNIGHT)
    return np.asarray(is_within & (rest < HOUR) & (rest == np.floor(rest)))
