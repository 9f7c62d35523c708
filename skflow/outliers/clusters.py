r"""Density of points at several bandwidths: k-means clusters with Gaussian noise added.

K-means divides rows into K clusters. Numbers x of a cluster are Gaussian with the covariance of
its rows, shrunk to that of all clusters together where its rows are few; levels l of each column c
have the shares of its rows, independent of the numbers:

.. math::

    p_h(x, l) = \sum_k w_k \, N(x; m_k, \Sigma_k + h^2 I)
        \prod_c \bigl((1 - h^4) f_{kc}(l_c) + h^4 f_c(l_c)\bigr), \qquad
    \Sigma_k = \frac{N_k S_k + \nu S}{N_k + \nu}.

Clusters of few rows are left out: a handful of similar outliers would make each other probable.

It is the density of rows after noise of standard deviation h, the bandwidth, is added to their
numbers, and a share h^4 of their levels is replaced by levels of random rows. With a large h only
rows far from all others are improbable, with a small h also those off a thin sheet of rows.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from skflow.rows import weighted_mean, weighted_sum

FloatArray = NDArray[np.float64]

PRIOR_ROWS = 0.1  # rows of prior per parameter of a covariance's column
FEWEST_MEMBERS = 10  # rows of a cluster
K_MEANS_STEPS = 20
REPLACED = 4  # power of the bandwidth that is the share of levels replaced
BLOCK_ENTRIES = 2_000_000
LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class SmoothedClusters:
    """Gaussians around the centres of k-means; see the module's text for the formula.

    Attributes
    ----------
    bandwidths : ndarray of shape (n_bandwidths,)
        Standard deviations of the noise, at most 1.
    weights : ndarray of shape (n_clusters,)
    centres : ndarray of shape (n_clusters, n_numbers)
    variances : ndarray of shape (n_clusters, n_numbers)
        Eigenvalues of each covariance.
    bases : ndarray of shape (n_clusters, n_numbers, n_numbers)
        Its eigenvectors, each a column.
    shares : ndarray of shape (1 + n_clusters, n_indicators)
        Shares of levels: among all rows and half a row of each level, then in each cluster.
    """

    bandwidths: FloatArray
    weights: FloatArray
    centres: FloatArray
    variances: FloatArray
    bases: FloatArray
    shares: FloatArray

    @classmethod
    def fit(
        cls,
        points: FloatArray,
        n_levels: NDArray[np.int64],
        n_clusters: int,
        seed: int,
        bandwidths: Sequence[float],
        weight: FloatArray | None = None,
    ) -> Self:
        """Fit clusters to points.

        Parameters
        ----------
        points : ndarray of shape (n_rows, n_numbers + n_indicators)
            Numbers, then indicators of levels.
        n_levels : ndarray of shape (n_indicators,)
            Number of levels of each indicator's column.
        n_clusters : int
        seed : int
        bandwidths : sequence of float
            None above 1.
        weight : ndarray of shape (n_rows,), optional
            Weights of the rows in all means, shares and numbers of rows; None: equal weights.
        """
        n_numbers = points.shape[1] - len(n_levels)
        members = _k_means(points, n_clusters, seed, weight)
        sizes = n_rows = np.bincount(members, weight).astype(np.float64)
        if weight is not None:  # a row is no cluster, however much it weighs
            n_rows = sizes**2 / np.bincount(members, weight**2)
        kept = np.flatnonzero(n_rows >= min(FEWEST_MEMBERS, n_rows.max()))
        numbers, has_level = points[:, :n_numbers], points[:, n_numbers:] > 0
        groups = [np.flatnonzero(members == k) for k in range(len(sizes))]

        def mean(values: NDArray[Any], rows: NDArray[np.intp]) -> FloatArray:
            own = None if weight is None else weight[rows]
            averages: FloatArray = weighted_mean(values[rows].T, own)
            return averages

        centres = np.stack([mean(numbers, rows) for rows in groups])
        residuals = numbers - centres[members]
        scaled = residuals if weight is None else residuals * weight[:, None]
        mass = sizes.sum()
        pooled = scaled.T @ residuals / mass
        prior_rows = PRIOR_ROWS * (n_numbers + 2)
        # In the eigenbasis of a covariance, noise only adds to its eigenvalues.
        variances = np.empty((len(kept), n_numbers))
        bases = np.empty((len(kept), n_numbers, n_numbers))
        for k, cluster in enumerate(kept):
            own = residuals[groups[cluster]]
            scatter = (own if weight is None else scaled[groups[cluster]]).T @ own
            covariance = (scatter + prior_rows * pooled) / (sizes[cluster] + prior_rows)
            variances[k], bases[k] = np.linalg.eigh(covariance)
        all_shares = (weighted_sum(has_level.T, weight) + 0.5) / (mass + 0.5 * n_levels)
        cluster_shares = [mean(has_level, groups[k]).clip(max=1.0) for k in kept]
        return cls(
            np.array(bandwidths),
            sizes[kept] / mass,
            centres[kept],
            variances.clip(0),
            bases,
            np.stack([all_shares, *cluster_shares]),
        )

    def log_density(self, points: FloatArray) -> FloatArray:
        """Log-density of points at each bandwidth, ``(n_rows, n_bandwidths)``, in nats."""
        size = max(1, BLOCK_ENTRIES // (len(self.weights) * len(self.bandwidths) + points.shape[1]))
        blocks = [
            self._block_log_density(points[i : i + size]) for i in range(0, len(points), size)
        ]
        return np.concatenate(blocks)

    def _block_log_density(self, points: FloatArray) -> FloatArray:
        n_numbers = self.centres.shape[1]
        numbers, has_level = points[:, :n_numbers], points[:, n_numbers:] > 0
        joint = self._log_shares(has_level.astype(np.float64))
        parts = zip(self.weights, self.centres, self.variances, self.bases, strict=True)
        for k, (weight, centre, variances, basis) in enumerate(parts):
            smoothed = variances[:, None] + self.bandwidths**2
            distances = ((numbers - centre) @ basis) ** 2 @ (1 / smoothed)
            log_det = np.log(smoothed).sum(axis=0)
            joint[:, k] += np.log(weight) - (distances + log_det + n_numbers * LOG_2PI) / 2
        return logsumexp(joint, axis=1)

    def _log_shares(self, has_level: FloatArray) -> FloatArray:
        """Log-probability of each row's levels, ``(n_rows, n_clusters, n_bandwidths)``."""
        own, overall = self.shares[1:, :, None], self.shares[0, :, None]
        replaced = self.bandwidths**REPLACED
        log_shares = np.log((1 - replaced) * own + replaced * overall)
        log_probs: FloatArray = np.tensordot(has_level, log_shares, axes=(1, 1))
        return log_probs


def _k_means(
    points: FloatArray, n_clusters: int, seed: int, weight: FloatArray | None
) -> NDArray[np.int64]:
    """Cluster of each point, numbered among the clusters that are not empty."""
    k_means = KMeans(n_clusters, n_init=1, max_iter=K_MEANS_STEPS, random_state=seed)
    with warnings.catch_warnings():
        # Fewer distinct points than clusters: some of these are empty.
        warnings.simplefilter("ignore", ConvergenceWarning)
        members = k_means.fit_predict(points, sample_weight=weight)
    return np.unique(members, return_inverse=True)[1]
