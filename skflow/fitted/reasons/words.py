"""Cells and ranges of cells as words."""

from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from skflow.table.storage import StoredColumn
from skflow.table.units import spell_date, spell_duration

MISSING = "missing"
EXACT = 10  # digits of a cell
ROUGH = 4  # digits of the ends of a range
RANGE = (0.05, 0.95)  # quantiles between which a number is usual


def words_of(column: StoredColumn, digits: int = EXACT) -> list[str]:
    """Return each cell in words, with so many digits of numbers."""
    spell = SPELL.get(column.family.name)
    if spell is None:
        texts = [str(value) for value in column.values.tolist()]
    else:
        texts = [spell(number, digits) for number in _numbers(column).tolist()]
    pairs = zip(texts, column.present, strict=True)
    return [text if present else MISSING for text, present in pairs]


def range_words(low: StoredColumn, high: StoredColumn, probability: NDArray) -> list[str]:
    """Return ranges in words, or the one cell that both ends are, with its probability."""
    ends = zip(words_of(low, ROUGH), words_of(high, ROUGH), probability.tolist(), strict=True)
    return [_range(*each) for each in ends]


def usual_words(draws: StoredColumn) -> str:
    """Return the range of most draws of one cell in words, or the most frequent one."""
    present = np.flatnonzero(draws.present)
    n_draws = len(draws.missing)
    spell = SPELL.get(draws.family.name)
    if spell is not None and 2 * len(present) > n_draws:
        order = present[np.argsort(draws.values[present], kind="stable")]
        ends = [order[round(share * (len(order) - 1))] for share in RANGE]
        low, high = words_of(draws.take(ends), ROUGH)
        share = float(np.mean(draws.values[present] == draws.values[ends[0]]))
        return _range(low, high, share)
    word, count = Counter(words_of(draws)).most_common(1)[0]
    return _range(word, word, count / n_draws)


def _range(low: str, high: str, probability: float) -> str:
    return f"{low} ({100 * probability:.0f} %)" if low == high else f"{low} to {high}"


def _numbers(column: StoredColumn) -> NDArray:
    if column.tick == 1:
        return column.values
    return column.values * (column.tick.numerator / column.tick.denominator)


def number_words(number: float, digits: int) -> str:
    """Return a number in words."""
    whole = float(number).is_integer() and abs(number) < 1e15
    return str(int(number)) if whole else f"{number:.{digits}g}"


def date_words(seconds: float, digits: int) -> str:
    """Return a date in words."""
    return spell_date(round(seconds))[:16]  # to the minute


def duration_words(seconds: float, digits: int) -> str:
    """Return a duration in words."""
    rounded = float(f"{seconds:.{min(digits, 6)}g}")
    return spell_duration(int(rounded) if rounded.is_integer() else rounded)


#: Spelling of what has an order, by the names of families.
SPELL: dict[str, Callable[[float, int], str]] = {
    "number": number_words,
    "date": date_words,
    "duration": duration_words,
}
