"""Rules of inference: levels, grid, atoms and support of a column's numbers.

Each is a function of the distinct values of a column and their counts, so that neither
the order of rows nor a random number matters. None returns a value that occurs once.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skflow.table.coordinates import MOST_STEPS
from skflow.table.distinct import (
    ATOM_SHARE,
    FINEST,
    NEIGHBOURS,
    SKETCHED,
    Distinct,
    are_on_grid,
    precision_of,
)
from skflow.table.units import CLOCK, Number, seconds_of

MOST_LEVELS = 64
ROWS_PER_LEVEL = 20
ROWS_OF_A_FLAG = 5  # for each of two values to be levels, in short tables as well
# Largest number of rows whose value occurs once that levels leave out: too few to fit a
# density of values to, which would be those rows.
MOST_LEFT_OUT = 4
MOSTLY_LEVELS = 0.8  # share of the distinct values that repeat, for each of them to be an atom
DISTINCT_ON_TENS = 10  # values that must be multiples of 10 for a grid of 10
ATOM_ROWS = 10
ATOM_RATIO = 5
COARSER = 16  # least ratio of a step of decimals to the spacing of floats


def are_few(distinct: Distinct) -> bool:
    """Whether few numbers occur, each in many rows on average."""
    n_distinct, n_present = len(distinct.values), distinct.counts.sum()
    return bool(n_distinct <= MOST_LEVELS and n_present >= ROWS_PER_LEVEL * n_distinct)


def are_levels(distinct: Distinct) -> bool:
    """Whether few numbers occur, and next to no row has a number of its own."""
    flag = len(distinct.values) == 2 and distinct.counts.min() >= ROWS_OF_A_FLAG
    return flag or (are_few(distinct) and distinct.n_single <= MOST_LEFT_OUT)


def are_mostly_levels(distinct: Distinct, *, gridded: bool) -> bool:
    """Whether few numbers occur, and more than levels leave out occur once, but most repeat.

    Off any grid it is enough that some repeat: their density would have no bound.
    """
    most = not gridded or distinct.n_single <= (1 - MOSTLY_LEVELS) * len(distinct.values)
    return are_few(distinct) and most and distinct.n_single > MOST_LEFT_OUT


def are_whole(distinct: Distinct) -> bool:
    """Whether all numbers are whole; floats within ``MOST_STEPS`` only."""
    values = distinct.values
    if values.dtype.kind != "f":
        return True
    return bool((values == np.rint(values)).all()) and _span(values) <= MOST_STEPS * _tens(distinct)


def _span(values: NDArray[Any]) -> int:
    return int(values[-1]) - int(values[0])


def _tens(distinct: Distinct) -> int:
    """Largest power of ten that divides all, where enough are distinct to tell."""
    if len(distinct.values) < DISTINCT_ON_TENS:
        return 1
    divisor = math.gcd(*(int(value) for value in distinct.values.tolist()))
    step = 1
    while divisor and divisor % (10 * step) == 0:
        step *= 10
    return step


def find_whole_step(distinct: Distinct) -> int | None:
    """Return the grid of whole numbers, 1 or a power of ten; None if too many steps."""
    step = _tens(distinct)
    return step if _span(distinct.values) <= MOST_STEPS * step else None


def find_decimal_step(distinct: Distinct) -> float | None:
    """Return the coarsest grid of decimals that holds all numbers, if there is one."""
    values, precision = distinct.values.astype(np.float64), precision_of(distinct.values)
    span, coarsest = values[-1] / 2 - values[0] / 2, precision.max()
    if not 0 < span < 1e15:
        return None
    sketch = slice(None, None, len(values) // SKETCHED + 1)
    for decimals in range(max(1, -math.floor(math.log10(span)) - 1), FINEST + 1):
        step = 10.0**-decimals
        if step < COARSER * coarsest or 2 * span > MOST_STEPS * step:
            return None
        parts = (sketch, slice(None))
        if all(are_on_grid(values[part], precision[part], decimals).all() for part in parts):
            return step
    return None


def find_step(distinct: Distinct) -> Number | None:
    """Return the grid of whole numbers, of decimals, or of dates and durations, if any."""
    if distinct.family.is_temporal:
        return find_clock_step(distinct)
    return find_whole_step(distinct) if are_whole(distinct) else find_decimal_step(distinct)


def find_clock_step(distinct: Distinct) -> Number | None:
    """Return the largest unit of the clock that divides all; None if too many of it."""
    ticks, tick = distinct.values, distinct.tick
    divides = (not tick % unit or not (ticks % (unit // tick)).any() for unit in CLOCK)
    unit = next(unit for unit, whole in zip(CLOCK, divides, strict=True) if whole)
    return seconds_of(unit) if _span(ticks) * tick <= MOST_STEPS * unit else None


def find_atoms(distinct: Distinct) -> tuple[Number, ...]:
    """Return values that are repeated far more often than their neighbours.

    Fewer rows are enough for the first and the last, where numbers were censored.
    """
    counts = distinct.counts
    enough = np.full(len(counts), max(ATOM_ROWS, ATOM_SHARE * distinct.n_rows))
    enough[[0, -1]] = ATOM_ROWS
    atoms = []
    for i in np.flatnonzero(counts >= enough):
        around = np.concatenate(
            (counts[max(0, i - NEIGHBOURS) : i], counts[i + 1 : i + 1 + NEIGHBOURS])
        )
        if not around.size or counts[i] >= ATOM_RATIO * np.median(around):
            atoms.append(i)
    return distinct.numbers(atoms)


def find_support(distinct: Distinct) -> tuple[Number | None, Number | None]:
    """Return 0 as the end of numbers, or durations, that are all of one sign."""
    values = distinct.values
    if not distinct.family.ends_at_zero:
        return None, None
    return (0 if values[0] >= 0 else None), (0 if values[-1] <= 0 else None)
