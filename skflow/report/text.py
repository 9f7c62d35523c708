"""Texts of a page: cells and names in any script, made harmless, and numbers in words."""

import json
from collections.abc import Iterable
from html import escape
from typing import Any

from skflow.fitted.reasons.words import EXACT, cell_words
from skflow.table.storage import StoredColumn

LONGEST = 80  # letters of a cell or of a name
LONG = 24  # from which on a text may break anywhere
JOINERS = "\u200c\u200d\u00a0\u3000"  # not printable to Python, and part of words
LEFT_TO_RIGHT = "\u200e"
BLANK = "(blank)"
FAIR = 6  # significant digits of a repair


def clean(text: str, longest: int = LONGEST) -> str:
    r"""Return a text without control characters: ``\u202e``, say, is returned as 6 characters.

    What is longer than ``longest`` loses its middle: similar texts often differ at their ends.
    Blanks are in quotes.
    """
    if len(text) > longest:
        tail = (longest - 1) // 3
        text = f"{text[: longest - 1 - tail].rstrip()}…{text[len(text) - tail :].lstrip()}"
    if not text.strip():
        return repr(text) if text else BLANK
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


def spell_label(label: Any) -> str:
    """Return the label of a row in words, all levels of a MultiIndex in one line."""
    return ", ".join(map(str, label)) if isinstance(label, tuple) else str(label)


def spell_cells(column: StoredColumn, digits: int = EXACT) -> list[str]:
    """Return each cell as text, numbers with at most so many digits."""
    return list(map(clean, cell_words(column, digits)))


def spell_share(share: float) -> str:
    """Return a share in per cent, with two digits; what is not 0 or 1 is not spelled so."""
    percent = 100 * share
    if 0 < percent < 0.01:
        return "< 0.01 %"
    if 99.95 <= percent < 100:
        return "> 99.9 %"
    return f"{percent:.2g} %" if percent < 10 else f"{percent:.3g} %"
