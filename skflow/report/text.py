"""Texts of a page: cells and names in any script, made harmless, and numbers in words."""

import json
import math
from collections.abc import Callable, Iterable
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skflow.table.storage import StoredColumn

FloatArray = NDArray[np.float64]

LONGEST = 80  # letters of a cell or of a name
LONG = 24  # from which on a text may break anywhere
JOINERS = "\u200c\u200d\u00a0\u3000"  # not printable to Python, and part of words
LEFT_TO_RIGHT = "\u200e"
MISSING, BLANK = "missing", "(blank)"
EXACT, FAIR, ROUGH, SHORT = 8, 6, 4, 3  # significant digits: of a cell, a repair, a range, a tick
WHOLE = 1e15  # below it, numbers are spelled without a power of ten
LARGEST_ODDS = 1e6  # spelled out: "1 in 1,000,000"


def clean(text: str, longest: int = LONGEST) -> str:
    r"""Return a text without control characters: ``\u202e``, say, is returned as 6 characters.

    What is longer than ``longest`` loses its middle: similar texts often differ at their ends.
    """
    if len(text) > longest:
        tail = (longest - 1) // 3
        text = f"{text[: longest - 1 - tail].rstrip()}…{text[len(text) - tail :].lstrip()}"
    if not text.strip():
        return BLANK
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in JOINERS else repr(c)[1:-1] for c in text)


def spell_list(names: Iterable[str], notes: Iterable[str]) -> str:
    """Return cleaned names, each with a note, in one line that is read from left to right.

    Each name is isolated: it is read in the direction of its own script.
    """
    pairs = zip(names, notes, strict=True)
    return LEFT_TO_RIGHT + ", ".join(f"\u2068{name}\u2069 {note}" for name, note in pairs)


def count(number: int, noun: str) -> str:
    """Return a number of things in words: "1 row", "2,000 rows"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def markup(text: str) -> str:
    """Return a cleaned text for HTML, in a direction of its own."""
    kind = ' class="long"' if len(text) > LONG else ""
    return f"<bdi{kind}>{escape(text)}</bdi>"


def to_json(data: Any) -> str:
    """Return JSON that no parser of HTML takes for markup."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def spell_cells(column: StoredColumn, digits: int = EXACT) -> list[str]:
    """Return each cell as text, numbers with at most so many digits."""
    spell = SPELLERS.get(column.family.name, spell_objects)
    texts = spell(column, digits)
    return [
        clean(text) if present else MISSING
        for text, present in zip(texts, column.present, strict=True)
    ]


def spell_number(number: float, digits: int = ROUGH) -> str:
    """Return a number with so many significant digits; up to 10^15 none before the point is cut."""
    if isinstance(number, int) or (number.is_integer() and abs(number) < WHOLE):
        return str(int(number))
    if 10**digits <= abs(number) < WHOLE:
        return f"{number:.0f}"
    return f"{number:.{digits}g}"


def spell_share(share: float) -> str:
    """Return a share in per cent, with two digits; what is not 0 or 1 is not spelled so."""
    percent = 100 * share
    if 0 < percent < 0.01:
        return "< 0.01 %"
    if 99.95 <= percent < 100:
        return "> 99.9 %"
    return f"{percent:.2g} %" if percent < 10 else f"{percent:.3g} %"


def spell_odds(log_prob: float) -> str:
    """Return a probability as "1 in 200", from its logarithm; powers of ten where it is tiny."""
    log_odds = -log_prob
    if log_odds < math.log(LARGEST_ODDS):
        odds = math.exp(log_odds)
        return f"1 in {odds:.2g}" if odds < 10 else f"1 in {round(odds):,}"
    return f"1 in 10^{round(log_odds / math.log(10))}"


def spell_numbers(column: StoredColumn, digits: int) -> list[str]:
    """Return numbers with so many digits."""
    return [spell_number(number, digits) for number in column.values.tolist()]


def spell_times(column: StoredColumn, digits: int) -> list[str]:
    """Return dates and durations, with few digits to the second or the day."""
    texts = column.family.spell_stored(column.values, column.tick)
    cut = 10 if digits <= SHORT else 19 if digits <= ROUGH else None  # to days, or to seconds
    return [text[:cut] if ":" in text else text for text in texts]


def spell_objects(column: StoredColumn, digits: int) -> list[str]:
    """Return objects as they print."""
    return [str(value) for value in column.values.tolist()]


#: How the cells of a family are spelled; those of others by ``str``.
SPELLERS: dict[str, Callable[[StoredColumn, int], list[str]]] = {
    "number": spell_numbers,
    "date": spell_times,
    "duration": spell_times,
}
