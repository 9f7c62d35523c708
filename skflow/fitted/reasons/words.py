"""Cells and ranges of cells as words."""

from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from skflow.table.storage import StoredColumn

MISSING, OTHERS = "missing", "others"
EXACT, ROUGH, SHORT = 10, 4, 3  # significant digits: of a cell, the end of a range, a tick
WHOLE = 1e15  # below it, numbers are spelled without a power of ten
RANGE = (0.05, 0.95)  # quantiles between which a number is usual


def cell_words(column: StoredColumn, digits: int = EXACT) -> list[str]:
    """Return each cell in words, numbers with at most so many digits.

    Labels that are one of these words themselves are in quotes: ``'missing'``.
    """
    spell = SPELLERS.get(column.family.name)
    if spell is None:
        labels = map(str, column.values.tolist())
        texts = [repr(x) if x in (MISSING, OTHERS) else x for x in labels]
    else:
        texts = spell(column, digits)
    pairs = zip(texts, column.present, strict=True)
    return [text if present else MISSING for text, present in pairs]


def number_words(number: float, digits: int = ROUGH) -> str:
    """Return a number with so many significant digits; up to 10^15 none before the point is cut."""
    if isinstance(number, int) or (number.is_integer() and abs(number) < WHOLE):
        return str(int(number))
    if 10**digits <= abs(number) < WHOLE:
        return f"{number:.0f}"
    return f"{number:.{digits}g}"


def spell_numbers(column: StoredColumn, digits: int) -> list[str]:
    """Return numbers; in single or half precision the shortest decimal that is read as the same."""
    values = column.values
    if values.dtype.kind == "f" and values.dtype.itemsize < 8:
        values = values.astype(str).astype(np.float64)
    return [number_words(x, digits) for x in values.tolist()]


def time_words(column: StoredColumn, digits: int) -> list[str]:
    """Return dates and durations, with few digits to the second or the day."""
    texts = column.family.spell_stored(column.values, column.tick)
    cut = 10 if digits <= SHORT else 19 if digits <= ROUGH else None  # to days, or to seconds
    zone = " UTC" if column.zoned else ""
    return [(text[:cut] if ":" in text else text) + zone for text in texts]


#: How the cells of a family are spelled; those of others by ``str``.
SPELLERS: dict[str, Callable[[StoredColumn, int], list[str]]] = {
    "number": spell_numbers,
    "date": time_words,
    "duration": time_words,
}


def range_words(low: StoredColumn, high: StoredColumn, probability: NDArray) -> list[str]:
    """Return ranges in words, or the one cell that both ends are, with its probability."""
    ends = zip(cell_words(low, ROUGH), cell_words(high, ROUGH), probability.tolist(), strict=True)
    return [_range(*each) for each in ends]


def usual_words(draws: StoredColumn) -> str:
    """Return the range of most draws of one cell in words, or the most frequent one."""
    present = np.flatnonzero(draws.present)
    n_draws = len(draws.missing)
    if draws.family.name in SPELLERS and 2 * len(present) > n_draws:
        order = present[np.argsort(draws.values[present], kind="stable")]
        ends = [order[round(share * (len(order) - 1))] for share in RANGE]
        low, high = cell_words(draws.take(ends), ROUGH)
        share = float(np.mean(draws.values[present] == draws.values[ends[0]]))
        return _range(low, high, share)
    word, count = Counter(cell_words(draws)).most_common(1)[0]
    return _range(word, word, count / n_draws)


def _range(low: str, high: str, probability: float) -> str:
    return f"{low} ({100 * probability:.0f} %)" if low == high else f"{low} to {high}"
