from dataclasses import replace

import numpy as np
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.cluster import KMeans

from skflow.outliers.clusters import PRIOR_ROWS, SmoothedClusters

NO_LEVELS = np.zeros(0, dtype=np.int64)


def test_density_is_that_of_smoothed_gaussians_around_k_means() -> None:
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
    clusters = SmoothedClusters.fit(points, NO_LEVELS, 3, 5, scales)
    np.testing.assert_allclose(clusters.log_density(new), expected, rtol=1e-9)


def test_levels_have_the_shares_of_their_cluster_and_some_of_all_rows() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1], [60, 40])
    numbers = rng.normal(6.0 * group, 1.0)[:, None]
    level = np.where(group == 0, 0, rng.integers(1, 3, size=100))  # 0 here, 1 or 2 there
    points = np.hstack([numbers, 0.1 * (level[:, None] == np.arange(4))])  # and nowhere 3
    scale = 0.25
    clusters = SmoothedClusters.fit(points, np.full(4, 4), 2, 0, (scale,))
    of_numbers = SmoothedClusters.fit(points[:, :1], NO_LEVELS, 2, 0, (scale,))
    for x, group_of_x in ((0.0, 0), (6.0, 1)):
        new = np.hstack([np.full((4, 1), x), np.eye(4)])  # far from the other cluster
        log_shares = clusters.log_density(new) - of_numbers.log_density(new[:, :1])
        own, of_all = (
            np.array([(levels == k).mean() for k in range(4)])
            for levels in (level[group == group_of_x], level)
        )
        of_all = (100 * of_all + 0.5) / 102
        expected = np.log((1 - scale**4) * own + scale**4 * of_all)
        np.testing.assert_allclose(log_shares[:, 0], expected, atol=0.05)


def test_levels_alone() -> None:
    has_level = np.eye(3)[np.repeat([0, 1, 2], [50, 30, 20])]
    clusters = SmoothedClusters.fit(has_level, np.full(3, 3), 1, 0, (0.5, 1.0))
    shares = np.array([0.5, 0.3, 0.2])
    np.testing.assert_allclose(
        clusters.log_density(np.eye(3)), np.log(np.outer(shares, [1, 1])), atol=0.02
    )


def test_levels_of_each_column_sum_to_one() -> None:
    rng = np.random.default_rng(0)
    sizes = (5, 2)
    levels = [np.eye(size)[rng.integers(max(1, size - 2), size=80)] for size in sizes]
    numbers = rng.normal(size=(80, 1))
    clusters = SmoothedClusters.fit(
        np.hstack([numbers, *levels]), np.repeat(sizes, sizes), 3, 0, (0.1, 0.6)
    )
    every = np.array([(*a, *b) for a in np.eye(5) for b in np.eye(2)])
    at_a_point = np.hstack([np.full((10, 1), 0.3), every])
    without = replace(clusters, shares=np.zeros((len(clusters.shares), 0)))
    np.testing.assert_allclose(
        logsumexp(clusters.log_density(at_a_point), axis=0),
        without.log_density(np.array([[0.3]]))[0],
        atol=1e-9,
    )


def test_blocks_do_not_change_the_density(monkeypatch) -> None:
    points = np.random.default_rng(0).normal(size=(200, 4))
    clusters = SmoothedClusters.fit(points, NO_LEVELS, 8, 0, (0.1,))
    whole = clusters.log_density(points)
    monkeypatch.setattr("skflow.outliers.clusters.BLOCK_ENTRIES", 60)
    np.testing.assert_allclose(clusters.log_density(points), whole, rtol=1e-12)


def test_fewer_distinct_points_than_clusters() -> None:
    points = np.repeat([[0.0, 0.0], [1.0, 1.0]], 10, axis=0)
    clusters = SmoothedClusters.fit(points, NO_LEVELS, 6, 0, (0.25,))
    assert len(clusters.weights) == 2
    assert np.isfinite(clusters.log_density(np.array([[0.0, 0.0], [1e6, -1e6]]))).all()


def test_a_weight_counts_as_equal_rows() -> None:
    rng = np.random.default_rng(0)
    points = np.hstack([rng.normal(size=(80, 2)), np.eye(3)[rng.integers(3, size=80)]])
    weight = rng.integers(1, 4, 80).astype(float)
    copies, n_levels = np.repeat(points, weight.astype(int), axis=0), np.full(3, 3)
    found = SmoothedClusters.fit(points, n_levels, 1, 0, (0.3, 1.0), weight)
    expected = SmoothedClusters.fit(copies, n_levels, 1, 0, (0.3, 1.0))
    np.testing.assert_allclose(found.log_density(points), expected.log_density(points), rtol=1e-9)


def test_a_heavy_row_is_no_cluster() -> None:
    points = np.append(np.random.default_rng(0).normal(size=99), 30.0)[:, None]
    weight = np.append(np.ones(99), 20.0)
    clusters = SmoothedClusters.fit(points, NO_LEVELS, 2, 0, (0.3,), weight)
    assert len(clusters.weights) == 1
    np.testing.assert_allclose(clusters.weights, 99 / 119)
