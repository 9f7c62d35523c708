r"""Density of points at several scales: clusters, blurred.

Rows are cut into K clusters by k-means, each a Gaussian with the covariance of its rows,
drawn to that of all clusters together where its rows are few:

.. math::

    p_h(x) = \sum_k w_k \, N(x; m_k, \Sigma_k + h^2 I), \qquad
    \Sigma_k = \frac{N_k S_k + \nu S}{N_k + \nu}.

Clusters of few rows are left out, lest a handful of outliers vouch for each other.

It is the density of points to which noise of standard deviation h was added, so large h
sees only what is far from everything, and small h what is off a thin sheet of rows.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

FloatArray = NDArray[np.float64]

PRIOR_ROWS = 0.1  # rows of prior per parameter of a covariance's column
FEWEST_MEMBERS = 10  # rows of a cluster
K_MEANS_STEPS = 20
BLOCK_ENTRIES = 2_000_000
LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class BlurredClusters:
    """Gaussians around the centres of k-means; see the module's text for the formula.

    Attributes
    ----------
    noise : ndarray of shape (n_scales,)
        Variances of the blur.
    weights : ndarray of shape (n_clusters,)
    centres : ndarray of shape (n_clusters, n_axes)
    variances : ndarray of shape (n_clusters, n_axes)
        Eigenvalues of each covariance.
    bases : ndarray of shape (n_clusters, n_axes, n_axes)
        Its eigenvectors, each a column.
    """

    noise: FloatArray
    weights: FloatArray
    centres: FloatArray
    variances: FloatArray
    bases: FloatArray

    @classmethod
    def fit(cls, points: FloatArray, n_clusters: int, seed: int, scales: Sequence[float]) -> Self:
        """Cut points, ``(n_rows, n_axes)``, into clusters; ``scales`` are those of the blur."""
        centres, members = _cut(points, n_clusters, seed)
        n_rows, n_axes = points.shape
        residuals = points - centres[members]
        pooled = residuals.T @ residuals / n_rows
        sizes = np.bincount(members)
        kept = np.flatnonzero(sizes >= min(FEWEST_MEMBERS, sizes.max()))
        prior_rows = PRIOR_ROWS * (n_axes + 2)
        # In the eigenbasis of a covariance, blur only adds to its eigenvalues.
        variances, bases = np.empty((len(kept), n_axes)), np.empty((len(kept), n_axes, n_axes))
        for k, cluster in enumerate(kept):
            own = residuals[members == cluster]
            covariance = (own.T @ own + prior_rows * pooled) / (len(own) + prior_rows)
            variances[k], bases[k] = np.linalg.eigh(covariance)
        weights = sizes[kept] / n_rows
        return cls(np.square(scales), weights, centres[kept], variances.clip(0), bases)

    def log_density(self, points: FloatArray) -> FloatArray:
        """Log-density of points at each scale, ``(n_rows, n_scales)``, in nats."""
        size = max(1, BLOCK_ENTRIES // (len(self.weights) * len(self.noise) + points.shape[1]))
        blocks = [self._of_block(points[i : i + size]) for i in range(0, len(points), size)]
        return np.concatenate(blocks)

    def _of_block(self, points: FloatArray) -> FloatArray:
        joint = np.empty((len(self.weights), len(points), len(self.noise)))
        parts = zip(self.weights, self.centres, self.variances, self.bases, strict=True)
        for k, (weight, centre, variances, basis) in enumerate(parts):
            blurred = variances[:, None] + self.noise
            distances = ((points - centre) @ basis) ** 2 @ (1 / blurred)
            log_det = np.log(blurred).sum(axis=0)
            joint[k] = np.log(weight) - (distances + log_det + points.shape[1] * LOG_2PI) / 2
        return logsumexp(joint, axis=0)


def _cut(points: FloatArray, n_clusters: int, seed: int) -> tuple[FloatArray, NDArray[np.int64]]:
    """Centres of the clusters that have points, and the cluster of each point."""
    k_means = KMeans(n_clusters, n_init=1, max_iter=K_MEANS_STEPS, random_state=seed)
    with warnings.catch_warnings():
        # Fewer distinct points than clusters: some of these are empty.
        warnings.simplefilter("ignore", ConvergenceWarning)
        members = k_means.fit_predict(points)
    used, members = np.unique(members, return_inverse=True)
    return k_means.cluster_centers_[used], members
