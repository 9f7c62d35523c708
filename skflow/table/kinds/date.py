"""Dates and instants."""

from skflow.table.kinds.kind import TemporalKind


class Date(TemporalKind):
    """Dates."""

    name = "date"
    families = ("date",)
