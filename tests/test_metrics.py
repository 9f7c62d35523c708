"""Scores of predictive distributions beside closed forms."""

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skflow import FlowDensity, FlowRegressor
from skflow.metrics import (
    coverage_error,
    crps_scorer,
    interval_score,
    log_density_scorer,
    pit_values,
)

pytestmark = pytest.mark.usefixtures("few_candidates_in_file", "few_fits_in_file")

GAUSSIAN = FlowDensity(n_layers=0, n_components=1, early_stopping=False)


def rows(n_rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, stats.rv_continuous]:
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n_rows, 1))
    truth = stats.norm(2 * X[:, 0], 0.5)
    return X, truth.rvs(random_state=generator), truth


def crps_of_normal(y: np.ndarray, mean: np.ndarray, sd: float) -> np.ndarray:
    """Closed form (Gneiting and Raftery, 2007, equation 21)."""
    z = (y - mean) / sd
    return sd * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))


@pytest.fixture(scope="module")
def regressor() -> FlowRegressor:
    return FlowRegressor(GAUSSIAN, random_state=0).fit(*rows(1500)[:2])


def test_crps_of_a_normal(regressor: FlowRegressor) -> None:
    X, y, truth = rows(120, 1)
    expected = crps_of_normal(y, truth.mean(), 0.5)
    crps = regressor.predict_dist(X).crps(y)
    assert np.abs(crps - expected).mean() < 0.02
    assert crps.mean() == pytest.approx(expected.mean(), abs=0.01)
    assert crps_scorer(regressor, X[:10], y[:10]) == pytest.approx(-crps[:10].mean())


def test_log_density_of_a_normal(regressor: FlowRegressor) -> None:
    X, y, truth = rows(400, 1)
    score = log_density_scorer(regressor, X, y)
    assert score == pytest.approx(regressor.log_density(X, y).mean())
    assert score == pytest.approx(truth.logpdf(y).mean(), abs=0.03)


@pytest.mark.usefixtures("few_fits")
def test_scorers_of_a_pipeline_and_of_a_search() -> None:
    X, y, _ = rows(40)
    pipeline = make_pipeline(StandardScaler(), FlowRegressor(GAUSSIAN, random_state=0))
    scoring = {"nats": log_density_scorer, "crps": crps_scorer}
    scores = cross_validate(pipeline, X, y, cv=2, scoring=scoring)
    assert np.isfinite([scores["test_nats"], scores["test_crps"]]).all()
    grid = {"density__n_components": [1, 3]}
    search = GridSearchCV(FlowRegressor(GAUSSIAN), grid, cv=2, scoring=log_density_scorer)
    assert np.isfinite(search.fit(X, y).cv_results_["mean_test_score"]).all()


def test_pit_values_are_uniform(regressor: FlowRegressor) -> None:
    X, y, _ = rows(2000, 2)
    pit = pit_values(regressor, X, y)
    assert stats.kstest(pit, "uniform").statistic < 0.05
    assert coverage_error(pit) < 0.02


def test_scorers_refuse_what_has_no_distribution() -> None:
    X, y, _ = rows(20)
    with pytest.raises(TypeError, match="LinearRegression"):
        crps_scorer(LinearRegression().fit(X, y), X, y)


def test_interval_score_by_hand() -> None:
    y, interval = [0.0, 5.0, -3.0], [[-1.0, 1.0], [0.0, 3.0], [0.0, 2.0]]
    expected = ((2) + (3 + 10 * 2) + (2 + 10 * 3)) / 3
    assert interval_score(y, interval, coverage=0.8) == pytest.approx(expected)


def test_interval_score_is_least_for_the_true_quantiles() -> None:
    y = np.random.default_rng(0).normal(size=20_000)
    scores = {
        width: interval_score(y, np.tile([-width, width], (len(y), 1)), coverage=0.9)
        for width in (1.2, 1.645, 2.1)
    }
    assert min(scores, key=scores.get) == 1.645


def test_coverage_error_by_hand() -> None:
    assert coverage_error(np.full(50, 0.05)) == pytest.approx((0.9 + 9 * 0.1) / 10)
    assert coverage_error([0.0, 1.0, 0.3, 0.6], n_bins=2) == 0.0


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: coverage_error([0.5, 1.5]), "probabilities"),
        (lambda: interval_score([1.0], [[0.0, 1.0, 2.0]], coverage=0.9), "shape"),
        (lambda: interval_score([1.0, 2.0], [[0.0, 1.0]], coverage=0.9), "inconsistent"),
        (lambda: interval_score([1.0], [[0.0, 1.0]], coverage=1.5), "coverage"),
    ],
)
def test_bad_input(call, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        call()
