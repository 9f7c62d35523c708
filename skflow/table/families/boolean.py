"""Truth values."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skflow.table import units
from skflow.table.families.family import Family


class Boolean(Family):
    """Booleans; as numbers 0 and 1."""

    name = "boolean"
    dtype_kinds = "b"
    is_numeric = True
    is_categorical = True

    def as_number(self, value: Any) -> units.Number:
        """Return 0 or 1."""
        return int(value)

    def convert(
        self, values: NDArray[Any], present: NDArray[np.bool_], came: Family
    ) -> NDArray[Any] | None:
        """Return Python booleans among objects, which a column with missing values holds."""
        if not came.holds_objects or any(type(value) is not bool for value in values[present]):
            return None
        booleans = np.zeros(len(values), dtype=bool)
        booleans[present] = values[present]
        return booleans
