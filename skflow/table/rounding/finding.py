r"""Rounding levels of a column, from the counts of its numbers.

A step is a level where its multiples have more rows than chance would give them. As numbers may
recur for any reason, chance is not a smooth density. It deals each distinct number, with all of
its rows, to a multiple or not, as often as there are multiples among the points of the grid; or
it deals the number of most rows around each multiple to any of the points there. For :math:`n`
such trials with probability :math:`q`, weights :math:`w_i` of 1 at most and a weight :math:`n s`
of successes or more, it has a probability of at most [Hoeffding1963]_

.. math:: e^{-n \operatorname{KL}(s, m)}, \qquad m = \frac{q}{n} \sum_i w_i, \qquad
          \operatorname{KL}(s, m) = s \log \frac{s}{m} + (1 - s) \log \frac{1 - s}{1 - m} .

The numbers of the most rows have equal weights, so that a few numbers are no evidence: levels are
for many, atoms for few. And a level has to be worth its label: nats per row, by the density of its
multiples instead of that of all points.

References
----------
.. [Hoeffding1963] W. Hoeffding, "Probability Inequalities for Sums of Bounded Random Variables",
   Journal of the American Statistical Association 58, 1963, theorem 1.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from skflow.table.distinct import Distinct
from skflow.table.families.family import Family
from skflow.table.rounding.levels import FARTHEST, RoundingLevels
from skflow.table.scaling import decimal_ratio, steps_in
from skflow.table.units import Number

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

EVIDENCE = 14.0  # nats
GAIN = 0.02  # nats per row
MOST_LEVELS = 4  # beside the finest
ALIKE = (10, 100, 1000)  # numbers of the most rows that weigh alike
FEWEST = 5  # numbers of a level: one frequent number is an atom, whatever it is a multiple of


def find_rounding(distinct: Distinct, step: Number | None) -> tuple[Number, ...]:
    """Return the steps of rounding levels, ascending, each of which divides the next.

    There are none where the distinct values are too many for those of parts to be all kept, so
    that parts and the whole agree.
    """
    if step is None or len(distinct.values) <= ALIKE[0] or not distinct.would_be_kept:
        return ()
    numbers = count_steps(distinct, step)
    if numbers is None:
        return ()
    width = decimal_ratio(step)
    ladder = ladder_of(distinct.family, width, int(np.abs(numbers).max()))
    # Numbers of the most rows may be atoms.
    most = np.partition(distinct.counts, -ALIKE[0])[-ALIKE[0]]
    counts = np.minimum(distinct.counts, most).astype(np.float64)
    chain = find_chain(numbers, counts, ladder)
    return tuple(distinct.family.as_step(width * ratio) for ratio in chain[1:])


@lru_cache(maxsize=256)  # fractions are slow, and columns of a wide table are much alike
def ladder_of(family: Family, width: Fraction, farthest: int) -> tuple[int, ...]:
    """Return the round multiples of a step, ascending, up to the one of the farthest number."""
    ratios = {coarser / width for coarser in family.round_steps(width, width * farthest)}
    return tuple(sorted(int(r) for r in ratios if r.denominator == 1 and 1 < r <= farthest))


class Places(NamedTuple):
    """Places of distinct values, ``(n_distinct,)``: rounding level, and cell among those of it."""

    level: IntArray
    cell: IntArray

    def counts_beside(
        self, offsets: IntArray, counts: IntArray, is_atom: NDArray[np.bool_]
    ) -> FloatArray:
        """Return counts of the points so many cells above each value, on the same level.

        They are 0 between values of the level, and NaN beyond them and where they are those of
        atoms: ``(n_offsets, n_distinct)``.
        """
        n_levels = int(self.level.max()) + 1
        keys = self.cell * n_levels + self.level
        order = np.argsort(keys, kind="stable")
        wanted = keys + offsets[:, None] * n_levels
        found = order[np.searchsorted(keys, wanted, sorter=order).clip(max=len(keys) - 1)]
        occurs = keys[found] == wanted
        low, high = np.zeros((2, len(keys)), dtype=np.int64)
        for level in np.unique(self.level):
            own = self.level == level
            low[own], high[own] = self.cell[own].min(), self.cell[own].max()
        target = self.cell + offsets[:, None]
        is_known = (low <= target) & (target <= high) & ~(occurs & is_atom[found])
        return np.where(is_known, np.where(occurs, counts[found], 0.0), np.nan)


def find_places(distinct: Distinct, step: Number, rounding: Sequence[Number]) -> Places | None:
    """Return the places of the values among the points of their rounding levels.

    None where values or steps are too many.
    """
    counts = None
    if distinct.would_be_kept:
        counts = count_steps(distinct, step, from_lowest=not rounding)
    if counts is None:
        return None
    if not rounding:
        return Places(np.zeros_like(counts), counts)
    ratios = [int(decimal_ratio(multiple) / decimal_ratio(step)) for multiple in rounding]
    levels, numbers = RoundingLevels([1, *ratios]), counts.astype(np.float64)
    level = levels.level_of(numbers)
    cell = levels.index(levels.position(numbers, level), level)
    return Places(level, cell.astype(np.int64))


def count_steps(distinct: Distinct, step: Number, *, from_lowest: bool = False) -> IntArray | None:
    """Return the distinct values in steps of their grid; None where they are too many."""
    values = distinct.values
    if values.dtype.kind == "f":
        counts = steps_in(values.astype(np.float64), float(step))
    else:
        tick = Fraction(distinct.tick, distinct.family.base_units)
        counts = values // int(decimal_ratio(step) / tick)
    if from_lowest:
        counts = counts - counts[0]
    farthest = np.abs(counts.astype(np.float64)).max(initial=0.0)
    return counts.astype(np.int64) if farthest < FARTHEST else None


def find_chain(numbers: IntArray, counts: FloatArray, ladder: Sequence[int]) -> list[int]:
    """Return steps of levels, from 1 on: of those on the ladder the ones that gain most.

    Parameters
    ----------
    numbers : ndarray of int64, shape (n_distinct,)
    counts : ndarray of float64, shape (n_distinct,)
    ladder : sequence of int
    """
    chain, gained = [1], 0.0
    if not may_gain(numbers, counts, ladder):
        return chain
    while len(chain) <= MOST_LEVELS:
        gains = {step: _gain(sorted([*chain, step]), numbers, counts) - gained for step in ladder}
        likely = sorted(gains, key=gains.__getitem__, reverse=True)
        enough = (step for step in likely if gains[step] >= GAIN)
        best = next((step for step in enough if is_evident(step, chain, numbers, counts)), None)
        if best is None:
            break
        chain, gained = sorted([*chain, best]), gained + gains[best]
    return chain


def may_gain(numbers: IntArray, counts: FloatArray, ladder: Sequence[int]) -> bool:
    """Whether some step gains enough as the only level: the first one has to."""
    steps = np.array(ladder, dtype=np.int64)[:, None]
    share = (numbers % steps == 0) @ counts / counts.sum()
    by_chance = 1 / steps[:, 0]
    gains = xlogy(share, share / by_chance) + xlogy(1 - share, (1 - share) / (1 - by_chance))
    return bool((gains > GAIN - 1e-9).any())


def is_evident(step: int, chain: Sequence[int], numbers: IntArray, counts: FloatArray) -> bool:
    """Whether multiples of a step are more than chance gives among numbers of their level."""
    finer = max(other for other in chain if other <= step)
    coarser = min((other for other in chain if other > step), default=0)
    if finer == step or step % finer or coarser % step:
        return False
    own = numbers % finer == 0
    own &= (numbers % coarser != 0) if coarser else True
    if np.count_nonzero(own & (numbers % step == 0)) < FEWEST:
        return False
    of_coarser = 1 / coarser if coarser else 0.0
    share = (1 / step - of_coarser) / (1 / finer - of_coarser)
    numbers, counts = numbers[own], counts[own]
    if _evidence(counts, numbers % step == 0, share) > EVIDENCE:
        return True
    around = (numbers + step // 2) // step  # the multiple that each number is nearest to
    starts = np.flatnonzero(np.diff(around, prepend=around[0] - 1))
    most = np.maximum.reduceat(counts, starts)
    n_most = np.add.reduceat(counts == np.repeat(most, np.diff([*starts, len(counts)])), starts)
    of_multiple = np.add.reduceat(np.where(numbers % step == 0, counts, 0.0), starts)
    counted = around[starts] * step % coarser != 0 if coarser else np.full(len(starts), True)
    is_most = (of_multiple == most) & (n_most == 1)
    return _evidence(most[counted], is_most[counted], finer / step) > EVIDENCE


def _evidence(counts: FloatArray, is_success: NDArray[np.bool_], probability: float) -> float:
    """Largest exponent of the bound, over the ways to weigh alike what has the most rows."""
    n_trials, most = len(counts), -np.sort(-counts)
    best = 0.0
    for n_alike in ALIKE:
        if n_trials:
            weight = np.minimum(counts / most[min(n_alike, n_trials) - 1], 1.0)
            share, mean = weight[is_success].sum() / n_trials, probability * weight.mean()
            if share > mean:
                rest = xlogy(1 - share, (1 - share) / (1 - mean))
                best = max(best, n_trials * (share * math.log(share / mean) + rest))
    return float(best)


def _gain(chain: Sequence[int], numbers: IntArray, counts: FloatArray) -> float:
    """Nats per row that levels gain over one density of all points of the grid."""
    level = np.zeros(len(numbers), dtype=np.int64)
    for coarser, step in enumerate(chain):
        level[numbers % step == 0] = coarser
    shares = np.bincount(level, weights=counts, minlength=len(chain)) / counts.sum()
    per_point = np.array([1 / step for step in chain])
    density = per_point - np.append(per_point[1:], 0.0)
    some = shares > 0
    return float((shares[some] * np.log(shares[some] / density[some])).sum())
