"""Integers, floats and Decimals."""

import math
from fractions import Fraction
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skflow.table import units
from skflow.table.families.family import Family
from skflow.table.objects import as_objects, objects_of_numbers


class Number(Family):
    """Numbers, in their own NumPy dtype."""

    name = "number"
    dtype_kinds = "iuf"
    bounds = "numbers"
    ends_at_zero = True
    is_numeric = True

    def to_objects(
        self, values: NDArray[Any], python_type: type | None, places: int | None
    ) -> NDArray[np.object_]:
        """Return Python numbers, of the type that was read."""
        return as_objects(objects_of_numbers(values, python_type, places))

    def round_steps(self, width: Fraction, farthest: Fraction) -> set[Fraction]:
        """Return 1, 2, 2.5 and 5 times powers of ten."""
        return units.decades(width, farthest)

    def read_bound(self, bound: Any) -> units.Number | None:
        """Return an int or a float; None for an infinity."""
        if not isinstance(bound, Real) or isinstance(bound, bool):
            raise TypeError
        number = int(bound) if isinstance(bound, Integral) else float(bound)
        if math.isnan(number):
            raise ValueError
        return None if math.isinf(number) else number
