"""Codec of times of day: a grid of minutes."""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skflow.table.clock_times.arithmetic import (
    hours_and_minutes,
    log_slope,
    minutes_since_midnight,
)
from skflow.table.column_codec import EncodedColumn, FloatArray
from skflow.table.coordinates import FloatCoordinates
from skflow.table.number_codecs import ValueCodec
from skflow.table.scaling import round_to_digits
from skflow.table.specification import ColumnSpecification
from skflow.table.storage import StoredColumn
from skflow.table.units import Number

NEARLY = 1e-3  # numbers so near to a whole one that is no time are this one
WIDEST = 1e5  # numbers that are no times come back to 13 digits of this


class ClockCoordinates(FloatCoordinates):
    """Minutes since midnight of numbers such as 517."""

    def __init__(self, stored: StoredColumn, schema: ColumnSpecification) -> None:
        super().__init__(stored, schema)
        self.epsilon = 0.0  # narrow floats hold whole numbers of four digits as well

    def read(self, column: StoredColumn) -> FloatArray:
        """Return minutes; a finite filler where a value is missing."""
        return minutes_since_midnight(super().read(column))

    def coordinate_of(self, number: Number | Fraction) -> float:
        """Return the minutes of one number."""
        return float(minutes_since_midnight(np.array([float(number)]))[0])

    def write(self, x: FloatArray) -> NDArray[Any]:
        """Return hours and minutes, in the fitted dtype."""
        numbers = round_to_digits(hours_and_minutes(x), WIDEST)
        whole = np.rint(numbers)
        # Between times the error of a flow is 65,536 times as large.
        is_whole = (np.abs(numbers - whole) < NEARLY) & (log_slope(whole) < 0)
        return super().write(np.where(is_whole, whole, numbers))


class ClockCodec(ValueCodec):
    """Times of day as values on a grid of minutes; atoms and missing markers are labels."""

    uncounted = ClockCoordinates

    def numbers_at(self, x: FloatArray) -> FloatArray:
        """Return hours and minutes, which may have decimals."""
        return hours_and_minutes(x)

    def encode(self, column: StoredColumn) -> EncodedColumn:
        """Encode minutes; numbers that are no times have next to no density."""
        encoded = super().encode(column)
        slope = log_slope(np.where(column.present, column.values, 0).astype(np.float64))
        slope = np.where(np.isnan(encoded.values), 0.0, slope)
        return encoded._replace(log_volume=encoded.log_volume + slope)
