"""The schema of one column."""

from dataclasses import dataclass, field
from typing import Any

from skflow.table.units import Number


@dataclass(frozen=True)
class ColumnSchema:
    """One column: its kind, levels, grid and support.

    Attributes
    ----------
    name : str
    dtype : str
        As the container spells it. Not compared: it does not change the measure.
    kind : str
        "categorical"; "levels" (few numbers, each an event), "constant" (one of
        them); "integer", "decimal" (numbers on a grid), "continuous", "date",
        "duration".
    levels : tuple
        Events of kinds "categorical", "levels" and "constant", in order. Dates are
        seconds since 1970, durations seconds.
    missing : tuple of str
        Missing markers, of "NaN", "NA", "NaT", "None".
    atoms : tuple of numbers
        Values repeated so often that each is an event of its own.
    step : number, default=None
        Width of the grid, in the column's unit; seconds for dates and durations.
    low, high : number, default=None
        The support.
    family : str
        The sort of the stored values: "number", "boolean", "category", "date" or
        "duration". Not compared, as ``dtype``.
    n_left_out : int
        Number of different values of the training rows that are no level of kinds "levels"
        and "constant", because they occur once. To a model these are numbers never seen.
        Not compared.
    """

    name: str
    dtype: str = field(compare=False)
    kind: str
    levels: tuple[Any, ...] = ()
    missing: tuple[str, ...] = ()
    atoms: tuple[Number, ...] = ()
    step: Number | None = None
    low: Number | None = None
    high: Number | None = None
    family: str = field(default="number", compare=False)
    n_left_out: int = field(default=0, compare=False)
