r"""Density of points at several scales: clusters, blurred.

Rows are cut into K clusters by k-means. Numbers x of a cluster are Gaussian with the
covariance of its rows, drawn to that of all clusters together where its rows are few; levels
l of each column c have the shares of its rows, whatever the numbers are:

.. math::

    p_h(x, l) = \sum_k w_k \, N(x; m_k, \Sigma_k + h^2 I)
        \prod_c \bigl((1 - h) f_{kc}(l_c) + h f_c(l_c)\bigr), \qquad
    \Sigma_k = \frac{N_k S_k + \nu S}{N_k + \nu}.

Clusters of few rows are left out, lest a handful of outliers vouch for each other.

It is the density of rows to whose numbers noise of standard deviation h was added, and of
whose levels the share h was drawn anew from all rows. So large h sees only what is far from
everything, and small h what is off a thin sheet of rows.
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
    scales : ndarray of shape (n_scales,)
        Of the blur: standard deviations of the noise, and shares of levels drawn anew.
    weights : ndarray of shape (n_clusters,)
    centres : ndarray of shape (n_clusters, n_numbers)
    variances : ndarray of shape (n_clusters, n_numbers)
        Eigenvalues of each covariance.
    bases : ndarray of shape (n_clusters, n_numbers, n_numbers)
        Its eigenvectors, each a column.
    shares : ndarray of shape (1 + n_clusters, n_indicators)
        Of levels: among all rows, then in each cluster.
    """

    scales: FloatArray
    weights: FloatArray
    centres: FloatArray
    variances: FloatArray
    bases: FloatArray
    shares: FloatArray

    @classmethod
    def fit(
        cls,
        points: FloatArray,
        n_numbers: int,
        n_clusters: int,
        seed: int,
        scales: Sequence[float],
    ) -> Self:
        """Cut points, ``(n_rows, n_axes)``, into clusters.

        The first ``n_numbers`` axes are numbers, the others indicators of levels. Of
        ``scales`` none is above 1.
        """
        members = _cut(points, n_clusters, seed)
        sizes = np.bincount(members)
        kept = np.flatnonzero(sizes >= min(FEWEST_MEMBERS, sizes.max()))
        numbers, has_level = points[:, :n_numbers], points[:, n_numbers:] > 0
        centres = np.stack([numbers[members == k].mean(axis=0) for k in range(len(sizes))])
        residuals = numbers - centres[members]
        pooled = residuals.T @ residuals / len(points)
        prior_rows = PRIOR_ROWS * (n_numbers + 2)
        # In the eigenbasis of a covariance, blur only adds to its eigenvalues.
        variances = np.empty((len(kept), n_numbers))
        bases = np.empty((len(kept), n_numbers, n_numbers))
        for k, cluster in enumerate(kept):
            own = residuals[members == cluster]
            covariance = (own.T @ own + prior_rows * pooled) / (len(own) + prior_rows)
            variances[k], bases[k] = np.linalg.eigh(covariance)
        of_all = (has_level.sum(axis=0) + 0.5) / (len(points) + 1)  # a level may be new
        of_clusters = [has_level[members == k].mean(axis=0) for k in kept]
        return cls(
            np.array(scales),
            sizes[kept] / len(points),
            centres[kept],
            variances.clip(0),
            bases,
            np.stack([of_all, *of_clusters]),
        )

    def log_density(self, points: FloatArray) -> FloatArray:
        """Log-density of points at each scale, ``(n_rows, n_scales)``, in nats."""
        size = max(1, BLOCK_ENTRIES // (len(self.weights) * len(self.scales) + points.shape[1]))
        blocks = [self._of_block(points[i : i + size]) for i in range(0, len(points), size)]
        return np.concatenate(blocks)

    def _of_block(self, points: FloatArray) -> FloatArray:
        n_numbers = self.centres.shape[1]
        numbers, has_level = points[:, :n_numbers], points[:, n_numbers:] > 0
        of_all, *of_clusters = self.shares
        joint = np.empty((len(self.weights), len(points), len(self.scales)))
        parts = zip(
            self.weights, self.centres, self.variances, self.bases, of_clusters, strict=True
        )
        for k, (weight, centre, variances, basis, shares) in enumerate(parts):
            blurred = variances[:, None] + self.scales**2
            distances = ((numbers - centre) @ basis) ** 2 @ (1 / blurred)
            log_det = np.log(blurred).sum(axis=0)
            log_shares = np.log(np.outer(shares, 1 - self.scales) + np.outer(of_all, self.scales))
            of_numbers = -(distances + log_det + n_numbers * LOG_2PI) / 2
            joint[k] = np.log(weight) + of_numbers + has_level @ log_shares
        return logsumexp(joint, axis=0)


def _cut(points: FloatArray, n_clusters: int, seed: int) -> NDArray[np.int64]:
    """Return the cluster of each point, counted among those that have any."""
    k_means = KMeans(n_clusters, n_init=1, max_iter=K_MEANS_STEPS, random_state=seed)
    with warnings.catch_warnings():
        # Fewer distinct points than clusters: some of these are empty.
        warnings.simplefilter("ignore", ConvergenceWarning)
        members = k_means.fit_predict(points)
    return np.unique(members, return_inverse=True)[1]
