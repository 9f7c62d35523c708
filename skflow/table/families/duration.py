"""Durations."""

from datetime import timedelta
from typing import Any

import numpy as np

from skflow.table import units
from skflow.table.families.number import Number
from skflow.table.families.temporal import Temporal, exact_seconds


class Duration(Temporal):
    """Durations, as seconds."""

    name = "duration"
    numpy_kind = "m"
    bounds = "durations"
    ends_at_zero = True

    def spell(self, value: Any) -> str:
        """Return a duration in the largest unit that divides it."""
        return units.spell_duration(value)

    def read_bound(self, bound: Any) -> units.Number | None:
        """Return seconds; numbers are seconds already."""
        if isinstance(bound, timedelta | np.timedelta64):
            return exact_seconds(np.timedelta64(bound))
        return Number().read_bound(bound)
