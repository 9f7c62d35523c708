r"""Conformal calibration of intervals on held-out values of the distribution function.

For rows that nothing was fitted to, :math:`U_i = F(y_i \mid x_i)` and
:math:`V_i = F(y_i^- \mid x_i)`, the probabilities of at most :math:`y_i` and of less, are uniform
if the fit is right and y is continuous. Whatever they are, with :math:`U_{(k)}` the k-th smallest
of m of them, a fresh row has

.. math:: P(U_{(k)} \le F(y \mid x), \; F(y^- \mid x) \le V_{(m + 1 - k)}) \ge 1 - \alpha, \qquad
          k = \lfloor (m + 1) \alpha / 2 \rfloor,

if it is exchangeable with these rows. So the quantiles of y at these two levels cover: the lower
one is at most y where :math:`F(y) \ge U_{(k)}`, and the upper one at least y where :math:`F(y^-)`
is below its level. Both ends may be y where it is a level, or on a grid.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

FloatArray = NDArray[np.float64]

MANY_ROWS = 2_000
HELD_OUT = 0.1  # share of the rows, by each cross-fit
MOST_HELD_OUT = 2_000
ENOUGH_ROWS = 33  # by each cross-fit: where rows are few, all calibrate
N_PARTS = 9  # where rows are few; there are as many cross-fits
OFFSETS = (0, 1, 3)  # from a part to the cross-fits without it: all differences modulo 9 differ
LEAST_SHARE = 0.01  # of a group of fits: with less it takes time and changes nothing
SLACK = 1e-9  # of levels: the rows that they are of are inside
FEWEST_ROWS = 20  # below, intervals are not calibrated


@dataclass(frozen=True)
class Calibration:
    """Values of the distribution function in rows that nothing was fitted to.

    Attributes
    ----------
    pit : ndarray of shape (n_rows, 2 * n_outputs)
        U and V of each output, each sorted; no rows where there are too few to calibrate.
    weight : ndarray of shape (n_rows, 2 * n_outputs)
        Weights of these rows, in the same order.
    """

    pit: FloatArray
    weight: FloatArray

    @classmethod
    def of(cls, pit: FloatArray, weight: FloatArray | None, n_averaged: int) -> "Calibration":
        r"""Calibrate the average of N fits by rows that M of them hold out.

        The average of more fits is less sure of itself, so fewer rows lie in its tails. Each
        quantile of the values is moved from :math:`q_M`, that of the average of M fits, to

        .. math:: q_M + \frac{1 / M - 1 / N}{1 - 1 / M} (q_M - q_1) ,

        where :math:`q_1` is that of single fits: what is linear in 1 / M is extrapolated.

        Parameters
        ----------
        pit : ndarray of shape (n_fits, n_rows, 2 * n_outputs)
            U and V of each output, by each of the M fits that hold out a row.
        weight : ndarray of shape (n_rows,) or None
            Weights of the rows.
        n_averaged : int
            N, the number of fits in the average.
        """
        n_fits = len(pit)
        averaged, of_rows = pit.mean(axis=0), np.ones(pit.shape[1]) if weight is None else weight
        order = np.argsort(averaged, axis=0, kind="stable")
        averaged, weights = np.take_along_axis(averaged, order, axis=0), of_rows[order]
        if n_fits > 1 and n_averaged > n_fits:
            for k, own in enumerate(averaged.T):
                single = pit[:, :, k].ravel()
                of_single, repeated = np.argsort(single), np.tile(of_rows, n_fits)
                ranks = _middle_ranks(repeated[of_single])
                less_sure = np.interp(_middle_ranks(weights[:, k]), ranks, single[of_single])
                moved = own + extrapolation(n_fits, n_averaged) * (own - less_sure)
                averaged[:, k] = np.maximum.accumulate(moved).clip(0, 1)
        return cls(averaged, weights)

    @property
    def n_rows(self) -> int:
        """Number of calibration rows."""
        return len(self.pit)

    def levels(self, coverage: float) -> FloatArray | None:
        """Levels of the two quantiles, ``(2, n_outputs)``; None with too few rows for them."""
        ends = np.empty((2, self.pit.shape[1] // 2))
        for k in range(ends.shape[1]):
            for side, order in enumerate((slice(None), slice(None, None, -1))):
                pit, weight = self.pit[order, 2 * k + side], self.weight[order, 2 * k + side]
                effective = weight.sum() ** 2 / (weight**2).sum() if len(weight) else 0.0
                ranks = effective * weight.cumsum() / weight.sum() if len(weight) else weight
                n_reached = np.count_nonzero(
                    ranks <= (1 + effective) * (1 - coverage) / 2 * (1 + 1e-12)
                )
                if not n_reached:
                    return None
                ends[side, k] = pit[n_reached - 1]
        return ends + np.array([[-SLACK], [SLACK]])


def extrapolation(n_fits: int, n_averaged: int) -> float:
    """Steps from one fit to the average of M that lead from there to that of N, in 1 / M."""
    return (1 / n_fits - 1 / n_averaged) / (1 - 1 / n_fits)


def _middle_ranks(weight: FloatArray) -> FloatArray:
    """Share of the weight below the middle of each entry."""
    return (weight.cumsum() - weight / 2) / weight.sum()


class Plan(NamedTuple):
    """Calibration rows, and the cross-fits that hold them out.

    Attributes
    ----------
    parts : list of ndarray of int64
        Calibration rows, in parts.
    holders : list of tuple of int
        Cross-fits that hold out each part, by their numbers from 0 on.
    """

    parts: list[NDArray[np.int64]]
    holders: list[tuple[int, ...]]

    @classmethod
    def of(cls, n_rows: int, generator: np.random.Generator) -> "Plan":
        """Plan one part of many rows, nine of few rows, none of very few, which do not calibrate.

        Where rows are few, cross-fits without the same part share no other part. So they differ
        as all cross-fits do, by their seeds and by their rows: the average of all can be
        extrapolated from them.
        """
        if n_rows < FEWEST_ROWS:
            return cls([], [])
        held_out, order = min(HELD_OUT * n_rows, MOST_HELD_OUT), generator.permutation(n_rows)
        if n_rows >= MANY_ROWS:
            return cls([np.sort(order[: round(held_out)])], [tuple(range(len(OFFSETS)))])
        size = round(max(held_out, min(n_rows / 3, ENOUGH_ROWS)))
        parts = np.array_split(order[: 3 * size], N_PARTS)
        holders = [tuple((k + step) % N_PARTS for step in OFFSETS) for k in range(N_PARTS)]
        return cls([np.sort(part) for part in parts], holders)

    def held_out(self) -> list[NDArray[np.int64]]:
        """Return the rows that each cross-fit holds out."""
        pairs = [(fit, k) for k, fits in enumerate(self.holders) for fit in fits]
        return [
            np.concatenate([self.parts[k] for own, k in pairs if own == fit])
            for fit in sorted({fit for fit, _ in pairs})
        ]


def share_of_second(log_densities: FloatArray, weight: FloatArray | None) -> float:
    """Share of the second of two groups of fits in the average under which rows are likeliest.

    Parameters
    ----------
    log_densities : ndarray of shape (2, n_fits, n_rows)
        In rows that the fits hold out. A group is the average of its fits.
    weight : ndarray of shape (n_rows,) or None
        Weights of the rows.

    Returns
    -------
    share : float
        In [0, 1); 0 where it would change next to nothing.
    """
    by_group = logsumexp(log_densities, axis=1)

    def loss(share: float) -> float:
        averaged = logsumexp(by_group, axis=0, b=[[1 - share], [share]])
        return -float(np.average(averaged, weights=weight))

    share = float(minimize_scalar(loss, bounds=(0, 1), method="bounded").x)
    return share if share >= LEAST_SHARE else 0.0
