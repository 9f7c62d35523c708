r"""From scores of unlike units to probabilities, and from several of these to one.

The tail probability of a score is the share of normal rows that score no higher. Beyond
the lowest tenth of them, at :math:`e`, an exponential takes over whose mean is that of
their depth below it,

.. math:: \log P(S \le s) = \log P(S \le e) - (e - s) / \mathrm{mean}(e - S \mid S < e),

so that of two rows stranger than all normal ones the stranger is still told. Scores are in
nats; where the lowest are all alike they say nothing of a depth, and a small one stands in.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

FloatArray = NDArray[np.float64]

EDGE = 0.1  # share of normal rows below it
FEWEST = 10  # rows that a quantile is counted by; of fewer the exponential is read
FEWEST_BELOW = 2  # rows, for each to be judged by the depth of others
SHALLOWEST = 0.1  # mean depth, in nats


class Tail:
    """Lower tail of a score among normal rows; see the module's text for the formula.

    Parameters
    ----------
    scores : ndarray of shape (n_normal,)
        Of normal rows that the score was not fitted to, two at least.
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
        """The same of the normal rows themselves, each judged by the others alone."""
        n_rows, n_others = len(self.scores), max(1, self.n_below - 1)
        no_higher = np.searchsorted(self.scores, scores, side="right")
        others = (self.depth - (self.edge - scores).clip(0)) / n_others
        far = self._far(scores, self.n_below / n_rows, others)
        return np.where(scores < self.edge, far, np.log(no_higher / n_rows))

    def quantile(self, share: float) -> float:
        """Return the score that this share of fresh rows scores no higher than."""
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

    The least probability decides, and barely loses by the others: under dependence of any
    kind it is nearly a valid p-value itself (D. J. Wilson, "The harmonic mean p-value for
    combining dependent tests", PNAS 2019, equation 1).
    """
    return -logsumexp(-log_probs, b=weights, axis=-1)
