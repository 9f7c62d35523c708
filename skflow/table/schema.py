"""The schema of a table."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from skflow.exceptions import printable
from skflow.table.column_schema import ColumnSchema
from skflow.table.families import FAMILIES
from skflow.table.kinds import kind_of

FRAME_COLUMNS = [
    *("column", "kind", "dtype", "family", "levels", "atoms", "missing", "step", "low", "high")
]


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in order.

    Two densities are on the same measure, and so comparable, when their schemas
    are equal.
    """

    columns: tuple[ColumnSchema, ...]

    def __repr__(self) -> str:
        rows = self._rows()
        widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
        lines = (
            "  ".join(
                [*(text.ljust(width) for text, width in zip(row, widths, strict=False)), last]
            )
            for *row, last in rows
        )
        return "\n".join((f"Schema of {_columns(len(rows))}:", *(f"  {x}".rstrip() for x in lines)))

    def _rows(self) -> list[tuple[str, str, str, str]]:
        """Return name, kind, dtype and possible cells of each column."""
        return [
            (printable(c.name), c.kind, printable(c.dtype), kind_of(c).describe(c))
            for c in self.columns
        ]

    def _repr_html_(self) -> str:
        frame = pd.DataFrame(
            self._rows(), columns=["column", "kind", "dtype", "holds"], dtype=object
        )
        return str(frame.to_html(index=False, border=0, max_rows=None))

    def to_frame(self) -> pd.DataFrame:
        """Return the schema as a pandas DataFrame, one row per column, in order.

        Returns
        -------
        frame : DataFrame of shape (n_columns, 10)
            ``column``, ``kind``, ``dtype``, ``family``; ``levels``, ``atoms`` and ``missing``
            as tuples; ``step``, ``low`` and ``high``, None where there is none. Numbers are in
            the column's unit; dates and durations are text, as in the representation.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skflow import FlowDensity
        >>> X = load_iris(as_frame=True).data
        >>> flow = FlowDensity(n_layers=0, random_state=0).fit(X)
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
        "low": None if schema.low is None else family.plain(schema.low),
        "high": None if schema.high is None else family.plain(schema.high),
    }
    return vars(schema) | plain
