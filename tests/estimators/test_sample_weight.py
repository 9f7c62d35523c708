"""Weights of rows: ratios count, a row of weight 0 is not there, bias of a sample is undone."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skflow import FlowDensity
from skflow.exceptions import ModelFileError
from skflow.initialization.label_tree import fit_label_tree
from skflow.initialization.marginals import fit_marginals
from tests.mixed import every_kind
from tests.settings import CHOSEN_GAUSSIANS, ONE_GAUSSIAN, ONE_TINY_LAYER, TWO_EPOCHS
from tests.tables import correlated

N_ROWS = 150
MIXED = every_kind(N_ROWS)[["decimal", "nullable", "levels", "colour", "day", "atom"]]
WEIGHT = np.random.default_rng(0).choice([0.0, 0.5, 1.0, 2.0, 3.7], N_ROWS)
PRESENT = WEIGHT > 0


def scores(X: Any, sample_weight: Any = None, scored: Any = None, **parameters: Any) -> np.ndarray:
    flow = FlowDensity(**ONE_TINY_LAYER | parameters).fit(X, sample_weight=sample_weight)
    return flow.score_samples(X if scored is None else scored)


# Which weights are the same


@pytest.mark.parametrize("container", ["pandas", "polars", "array"])
def test_rows_of_weight_0_are_not_there(container: str) -> None:
    table = {"pandas": MIXED, "polars": pl.DataFrame(correlated(N_ROWS, 3, seed=0)), "array": None}
    X = correlated(N_ROWS, 3, seed=0) if container == "array" else table[container]
    fewer = X.filter(PRESENT) if container == "polars" else X[PRESENT]
    found, expected = scores(X, WEIGHT, fewer), scores(fewer, WEIGHT[PRESENT])
    np.testing.assert_array_equal(found, expected)


def test_cells_of_rows_of_weight_0_are_not_read() -> None:
    X = pd.DataFrame({"x": [1.0, 2.0, np.inf, 4.5] * 5, "label": ["a", "b", "none", "b"] * 5})
    weight = np.array([1.0, 2.0, 0.0, 1.0] * 5)
    flow = FlowDensity(**ONE_GAUSSIAN).fit(X, sample_weight=weight)
    assert flow.schema_ == FlowDensity(**ONE_GAUSSIAN).fit(X[weight > 0]).schema_


@example(3.7)
@example(1e-300)
@settings(max_examples=5)
@given(st.floats(1e-150, 1e150))
def test_a_common_factor_changes_nothing(factor: float) -> None:
    X = correlated(60, 2, seed=0)
    weight = np.random.default_rng(1).exponential(size=60)
    found, expected = (scores(X, w, n_layers=0) for w in (factor * weight, weight))
    np.testing.assert_array_equal(found, expected)


def test_equal_weights_are_none() -> None:
    expected = scores(MIXED)
    for weight in (np.full(N_ROWS, 0.3), 2):
        np.testing.assert_array_equal(scores(MIXED, weight), expected)


@pytest.mark.usefixtures("few_candidates")
def test_weights_may_come_in_any_container() -> None:
    X = correlated(N_ROWS, 2, seed=0)
    expected = scores(X, WEIGHT, n_layers=0)
    backwards = pd.Series(WEIGHT, index=np.arange(N_ROWS)[::-1])  # its index is not data
    for weight in (WEIGHT.tolist(), backwards, pl.Series(WEIGHT), WEIGHT.astype(np.float32)):
        np.testing.assert_array_equal(scores(X, weight, n_layers=0), expected)


FAULTS = {
    "negative": (-WEIGHT, "Negative values in data passed to `sample_weight`"),
    "one negative": (np.where(np.arange(N_ROWS) == 7, -1.0, 1.0), "Negative values"),
    "zero": (np.zeros(N_ROWS), "at least one non-zero number"),
    "missing": (np.where(PRESENT, WEIGHT, np.nan), "sample_weight contains NaN"),
    "missing scalar": (np.nan, "sample_weight contains NaN"),
    "infinite": (np.where(PRESENT, WEIGHT, np.inf), "sample_weight contains infinity"),
    "too few": (WEIGHT[:4], "expected"),
    "two columns": (np.ones((N_ROWS, 2)), "must be 1D array or scalar"),
    "one row": (
        np.eye(N_ROWS)[3],
        r"1 sample\(s\) with a positive sample_weight while a minimum of",
    ),
    "text": (["heavy"] * N_ROWS, "could not convert string to float"),
}


@pytest.fixture(scope="module")
def flow() -> FlowDensity:
    return FlowDensity(**ONE_GAUSSIAN).fit(MIXED)


@pytest.mark.parametrize("name", FAULTS)
def test_faulty_weights_are_refused(name: str, flow: FlowDensity) -> None:
    weight, message = FAULTS[name]
    before = flow.score_samples(MIXED)
    with pytest.raises(ValueError, match=message):
        flow.fit(MIXED, sample_weight=weight)
    np.testing.assert_array_equal(flow.score_samples(MIXED), before)


# What weights reach


def test_rows_that_stop_the_training_weigh_alike() -> None:
    flow = FlowDensity(**TWO_EPOCHS)
    flow.fit(MIXED, sample_weight=WEIGHT, X_val=MIXED[:40])
    assert flow.best_validation_score_ == pytest.approx(flow.score(MIXED[:40]), abs=0.5)
    assert np.isfinite(flow.score_samples(MIXED)).all()


def test_scores_of_training_are_weighted() -> None:
    """With one Gaussian, the score of the only epoch is the weighted mean of the rows' scores."""
    X = correlated(N_ROWS, 2, seed=0)
    flow = FlowDensity(**ONE_GAUSSIAN, early_stopping=False).fit(X, sample_weight=WEIGHT)
    expected = np.average(flow.score_samples(X), weights=WEIGHT)
    assert flow.history_["train_score"][0] == pytest.approx(expected, abs=1e-6)
    assert abs(flow.score(X) - expected) > 1e-3


def test_sizes_follow_from_the_effective_number_of_rows() -> None:
    X = correlated(1000, 2, seed=0)
    weight = np.where(np.arange(1000) < 50, 1.0, 1e-3)
    sizes = {"n_components": 1, "random_state": 0, "max_iter": 1, "warm_start": True}
    recipes = [
        FlowDensity(**sizes).fit(rows, sample_weight=w)._density.recipe
        for rows, w in ((X, weight), (X[:50], None), (X, None))
    ]
    assert recipes[0].n_layers == recipes[1].n_layers == 0
    assert recipes[2].n_layers > 0


def test_a_checkpoint_belongs_to_its_weights(tmp_path: Path) -> None:
    X = correlated(N_ROWS, 2, seed=0)
    flow = FlowDensity(**TWO_EPOCHS, checkpoint_path=tmp_path / "fit")
    first = flow.fit(X, sample_weight=WEIGHT).score_samples(X)
    again = clone(flow).fit(X, sample_weight=3 * WEIGHT).score_samples(X)
    np.testing.assert_array_equal(first, again)
    for weight in (None, WEIGHT + 1):
        with pytest.raises(ModelFileError, match="another fit"):
            clone(flow).fit(X, sample_weight=weight)


def test_a_warm_start_takes_weights() -> None:
    X = correlated(N_ROWS, 2, seed=0)
    flow = FlowDensity(**TWO_EPOCHS, warm_start=True).fit(X)
    before = flow.score_samples(X)
    left = X[:, 0] < np.median(X[:, 0])
    flow.set_params(max_iter=20, early_stopping=False).fit(X, sample_weight=np.where(left, 9, 1))
    gain = flow.score_samples(X) - before
    assert gain[left].mean() > gain[~left].mean()


def test_probabilities_of_labels_are_weighted() -> None:
    X = pd.DataFrame({"label": ["a", "b", "c", "d"] * 100})
    weight = np.tile([1.0, 1.0, 2.0, 4.0], 100)
    flow = FlowDensity(**ONE_GAUSSIAN).fit(X, sample_weight=weight)
    found = np.exp(flow.score_samples(X[:4]))
    np.testing.assert_allclose(found, weight[:4] / 8, rtol=0.02)


def test_the_probability_of_what_is_new_is_weighted() -> None:
    """Good-Turing: the share of the weight in rows whose label occurs once."""
    names = pd.DataFrame({"label": ["a", "b"] * 45 + [f"rare {i}" for i in range(10)]})
    numbers = pd.DataFrame({"level": [1, 2] * 45 + list(range(10, 20))})
    weight = np.repeat([1.0, 4.0], [90, 10])
    for X in (names, numbers):
        flow = FlowDensity(**ONE_GAUSSIAN, column_kinds={X.columns[0]: "categorical"})
        flow.fit(X, sample_weight=weight)
        mass = weight.sum() ** 2 / (weight**2).sum()
        expected = 40 / 130 * mass / (mass + 1)
        assert flow._density.codec.layout.unseen[0] == pytest.approx(expected)


# The doors of scikit-learn


def test_fit_transform_takes_weights() -> None:
    X = correlated(N_ROWS, 2, seed=0)
    flow = FlowDensity(**ONE_GAUSSIAN)
    found = flow.fit_transform(X, sample_weight=WEIGHT)
    expected = clone(flow).fit(X, sample_weight=WEIGHT).transform(X)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.usefixtures("few_candidates")
def test_weights_are_routed() -> None:
    X, grid = correlated(N_ROWS, 2, seed=0), {"flowdensity__n_components": [1, 2]}
    with sklearn.config_context(enable_metadata_routing=True):
        flow = FlowDensity(**ONE_GAUSSIAN).set_fit_request(sample_weight=True)
        flow.set_score_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        search = GridSearchCV(make_pipeline(scaler, flow), grid, cv=2, error_score="raise")
        search.fit(X, sample_weight=WEIGHT)
        best = clone(search.best_estimator_).fit(X, sample_weight=WEIGHT)
        np.testing.assert_array_equal(search.score_samples(X), best.score_samples(X))
        unweighted = clone(search.best_estimator_).fit(X)
        assert np.abs(search.score_samples(X) - unweighted.score_samples(X)).max() > 0.01


def test_scores_are_weighted_means() -> None:
    X = correlated(N_ROWS, 2, seed=0)
    flow = FlowDensity(**ONE_GAUSSIAN).fit(X)
    expected = np.average(flow.score_samples(X), weights=WEIGHT)
    assert flow.score(X, sample_weight=WEIGHT) == pytest.approx(expected, rel=1e-12)
    assert flow.score(X, sample_weight=2) == pytest.approx(flow.score(X), rel=1e-12)
    for weight in (-WEIGHT, 0 * WEIGHT, WEIGHT[:3]):
        with pytest.raises(ValueError, match="weight"):
            flow.score(X, sample_weight=weight)


# Weights and repeated rows


def test_the_initialization_of_rows_is_that_of_repeated_ones() -> None:
    """Rows as they reach the initialization, against each as often as it weighs."""
    repeats = np.random.default_rng(0).integers(1, 4, N_ROWS)
    flow = FlowDensity(**ONE_GAUSSIAN).fit(MIXED, sample_weight=repeats)
    density = flow._density
    rows = density.codec.encode(density.container.read(MIXED))
    copies = np.repeat(np.arange(N_ROWS), repeats)
    one = fit_marginals(rows.values, 8, weight=repeats.astype(float))
    other = fit_marginals(rows.values[copies], 8)
    for name, tensor in one.state_dict().items():
        np.testing.assert_allclose(tensor, other.state_dict()[name], rtol=1e-9, atol=1e-9)
    n_labels = density.codec.layout.n_labels
    labels, weight = torch.tensor(rows.labels.T), torch.tensor(repeats, dtype=torch.float64)
    one_tree, other_tree = (
        fit_label_tree(labels, n_labels, weight),
        fit_label_tree(labels[:, copies], n_labels),
    )
    assert one_tree.parents == other_tree.parents
    for table, expected in zip(one_tree.log_tables, other_tree.log_tables, strict=True):
        torch.testing.assert_close(table, expected, rtol=1e-9, atol=1e-9)


# The bias of a sample


class Population:
    """Two groups of unequal size, in which two numbers are related differently."""

    shares = np.array([0.7, 0.3])
    means = np.array([[0.0, 0.0], [2.5, -1.0]])
    slopes = np.array([0.8, -0.6])

    def draw(self, n_rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        group = rng.choice(2, n_rows, p=self.shares)
        x = self.means[group, 0] + rng.standard_normal(n_rows)
        y = self.slopes[group] * x + self.means[group, 1] + 0.5 * rng.standard_normal(n_rows)
        return np.column_stack((x, y)), group

    def log_density(self, X: np.ndarray) -> np.ndarray:
        joint = [
            np.log(share) + norm.logpdf(X[:, 0], mean[0]) + self._given(X, mean[1], slope)
            for share, mean, slope in zip(self.shares, self.means, self.slopes, strict=True)
        ]
        return logsumexp(joint, axis=0)

    def biased(
        self, n_rows: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows drawn with a probability that rises with x, and its inverse."""
        X, group = self.draw(20 * n_rows, rng)
        probability = 1 / (1 + np.exp(2.0 - 1.5 * X[:, 0]))
        chosen = np.flatnonzero(rng.random(len(X)) < probability)[:n_rows]
        assert len(chosen) == n_rows
        return X[chosen], group[chosen], 1 / probability[chosen]

    def _given(self, X: np.ndarray, mean: float, slope: float) -> np.ndarray:
        return norm.logpdf(X[:, 1], slope * X[:, 0] + mean, 0.5)


def divergence(flow: FlowDensity) -> float:
    """Kullback-Leibler divergence of a fit from the population, in nats."""
    X, _ = Population().draw(20_000, np.random.default_rng(1))
    return float(np.mean(Population().log_density(X) - flow.score_samples(X)))


def test_weights_undo_the_bias_of_a_sample() -> None:
    X, _, weight = Population().biased(3000, np.random.default_rng(0))
    flow = FlowDensity(**CHOSEN_GAUSSIANS | {"n_components": 4})
    weighted = divergence(clone(flow).fit(X, sample_weight=weight))
    unweighted = divergence(clone(flow).fit(X))
    assert weighted < 0.05 < 0.2 < unweighted


# After training


class MixedPopulation:
    """Three groups with a number each, and a second number that bends with the first."""

    shares, means = np.array([0.6, 0.3, 0.1]), np.array([0.0, 1.5, -2.0])
    deviations, levels = np.array([1.0, 0.6, 0.8]), np.array([0.0, 1.0, -0.5])

    def draw(self, n_rows: int, rng: np.random.Generator) -> pd.DataFrame:
        group = rng.choice(3, n_rows, p=self.shares)
        x = self.means[group] + self.deviations[group] * rng.standard_normal(n_rows)
        y = self._middle(x, group) + 0.3 * rng.standard_normal(n_rows)
        return pd.DataFrame({"x": x, "y": y, "group": np.array(list("abc"))[group]})

    def log_density(self, df: pd.DataFrame) -> np.ndarray:
        x, group = df["x"].to_numpy(), np.array([*map("abc".index, df["group"])])
        of_x = norm.logpdf(x, self.means[group], self.deviations[group])
        of_y = norm.logpdf(df["y"], self._middle(x, group), 0.3)
        return np.log(self.shares[group]) + of_x + of_y

    def _middle(self, x: np.ndarray, group: np.ndarray) -> np.ndarray:
        return 1.5 * np.sin(1.5 * x) + self.levels[group]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_trained_fit_recovers_the_population() -> None:
    """10,000 rows, drawn with a probability that rises with x, weighted by its inverse."""
    rng, population = np.random.default_rng(0), MixedPopulation()
    pool, fresh = population.draw(200_000, rng), population.draw(20_000, rng)
    probability = 1 / (1 + np.exp(2.5 - 0.8 * pool["x"].to_numpy()))
    chosen = np.flatnonzero(rng.random(len(pool)) < probability)[:10_000]
    flow = FlowDensity(n_layers=2, hidden_units=32, n_components=4, max_iter=25, random_state=0)
    found = {}
    for name, weight in (("weighted", 1 / probability[chosen]), ("unweighted", None)):
        flow.fit(pool.iloc[chosen], sample_weight=weight)
        found[name] = np.mean(population.log_density(fresh) - flow.score_samples(fresh))
    assert found["weighted"] < found["unweighted"] / 2


@pytest.mark.slow
def test_weights_fit_as_repeated_rows_do() -> None:
    """In place of scikit-learn's check of equality: scores differ as those of seeds do."""
    rng, population = np.random.default_rng(0), MixedPopulation()
    X, fresh = population.draw(1000, rng), population.draw(5000, rng)
    repeats = rng.integers(1, 4, len(X))
    copies = X.loc[X.index.repeat(repeats)]
    mass = repeats.sum() ** 2 / (repeats**2).sum()
    layers = {"n_layers": 1, "hidden_units": 16, "n_components": 4, "dropout": 0.0}
    training = {"weight_decay": 0.1, "learning_rate": 0.01, "max_iter": 15}
    flow = FlowDensity(**layers, **training, early_stopping=False)
    found, expected, unweighted = [], [], []
    for seed in range(4):
        flow.set_params(random_state=seed, batch_size=64)  # as many steps for each
        found.append(flow.fit(X, sample_weight=repeats).score(fresh))
        unweighted.append(flow.fit(X).score(fresh))
        flow.set_params(batch_size=round(64 * len(copies) / mass))
        expected.append(flow.fit(copies).score(fresh))
    spread = np.std(found, ddof=1) + np.std(expected, ddof=1)
    assert abs(np.mean(found) - np.mean(expected)) < 2 * spread
