"""Columns of a file as those of a model: found by name, and converted to what was fitted.

Text has no types, and the cells of one batch may all look like something else: a column of
labels may hold digits only. So what a column is comes from the model, never from a batch. Only
a table to fit is inferred from its own cells.
"""

import re
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Self

import numpy as np
import pandas as pd

from skflow.command_line.messages import CommandError, spell_names
from skflow.estimators.meta import density_of
from skflow.table.objects import as_objects
from skflow.table.schema import ColumnSchema

Parser = Callable[[pd.Series], pd.Series]  # raises where a cell is something else

NUMPY = {"Int64": "int64", "UInt64": "uint64", "boolean": "bool"}
TRUTHS = {"true": True, "false": False}
NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?"
WHOLE = r"0|-?[1-9]\d{0,17}"
ZONE = r"(?:Z|[+-]\d\d:?\d\d)"
DATE = r"\d{4}-\d\d-\d\d(?:[T ]\d.*)?"
DURATION = r"-?\d+ days?(?:,? [+-]?\d{1,2}:\d\d:\d\d(?:\.\d+)?)?"  # pandas' and Python's
SPELLED = {
    "number": "a number as 1200.5",
    "boolean": "True or False, 1 or 0",
    "date": "a date as 2026-01-31 or 2026-01-31 13:45:00",
    "duration": "a duration as 3 days 13:45:00",
}


@dataclass(frozen=True)
class ModelColumns:
    """The columns of a file that a model was fitted to, in the model's order.

    Attributes
    ----------
    path : str
        Path of the file.
    names : tuple of str
        In the file.
    fitted : tuple of ColumnSchema
        Schemas of the model's columns.
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
    def match(cls, estimator: Any, table: Any) -> Self:
        """Find the model's columns among those of a file; an error where some are missing."""
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
    def pairs(self) -> list[tuple[str, ColumnSchema]]:
        """Name in the file and schema of each column."""
        return list(zip(self.names, self.fitted, strict=True))

    @property
    def text(self) -> dict[str, list[str]]:
        """Spellings of each column's labels; none of them is a missing value."""
        return {name: [str(level) for level in column.levels] for name, column in self.pairs}

    @property
    def types(self) -> Mapping[str, str]:
        """Arrow types of numbers and booleans, which a batch of text does not show."""
        arrow = {"number": "float64", "boolean": "bool"}
        return {n: arrow[column.family] for n, column in self.pairs if column.family in arrow}

    def typed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the model's columns of some rows, converted to what was fitted."""
        return pd.DataFrame({name: as_fitted(frame[name], column) for name, column in self.pairs})

    def known(self, rows: pd.DataFrame) -> dict[str, bool]:
        """Return for each column of labels with cells whether one of them was fitted."""
        return {
            name: bool(set(rows[name].dropna()) & set(column.levels))
            for name, column in self.pairs
            if column.kind == "categorical"
            and column.family in ("category", "number")
            and rows[name].notna().any()
        }

    def spell_levels(self, name: str) -> str:
        """Return the first labels of a column."""
        levels = self.fitted[self.names.index(name)].levels
        return spell_names([str(level) for level in levels], most=4)


def as_inferred(frame: pd.DataFrame, categorical: Collection[str]) -> pd.DataFrame:
    """Infer the types of text: truth values, numbers, dates, durations, else labels.

    In ``categorical`` columns only whole numbers are converted, as other programs will read
    them in such a column; "007" is none.
    """
    found: dict[Any, pd.Series] = {}
    for name, column in frame.items():
        parsers = (_parse_codes,) if name in categorical else INFERRED
        parsed = _first_parsed(parsers, column)
        found[name] = column if parsed is None else parsed
    return pd.DataFrame(found, frame.index)


def as_fitted(column: pd.Series, fitted: ColumnSchema) -> pd.Series:
    """Convert a column to what the model's was; ValueError where text spells no such value."""
    if fitted.family == "category":
        return _as_levels(column, fitted.levels)
    if not isinstance(column.dtype, pd.StringDtype):
        return column
    parsed = _first_parsed(FITTED[fitted.family], column)
    if parsed is None:
        wrong = _first_refused(column.dropna(), FITTED[fitted.family])
        raise ValueError(
            f"column {fitted.name!r} holds {wrong!r}, expected {SPELLED[fitted.family]}."
        )
    return parsed


def _as_levels(column: pd.Series, levels: Sequence[Any]) -> pd.Series:
    """Return the levels that cells spell; a cell that spells none stays what it is.

    That is the level written so, else the one that is the same number, truth value, date or
    duration: "7.0" spells 7, "TRUE" True, and "2026-01-02" midnight.
    """
    if isinstance(column.dtype, pd.StringDtype) and all(isinstance(x, str) for x in levels):
        return column
    others = [level for level in levels if not isinstance(level, str)]
    texts = [level for level in levels if isinstance(level, str)]
    by_spelling = {str(level): level for level in (*others, *texts)}
    by_meaning = {_meaning_of(level): level for level in reversed(others)}

    def level_of(cell: Any) -> Any:
        if str(cell) in by_spelling:
            return by_spelling[str(cell)]
        meaning = _meaning_of(cell)
        return cell if meaning is None else by_meaning.get(meaning, cell)

    cells = column.astype(object)
    present = column.notna()
    cells[present] = as_objects([level_of(cell) for cell in cells[present]])
    return cells


def _meaning_of(cell: Any) -> Hashable | None:
    """Return what all spellings of a value have in common; None where there is but one."""
    text = str(cell)
    with suppress(ValueError):  # no such day, or none that pandas holds
        if isinstance(cell, date | np.datetime64) or re.fullmatch(DATE, text):
            return "date", pd.Timestamp(cell)
        if isinstance(cell, timedelta | np.timedelta64):
            return "duration", pd.Timedelta(cell)
        if re.fullmatch(DURATION, text):
            return "duration", pd.Timedelta(text.replace(",", ""))
        if re.fullmatch(NUMBER, text):
            return "number", Decimal(text)
        if text.lower() in TRUTHS:
            return "truth", TRUTHS[text.lower()]
    return None


def _first_refused(cells: pd.Series, parsers: Sequence[Parser]) -> str:
    """Return the first cell that cannot be parsed, of some that cannot together."""
    while len(cells) > 1:
        half = cells[: len(cells) // 2]
        cells = half if _first_parsed(parsers, half) is None else cells[len(half) :]
    return str(cells.iloc[0])


def _parse_dates(text: pd.Series) -> pd.Series:
    """Return ISO 8601 dates, in UTC where they have offsets."""
    _refuse_others(text, DATE)
    zoned = text.dropna().str.contains(ZONE + "$", regex=True)
    if zoned.any() and not zoned.all():
        raise ValueError("some dates have an offset, others none")
    return pd.to_datetime(text, format="ISO8601", utc=bool(zoned.any()))


def _parse_durations(text: pd.Series) -> pd.Series:
    """Return durations as pandas or Python writes them."""
    _refuse_others(text, DURATION)
    return pd.to_timedelta(text.str.replace(",", ""))


def _parse_codes(text: pd.Series) -> pd.Series:
    """Return whole numbers without leading zeros, which name things.

    Beside missing values they may all be spelled "7.0", as pandas writes them.
    """
    present = text.dropna()
    if len(present) < len(text) and present.str.endswith(".0").all():
        text = text.str.removesuffix(".0")
    _refuse_others(text, WHOLE)
    return _parse_whole(text)


def _parse_truths(text: pd.Series) -> pd.Series:
    return _beside_missing(text, [TRUTHS[cell.lower()] for cell in text.dropna()], "boolean")


def _parse_whole(text: pd.Series) -> pd.Series:
    """Return integers of at most 64 bits."""
    numbers = _numbers(text, int)
    for dtype, low, high in (("Int64", -(2**63), 2**63 - 1), ("UInt64", 0, 2**64 - 1)):
        if all(low <= number <= high for number in numbers):
            return _beside_missing(text, numbers, dtype)
    raise ValueError("no dtype of 64 bits holds these numbers")


def _parse_floats(text: pd.Series) -> pd.Series:
    """Return floats, the nearest to each number; whole numbers alone would lose digits."""
    if text.dropna().str.strip().str.fullmatch(r"[+-]?\d+").all():
        raise ValueError("all numbers are whole")
    return _beside_missing(text, _numbers(text, float), "float64")


def _parse_numbers(text: pd.Series) -> pd.Series:
    """Return numbers, whole ones with all their digits; truth values are 1 and 0."""
    digits = {"true": "1", "false": "0"}
    text = text.map(lambda cell: digits.get(cell.lower(), cell), na_action="ignore")
    parsed = _first_parsed((_parse_whole, _parse_floats), text)
    return _beside_missing(text, _numbers(text, int), "object") if parsed is None else parsed


def _numbers(text: pd.Series, kind: Callable[[str], Any]) -> list[Any]:
    """Return what Python reads, but for its own spellings."""
    together = "".join(text.dropna())
    if "_" in together or not together.isascii() or "nan" in together.lower():
        raise ValueError("no other program reads such numbers")
    return [kind(cell) for cell in text.dropna()]


def _refuse_others(text: pd.Series, pattern: str) -> None:
    if not text.dropna().str.fullmatch(pattern).all():
        raise ValueError(f"some cells do not match {pattern}")


def _beside_missing(text: pd.Series, values: Sequence[Any], dtype: Any) -> pd.Series:
    """Return the values of the cells that are present, in a dtype of NumPy where none is missing.

    Integers and booleans stay what they are beside missing values.
    """
    cells = text.astype(object).where(text.notna(), None)
    cells[text.notna()] = as_objects(values)
    column = cells.astype(dtype)
    return column.astype(NUMPY.get(dtype, dtype)) if text.notna().all() else column


def _first_parsed(parsers: Sequence[Parser], text: pd.Series) -> pd.Series | None:
    """Return what the first of the parsers returns that does not refuse a cell."""
    for parse in parsers:
        with suppress(ValueError, LookupError):
            return parse(text)
    return None


# Parsers of text whose type is to be inferred, in order, and of what the model's column was.
INFERRED = (_parse_whole, _parse_truths, _parse_floats, _parse_dates, _parse_durations)
FITTED: dict[str, tuple[Parser, ...]] = {
    "number": (_parse_numbers,),
    "boolean": (_parse_truths, _parse_numbers),
    "date": (_parse_dates,),
    "duration": (_parse_durations,),
}
