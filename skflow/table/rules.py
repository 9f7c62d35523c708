"""Rules of inference: levels, grid, atoms and support of a column's numbers.

Each is a function of the distinct values of a column and their counts, so that neither
the order of rows nor a random number matters. None returns a value that occurs once.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d

from skflow.table.coordinates import MOST_STEPS
from skflow.table.distinct import (
    ATOM_SHARE,
    COARSER,
    FINEST,
    NEIGHBOURS,
    OFF_GRID,
    SKETCHED,
    Distinct,
    are_on_grid,
    off_grid,
    precision_of,
)
from skflow.table.rounding.finding import Places, find_places
from skflow.table.scaling import decimal_ratio, steps_in
from skflow.table.units import CLOCK, Number, seconds_of

MOST_LEVELS = 64
FEWEST_GRADES = 5  # numbers that have an order worth a density
MOST_GAPS = 1.25  # steps per number
ROWS_PER_LEVEL = 20
ROWS_OF_A_FLAG = 5  # for each of two values to be levels, in short tables as well
# Largest number of rows whose value occurs once that levels leave out: too few to fit a
# density of values to, which would be those rows.
MOST_LEFT_OUT = 4
MOST_IRREGULAR = 128  # atoms, at most, of a column in which each frequent number is one
WINDOW = 2  # steps on each side that a smooth count is the mean of
LEAST_GAIN = 4.0  # in terms of what parameters cost
MOSTLY_FREQUENT = 0.8  # share of rows with frequent numbers; below it a nat per row must be gained
MOST_CODES = 4096  # atoms, at most, of whole numbers that are dense: codes, as of flights or shops
DENSE = 8.0  # points of the grid per code, at most: amounts that persons repeat lie farther apart
GAIN_PER_ROW = 0.5  # nats
UNEVEN = 1.0  # nats per number that own shares gain over equal ones; Poisson counts gain half a nat
REPEATED_ROWS = 3  # that a number needs to be an atom for this gain
MOSTLY_LEVELS = 0.8  # share of the distinct values that repeat, for each of them to be an atom
DISTINCT_ON_STEP = 10  # values, at least, that must be multiples of a step for a grid of it
DIGITS_OF_CHANCE = 10 - 1e-9  # and for which chance would have to be as small as 10^-10
EXACT = 2**53  # floats below it are not all multiples of two
ATOM_ROWS = 10
ATOM_RATIO = 5
# Least ratio of a step of decimals to the spacing of narrow floats; of others it is 16, below which
# multiples are not found exactly.
CLOSEST = 2


def are_few(distinct: Distinct, most: int = MOST_LEVELS) -> bool:
    """Whether few numbers occur, each in many rows on average."""
    n_distinct, n_present = len(distinct.values), distinct.counts.sum()
    return bool(n_distinct <= most and n_present >= ROWS_PER_LEVEL * n_distinct)


def are_levels(distinct: Distinct) -> bool:
    """Whether few numbers occur, and next to no row has a number of its own."""
    flag = len(distinct.values) == 2 and distinct.counts.min() >= ROWS_OF_A_FLAG
    return flag or (are_few(distinct) and distinct.n_single <= MOST_LEFT_OUT)


def are_graded(distinct: Distinct, step: Number | None) -> bool:
    """Whether five numbers or more repeat, on a grid with next to no gaps.

    Their order may then say more than their names do.
    """
    levels = distinct.values[distinct.counts > 1]
    if len(levels) < FEWEST_GRADES or step is None:
        return False
    span = float(levels[-1]) - float(levels[0])
    return bool(span <= MOST_GAPS * len(levels) * float(step))


def are_mostly_levels(distinct: Distinct, *, gridded: bool) -> bool:
    """Whether few numbers occur, and more than levels leave out occur once, but most repeat.

    Off any grid it is enough that some repeat: their density would have no bound.
    """
    most = not gridded or distinct.n_single <= (1 - MOSTLY_LEVELS) * len(distinct.values)
    return are_few(distinct) and most and distinct.n_single > MOST_LEFT_OUT


def find_irregular(
    distinct: Distinct,
    step: Number | None,
    rounding: Sequence[Number] = (),
    *,
    may_be_codes: bool = False,
) -> tuple[Number, ...]:
    """Return frequent numbers where no smooth density explains their counts.

    What counts as smooth is the mean over points of the grid on both sides of a number, of its
    own rounding level; atoms, their rows and points beside them are left out. The first of these
    that gain enough over it are atoms: all numbers of 3 rows or more, where they are more than
    128, 4,096 at most, and may be codes, such as those of flights, whose order says little, 8
    points of the grid apart on average at most (:func:`recur_unevenly`); the numbers of 10 rows
    or more, 128 at most (:func:`exceed_smooth`); all numbers of 3 rows, if they are at most 128.
    """
    counts = distinct.counts
    is_repeated = counts >= REPEATED_ROWS
    if step is None or 2 * counts[is_repeated].sum() <= counts.sum():  # whatever atoms are
        return ()
    places = find_places(distinct, step, rounding)
    if places is None:
        return ()
    is_atom = are_atoms(distinct, places.level)
    smooth = smooth_counts(places, counts, is_atom)
    rare = np.sort(counts)[:-MOST_IRREGULAR].max(initial=0)
    is_frequent = counts > max(rare, ATOM_ROWS - 1)
    n_repeated, does_recur = np.count_nonzero(is_repeated), recur_unevenly(counts, smooth, is_atom)
    are_codes = may_be_codes and MOST_IRREGULAR < n_repeated <= MOST_CODES
    if does_recur and are_codes and are_dense(distinct.values[is_repeated], step):
        return distinct.numbers(is_repeated)
    if exceed_smooth(counts, smooth, is_frequent, is_atom):
        return distinct.numbers(is_frequent)
    return distinct.numbers(is_repeated) if does_recur and n_repeated <= MOST_IRREGULAR else ()


def exceed_smooth(
    counts: NDArray[np.int64],
    smooth: NDArray[np.float64],
    is_frequent: NDArray[np.bool_],
    is_atom: NDArray[np.bool_],
) -> bool:
    r"""Whether frequent numbers have more rows than a smooth density explains.

    Own shares of :math:`K` numbers with counts :math:`c_k` among :math:`n` rows, where :math:`e_k`
    are expected, gain more log-likelihood than their parameters cost (Schwarz, 1978, equation 2)
    where

    .. math:: \sum_k c_k \log (c_k / e_k) - (c_k - e_k) > \frac{K}{2} \log n.

    They must gain four times as much, as :math:`e_k` is a rough estimate, and most of the rows
    must have such numbers. Where more than a fifth of the rows have others, they must gain a nat
    per row besides: labels split these rows from the values that they depend on alike.
    """
    others, n_rows = is_frequent & ~is_atom, counts[~is_atom].sum()
    gained = (counts * np.log(counts / smooth) - (counts - smooth))[others].sum()
    least = LEAST_GAIN * 0.5 * math.log(counts.sum()) * np.count_nonzero(others)
    if counts[others].sum() <= MOSTLY_FREQUENT * n_rows:
        least = max(least, n_rows)
    return bool(2 * counts[others].sum() > n_rows and gained > least)


def recur_unevenly(
    counts: NDArray[np.int64], smooth: NDArray[np.float64], is_atom: NDArray[np.bool_]
) -> bool:
    r"""Whether most rows have numbers of 3 rows or more, which predict each other.

    They gain half a nat per row over a smooth density, each row predicted from the others: with
    :math:`c_k - 1` instead of :math:`c_k` in the logarithm. Rows that were repeated, or drawn with
    replacement, give any numbers such counts. These are nearly equal: their own shares gain half a
    nat per number over equal ones, times the number of repetitions. Atoms must gain twice as much.
    """
    is_repeated = counts >= REPEATED_ROWS
    others, own = is_repeated & ~is_atom, counts[is_repeated]
    n_rows = counts[~is_atom].sum()
    left_out = counts * np.log(np.maximum(counts - 1, 1) / smooth) - (counts - smooth)
    uneven = (own * np.log(own / own.mean())).sum()
    return bool(
        2 * counts[others].sum() > n_rows
        and left_out[others].sum() > GAIN_PER_ROW * n_rows
        and uneven > UNEVEN * np.gcd.reduce(counts) * len(own)
    )


def are_dense(numbers: NDArray[Any], step: Number) -> bool:
    """Whether ascending numbers are near to each other on their grid, the outermost left out."""
    low, high = len(numbers) // 20, len(numbers) - 1 - len(numbers) // 20
    return bool(float(numbers[high]) - float(numbers[low]) <= DENSE * float(step) * (high - low))


def smooth_counts(
    places: Places, counts: NDArray[np.int64], is_atom: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the mean count of the points on both sides of each number; its own without any."""
    offsets = np.arange(1, WINDOW + 1)
    below, above = (places.counts_beside(side, counts, is_atom) for side in (-offsets, offsets))
    pairs = below + above  # NaN where one of the two is an atom or beyond all numbers
    around, n_around = np.nansum(pairs, axis=0), 2 * np.count_nonzero(~np.isnan(pairs), axis=0)
    return np.where(n_around, np.maximum(around, 1) / np.maximum(n_around, 1), counts)


def are_whole(distinct: Distinct) -> bool:
    """Whether all numbers are whole; floats within ``MOST_STEPS`` only."""
    values = distinct.values
    if values.dtype.kind != "f":
        return True
    whole = bool((values == np.rint(values)).all())
    return whole and _span(values) <= MOST_STEPS * _common_step(distinct)


def _span(values: NDArray[Any]) -> int:
    return int(values[-1]) - int(values[0])


def _common_step(distinct: Distinct) -> int:
    """Largest whole number that divides all, where they are numerous enough."""
    values = distinct.values
    divisor = _divisor(values.tolist())
    if values.dtype.kind != "f" or max(-float(values[0]), float(values[-1])) < EXACT:
        return divisor
    step = 1  # all larger floats are multiples of powers of two: those of ten say more
    while divisor % (10 * step) == 0:
        step *= 10
    return step


def _divisor(numbers: Sequence[float]) -> int:
    """Greatest common divisor of different whole numbers; 1 where it may be chance."""
    divisor = 0
    for number in numbers:
        divisor = math.gcd(divisor, int(number))
        if divisor == 1:
            break
    if not divisor or len(numbers) < DISTINCT_ON_STEP:
        return 1
    return divisor if len(numbers) * math.log10(divisor) >= DIGITS_OF_CHANCE else 1


def find_whole_step(distinct: Distinct) -> int | None:
    """Return the grid of whole numbers: their common divisor; None if too many steps."""
    step = _common_step(distinct)
    return step if _span(distinct.values) <= MOST_STEPS * step else None


def find_decimal_step(distinct: Distinct) -> float | None:
    """Return the coarsest grid of decimals that holds all numbers, if there is one.

    Narrow floats, float32 and float16, may lie on a grid that is not much coarser than they are,
    where they are too many for this to be chance.
    """
    values, precision = distinct.values.astype(np.float64), precision_of(distinct.values)
    span, coarsest = values[-1] / 2 - values[0] / 2, precision.max()
    if not 0 < span < 1e15:
        return None
    is_narrow = distinct.values.dtype.itemsize < values.dtype.itemsize
    enough = is_narrow and len(values) * math.log10(CLOSEST) >= DIGITS_OF_CHANCE
    closest = CLOSEST if enough else COARSER
    sketch = slice(None, None, len(values) // SKETCHED + 1)
    places = range(max(1, -math.floor(math.log10(span)) - 1), FINEST + 1)
    least = max(closest * coarsest, 2 * span / MOST_STEPS)
    possible = [decimals for decimals in places if 10.0**-decimals >= least]
    # What is on no finer grid is on no coarser one.
    wide = OFF_GRID * precision[sketch]
    if not possible or not are_on_grid(values[sketch], wide, possible[-1]).all():
        return None
    for decimals in possible:
        step = 10.0**-decimals
        tolerance, parts = off_grid(step, precision), (sketch, slice(None))
        if all(are_on_grid(values[part], tolerance[part], decimals).all() for part in parts):
            return float(_divisor(steps_in(values, step).tolist()) * decimal_ratio(step))
    return None


def find_step(distinct: Distinct) -> Number | None:
    """Return the grid of whole numbers, of decimals, or of dates and durations, if any."""
    if distinct.family.is_temporal:
        return find_clock_step(distinct)
    return find_whole_step(distinct) if are_whole(distinct) else find_decimal_step(distinct)


def find_clock_step(distinct: Distinct) -> Number | None:
    """Return the largest unit of the clock that divides all, or a common multiple of it.

    None if they span too many of it.
    """
    ticks, tick = distinct.values, distinct.tick
    divides = (not tick % unit or not (ticks % (unit // tick)).any() for unit in CLOCK)
    unit = next(unit for unit, whole in zip(CLOCK, divides, strict=True) if whole)
    unit *= _divisor([int(value) * tick // unit for value in ticks.tolist()])
    return seconds_of(unit) if _span(ticks) * tick <= MOST_STEPS * unit else None


def find_atoms(distinct: Distinct, level: NDArray[np.int64] | None = None) -> tuple[Number, ...]:
    """Return values that are repeated far more often than their neighbours."""
    return distinct.numbers(are_atoms(distinct, level))


def are_atoms(distinct: Distinct, level: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
    """Return which values are repeated far more often than their neighbours.

    Fewer rows are enough for the first and the last, where numbers were censored. With rounding
    levels, neighbours are those of the same ``level``, ``(n_distinct,)``.
    """
    enough = np.full(len(distinct.counts), max(ATOM_ROWS, ATOM_SHARE * distinct.n_rows))
    enough[[0, -1]] = ATOM_ROWS
    frequent = distinct.counts >= enough
    is_atom = np.zeros(len(frequent), dtype=bool)
    if not frequent.any():
        return is_atom
    level = np.zeros(len(frequent), dtype=np.int64) if level is None else level
    for own in np.unique(level[frequent]):
        places = np.flatnonzero(level == own)
        counts = distinct.counts[places]
        # Medians are at least minima, which are found sooner.
        least = minimum_filter1d(counts, 2 * NEIGHBOURS + 1, mode="nearest")
        may_be = frequent[places] & ((counts >= ATOM_RATIO * least) | (len(counts) == 1))
        chosen = np.flatnonzero(may_be)
        around = median_beside(counts, chosen)
        is_atom[places[chosen]] = ~(counts[chosen] < ATOM_RATIO * around)  # NaN: no neighbour
    return is_atom


def median_beside(counts: NDArray[np.int64], places: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the median of the neighbours' counts of some places, at most 10 on each side.

    NaN where there are none.
    """
    offsets = np.arange(-NEIGHBOURS, NEIGHBOURS + 1)
    beside = places[:, None] + offsets[offsets != 0]
    inside = (beside >= 0) & (beside < len(counts))
    around = np.where(inside, counts[beside.clip(0, len(counts) - 1)], np.inf)
    around.sort(axis=1)
    n_around, rows = np.count_nonzero(inside, axis=1), np.arange(len(places))
    middle = (around[rows, (n_around - 1) // 2] + around[rows, n_around // 2]) / 2
    return np.where(n_around > 0, middle, np.nan)


def find_support(distinct: Distinct) -> tuple[Number | None, Number | None]:
    """Return 0 as the end of numbers, or durations, that are all of one sign."""
    values = distinct.values
    if not distinct.family.ends_at_zero:
        return None, None
    return (0 if values[0] >= 0 else None), (0 if values[-1] <= 0 else None)
