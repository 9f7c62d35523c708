r"""Rounding levels of a column, from the counts of its numbers.

A step is a level where its multiples have more rows than chance would give them. As numbers may
recur for any reason, chance is not a smooth density. It deals each distinct number, with all of
its rows, to a multiple or not, as often as there are multiples among the points of the grid; or
it deals the number of most rows around each multiple to any of the points there. For :math:`n`
such trials with probability :math:`q`, weights :math:`w_i` of 1 at most and a weight :math:`n s`
of successes or more, it has a probability of at most [Hoeffding1963]_

.. math:: e^{-n \operatorname{KL}(s, m)}, \qquad m = \frac{q}{n} \sum_i w_i, \qquad
          \operatorname{KL}(s, m) = s \log \frac{s}{m} + (1 - s) \log \frac{1 - s}{1 - m} .

What has the most rows weighs alike, so that a few numbers are no evidence: levels are for many,
atoms for few. And a level has to be worth its label: nats per row, by the density of its multiples
instead of that of all points.

References
----------
.. [Hoeffding1963] W. Hoeffding, "Probability Inequalities for Sums of Bounded Random Variables",
   Journal of the American Statistical Association 58, 1963, theorem 1.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from skflow.table.distinct import Distinct
from skflow.table.rounding.levels import FARTHEST
from skflow.table.scaling import decimal_ratio, steps_in
from skflow.table.units import Number

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

EVIDENCE = 14.0  # nats
GAIN = 0.02  # nats per row
MOST_LEVELS = 4  # beside the finest
ALIKE = (10, 100, 1000)  # numbers of the most rows that weigh alike


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
    width, farthest = decimal_ratio(step), int(np.abs(numbers).max())
    ratios = {coarser / width for coarser in distinct.family.round_steps(width, width * farthest)}
    ladder = sorted(int(r) for r in ratios if r.denominator == 1 and 1 < r <= farthest)
    # Numbers of the most rows may be atoms.
    most = np.partition(distinct.counts, -ALIKE[0])[-ALIKE[0]]
    counts = np.minimum(distinct.counts, most).astype(np.float64)
    chain = find_chain(numbers, counts, ladder)
    return tuple(distinct.family.as_step(width * ratio) for ratio in chain[1:])


def levels_of(distinct: Distinct, step: Number, rounding: Sequence[Number]) -> IntArray:
    """Return the rounding level of each distinct value."""
    level = np.zeros(len(distinct.values), dtype=np.int64)
    counts = count_steps(distinct, step) if rounding else None
    if counts is not None:
        for coarser, multiple in enumerate(rounding, 1):
            level[counts % int(decimal_ratio(multiple) / decimal_ratio(step)) == 0] = coarser
    return level


def count_steps(distinct: Distinct, step: Number) -> IntArray | None:
    """Return the distinct values in steps of their grid; None where they are too many."""
    values = distinct.values
    if values.dtype.kind == "f":
        counts = steps_in(values.astype(np.float64), float(step))
    else:
        tick = Fraction(distinct.tick, distinct.family.base_units)
        counts = values // int(decimal_ratio(step) / tick)
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
    while len(chain) <= MOST_LEVELS:
        gains = {
            step: _gain(sorted([*chain, step]), numbers, counts) - gained
            for step in ladder
            if is_evident(step, chain, numbers, counts)
        }
        best = max(gains, key=lambda step: gains[step], default=None)
        if best is None or gains[best] < GAIN:
            break
        chain, gained = sorted([*chain, best]), gained + gains[best]
    return chain


def is_evident(step: int, chain: Sequence[int], numbers: IntArray, counts: FloatArray) -> bool:
    """Whether multiples of a step are more than chance gives among numbers of their level."""
    finer = max(other for other in chain if other <= step)
    coarser = min((other for other in chain if other > step), default=0)
    if finer == step or step % finer or coarser % step:
        return False
    own = numbers % finer == 0
    own &= (numbers % coarser != 0) if coarser else True
    if not own.any():
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
