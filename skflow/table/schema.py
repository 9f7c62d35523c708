"""What each column of a table is taken for."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["continuous", "integer", "constant"]


@dataclass(frozen=True)
class ColumnSchema:
    """One column: its name, the dtype it is stored in and what it is taken for."""

    name: str
    dtype: str
    kind: Kind


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in order.

    Two densities are on the same measure, and so comparable, when their schemas
    are equal.
    """

    columns: tuple[ColumnSchema, ...]

    def __repr__(self) -> str:
        width = max(len(column.name) for column in self.columns)
        lines = (f"  {c.name:<{width}}  {c.kind} ({c.dtype})" for c in self.columns)
        return "\n".join((f"Schema of {len(self.columns)} columns:", *lines))


def infer_schema(matrix: NDArray[np.float64], names: list[str], dtypes: list[np.dtype]) -> Schema:
    """Decide the kind of each column from all of its rows.

    A column of one value is constant; a column stored as integers or booleans
    is integer, a grid of step 1; any other is continuous.
    """
    return Schema(
        tuple(
            ColumnSchema(name, str(dtype), _infer_kind(values, dtype))
            for name, dtype, values in zip(names, dtypes, matrix.T, strict=True)
        )
    )


def _infer_kind(values: NDArray[np.float64], dtype: np.dtype) -> Kind:
    if (values == values[0]).all():
        return "constant"
    return "integer" if dtype.kind in "iub" else "continuous"
