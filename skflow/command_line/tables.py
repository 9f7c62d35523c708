"""What a file of a table can do, whatever its format."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import pandas as pd

# Columns that are text whatever they look like, and labels that are known of them.
Text = Mapping[str, Collection[str]]
# Types of columns as Arrow has them, or their names.
Types = Mapping[str, Any]
NO_TYPES: Types = MappingProxyType({})


class Batch(NamedTuple):
    """Some rows of a file.

    Attributes
    ----------
    frame : DataFrame
    start : int
        Number of its first row, counted from 0.
    size : int
        By how much reading it advanced, in the table's unit.
    """

    frame: pd.DataFrame
    start: int
    size: int


class Table(Protocol):
    """A file to read a table from.

    Attributes
    ----------
    path : str
        What messages call it.
    names : list of str
        Of its columns.
    index : sequence of str
        Names of columns that number or name the rows, as pandas stores them.
    total : int or None
        How large it is, in units; None where nobody knows.
    unit : str
    types : mapping of str to type
        Of columns, as far as the file tells.
    """

    path: str
    names: list[str]
    index: Sequence[str]
    total: int | None
    unit: str
    types: Types

    def read(self, columns: Sequence[str], text: Text) -> pd.DataFrame:
        """Read all rows of some columns, some of which are ``text`` whatever they look like."""

    def batches(self, n_rows: int, columns: Sequence[str], text: Text) -> Iterator[Batch]:
        """Read so many rows at a time."""

    def close(self) -> None:
        """Let go of the file."""


class Writer(Protocol):
    """A file to write a table to."""

    def write(self, frame: Any) -> None:
        """Append rows of a pandas or polars frame."""

    def close(self) -> None:
        """Write what stands at the end of the file."""

    def abandon(self) -> None:
        """Leave the file as it is, which is to be thrown away."""
