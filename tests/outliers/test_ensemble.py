import numpy as np
import pytest

from skflow.outliers.ensemble import POWERS, POWERS_OF_CATEGORIES, WEIGHTS, TailCombiner


def combined(category_share: float, row: list[float]) -> float:
    normal = np.random.default_rng(0).normal(size=(1_000, 5))
    return float(TailCombiner.fit(normal, category_share).log_prob(np.array([row]))[0])


def test_of_numbers_clusters_count_most() -> None:
    by_clusters = combined(0.0, [-4.0, -4.0, -4.0, 0.0, 0.0])
    by_density = combined(0.0, [0.0, 0.0, 0.0, -4.0, 0.0])
    assert by_clusters < by_density - 2


def test_of_categories_the_density_counts_as_much() -> None:
    by_clusters = combined(0.5, [-4.0, -4.0, -4.0, 0.0, 0.0])
    by_density = combined(0.5, [0.0, 0.0, 0.0, -4.0, 0.0])
    assert by_clusters == pytest.approx(by_density, abs=1.5)


def test_half_of_the_columns_are_many_categories_and_a_quarter_half_as_many() -> None:
    normal = np.zeros((10, 5))
    np.testing.assert_array_equal(TailCombiner.fit(normal, 0.0).weights, WEIGHTS)
    np.testing.assert_allclose(
        TailCombiner.fit(normal, 0.25).powers, (POWERS + POWERS_OF_CATEGORIES) / 2
    )
    for share in (0.5, 0.9):
        np.testing.assert_allclose(TailCombiner.fit(normal, share).powers, POWERS_OF_CATEGORIES)
        assert TailCombiner.fit(normal, share).weights.sum() == pytest.approx(1)
