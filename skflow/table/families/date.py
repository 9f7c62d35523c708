"""Dates and instants."""

from datetime import UTC, datetime
from typing import Any

import numpy as np

from skflow.table import units
from skflow.table.families.temporal import Temporal, exact_seconds


class Date(Temporal):
    """Dates, as seconds since 1970."""

    name = "date"
    numpy_kind = "M"
    bounds = "dates"

    def spell(self, value: Any) -> str:
        """Return a date as ``2026-01-31 13:45:00``."""
        return units.spell_date(value)

    def read_bound(self, bound: Any) -> units.Number | None:
        """Return seconds since 1970, of an instant those in UTC."""
        if isinstance(bound, datetime) and bound.tzinfo is not None:
            bound = bound.astimezone(UTC).replace(tzinfo=None)
        return exact_seconds(np.datetime64(bound))
