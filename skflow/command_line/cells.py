"""Cells of files as what they were fitted as: text knows no types, and a batch no others.

In a batch a column of text may happen to hold digits only. Taken for numbers they would be
labels that were never seen, so what a column is comes from the model, never from a batch.
"""

from collections.abc import Callable, Collection
from typing import Any

import pandas as pd

from skflow.command_line.labels import DATE, NUMBER, TRUTHS, as_levels
from skflow.table.objects import as_objects
from skflow.table.schema import ColumnSchema

Parser = Callable[[pd.Series], pd.Series | None]

TEXT = ("category", "date", "duration")  # families that are read as text
ZONE = r"(?:Z|[+-]\d\d:?\d\d)"
WHOLE = r"0|-?[1-9]\d{0,17}"
DURATION = r"-?\d+ days?(?: [+-]?\d\d:\d\d:\d\d(?:\.\d+)?)?"
SPELLED = {
    "number": "a number as 1200.5",
    "boolean": "True or False, 1 or 0",
    "date": "a date as 2026-01-31 or 2026-01-31 13:45:00",
    "duration": "a duration as 3 days 13:45:00",
}


def as_plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return numbers and booleans as NumPy's where these can hold them.

    Only whole numbers and booleans with holes stay as they are: as floats they would lose
    their last digits, and what they are.
    """
    plain = {}
    for name, dtype in frame.dtypes.items():
        masked = isinstance(dtype, pd.api.extensions.ExtensionDtype) and dtype.kind in "biuf"
        if masked and (dtype.kind == "f" or not frame[name].hasnans):
            plain[name] = dtype.numpy_dtype
    return frame.astype(plain)


def as_pandas(frame: Any) -> pd.DataFrame:
    """Return a frame of polars, whose own way needs pyarrow, as one of pandas."""
    if isinstance(frame, pd.DataFrame):
        return frame
    return pd.DataFrame({column.name: _of_polars(column) for column in frame})


def _of_polars(column: Any) -> pd.Series:
    if not column.dtype.is_temporal():
        return pd.Series(column.to_list(), dtype=object)
    times = pd.Series(column.to_numpy())
    zone = getattr(column.dtype, "time_zone", None)
    return times if zone is None else times.dt.tz_localize("UTC").dt.tz_convert(zone)


def as_inferred(frame: pd.DataFrame, text: Collection[str]) -> pd.DataFrame:
    """Return columns of text that are all dates, or all durations, as such.

    Those named in ``text`` stay what they are but for whole numbers, which are the labels
    that other programs will read in such a column; "007" is none.
    """
    found: dict[Any, pd.Series] = {}
    for name, column in frame.items():
        if isinstance(column.dtype, pd.StringDtype):
            parsers = [_as_whole_numbers] if name in text else INFERRED
            typed = [parse(column) for parse in parsers]
            found[name] = next((values for values in typed if values is not None), column)
    return as_plain(frame.assign(**found))


def as_fitted(column: pd.Series, fitted: ColumnSchema) -> pd.Series:
    """Return a column as what the model's was.

    Raises
    ------
    ValueError
        Where text is no number, truth value, date or duration, and should be.
    """
    if fitted.family == "category":
        return as_levels(column, fitted.levels)
    if not isinstance(column.dtype, pd.StringDtype):
        return column
    parse = PARSERS[fitted.family]
    typed = parse(column)
    if typed is None:
        wrong = _first_refused(column.dropna(), parse)
        raise ValueError(
            f"column {fitted.name!r} holds {wrong!r}, expected {SPELLED[fitted.family]}."
        )
    return typed


def _first_refused(cells: pd.Series, parse: Parser) -> str:
    """Return the first cell that cannot be parsed, of some that cannot together."""
    while len(cells) > 1:
        half = cells[: len(cells) // 2]
        cells = half if parse(half) is None else cells[len(half) :]
    return str(cells.iloc[0])


def _as_dates(text: pd.Series) -> pd.Series | None:
    """Return ISO 8601 dates, in UTC where they have offsets; None where some cell is none."""
    present = text.dropna()
    if not present.str.fullmatch(DATE).all():
        return None
    zoned = present.str.contains(ZONE + "$", regex=True)
    if zoned.any() and not zoned.all():  # where all cells are empty, none is and all are
        return None
    try:
        return pd.to_datetime(text, format="ISO8601", utc=bool(zoned.any()))
    except ValueError:
        return None


def _as_durations(text: pd.Series) -> pd.Series | None:
    """Return durations as pandas writes them; None where some cell is none."""
    if not text.dropna().str.fullmatch(DURATION).all():
        return None
    try:
        return pd.to_timedelta(text)
    except ValueError:
        return None


def _as_whole_numbers(text: pd.Series) -> pd.Series | None:
    """Return whole numbers; None where some cell is not spelled as these are.

    Beside holes they may all be spelled "7.0", as pandas writes them.
    """
    present = text.dropna()
    if len(present) < len(text) and present.str.endswith(".0").all():
        text = text.str.removesuffix(".0")
    if not text.dropna().str.fullmatch(WHOLE).all():
        return None
    return text.astype("Int64")


def _as_numbers(text: pd.Series) -> pd.Series | None:
    """Return numbers, whole ones with all their digits; None where some cell is none.

    Truth values are 1 and 0, which they are where a batch holds nothing else.
    """
    spelled = text.dropna().str.lower()
    if not (spelled.str.fullmatch(NUMBER) | spelled.isin(TRUTHS)).all():
        return None
    cells = text.astype(object)
    cells[text.notna()] = as_objects([_number_of(cell) for cell in spelled])
    return cells


def _number_of(cell: str) -> int | float:
    if cell in TRUTHS:
        return int(TRUTHS[cell])
    return int(cell) if cell.lstrip("+-").isdigit() else float(cell)


# What text of a column may turn out to be, and what text of a model's column must be.
INFERRED: tuple[Parser, ...] = (_as_dates, _as_durations)
PARSERS: dict[str, Parser] = {
    "number": _as_numbers,
    "boolean": _as_numbers,
    "date": _as_dates,
    "duration": _as_durations,
}
