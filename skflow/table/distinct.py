"""Distinct values of a column: what the rules of inference read, of rows and of their parts.

Where the distinct values are many, most of them are dropped when parts are merged: those that no
rule of :mod:`skflow.table.rules` needs. What remains is a subset of the values, to which every
rule gives the same answer as to all:

* the 33 lowest and the 33 highest, for span, support, spacing and atoms there;
* whole numbers whose greatest common divisor is that of all, for their grid and that of the clock;
* the floats nearest to 0, for scales;
* a number that is not whole, one that needs the most decimals, and some that have the common
  divisor of all in units of the last of these, for grids of decimals;
* of each value that is watched the 10 neighbours on each side, for atoms.

A value that is kept in the end is kept in every part that it occurs in, except for those that
stand for others, such as divisors. So the counts of ends and of neighbours are exact,
whatever the parts and their order. Which values must be watched is known after a pass over all
parts, by their :class:`Frequencies`.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from skflow.table.families.family import Family
from skflow.table.storage import StoredColumn
from skflow.table.units import Number

MOST_KEPT = 2**16  # distinct values of merged parts that are all kept
ATOM_SHARE = 0.01  # of the rows, that an atom has at least where it is not the lowest or highest
NEIGHBOURS = 10  # on each side, to which the count of an atom is compared
ENDS = 33  # lowest and highest values: those that may be atoms there, and their neighbours
MOST_FREQUENT = 400
FINEST = 22  # decimals; powers of ten beyond are not exact
# Largest distance of decimals from their grid, in units in the last place, where its step is 16
# times as wide; on a finer one they are the floats nearest to its points.
OFF_GRID, COARSER = 2, 16
SKETCHED = 1000  # values that are tried first


@dataclass(frozen=True)
class Frequencies:
    r"""Values that may be frequent, by the counters of Misra and Gries [1]_, which merge.

    A counter falls short of the true count by at most

    .. math:: e = \frac{n - \sum_v c_v}{k + 1}

    for k counters and n rows [2]_, in whatever parts the rows came. So each value that more than
    e rows have has a counter.

    Attributes
    ----------
    values : ndarray of shape (n_counters,)
        At most 400.
    counts : ndarray of int64, shape (n_counters,)
    n_present : int
        Rows that have a value.

    References
    ----------
    .. [1] J. Misra, D. Gries, "Finding repeated elements", Science of Computer Programming 2,
       1982.
    .. [2] P. K. Agarwal, G. Cormode, Z. Huang, J. Phillips, Z. Wei, K. Yi, "Mergeable summaries",
       ACM Transactions on Database Systems 38 (4), 2013, theorem 2.
    """

    values: NDArray[Any]
    counts: NDArray[np.int64]
    n_present: int

    @classmethod
    def of(cls, values: NDArray[Any], counts: NDArray[np.int64], n_present: int) -> Self:
        """Return the largest counters, less the largest of those that are dropped."""
        if len(values) > MOST_FREQUENT:
            counts = counts - np.partition(counts, -MOST_FREQUENT - 1)[-MOST_FREQUENT - 1]
        return cls(values[counts > 0], counts[counts > 0], n_present)

    def merge(self, other: Self) -> Self:
        """Return the counters of the rows of both."""
        values, counts = add_counts(self.values, self.counts, other.values, other.counts)
        return self.of(values, counts, self.n_present + other.n_present)

    def reaching(self, count: float) -> NDArray[Any]:
        """Return all values that so many rows may have."""
        error = (self.n_present - self.counts.sum()) / (MOST_FREQUENT + 1)
        return self.values[self.counts + error >= count]


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
    frequencies : Frequencies, optional
        None where all distinct values are kept.
    watched : ndarray, optional
        Values whose neighbours are kept, found in an earlier pass; None in the first.
    """

    values: NDArray[Any]
    counts: NDArray[np.int64]
    n_rows: int
    family: Family
    tick: int
    frequencies: Frequencies | None = None
    watched: NDArray[Any] | None = None

    @classmethod
    def of(cls, column: StoredColumn, watched: NDArray[Any] | None = None) -> Self:
        """Count the values of a column."""
        present = column.values[column.present]
        if present.dtype.kind == "f":
            present = present + 0.0  # one zero, not two
        values, counts = np.unique(present, return_counts=True)
        tick = int(column.tick * column.family.base_units)
        return cls(values, counts, len(column.values), column.family, tick, watched=watched)

    def merge(self, other: Self) -> Self:
        """Return the values of the rows of both, all of them or those that rules need.

        Both have values of the same dtype, and watch the same ones.
        """
        values, counts = add_counts(self.values, self.counts, other.values, other.counts)
        merged = replace(self, values=values, counts=counts, n_rows=self.n_rows + other.n_rows)
        if self.is_complete and other.is_complete and len(values) <= MOST_KEPT:
            return merged
        kept = find_needed(values, values[:0] if self.watched is None else self.watched)
        frequencies = self.count_frequent().merge(other.count_frequent())
        return replace(merged, values=values[kept], counts=counts[kept], frequencies=frequencies)

    @property
    def is_complete(self) -> bool:
        """Whether all distinct values are there."""
        return self.frequencies is None

    @property
    def would_be_kept(self) -> bool:
        """Whether all distinct values are there, and would be if the column came in parts."""
        return self.is_complete and len(self.values) <= MOST_KEPT

    def count_frequent(self) -> Frequencies:
        """Return counters of frequent values."""
        if self.frequencies is not None:
            return self.frequencies
        return Frequencies.of(self.values, self.counts, int(self.counts.sum()))

    def unsettled(self) -> NDArray[Any]:
        """Return values that may be atoms and are to be watched, in a second pass over the rows."""
        if self.frequencies is None or self.watched is not None:
            return self.values[:0]
        candidates = self.frequencies.reaching(ATOM_SHARE * self.n_rows)
        known = ENDS - NEIGHBOURS
        first, last = self.values[known - 1], self.values[-known]
        return candidates[(candidates > first) & (candidates < last)]

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


def add_counts(
    first: NDArray[Any],
    first_counts: NDArray[np.int64],
    second: NDArray[Any],
    second_counts: NDArray[np.int64],
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the distinct values of both, ascending, and the sums of their counts."""
    values = np.concatenate((first, second))
    counts = np.concatenate((first_counts, second_counts))
    if not len(values):
        return values, counts
    order = np.argsort(values, kind="stable")  # which merges two runs that are sorted
    values, counts = values[order], counts[order]
    starts = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    return values[starts], np.add.reduceat(counts, starts)


def find_needed(values: NDArray[Any], watched: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which of many distinct values, ascending, rules need in the place of all."""
    needed = np.zeros(len(values), dtype=bool)
    needed[:ENDS] = needed[-ENDS:] = True
    for place in np.searchsorted(values, watched):
        needed[max(0, place - NEIGHBOURS) : place + NEIGHBOURS + 1] = True
    if values.dtype.kind != "f":
        needed[find_divisors(values)] = True
        return needed
    nearest = int(np.searchsorted(values, 0))
    needed[max(0, nearest - 1) : nearest + 2] = True
    finest = find_finest(values)
    needed[finest] = True
    needed[find_divisors(in_decimals(values, finest))] = True
    broken = np.flatnonzero(values != np.rint(values))
    needed[broken[:1] if broken.size else find_divisors(values)] = True
    return needed


def find_divisors(values: NDArray[Any]) -> list[int]:
    """Return the places of a few whole numbers whose greatest common divisor is that of all."""
    if values.dtype.kind == "f":
        sizes = np.abs(values.astype(np.float64))
    else:  # unsigned: the lowest integer has no positive counterpart
        unsigned = values.astype(np.uint64)
        sizes = np.where(values < 0, -unsigned, unsigned)
    places: list[int] = []
    divisor = 0
    undivided = np.flatnonzero(sizes)
    while undivided.size:
        places.append(int(undivided[0]))
        divisor = math.gcd(divisor, int(sizes[undivided[0]]))
        # Exact for floats as well: the divisor is one, with no more bits than they have.
        undivided = undivided[np.fmod(sizes[undivided], sizes.dtype.type(divisor)) != 0]
    return places


def in_decimals(values: NDArray[Any], finest: int) -> NDArray[np.float64]:
    """Return numbers in units of the last decimal that one of them needs; 0 where none fits."""
    numbers, tolerance = values.astype(np.float64), OFF_GRID * precision_of(values)
    own = slice(finest, finest + 1)
    for decimals in range(FINEST + 1):
        if are_on_grid(numbers[own], tolerance[own], decimals).all():
            with np.errstate(over="ignore"):
                counts = np.rint(numbers * 10.0**decimals)
            return np.where(np.abs(counts) < 2.0**53, counts, 0.0)
    return np.zeros(len(values))


def find_finest(values: NDArray[Any]) -> int:
    """Return the place of a number that needs as many decimals as any; FINEST + 1 if none fits.

    A number on a grid of decimals is on all finer ones that are coarser than 16 times the spacing
    of floats, which are the only ones that count: multiples below 2^49 are found exactly.
    """
    numbers, tolerance = values.astype(np.float64), OFF_GRID * precision_of(values)
    finest, decimals = 0, 1
    for part in (np.arange(0, len(values), len(values) // SKETCHED + 1), np.arange(len(values))):
        while part.size and decimals <= FINEST:
            part = part[~are_on_grid(numbers[part], tolerance[part], decimals)]
            if part.size:
                finest, decimals = int(part[0]), decimals + 1
    return finest


def precision_of(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the spacing of floats at each value."""
    with np.errstate(over="ignore"):
        return np.spacing(np.abs(values)).astype(np.float64)


def off_grid(step: float, precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far from the points of a grid numbers may be, by the spacing of their floats."""
    units: NDArray[np.float64] = np.where(step < COARSER * precision, 0.5, OFF_GRID)
    return units * precision


def are_on_grid(
    values: NDArray[np.float64], tolerance: NDArray[np.float64], decimals: int
) -> NDArray[np.bool_]:
    """Return which numbers are, within their tolerance, decimals of so many places."""
    power = 10.0**decimals
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers too large for any decimals
        nearest = np.rint(values * power) / power
        is_near = np.abs(values - nearest) <= tolerance
    # The smallest floats lie within their own spacing of 0, and are not 0.
    return is_near & ((nearest != 0) | (values == 0))
