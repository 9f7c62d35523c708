"""Labels that files spell: whatever they were fitted as, a file has text for them."""

import re
from collections.abc import Hashable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from skflow.table.objects import as_objects

TRUTHS = {"true": True, "false": False}
NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?"
DATE = r"\d{4}-\d\d-\d\d(?:[T ]\d.*)?"
DURATION = r"-?\d+ days?(?:,? [+-]?\d{1,2}:\d\d:\d\d(?:\.\d+)?)?"  # pandas' and Python's


def as_levels(column: pd.Series, levels: Sequence[Any]) -> pd.Series:
    """Return the levels that cells spell; a cell that spells none stays what it is.

    That is the level written so, else the one that is the same number, truth value, date or
    duration: "7.0" spells 7, "TRUE" True, and "2026-01-02" midnight.
    """
    textual = isinstance(column.dtype, pd.StringDtype)
    if textual and all(isinstance(level, str) for level in levels):
        return column
    others = [level for level in levels if not isinstance(level, str)]
    texts = [level for level in levels if isinstance(level, str)]
    by_spelling = {str(level): level for level in (*others, *texts)}
    by_meaning = {_meaning_of(level): level for level in reversed(others)}

    def level_of(cell: Any) -> Any:
        spelling = str(cell)
        if spelling in by_spelling:
            return by_spelling[spelling]
        meaning = _meaning_of(cell)
        return cell if meaning is None else by_meaning.get(meaning, cell)

    cells = column.astype(object)
    present = column.notna()
    cells[present] = as_objects([level_of(cell) for cell in cells[present]])
    return cells


def has_level(cells: pd.Series, levels: Sequence[Any]) -> bool | None:
    """Say whether some of the cells is a level; None where there is no cell."""
    known, present = set(levels), cells.dropna()
    return any(cell in known for cell in present) if len(present) else None


def _meaning_of(cell: Any) -> Hashable | None:
    """Return what is the same for all spellings of a value; None where there is but one."""
    text = str(cell)
    try:
        if isinstance(cell, date | np.datetime64) or re.fullmatch(DATE, text):
            return "date", pd.Timestamp(cell)
        if isinstance(cell, timedelta | np.timedelta64):
            return "duration", pd.Timedelta(cell)
        if re.fullmatch(DURATION, text):
            return "duration", pd.Timedelta(text.replace(",", ""))
    except ValueError:  # no such day, or none that pandas holds
        return None
    if re.fullmatch(NUMBER, text):
        return "number", Decimal(text)
    truth = TRUTHS.get(text.lower())
    return None if truth is None else ("truth", truth)
