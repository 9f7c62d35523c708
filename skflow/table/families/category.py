"""Strings, declared categories and other hashable Python objects."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skflow.table.families.family import Family
from skflow.table.objects import plain_objects


class Category(Family):
    """Hashable objects without an order."""

    name = "category"
    dtype_kinds = "OUSb"
    holds_objects = True
    is_categorical = True

    def to_objects(
        self, values: NDArray[Any], python_type: type | None, places: int | None
    ) -> NDArray[np.object_]:
        """Return a copy."""
        return values.copy()

    def convert(
        self, values: NDArray[Any], present: NDArray[np.bool_], came: Family
    ) -> NDArray[Any] | None:
        """Return numbers and booleans as Python objects."""
        return plain_objects(values) if came.is_numeric else None
