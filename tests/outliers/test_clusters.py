import numpy as np
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.cluster import KMeans

from skflow.outliers.clusters import PRIOR_ROWS, BlurredClusters


def test_density_is_that_of_blurred_gaussians_around_k_means() -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate((rng.normal(size=(60, 3)), rng.normal(4, 0.5, size=(40, 3))))
    new, scales = rng.normal(size=(20, 3)), (0.3, 1.0)
    members = KMeans(3, n_init=1, max_iter=20, random_state=5).fit_predict(points)
    groups = [points[members == k] for k in range(3)]
    pooled = sum(len(g) * np.cov(g.T, bias=True) for g in groups) / len(points)
    nu = PRIOR_ROWS * (3 + 2)
    expected = np.empty((20, 2))
    for s, scale in enumerate(scales):
        parts = []
        for group in groups:
            own = (len(group) * np.cov(group.T, bias=True) + nu * pooled) / (len(group) + nu)
            normal = multivariate_normal(group.mean(axis=0), own + scale**2 * np.eye(3))
            parts.append(np.log(len(group) / 100) + normal.logpdf(new))
        expected[:, s] = logsumexp(parts, axis=0)
    clusters = BlurredClusters.fit(points, 3, 5, scales)
    np.testing.assert_allclose(clusters.log_density(new), expected, rtol=1e-9)


def test_blocks_do_not_change_the_density(monkeypatch) -> None:
    points = np.random.default_rng(0).normal(size=(200, 4))
    clusters = BlurredClusters.fit(points, 8, 0, (0.1,))
    whole = clusters.log_density(points)
    monkeypatch.setattr("skflow.outliers.clusters.BLOCK_ENTRIES", 60)
    np.testing.assert_allclose(clusters.log_density(points), whole, rtol=1e-12)


def test_fewer_distinct_points_than_clusters() -> None:
    points = np.repeat([[0.0, 0.0], [1.0, 1.0]], 10, axis=0)
    clusters = BlurredClusters.fit(points, 6, 0, (0.25,))
    assert len(clusters.weights) == 2
    assert np.isfinite(clusters.log_density(np.array([[0.0, 0.0], [1e6, -1e6]]))).all()
