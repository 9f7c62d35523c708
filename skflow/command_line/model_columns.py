"""Which columns of a file are those of a model."""

from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

from skflow.command_line.cells import TEXT, as_fitted
from skflow.command_line.labels import has_level
from skflow.command_line.messages import CommandError, spell_names
from skflow.command_line.tables import Table, Text, Types
from skflow.table.schema import ColumnSchema


@dataclass(frozen=True)
class ModelColumns:
    """The columns of a file that a model was fitted to, in the model's order.

    Attributes
    ----------
    path : str
        Of the file.
    names : tuple of str
        In the file.
    fitted : tuple of ColumnSchema
        What the model took them for.
    named : bool
        Whether the model knows them by name; one of an array knows their places only.
    ignored : tuple of str
        Further columns of the file.
    """

    path: str
    names: tuple[str, ...]
    fitted: tuple[ColumnSchema, ...]
    named: bool
    ignored: tuple[str, ...]

    @classmethod
    def match(cls, estimator: Any, table: Table) -> Self:
        """Find the model's columns among those of a file.

        Raises
        ------
        CommandError
            Where some are missing.
        """
        fitted = density_of(estimator).schema_.columns
        named = hasattr(estimator, "feature_names_in_")
        known = [*table.index, *table.names]
        wanted = [column.name for column in fitted] if named else list(table.names)
        found, used = set(known), set(wanted)
        missing = [name for name in wanted if name not in found]
        if missing:
            raise CommandError(
                f"{table.path} lacks columns that the model was fitted to: "
                f"{spell_names(missing)}. It has {spell_names(known)}."
            )
        if len(wanted) != len(fitted):
            raise CommandError(
                f"{table.path} has {len(wanted)} columns; the model was fitted to an array of "
                f"{len(fitted)}, without names."
            )
        ignored = [name for name in known if name not in used]
        return cls(table.path, tuple(wanted), fitted, named, tuple(ignored))

    @property
    def text(self) -> Text:
        """Columns that a file's text is not to be turned into numbers of, and their labels."""
        return {
            name: [str(level) for level in column.levels]
            for name, column in zip(self.names, self.fitted, strict=True)
            if column.family in TEXT
        }

    @property
    def types(self) -> Types:
        """Types of numbers, which some rows of text do not tell: the next may not be whole."""
        pairs = zip(self.names, self.fitted, strict=True)
        return {name: "float64" for name, column in pairs if column.family == "number"}

    def typed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the model's columns of some rows as what they were fitted as."""
        pairs = zip(self.names, self.fitted, strict=True)
        return pd.DataFrame({name: as_fitted(frame[name], column) for name, column in pairs})

    def as_input(self, rows: pd.DataFrame) -> Any:
        """Return typed rows as the model takes them."""
        return rows if self.named else rows.to_numpy()

    def known(self, rows: pd.DataFrame) -> dict[str, bool]:
        """Say of each column of labels whether some of typed rows has one that was fitted."""
        found = {
            name: has_level(rows[name], column.levels)
            for name, column in zip(self.names, self.fitted, strict=True)
            if column.kind == "categorical" and column.family in ("category", "number")
        }
        return {name: known for name, known in found.items() if known is not None}

    def spell_levels(self, name: str) -> str:
        """Return the first labels of a column."""
        levels = self.fitted[self.names.index(name)].levels
        return spell_names([str(level) for level in levels], most=4)


def density_of(estimator: Any) -> Any:
    """Return the FlowDensity of an estimator: a detector has one."""
    return getattr(estimator, "density_", estimator)
