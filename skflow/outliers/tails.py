r"""Tail probabilities of scores, and their harmonic mean.

The tail probability of a score is the share of calibration rows that score no higher. Below the
lowest tenth of them, at :math:`e`, an exponential takes over, whose mean is their mean depth
below it,

.. math:: \log P(S \le s) = \log P(S \le e) - (e - s) / \mathrm{mean}(e - S \mid S < e),

so that rows below all calibration rows still have an order. Scores are in nats; where the lowest
are all equal there is no depth to estimate, and a small one is used.

Shares, and means of depths, are weighted where rows have weights. A fresh row then has the mean
weight :math:`\bar w` of the calibration rows, since its own is not known:

.. math:: P(S \le s) = \Bigl(\bar w + \sum_{i: s_i \le s} w_i\Bigr) \Big/
          \Bigl(\bar w + \sum_i w_i\Bigr).
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from skflow.rows import effective_number

FloatArray = NDArray[np.float64]

EDGE = 0.1  # share of calibration rows below it
FEWEST = 10  # rows that a quantile is counted by; with fewer it is that of the exponential
FEWEST_BELOW = 2  # rows, so that each has others to compare to
SHALLOWEST = 0.1  # mean depth, in nats
LEAST_SHARE = 1e-6  # least divisor, as a share of the mean weight


class Tail:
    """Lower tail of a score among calibration rows; see the module's text for the formula.

    Parameters
    ----------
    scores : ndarray of shape (n_calibration,)
        Scores of rows that the score was not fitted to, at least two.
    weight : ndarray of shape (n_calibration,), optional
        Weights of these rows; None gives all the same weight.

    Attributes
    ----------
    scores : ndarray of shape (n_calibration,)
        Ascending.
    weight : ndarray of shape (n_calibration,) or None
        In the order of the scores.
    cumulative : ndarray of shape (n_calibration + 1,)
        Sums of the weights of the lowest 0, 1, 2, ... rows; numbers of rows without weights.
    mean_weight : float
    """

    def __init__(self, scores: FloatArray, weight: FloatArray | None = None) -> None:
        order = np.argsort(scores, kind="stable")
        self.scores, n_rows = scores[order], len(scores)
        self.weight = None if weight is None else weight[order]
        each = np.ones(n_rows) if self.weight is None else self.weight
        self.cumulative = np.concatenate((np.zeros(1), np.cumsum(each)))
        self.mean_weight = float(self.cumulative[-1]) / n_rows
        n_below = self._n_within(round(EDGE * n_rows) * self.mean_weight)
        self.n_below = min(max(FEWEST_BELOW, n_below), n_rows - 1)
        self.edge, self.below = (
            float(self.scores[self.n_below]),
            float(self.cumulative[self.n_below]),
        )
        lowest = (each * self.scores)[: self.n_below]
        self.depth = float(self.edge * self.below - lowest.sum())

    @property
    def effective_number(self) -> float:
        """Number of rows of equal weights that say as much."""
        return float(len(self.scores)) if self.weight is None else effective_number(self.weight)

    def probability(self, scores: FloatArray) -> FloatArray:
        """Share of the calibration rows with a score no higher, the fresh row one of them."""
        return self._share(self.cumulative[np.searchsorted(self.scores, scores, side="right")])

    def log_prob(self, scores: FloatArray) -> FloatArray:
        """Log tail probability of the scores of fresh rows."""
        far = self._far(scores, self._share(self.below), self.depth / self.below)
        return np.where(scores < self.edge, far, np.log(self.probability(scores)))

    def leave_one_out_log_prob(
        self, scores: FloatArray, weight: FloatArray | None = None
    ) -> FloatArray:
        """Log tail probability of the calibration rows' own scores, each among the others alone.

        ``weight`` holds their weights, in the order of ``scores``.
        """
        own = 1.0 if weight is None else weight
        no_higher = self.cumulative[np.searchsorted(self.scores, scores, side="right")]
        least = LEAST_SHARE * self.mean_weight
        others = self.depth - own * (self.edge - scores).clip(0)
        others = others / np.maximum(self.below - own, least)
        below = np.maximum(self.below - own, 0.0)  # not used at the edge or above it
        far = self._far(scores, self._share(below, own), others)
        return np.where(scores < self.edge, far, np.log(self._share(no_higher - own, own)))

    def quantile(self, share: float) -> float:
        """Score that this share of fresh rows does not exceed."""
        rank = self._n_within(share * (self.cumulative[-1] + self.mean_weight))
        if rank >= FEWEST or rank > self.n_below:
            return float(self.scores[rank - 1])
        excess = math.log(self._share(self.below)) - math.log(share)
        return self.edge - excess * max(self.depth / self.below, SHALLOWEST)

    def threshold(self, probability: float) -> float:
        """Score below which the :meth:`probability` is at most this.

        Where that of no score is, the quantile that the tail is expected to have.
        """
        reached = np.count_nonzero(self._share(self.cumulative[:-1]) <= probability)
        return float(self.scores[reached - 1]) if reached else self.quantile(probability)

    def least_score(self, probability: float) -> float:
        """Lowest score with a :meth:`probability` of at least this."""
        needed = probability * (self.cumulative[-1] + self.mean_weight) - self.mean_weight
        rank = min(int(np.searchsorted(self.cumulative, needed)), len(self.scores))
        return float(self.scores[rank - 1]) if rank else -math.inf

    def _n_within(self, mass: float) -> int:
        """Return how many of the lowest rows weigh at most this together."""
        return int(np.searchsorted(self.cumulative[1:], mass, side="right"))

    def _share(self, mass: Any, left_out: Any = 0.0) -> Any:
        """Return the share of some rows and a fresh one; ``left_out`` is not of the whole."""
        return (mass + self.mean_weight) / (self.cumulative[-1] - left_out + self.mean_weight)

    def _far(self, scores: FloatArray, share: Any, depth: float | FloatArray) -> FloatArray:
        return np.log(share) - (self.edge - scores) / np.maximum(depth, SHALLOWEST)


def quantile(scores: FloatArray, share: float, weight: FloatArray | None) -> float:
    """Return the quantile of scores, interpolated if all weights are equal.

    Between two rows it is their middle where rows have weights.
    """
    if weight is None:
        return float(np.quantile(scores, share))
    low, high = (
        np.quantile(sign * scores, at, weights=weight, method="inverted_cdf")
        for sign, at in ((1, share), (-1, 1 - share))
    )
    return float(low - high) / 2


def log_harmonic_mean(log_probs: FloatArray, weights: FloatArray) -> FloatArray:
    r"""Log of the weighted harmonic mean of probabilities, over the last axis.

    .. math:: p = 1 \Big/ \sum_v \frac{w_v}{p_v}

    The least probability dominates, and the others raise it little: under any dependence the
    mean is nearly a valid p-value itself (D. J. Wilson, "The harmonic mean p-value for
    combining dependent tests", PNAS 2019, equation 1).
    """
    return -logsumexp(-log_probs, b=weights, axis=-1)
