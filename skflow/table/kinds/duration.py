"""Durations."""

from skflow.table.kinds.kind import TemporalKind


class Duration(TemporalKind):
    """Durations."""

    name = "duration"
    families = ("duration",)
