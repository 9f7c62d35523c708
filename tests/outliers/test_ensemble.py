from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from skflow.outliers.ensemble import (
    MARGINAL_WEIGHT,
    POWERS,
    POWERS_OF_CATEGORIES,
    WEIGHTS,
    ClusterEnsemble,
    TailCombiner,
)
from skflow.table.codec import TableCodec
from skflow.table.frames import Container
from skflow.table.inference import infer_schema


def normal_measures(agreement: float, n_rows: int = 1_000) -> np.ndarray:
    """Measures of three clusters, which agree, and of three other terms, the last one so much."""
    noise = np.random.default_rng(0).normal(size=(n_rows, 4))
    last = agreement * noise[:, 0] + np.sqrt(1 - agreement**2) * noise[:, 3]
    return np.column_stack([noise[:, [0, 0, 0, 1, 2]], last])


def combined(category_share: float, row: Sequence[float]) -> float:
    combiner = TailCombiner.fit(normal_measures(0.0), category_share)
    return float(combiner.log_prob(np.array([[*row, 0.0]]))[0])


def test_of_numbers_clusters_count_most() -> None:
    by_clusters = combined(0.0, [-4.0, -4.0, -4.0, 0.0, 0.0])
    by_density = combined(0.0, [0.0, 0.0, 0.0, -4.0, 0.0])
    assert by_clusters < by_density - 2


def test_of_categories_the_density_counts_as_much() -> None:
    by_clusters = combined(0.5, [-4.0, -4.0, -4.0, 0.0, 0.0])
    by_density = combined(0.5, [0.0, 0.0, 0.0, -4.0, 0.0])
    assert by_clusters == pytest.approx(by_density, abs=1.5)


def test_half_of_the_columns_are_many_categories_and_a_quarter_half_as_many() -> None:
    normal = np.zeros((10, 6))
    np.testing.assert_array_equal(TailCombiner.fit(normal, 0.0).weights, [*WEIGHTS, 0.0])
    np.testing.assert_allclose(
        TailCombiner.fit(normal, 0.25).powers, [*(POWERS + POWERS_OF_CATEGORIES) / 2, 1.0]
    )
    for share in (0.5, 0.9):
        combiner = TailCombiner.fit(normal, share)
        np.testing.assert_allclose(combiner.powers, [*POWERS_OF_CATEGORIES, 1.0])
        assert combiner.weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("agreement", [-1.0, -0.5, 0.0, 0.5, 0.8, 1.0])
def test_columns_by_themselves_count_by_the_squared_correlation(agreement: float) -> None:
    combiner = TailCombiner.fit(normal_measures(agreement), 0.0)
    expected = MARGINAL_WEIGHT * max(0.0, agreement) ** 2
    assert combiner.weights[-1] == pytest.approx(expected, abs=0.006)
    assert combiner.weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(combiner.weights[:-1] / combiner.weights[0], WEIGHTS / WEIGHTS[0])


def test_a_weight_counts_as_copies_of_a_row() -> None:
    """But for tails, which take a fresh row for one of the mean weight."""
    measures = normal_measures(0.8, n_rows=200)
    weight = np.random.default_rng(1).integers(1, 4, len(measures))
    weighted = TailCombiner.fit(measures, 0.0, weight.astype(np.float64)).weights
    repeated = TailCombiner.fit(np.repeat(measures, weight, axis=0), 0.0).weights
    np.testing.assert_allclose(weighted, repeated, atol=0.002)
    assert abs(weighted[-1] - TailCombiner.fit(measures, 0.0).weights[-1]) > 1e-4


@pytest.mark.parametrize("n_rows", [60, 400])
def test_members_differ_although_rows_are_few(n_rows: int) -> None:
    """60 rows are three clusters for every member; k-means begins elsewhere for each."""
    frame = pd.DataFrame(np.random.default_rng(0).standard_normal((n_rows, 3)), columns=list("abc"))
    table = Container.fit(frame, list(frame)).read(frame)
    schema = infer_schema(table, column_kinds=None, categorical_features="from_dtype", bounds=None)
    scores = ClusterEnsemble.fit(TableCodec.fit(table, schema), table, seed=0).log_density(table)
    assert scores.shape == (n_rows, 8)
    assert len(np.unique(scores.round(9), axis=1).T) == 8
