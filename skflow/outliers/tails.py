r"""Tail probabilities of scores, and their harmonic mean.

The tail probability of a score is the share of calibration rows that score no higher. Below the
lowest tenth of them, at :math:`e`, an exponential takes over, whose mean is their mean depth
below it,

.. math:: \log P(S \le s) = \log P(S \le e) - (e - s) / \mathrm{mean}(e - S \mid S < e),

so that rows below all calibration rows still have an order. Scores are in nats; where the lowest
are all equal there is no depth to estimate, and a small one is used.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

FloatArray = NDArray[np.float64]

EDGE = 0.1  # share of calibration rows below it
FEWEST = 10  # rows that a quantile is counted by; with fewer it is that of the exponential
FEWEST_BELOW = 2  # rows, so that each has others to compare to
SHALLOWEST = 0.1  # mean depth, in nats


class Tail:
    """Lower tail of a score among calibration rows; see the module's text for the formula.

    Parameters
    ----------
    scores : ndarray of shape (n_calibration,)
        Scores of rows that the score was not fitted to, at least two.
    """

    def __init__(self, scores: FloatArray) -> None:
        self.scores = np.sort(scores)
        self.n_below = min(max(FEWEST_BELOW, round(EDGE * len(scores))), len(scores) - 1)
        self.edge = float(self.scores[self.n_below])
        self.depth = float(self.edge * self.n_below - self.scores[: self.n_below].sum())

    def log_prob(self, scores: FloatArray) -> FloatArray:
        """Log tail probability of the scores of fresh rows."""
        n_rows = len(self.scores)
        no_higher = np.searchsorted(self.scores, scores, side="right")
        far = self._far(scores, (self.n_below + 1) / (n_rows + 1), self.depth / self.n_below)
        return np.where(scores < self.edge, far, np.log((no_higher + 1) / (n_rows + 1)))

    def leave_one_out_log_prob(self, scores: FloatArray) -> FloatArray:
        """Log tail probability of the calibration rows' own scores, each among the others alone."""
        n_rows, n_others = len(self.scores), max(1, self.n_below - 1)
        no_higher = np.searchsorted(self.scores, scores, side="right")
        others = (self.depth - (self.edge - scores).clip(0)) / n_others
        far = self._far(scores, self.n_below / n_rows, others)
        return np.where(scores < self.edge, far, np.log(no_higher / n_rows))

    def quantile(self, share: float) -> float:
        """Score that this share of fresh rows does not exceed."""
        rank = int(share * (len(self.scores) + 1))
        if rank >= FEWEST or rank > self.n_below:
            return float(self.scores[rank - 1])
        excess = math.log((self.n_below + 1) / (len(self.scores) + 1)) - math.log(share)
        return self.edge - excess * max(self.depth / self.n_below, SHALLOWEST)

    def _far(self, scores: FloatArray, share: float, depth: float | FloatArray) -> FloatArray:
        return np.log(share) - (self.edge - scores) / np.maximum(depth, SHALLOWEST)


def log_harmonic_mean(log_probs: FloatArray, weights: FloatArray) -> FloatArray:
    r"""Log of the weighted harmonic mean of probabilities, over the last axis.

    .. math:: p = 1 \Big/ \sum_v \frac{w_v}{p_v}

    The least probability dominates, and the others raise it little: under any dependence the
    mean is nearly a valid p-value itself (D. J. Wilson, "The harmonic mean p-value for
    combining dependent tests", PNAS 2019, equation 1).
    """
    return -logsumexp(-log_probs, b=weights, axis=-1)
