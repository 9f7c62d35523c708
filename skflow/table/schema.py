"""The schema of a table and of its columns."""

from collections.abc import Container
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd

from skflow.exceptions import printable
from skflow.table.constraints.constraint import Constraint
from skflow.table.families import FAMILIES
from skflow.table.kinds import kind_of
from skflow.table.specification import ColumnSpecification

FRAME_COLUMNS = [
    *("column", "kind", "dtype", "family", "levels", "atoms", "missing", "step", "rounding"),
    *("low", "high", "is_given"),
]


class ColumnSchema(ColumnSpecification):
    """One column: its kind, levels, grid and support.

    Attributes
    ----------
    name : str
    dtype : str
        As the container spells it. Not compared: it does not change the measure.
    kind : str
        "categorical"; "levels" (few numbers, each an event), "constant" (one of
        them); "clock" (times of day such as 517, on a grid of minutes), "integer", "decimal"
        (numbers on a grid), "continuous", "date", "duration".
    levels : tuple
        Events of kinds "categorical", "levels" and "constant", in order. Dates are
        seconds since 1970, durations seconds.
    missing : tuple of str
        Missing markers, of "NaN", "NA", "NaT", "None".
    atoms : tuple of numbers
        Values repeated so often that each is an event of its own.
    step : number, default=None
        Width of the grid, in the column's unit; seconds for dates and durations, minutes for
        times of day.
    rounding : tuple of numbers
        Steps that many numbers are multiples of, ascending, in the unit of ``step``: each number is
        on the level of the largest one that divides it, and levels have probabilities of their own.
    low, high : number, default=None
        The support.
    family : str
        The sort of the stored values: "number", "boolean", "category", "date" or
        "duration". Not compared, as ``dtype``.
    is_given : bool
        Whether the column is a condition of the others, and has no density of its own.
    is_implied : bool
        Whether a constraint implies most cells of the column; the schema is that of the others.
    n_not_implied : int
        Number of these others in the training rows, which break the constraint or lack an operand.
        Not compared.
    n_left_out : int
        Number of different values of the training rows that are no level of kinds "levels"
        and "constant", because they occur once. To a model these are numbers never seen.
        Not compared.
    """

    @property
    def valued(self) -> bool:
        """Whether rows may have a value, besides a label."""
        return kind_of(self).has_values

    def describe(self) -> str:
        """Return the possible cells of the column in words, and whether it is given."""
        text = kind_of(self).describe(self)
        return ", ".join(filter(None, ["given", text])) if self.is_given else text


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in order, and the constraints between them.

    Two densities are on the same measure, and so comparable, when their schemas
    are equal.

    Attributes
    ----------
    columns : tuple of ColumnSchema
    constraints : tuple of Constraint
        Exact relations that most rows keep. Each implies the cells of one column from those of
        others; what they imply has a probability, and no density of its own.
    """

    columns: tuple[ColumnSchema, ...]
    constraints: tuple[Constraint, ...] = ()

    def constraints_without(self, columns: Container[int]) -> tuple[Constraint, ...]:
        """Return the constraints in which none of these columns takes part."""
        names = {own.name for j, own in enumerate(self.columns) if j in columns}
        return tuple(c for c in self.constraints if not names & {c.target, *c.operands})

    def __repr__(self) -> str:
        rows = self._rows()
        widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
        lines = (
            "  ".join(
                [*(text.ljust(width) for text, width in zip(row, widths, strict=False)), last]
            )
            for *row, last in rows
        )
        found = ["Constraints:", *(f"  {each}" for each in self.constraints)]
        shown = [f"  {line}".rstrip() for line in lines] + (found if self.constraints else [])
        return "\n".join((f"Schema of {_columns(len(rows))}:", *shown))

    def _rows(self) -> list[tuple[str, str, str, str]]:
        """Return name, kind, dtype and possible cells of each column."""
        return [(printable(c.name), c.kind, printable(c.dtype), c.describe()) for c in self.columns]

    def _repr_html_(self) -> str:
        frame = pd.DataFrame(
            self._rows(), columns=["column", "kind", "dtype", "holds"], dtype=object
        )
        found = "".join(f"<li>{escape(str(each))}</li>" for each in self.constraints)
        listed = f"<p>Constraints</p><ul>{found}</ul>" if found else ""
        return str(frame.to_html(index=False, border=0, max_rows=None)) + listed

    def to_frame(self) -> pd.DataFrame:
        """Return the schema as a pandas DataFrame, one row per column, in order.

        Returns
        -------
        frame : DataFrame of shape (n_columns, 12)
            ``column``, ``kind``, ``dtype``, ``family``; ``levels``, ``atoms``, ``missing`` and
            ``rounding`` as tuples; ``step``, ``low`` and ``high``, None where there is none.
            Numbers are in the column's unit; dates and durations are text, as in the
            representation. ``is_given`` says which columns are conditions.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skflow import FlowDensity
        >>> X = load_iris(as_frame=True).data
        >>> flow = FlowDensity(n_layers=0, n_components=1, random_state=0).fit(X)
        >>> flow.schema_.to_frame()[["column", "kind", "step", "low"]]
                      column     kind step low
        0  sepal length (cm)  decimal  0.1   0
        1   sepal width (cm)  decimal  0.1   0
        2  petal length (cm)  decimal  0.1   0
        3   petal width (cm)  decimal  0.1   0
        """
        rows = [_row_of(kind_of(column).value_schema(column)) for column in self.columns]
        return pd.DataFrame(rows, columns=FRAME_COLUMNS, dtype=object)


def _columns(number: int) -> str:
    return "1 column" if number == 1 else f"{number} columns"


def _row_of(schema: ColumnSchema) -> dict[str, Any]:
    """Return a column as a row of a frame: dates and durations as text."""
    family = FAMILIES[schema.family]
    plain = {
        "column": schema.name,
        "levels": tuple(map(family.plain, schema.levels)),
        "atoms": tuple(map(family.plain, schema.atoms)),
        "step": None if schema.step is None else family.plain_step(schema.step),
        "rounding": tuple(map(family.plain_step, schema.rounding)),
        "low": None if schema.low is None else family.plain(schema.low),
        "high": None if schema.high is None else family.plain(schema.high),
    }
    return vars(schema) | plain
