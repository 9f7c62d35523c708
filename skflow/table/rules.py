"""Rules of inference: levels, grid, atoms and support of a column's numbers.

Each is a function of the distinct values of a column and their counts, so that neither
the order of rows nor a random number matters. None returns a value that occurs once.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skflow.table.coordinates import MOST_STEPS
from skflow.table.families.family import Family
from skflow.table.objects import keys_of
from skflow.table.storage import StoredColumn
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
ATOM_SHARE = 0.01
ATOM_RATIO = 5
NEIGHBOURS = 10
# Largest distance of decimals from their grid, and least ratio of its step to the spacing of
# floats, in units in the last place.
OFF_GRID, COARSER = 2, 16
FINEST = 22  # decimals; powers of ten beyond are not exact


@dataclass(frozen=True)
class Distinct:
    """The distinct values of a column, ascending, with their counts.

    Attributes
    ----------
    values : ndarray
        Numbers in their own dtype, or ticks of dates and durations.
    counts : ndarray of int64
    n_rows : int
        Rows of the column, missing ones included.
    family : Family
    tick : int
        Base units of the family per stored value: nanoseconds of dates and durations.
    """

    values: NDArray[Any]
    counts: NDArray[np.int64]
    n_rows: int
    family: Family
    tick: int

    @classmethod
    def of(cls, column: StoredColumn) -> "Distinct":
        """Count the values of a column."""
        present = column.values[column.present]
        if present.dtype.kind == "f":
            present = present + 0.0  # one zero, not two
        values, counts = np.unique(present, return_counts=True)
        tick = int(column.tick * column.family.base_units)
        return cls(values, counts, len(column.values), column.family, tick)

    def numbers(self, chosen: Any) -> tuple[Number, ...]:
        """Return some of the values as numbers of a schema."""
        return tuple(self.family.from_stored(x, self.tick) for x in self.values[chosen].tolist())

    @property
    def n_single(self) -> int:
        """Number of values that occur once."""
        return int(np.count_nonzero(self.counts == 1))

    def repeated(self) -> tuple[Number, ...]:
        """Return the values that occur more than once; truth values as 0 and 1."""
        return tuple(self.family.as_number(value) for value in self.numbers(self.counts > 1))


@dataclass(frozen=True)
class ColumnSummary:
    """A column of training rows, as the rules of inference read it."""

    column: StoredColumn

    @cached_property
    def distinct(self) -> Distinct:
        """The distinct values, of families that have an order."""
        return Distinct.of(self.column)

    @property
    def levels(self) -> tuple[Any, ...]:
        """All values that are declared or occur, in order."""
        objects = self.column.family.holds_objects
        return _categories(self.column) if objects else self.distinct.numbers(slice(None))

    @property
    def is_empty(self) -> bool:
        """Whether no row has a value."""
        return not self.column.present.any()


def _categories(column: StoredColumn) -> tuple[Any, ...]:
    """Return declared categories, else those that occur, by type and then by value."""
    if column.categories is not None:
        return column.categories
    values = column.values[column.present].tolist()
    distinct = dict(zip(keys_of(values), values, strict=True)).values()
    try:
        return tuple(sorted(distinct, key=lambda value: (type(value).__name__, value)))
    except TypeError:  # objects without an order
        return tuple(sorted(distinct, key=lambda value: (type(value).__name__, repr(value))))


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
    values = distinct.values.astype(np.float64)
    with np.errstate(over="ignore"):
        precision = np.spacing(np.abs(distinct.values)).astype(np.float64)
    span, coarsest = values[-1] / 2 - values[0] / 2, precision.max()
    if not 0 < span < 1e15:
        return None
    sketch = slice(None, None, len(values) // 1000 + 1)
    for decimals in range(max(1, -math.floor(math.log10(span)) - 1), FINEST + 1):
        step = 10.0**-decimals
        if step < COARSER * coarsest or 2 * span > MOST_STEPS * step:
            return None
        if all(_on_grid(values[part], precision[part], decimals) for part in (sketch, slice(None))):
            return step
    return None


def _on_grid(values: NDArray[Any], precision: NDArray[Any], decimals: int) -> bool:
    power = 10.0**decimals
    nearest = np.rint(values * power) / power
    # The smallest floats lie within their own spacing of 0, and are not 0.
    is_near = (np.abs(values - nearest) <= OFF_GRID * precision) & ((nearest != 0) | (values == 0))
    return bool(is_near.all())


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
