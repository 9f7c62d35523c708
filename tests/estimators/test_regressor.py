"""FlowRegressor and its distributions beside known truths."""

import itertools
import pickle
import warnings
from copy import copy

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skflow
from skflow import ConditionalDistribution, FlowDensity, FlowRegressor
from skflow.estimators.calibration import Calibration, Plan, share_of_second
from tests.archive.parts import put_together, take_apart
from tests.settings import ONE_GAUSSIAN, slow_but

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")

# The seed is that of the regressor.
OWN_SEED = {"random_state"}
GAUSSIAN = FlowDensity(
    early_stopping=False, **{k: v for k, v in ONE_GAUSSIAN.items() if k not in OWN_SEED}
)
MIXTURES = FlowDensity(n_layers=0, n_components=4)


def gaussian_rows(n_rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, stats.rv_continuous]:
    """Rows of a normal distribution in three columns, and that of the last given the others."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n_rows, 2)) @ [[1.0, 0.6], [0.0, 0.8]]
    mean = 3 + X @ [1.0, -2.0]
    return X, mean + 0.7 * generator.normal(size=n_rows), stats.norm(mean, 0.7)


@pytest.fixture(scope="module")
def gaussian() -> FlowRegressor:
    X, y, _ = gaussian_rows(1200)
    return FlowRegressor(GAUSSIAN, random_state=0).fit(X, y)


@pytest.fixture(scope="module")
def predicted(gaussian: FlowRegressor) -> ConditionalDistribution:
    return gaussian.predict_dist(gaussian_rows(60, 1)[0])


def test_conditional_of_a_gaussian(gaussian: FlowRegressor) -> None:
    X, y, truth = gaussian_rows(100, 1)
    distribution = gaussian.predict_dist(X)
    assert np.abs(distribution.mean() - truth.mean()).mean() < 0.06
    assert np.abs(distribution.std() / 0.7 - 1).mean() < 0.06
    assert np.abs(distribution.cdf(y) - truth.cdf(y)).mean() < 0.03
    assert (truth.logpdf(y) - distribution.logpdf(y)).mean() < 0.03
    assert np.abs(distribution.ppf(0.9) - truth.ppf(0.9)).mean() < 0.1
    assert abs(distribution.entropy().mean() - truth.entropy().mean()) < 0.05
    of_normal = 0.7 * (2 * stats.norm.pdf(0) - 1 / np.sqrt(np.pi))  # about its own mean
    assert np.abs(distribution.crps(truth.mean()) / of_normal - 1).mean() < 0.1


def mean_density(regressor: FlowRegressor, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Logarithm of the mean of the densities of all fits."""
    members = [regressor.density_, *regressor.cross_fits_]
    scores = [member.score_samples(np.column_stack((X, y))) for member in members]
    return np.log(np.mean(np.exp(scores), axis=0))


def test_log_densities_are_those_of_the_mean_of_all_fits(gaussian, monkeypatch) -> None:
    monkeypatch.setattr(gaussian, "spread_", 1.0)
    X, y, _ = gaussian_rows(50, 2)
    assert len(gaussian.cross_fits_) == 9
    expected = mean_density(gaussian, X, y)
    np.testing.assert_allclose(gaussian.log_density(X, y), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("weight", "expected"), [(None, 0.3), (np.arange(10) < 9, 2 / 9)])
def test_shares_of_densities_where_each_row_is_of_one(weight, expected: float) -> None:
    of_first = np.where(np.arange(10) < 7, -1.0, -60.0)
    share = share_of_second(np.stack((of_first, -61 - of_first))[:, None], weight)
    assert share == pytest.approx(expected, abs=1e-5)


def test_values_are_narrowed_by_their_spread() -> None:
    X, y, _ = gaussian_rows(150)
    regressor = FlowRegressor(MIXTURES, random_state=0).fit(X, np.exp(y / 3))
    at = np.linspace(0, 20, 4001)[None]
    narrowed = copy(regressor)
    regressor.spread_, narrowed.spread_ = 1.0, 0.7
    average, predicted = (own.predict_dist(X[:4]) for own in (regressor, narrowed))
    expected = stats.norm.cdf(stats.norm.ppf(average.cdf(at)) / 0.7)
    np.testing.assert_allclose(predicted.cdf(at), expected, rtol=0, atol=1e-9)
    slopes = np.gradient(predicted.cdf(at), at[0], axis=1)
    np.testing.assert_allclose(predicted.pdf(at), slopes, rtol=0, atol=2e-3)
    shares = np.array([1e-3, 0.2, 0.5, 0.9])
    np.testing.assert_allclose(predicted.cdf(predicted.ppf(shares)) - shares, 0, atol=1e-9)
    u = (np.arange(200) + 0.5) / 200
    quantiles = predicted.ppf(u)
    assert np.abs(predicted.mean() - quantiles.mean(axis=1)).max() < 0.005
    assert np.abs(predicted.std() / quantiles.std(axis=1) - 1).max() < 0.05
    truth = np.exp(y[:4] / 3)
    crps = predicted.crps(truth)  # twice the mean pinball loss
    errors = truth[:, None] - quantiles
    losses = 2 * np.maximum(u * errors, (u - 1) * errors).mean(axis=1)
    np.testing.assert_allclose(crps, losses, rtol=0.01)
    log_density = np.log(predicted.pdf(quantiles)).mean(axis=1)
    np.testing.assert_allclose(predicted.entropy(), -log_density, atol=0.02)
    intervals = [own.predict_interval(X[:4], 0.8) for own in (regressor, narrowed)]
    np.testing.assert_array_equal(*intervals)


@pytest.mark.parametrize("coarser", [1, 10], ids=["even", "rounding levels"])
def test_narrowed_probabilities_of_a_grid_are_those_of_its_cells(coarser: int) -> None:
    generator = np.random.default_rng(0)
    X = generator.normal(size=(300, 2))
    y = np.rint(30 * X[:, 0] + 2 * generator.normal(size=300))
    y[::2] = coarser * np.rint(y[::2] / coarser)
    regressor = FlowRegressor(FlowDensity(**ONE_GAUSSIAN), random_state=0).fit(X, y)
    regressor.spread_ = 0.6
    assert bool(regressor.density_.schema_.columns[-1].rounding) == (coarser > 1)
    distribution, grid = regressor.predict_dist(X[:3]), np.arange(-200.0, 201.0)[None]
    probabilities = np.exp(distribution.logpdf(grid))
    cells = distribution.cdf(grid) - distribution.probability_below(grid)
    np.testing.assert_allclose(probabilities, cells, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-6)
    assert (distribution.entropy() >= 0).all()


@pytest.fixture(scope="module")
def stacked() -> FlowRegressor:
    X, y, _ = gaussian_rows(100)
    overfitted = {"learning_rate": 0.02, "early_stopping": False, "max_iter": 25}
    density = FlowDensity(hidden_units=8, n_layers=1, n_bins=4, n_components=1, **overfitted)
    return FlowRegressor(density, random_state=0).fit(X, y)


def test_initializations_have_their_share_of_the_mean(stacked, monkeypatch) -> None:
    monkeypatch.setattr(stacked, "spread_", 1.0)
    X, y, _ = gaussian_rows(50, 2)
    share = stacked.initial_share_
    assert 0.01 <= share < 1
    assert len(stacked.initial_fits_) == 1 + len(stacked.cross_fits_) == 10
    assert all(fit.n_layers == 0 and fit.n_iter_ <= 1 for fit in stacked.initial_fits_)
    rows = np.column_stack((X, y))
    initial = [fit.score_samples(rows) for fit in stacked.initial_fits_]
    of_initial = np.log(np.mean(np.exp(initial), axis=0))
    expected = np.logaddexp(
        np.log1p(-share) + mean_density(stacked, X, y), np.log(share) + of_initial
    )
    np.testing.assert_allclose(stacked.log_density(X, y), expected, rtol=0, atol=1e-9)


@pytest.mark.slow
def test_several_outputs_have_initializations_too() -> None:
    X, y, _ = gaussian_rows(90)
    targets = np.column_stack((y, y**2))
    density = FlowDensity(hidden_units=4, n_layers=1, n_bins=4, max_iter=4)
    regressor = FlowRegressor(density, random_state=0).fit(X, targets)
    regressor.initial_fits_ = regressor.initial_fits_ or regressor.cross_fits_[:2]
    regressor.initial_share_, rows = 0.3, np.column_stack((X, targets))[:5]
    fits = [regressor.density_, *regressor.cross_fits_]
    of_groups = [
        np.log(np.mean([np.exp(fit.score_samples(rows)) for fit in group], axis=0))
        for group in (fits, regressor.initial_fits_)
    ]
    expected = np.logaddexp(np.log(0.7) + of_groups[0], np.log(0.3) + of_groups[1])
    np.testing.assert_allclose(regressor.log_density(X[:5], targets[:5]), expected, atol=1e-9)
    regressor.initial_share_ = 0.002  # less than one of the draws of each fit
    assert np.isfinite(regressor.predict(X[:5])).all()


def test_densities_integrate_to_the_distribution_function(predicted) -> None:
    for k in range(3):
        row = predicted[k]
        grid = np.linspace(row.ppf(1e-4)[0], row.ppf(1 - 1e-4)[0], 4001)
        mass = np.trapezoid(row.pdf(grid[None])[0], grid)
        assert abs(mass - (1 - 2e-4)) < 1e-3


def test_quantiles_undo_the_distribution_function(predicted) -> None:
    shares = np.array([0.001, 0.05, 0.5, 0.9, 0.9999])
    quantiles = predicted.ppf(shares)
    assert quantiles.shape == (60, 5)
    np.testing.assert_allclose(predicted.cdf(quantiles), np.tile(shares, (60, 1)), atol=1e-9)
    np.testing.assert_array_equal(predicted.median(), predicted.ppf(0.5))
    np.testing.assert_allclose(predicted.sf(quantiles) + predicted.cdf(quantiles), 1)
    low, high = predicted.interval(0.8)
    np.testing.assert_allclose(predicted.cdf(high) - predicted.cdf(low), 0.8)


def test_crps_is_the_integral(predicted) -> None:
    y = np.linspace(-4, 9, 60)
    crps = predicted.crps(y)
    for k in range(0, 60, 20):
        row, at = predicted[k], y[k]
        expected = 0.0
        for part in itertools.pairwise(sorted([row.ppf(1e-6)[0], at, row.ppf(1 - 1e-6)[0]])):
            t = np.linspace(*part, 501)
            beyond = t.mean() > at  # the step is at an end of both parts
            expected += np.trapezoid((row.cdf(t[None])[0] - beyond) ** 2, t)
        assert crps[k] == pytest.approx(expected, rel=5e-3, abs=2e-3)


def test_moments_are_those_of_draws(predicted) -> None:
    predicted = predicted[:8]
    draws = predicted.sample(4000, random_state=0)
    assert draws.shape == (4000, 8)
    error = (draws.mean(axis=0) - predicted.mean()) / predicted.std()
    assert np.abs(error).max() < 4 / np.sqrt(4000)
    assert np.abs(draws.std(axis=0) / predicted.std() - 1).max() < 0.08


def test_mode_is_the_densest(predicted) -> None:
    grid = predicted.ppf(np.linspace(0.01, 0.99, 99))
    at_mode = predicted.logpdf(predicted.mode())
    assert (at_mode >= predicted.logpdf(grid).max(axis=1) - 1e-3).all()


def test_rows_are_taken_by_any_index(predicted) -> None:
    mean = predicted.mean()
    assert len(predicted) == 60
    for rows in (slice(3, 9), [5, 2], np.arange(60) % 2 == 0, -1):
        expected = np.atleast_1d(mean[rows])
        np.testing.assert_allclose(predicted[rows].mean(), expected)
    np.testing.assert_allclose(predicted[10:][[3]].cdf(0.0), predicted[13].cdf(0.0))
    copied = pickle.loads(pickle.dumps(predicted))
    np.testing.assert_array_equal(copied.ppf(0.3), predicted.ppf(0.3))


@pytest.mark.parametrize("q", [0.0, 1.0, [0.5, 1.5], np.nan, []])
def test_quantiles_outside_of_0_and_1_are_refused(predicted, q) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        predicted.ppf(q)


def test_y_of_other_shapes_is_refused(predicted) -> None:
    with pytest.raises(ValueError, match="60 rows"):
        predicted.cdf(np.zeros(7))
    with pytest.raises(ValueError, match="NaN"):
        predicted.cdf(np.nan)
    with pytest.raises(TypeError, match="number"):
        predicted.cdf(np.array("2020-01-01", dtype="M8[D]"))


def test_intervals_cover_fresh_rows(gaussian: FlowRegressor) -> None:
    X, y, _ = gaussian_rows(3000, 3)
    assert gaussian.n_calibration_ == 360
    for coverage in (0.5, 0.9):
        low, high = gaussian.predict_interval(X, coverage).T
        assert abs(np.mean((low <= y) & (y <= high)) - coverage) < 0.035


@pytest.mark.slow
def test_intervals_cover_where_the_density_is_wrong() -> None:
    """A fit of 60 components to 90 rows is far too sure of itself."""
    X, y, _ = gaussian_rows(90)
    regressor = FlowRegressor(FlowDensity(n_layers=0, n_components=15), random_state=0).fit(X, y)
    X, y, _ = gaussian_rows(3000, 3)
    low, high = regressor.predict_interval(X, 0.9).T
    calibrated = np.mean((low <= y) & (y <= high))
    low, high = regressor.predict_dist(X).interval(0.9)
    plain = np.mean((low <= y) & (y <= high))
    assert plain < 0.85
    # More than 0.9: the averages that calibrate are of fits to two thirds of these few rows.
    assert 0.88 < calibrated < 0.97


@pytest.mark.slow
def test_many_rows_are_calibrated_by_rows_that_are_held_out() -> None:
    X, y, _ = gaussian_rows(2500)
    regressor = FlowRegressor(GAUSSIAN, random_state=0).fit(X, y)
    assert regressor.n_calibration_ == 250
    assert len(regressor.cross_fits_) == 3


@pytest.mark.slow
def test_very_many_rows_are_fitted_once() -> None:
    X, y, _ = gaussian_rows(20_000)
    regressor = FlowRegressor(GAUSSIAN, random_state=0).fit(X, y)
    assert regressor.n_calibration_ == 2000
    assert regressor.cross_fits_ == []


@pytest.mark.usefixtures("shared_workers")
def test_cross_fits_side_by_side_give_the_same_result() -> None:
    X, y, _ = gaussian_rows(60)
    alone = FlowRegressor(GAUSSIAN, random_state=0).fit(X, y)
    together = FlowRegressor(GAUSSIAN, n_jobs=2, random_state=0).fit(X, y)
    np.testing.assert_array_equal(together.predict(X), alone.predict(X))
    np.testing.assert_array_equal(together.predict_interval(X), alone.predict_interval(X))


def test_rows_that_calibrate_are_held_out_of_their_fit(monkeypatch) -> None:
    fitted: list[set] = []
    fit = FlowDensity._fit

    def spy(self, known, rows, *others):
        fitted.append(set(rows.rows.tolist()))
        return fit(self, known, rows, *others)

    monkeypatch.setattr(FlowDensity, "_fit", spy)
    X, y, _ = gaussian_rows(60)
    FlowRegressor(GAUSSIAN, random_state=0).fit(X, y)
    every, *others = fitted
    assert every == set(range(60))
    held_out = [every - own for own in others]
    assert len(held_out) == 9
    assert all(19 <= len(part) <= 21 for part in held_out)
    assert set.union(*held_out) == every


@pytest.mark.parametrize(("n_rows", "n_calibration"), [(20, 20), (31, 30), (455, 138), (1999, 600)])
def test_cross_fits_that_hold_out_a_row_share_no_other(n_rows: int, n_calibration: int) -> None:
    plan = Plan.of(n_rows, np.random.default_rng(0))
    rows = np.concatenate(plan.parts)
    assert len(set(rows)) == len(rows) == n_calibration
    held_out = [set(own) for own in plan.held_out()]
    assert len(held_out) == 9
    for part, holders in zip(*plan, strict=True):
        assert {k for k, own in enumerate(held_out) if set(part) <= own} == set(holders)
        assert len(holders) == 3
        for pair in itertools.combinations(holders, 2):
            assert held_out[pair[0]] & held_out[pair[1]] == set(part)
    for pair in itertools.combinations(held_out, 2):
        assert len(pair[0] & pair[1]) <= np.ceil(len(rows) / 9)


def test_few_rows_are_not_calibrated_which_a_warning_says() -> None:
    X, y, _ = gaussian_rows(19)
    regressor = FlowRegressor(GAUSSIAN, random_state=0).fit(X, y)
    assert regressor.n_calibration_ == 0
    with pytest.warns(UserWarning, match="0 rows calibrate, and 19 are needed"):
        interval = regressor.predict_interval(X)
    low, high = regressor.predict_dist(X).interval(0.9)
    np.testing.assert_array_equal(interval, np.column_stack((low, high)))


@pytest.mark.slow
def test_a_wider_spread_in_some_rows() -> None:
    generator = np.random.default_rng(0)

    def draw(n_rows: int):
        X = generator.uniform(-1, 1, size=(n_rows, 1))
        truth = stats.norm(np.sin(3 * X[:, 0]), 0.1 + 0.4 * (X[:, 0] > 0))
        return X, truth.rvs(random_state=generator), truth

    X, y, _ = draw(800)
    density = FlowDensity(n_components=8, max_iter=20, hidden_units=32)
    regressor = FlowRegressor(density, random_state=0).fit(X, y)
    X, y, truth = draw(500)
    predicted = regressor.predict_dist(X)
    assert (truth.logpdf(y) - predicted.logpdf(y)).mean() < 0.15
    assert np.corrcoef(predicted.std(), truth.std())[0, 1] > 0.9


def test_two_modes() -> None:
    generator = np.random.default_rng(0)
    X = generator.normal(size=(1200, 1))
    y = X[:, 0] + np.where(generator.uniform(size=1200) < 0.3, -4, 4) + generator.normal(size=1200)
    predicted = FlowRegressor(MIXTURES, random_state=0).fit(X, y).predict_dist([[0.0], [1.0]])
    grid = np.array([[-4.0, 0.0, 4.0], [-3.0, 1.0, 5.0]])
    expected = [0.3 * stats.norm.pdf(0), 0, 0.7 * stats.norm.pdf(0)]
    np.testing.assert_allclose(predicted.pdf(grid), [expected] * 2, atol=0.06)
    np.testing.assert_allclose(predicted.cdf(grid[:, 1:2])[:, 0], 0.3, atol=0.06)


def counts(n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    X = generator.normal(size=(n_rows, 2))
    return X, generator.poisson(np.exp(3 + X[:, 0] / 2))


@pytest.mark.usefixtures("every_candidate")
@pytest.mark.usefixtures("few_fits")
def test_whole_numbers() -> None:
    X, y = counts(400)
    regressor = FlowRegressor(GAUSSIAN, random_state=0).fit(X, y)
    predicted = regressor.predict_dist(X[:20])
    assert regressor.predict(X).dtype == np.float64
    draws = predicted.sample(50, random_state=0)
    assert draws.dtype == y.dtype
    assert draws.min() >= 0
    grid = np.arange(-1, 400)
    mass = np.exp(predicted.logpdf(grid[None]))
    np.testing.assert_allclose(mass.sum(axis=1), 1, atol=2e-2)
    inner = predicted.cdf(grid[None])[:, 1:] - predicted.cdf(grid[None])[:, :-1]
    np.testing.assert_allclose(inner[:, 8:60], mass[:, 9:61], rtol=0.05, atol=1e-3)
    np.testing.assert_allclose(
        predicted.probability_below(grid[None] + 1), predicted.cdf(grid[None])
    )
    quantiles = predicted.ppf([0.05, 0.5, 0.95])
    assert quantiles.dtype == y.dtype
    assert (predicted.cdf(quantiles) >= [0.05, 0.5, 0.95]).all()
    assert (predicted.cdf(quantiles - 1) < [0.05, 0.5, 0.95]).all()


@pytest.mark.usefixtures("few_fits")
def test_levels() -> None:
    generator = np.random.default_rng(0)
    X = generator.normal(size=(600, 2))
    y = np.clip(np.round(X[:, 0] + generator.normal(size=600)), -1, 2).astype(int)
    regressor = FlowRegressor(MIXTURES, random_state=0).fit(X, y)
    predicted = regressor.predict_dist(X[:30])
    np.testing.assert_array_equal(predicted.levels_, [-1, 0, 1, 2])
    probabilities = predicted.probabilities_
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_allclose(predicted.mean(), probabilities @ [-1, 0, 1, 2])
    np.testing.assert_allclose(
        predicted.cdf([[0.0, 0.5]]), probabilities[:, :2].sum(axis=1)[:, None] * [1, 1]
    )
    np.testing.assert_array_equal(predicted.mode(), predicted.levels_[probabilities.argmax(axis=1)])
    second = (probabilities @ np.array([1, 0, 1, 4])) - predicted.mean() ** 2
    np.testing.assert_allclose(predicted.var(), second)
    below = probabilities.cumsum(axis=1)[:, :-1]
    y = np.full(30, 1)
    expected = (below[:, :2] ** 2).sum(axis=1) + (below[:, 2] - 1) ** 2
    np.testing.assert_allclose(predicted.crps(y), expected)
    at = predicted.ppf([0.2, 0.7])
    assert (predicted.cdf(at) >= [0.2, 0.7]).all()
    assert (predicted.probability_below(at) < [0.2, 0.7]).all()


@pytest.mark.usefixtures("few_fits")
@pytest.mark.parametrize("probability", [0.3, 0.5, 0.9])
def test_quantiles_and_draws_of_two_levels(probability: float) -> None:
    """The highest level is drawn as often as any: also where it is not the rarest."""
    X = np.zeros((200, 1))
    y = (np.arange(200) < 200 * probability).astype(float)
    predicted = FlowRegressor(GAUSSIAN, random_state=0).fit(X, y).predict_dist(X[:1])
    low = 1 - predicted.mean()[0]
    at = np.array([0.01, low - 0.01, low + 0.01, 0.99])
    np.testing.assert_array_equal(predicted.ppf(at), [[0, 0, 1, 1]])
    draws = predicted.sample(2000, random_state=0)
    assert abs(draws.mean() - (1 - low)) < 4.5 * np.sqrt(low * (1 - low) / 2000)


@pytest.mark.usefixtures("few_fits")
def test_atoms() -> None:
    """Rain: nothing on many days."""
    generator = np.random.default_rng(0)
    X = generator.normal(size=(600, 1))
    dry = generator.uniform(size=600) < 0.4
    y = np.where(dry, 0.0, np.exp(X[:, 0] / 3 + generator.normal(size=600) / 2))
    regressor = FlowRegressor(GAUSSIAN, random_state=0).fit(X, y)
    predicted = regressor.predict_dist(X[:15])
    np.testing.assert_array_equal(predicted.levels_, [0.0])
    share = predicted.probabilities_[:, 0]
    assert np.abs(share - 0.4).max() < 0.1
    np.testing.assert_allclose(predicted.cdf(0.0), share)
    np.testing.assert_array_equal(predicted.probability_below(0.0), 0)
    np.testing.assert_allclose(predicted.ppf(0.2), 0)
    shares = np.array([0.6, 0.9])
    np.testing.assert_allclose(predicted.cdf(predicted.ppf(shares)), np.tile(shares, (15, 1)))
    draws = predicted.sample(3000, random_state=0)
    error = np.abs(draws.mean(axis=0) - predicted.mean()) / predicted.std()
    assert error.max() < 4.5 / np.sqrt(3000)
    pit = predicted.pit(np.zeros(15), random_state=0)
    assert ((pit >= 0) & (pit <= share)).all()
    pairs = np.abs(draws[:1500] - draws[1500:]).mean(axis=0) / 2
    expected = np.abs(draws - 1.0).mean(axis=0) - pairs
    np.testing.assert_allclose(predicted.crps(np.ones(15)), expected, rtol=0.15, atol=0.02)


@pytest.mark.usefixtures("few_fits")
def test_dates_and_durations() -> None:
    generator = np.random.default_rng(0)
    X = generator.normal(size=(100, 1))
    hours = np.round(50 + 10 * X[:, 0] + generator.normal(size=100)).astype("m8[h]")
    dates = np.datetime64("2024-01-01T00", "h") + hours
    for y, spread in ((dates, "m8[ns]"), (hours.astype("m8[s]"), "m8[ns]")):
        regressor = FlowRegressor(GAUSSIAN, random_state=0).fit(X, y)
        mean, std = regressor.predict(X, return_std=True)
        assert mean.dtype.kind == y.dtype.kind
        assert std.dtype == spread
        assert np.abs((mean - y) / np.timedelta64(1, "h")).mean() < 1.5
        drawn = (regressor.sample(X, 100, random_state=0) - y) / np.timedelta64(1, "h")
        drawn_std = drawn.std(axis=0).mean()
        assert std.mean() / np.timedelta64(1, "h") == pytest.approx(drawn_std, rel=0.1)
        assert regressor.predict_interval(X).dtype == y.dtype
        assert regressor.log_density(X, y).shape == (100,)
        assert regressor.predict_dist(X).crps(y).mean() / 3600 < 1.5


@pytest.mark.usefixtures("few_fits")
def test_several_outputs() -> None:
    generator = np.random.default_rng(0)
    X = generator.normal(size=(300, 1))
    common = generator.normal(size=300)
    own = generator.normal(size=300)
    y = np.column_stack((X[:, 0] + common, 10 * X[:, 0] - 3 * common + own))
    regressor = FlowRegressor(GAUSSIAN, random_state=0).fit(X, y)
    predicted = regressor.predict_dist(X[:20])
    assert predicted.mean().shape == (20, 2)
    assert np.abs(predicted.mean() - X[:20] * [1, 10]).max() < 1
    assert predicted.cdf(y[:20]).shape == (20, 2)
    assert predicted.crps(y[:20]).shape == (20, 2)
    assert predicted.ppf([0.1, 0.5, 0.9]).shape == (20, 2, 3)
    assert regressor.predict_interval(X).shape == (300, 2, 2)
    draws = predicted.sample(400, random_state=0)
    assert draws.shape == (400, 20, 2)
    assert np.corrcoef(draws[:, 0].T)[0, 1] < -0.8
    joint = mean_density(regressor, X, y)
    np.testing.assert_allclose(regressor.log_density(X, y), joint)
    np.testing.assert_allclose(predicted[3:5].logpdf(y[3:5]), joint[3:5])
    np.testing.assert_allclose(regressor.predict(X[7:9]), regressor.predict(X)[7:9])
    with pytest.raises(ValueError, match="one output"):
        predicted.mode()


def test_several_outputs_have_the_distributions_of_their_draws() -> None:
    generator = np.random.default_rng(0)
    X = generator.normal(size=(300, 1))
    y = np.column_stack((X[:, 0], -3 * X[:, 0])) + generator.normal(size=(300, 2))
    regressor = FlowRegressor(GAUSSIAN, random_state=0).fit(X, y)
    predicted, shares = regressor.predict_dist(X[:20]), np.linspace(0.05, 0.95, 19)
    quantiles = predicted.ppf(shares)
    truth = stats.norm(X[:20] * [1, -3], 1).ppf(shares[:, None, None])
    assert np.abs(quantiles - np.moveaxis(truth, 0, -1)).mean() < 0.2
    for k, share in enumerate(shares):
        np.testing.assert_allclose(predicted.cdf(quantiles[:, :, k]), share, atol=1 / 256)
    draws = predicted.sample(2000, random_state=0)
    apart = np.abs(draws[:1000] - draws[1000:]).mean(axis=0) / 2
    expected = np.abs(draws - y[:20]).mean(axis=0) - apart
    np.testing.assert_allclose(predicted.crps(y[:20]), expected, atol=0.06)
    low, high = np.moveaxis(regressor.predict_interval(X, 0.8), -1, 0)
    assert np.abs(((low <= y) & (y <= high)).mean(axis=0) - 0.8).max() < 0.08


@pytest.mark.usefixtures("few_fits")
@pytest.mark.parametrize("factor", slow_but([2.0**600], [2.0**-600, 2.0**600]))
def test_moments_in_extreme_units(factor: float) -> None:
    X, y, _ = gaussian_rows(60)
    plain, scaled = (
        FlowRegressor(GAUSSIAN, random_state=0).fit(X, unit * y).predict(X, return_std=True)
        for unit in (1.0, factor)
    )
    for own, other in zip(plain, scaled, strict=True):
        np.testing.assert_allclose(other / factor, own, rtol=1e-6)


@pytest.mark.usefixtures("few_fits")
def test_several_outputs_of_a_frame() -> None:
    X, y, _ = gaussian_rows(60)
    frame = pd.DataFrame({"u": y, "v": -(y**2)})
    regressor = FlowRegressor(GAUSSIAN, random_state=0).fit(pd.DataFrame(X).add_prefix("x"), frame)
    fresh = pd.DataFrame(X[:5]).add_prefix("x")
    expected = regressor.log_density(fresh, frame[:5].to_numpy())
    np.testing.assert_array_equal(regressor.log_density(fresh, frame[:5]), expected)


@pytest.mark.usefixtures("few_fits")
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames(library: str) -> None:
    generator = np.random.default_rng(0)
    columns = {
        "size": generator.normal(size=150),
        "town": generator.choice(["here", "there", "far off"], size=150),
        "day": np.datetime64("2024-01-01") + generator.integers(0, 300, size=150).astype("m8[D]"),
    }
    price = columns["size"] + 3 * (columns["town"] == "here") + generator.normal(size=150)
    frame = pd.DataFrame(columns) if library == "pandas" else pl.DataFrame(columns)
    frame_y = pd.Series(price, name="size") if library == "pandas" else pl.Series("size", price)
    regressor = FlowRegressor(GAUSSIAN, random_state=0).fit(frame, frame_y)
    assert regressor.score(frame, frame_y) > 0.4
    assert list(regressor.feature_names_in_) == ["size", "town", "day"]
    fresh = frame[:5] if library == "polars" else frame.iloc[:5]
    assert regressor.predict(fresh).shape == (5,)
    with pytest.raises(ValueError, match="feature names"):
        regressor.predict(fresh[["town", "size", "day"]])


@pytest.mark.usefixtures("few_fits")
def test_missing_values_of_x() -> None:
    X, y, _ = gaussian_rows(300)
    X[::3, 0] = np.nan
    regressor = FlowRegressor(GAUSSIAN, random_state=0).fit(X, y)
    there = ~np.isnan(X[:, 0])
    assert regressor.score(X[there], y[there]) > 0.5
    assert np.isfinite(regressor.log_density(X, y)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_y_without_a_number_is_refused(bad: float) -> None:
    X, y, _ = gaussian_rows(30)
    y[3] = bad
    with pytest.raises(ValueError, match="Input y contains"):
        FlowRegressor(GAUSSIAN).fit(X, y)


@pytest.mark.usefixtures("few_fits")
def test_an_array_of_objects_is_read_alike_in_fit_and_predict() -> None:
    """Dates among objects are labels, also where the table is one of objects and y."""
    X, y, _ = gaussian_rows(30)
    dates = np.array([pd.Timestamp("2024-01-01"), pd.Timestamp("2024-01-02")], dtype=object)
    objects = np.column_stack([X.astype(object), dates[np.arange(30) % 2]])
    regressor = FlowRegressor(GAUSSIAN, random_state=0).fit(objects, y)
    assert np.isfinite(regressor.predict(objects[:2])).all()


@pytest.mark.usefixtures("few_fits")
def test_other_bad_input() -> None:
    X, y, _ = gaussian_rows(30)
    words = ["a", "b"] * 15
    for text in (np.array(words), pd.Categorical(words), pd.Series(words, dtype="string")):
        with pytest.raises(ValueError, match=r"got text.*FlowClassifier"):
            FlowRegressor(GAUSSIAN).fit(X, text)
    with pytest.raises(ValueError, match="got Period"):
        FlowRegressor(GAUSSIAN).fit(X, pd.period_range("2024-01", periods=30, freq="M"))
    zoned = pd.Series(pd.date_range("2024-03-01", periods=30, tz="Europe/Berlin"))
    for dates in (zoned, pd.DatetimeIndex(zoned), zoned.tolist()):
        with pytest.raises(TypeError, match="time zone"):
            FlowRegressor(GAUSSIAN).fit(X, dates)
    with pytest.raises(TypeError, match="several sorts"):
        FlowRegressor(GAUSSIAN).fit(X, pd.DataFrame({"n": y, "d": np.datetime64("2024-03-01")}))
    with pytest.raises(ValueError, match="inconsistent"):
        FlowRegressor(GAUSSIAN).fit(X, y[:-1])
    with pytest.raises(ValueError, match="given=None"):
        FlowRegressor(FlowDensity(given=[0])).fit(X, y)
    with pytest.raises(ValueError, match="belong together"):
        FlowRegressor(GAUSSIAN).fit(X, y, X_val=X)
    regressor = FlowRegressor(GAUSSIAN, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="coverage"):
        regressor.predict_interval(X, 1.0)
    with pytest.raises(ValueError, match="not both"):
        regressor.predict(X, return_std=True, quantiles=[0.5])


@pytest.mark.usefixtures("few_fits")
def test_a_failed_fit_leaves_the_earlier_one() -> None:
    X, y, _ = gaussian_rows(30)
    regressor = FlowRegressor(GAUSSIAN, random_state=0).fit(X, y)
    before = regressor.predict(X)
    with pytest.raises(ValueError, match="NaN"):
        regressor.fit(X[:, :1], np.full(30, np.nan))
    np.testing.assert_array_equal(regressor.predict(X), before)


@pytest.mark.usefixtures("few_fits")
def test_pipelines_hand_quantiles_through() -> None:
    X, y, _ = gaussian_rows(60)
    regressor = FlowRegressor(GAUSSIAN, random_state=0)
    pipeline = make_pipeline(StandardScaler(), regressor).fit(X, y)
    quantiles = pipeline.predict(X, quantiles=[0.1, 0.5, 0.9])
    assert quantiles.shape == (60, 3)
    assert (np.diff(quantiles, axis=1) > 0).all()
    mean, std = pipeline.predict(X, return_std=True)
    assert mean.shape == std.shape == (60,)


@pytest.mark.usefixtures("few_fits")
def test_grids_name_parameters_of_the_density() -> None:
    X, y, _ = gaussian_rows(60)
    search = GridSearchCV(FlowRegressor(GAUSSIAN), {"density__n_components": [1, 2]}, cv=2)
    assert search.fit(X, y).best_params_["density__n_components"] in (1, 2)
    assert clone(search.best_estimator_).density.n_layers == 0


@pytest.mark.usefixtures("few_fits")
def test_imputer_draws_from_the_predictions() -> None:
    X, _, _ = gaussian_rows(40)
    X = np.column_stack((X, X[:, 0] + 0.1))
    X[::4, 2] = np.nan
    X[1::5, 0] = np.nan
    imputer = IterativeImputer(
        FlowRegressor(GAUSSIAN, random_state=0), sample_posterior=True, max_iter=1, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence, and degenerate columns
        filled = imputer.fit_transform(X)
    assert np.isfinite(filled).all()


@pytest.mark.usefixtures("few_fits")
def test_weights_of_rows() -> None:
    X, y, _ = gaussian_rows(200)
    other = y + 10
    weight = np.repeat([1.0, 0.0], 200)
    both = np.vstack((X, X)), np.concatenate((y, other))
    weighted = FlowRegressor(GAUSSIAN, random_state=0).fit(*both, sample_weight=weight)
    alone = FlowRegressor(GAUSSIAN, random_state=0).fit(X, y)
    np.testing.assert_array_equal(weighted.predict(X), alone.predict(X))
    weight = np.repeat([3.0, 1.0], 200)
    mixed = FlowRegressor(GAUSSIAN, random_state=0).fit(*both, sample_weight=weight)
    assert abs((mixed.predict(X) - alone.predict(X)).mean() - 2.5) < 0.5
    with pytest.raises(ValueError, match="weights"):
        FlowRegressor(GAUSSIAN).fit(X, y, sample_weight=np.zeros(200))


@pytest.mark.usefixtures("few_fits")
def test_validation_rows() -> None:
    X, y, _ = gaussian_rows(120)
    density = FlowDensity(hidden_units=4, n_components=1, max_iter=2)
    regressor = FlowRegressor(density, random_state=0).fit(X, y, X_val=X[:30], y_val=y[:30])
    assert np.isfinite(regressor.density_.history_["validation_score"]).all()


@pytest.mark.usefixtures("few_fits")
def test_cross_fits_take_the_choices_of_the_fit() -> None:
    X, y, _ = gaussian_rows(120)
    fit = FlowRegressor(FlowDensity(hidden_units=4, max_iter=3), random_state=0).fit(X, y)
    n_iter = 1 + np.argmax(fit.density_.history_["validation_score"])
    for cross_fit in fit.cross_fits_:
        assert cross_fit.n_iter_ == n_iter
        assert np.isnan(cross_fit.history_["validation_score"]).all()
        kept, own = (each._density.model.flow.mixture for each in (fit.density_, cross_fit))
        assert kept.intercept.shape == own.intercept.shape


def test_files_hold_initializations(tmp_path, stacked: FlowRegressor) -> None:
    X, y, _ = gaussian_rows(20, 3)
    stacked.save(tmp_path / "model.skflow")
    loaded = skflow.load(tmp_path / "model.skflow", device="cpu")
    assert loaded.spread_ == stacked.spread_
    np.testing.assert_array_equal(loaded.log_density(X, y), stacked.log_density(X, y))
    assert {fit.device for fit in loaded.initial_fits_} == {"cpu"}
    parts = take_apart((tmp_path / "model.skflow").read_bytes())
    assert parts.document.pop("spread") == stacked.spread_
    (tmp_path / "older.skflow").write_bytes(put_together(parts))
    assert skflow.load(tmp_path / "older.skflow").spread_ == 1


@pytest.mark.usefixtures("few_fits")
@pytest.mark.parametrize("several", [False, True])
def test_files(tmp_path, several: bool) -> None:
    X, y, _ = gaussian_rows(60)
    frame = pd.DataFrame(X, columns=["a", "b"])
    target = np.column_stack((y, -(y**2))) if several else y
    regressor = FlowRegressor(GAUSSIAN, random_state=0).fit(frame, target)
    path = tmp_path / "model.skflow"
    regressor.save(path)
    loaded = skflow.load(path)
    assert isinstance(loaded, FlowRegressor)
    np.testing.assert_array_equal(loaded.predict(frame), regressor.predict(frame))
    np.testing.assert_array_equal(
        loaded.predict_interval(frame, 0.8), regressor.predict_interval(frame, 0.8)
    )
    assert list(loaded.feature_names_in_) == ["a", "b"]
    assert loaded.get_params(deep=False).keys() == regressor.get_params(deep=False).keys()
    pickled = pickle.loads(pickle.dumps(regressor))
    np.testing.assert_array_equal(
        pickled.log_density(frame, target), regressor.log_density(frame, target)
    )


@pytest.mark.usefixtures("few_fits")
def test_a_notebook_shows_the_schema() -> None:
    X = np.random.default_rng(0).normal(size=(60, 3))
    regressor = FlowRegressor(GAUSSIAN, random_state=0).fit(X[:, :2], X[:, 2])
    shown = regressor._repr_html_()
    assert regressor.density_.schema_._repr_html_() in shown
    assert "Outliers" not in shown


def test_quantiles_of_more_fits_are_extrapolated() -> None:
    """Members F_m(y) = Phi(z + e_m): the average of N of them has known tails."""
    generator = np.random.default_rng(0)
    z = generator.normal(size=200_000)
    pit = stats.norm.cdf(0.8 * z + 0.6 * generator.normal(size=(20, len(z))))
    pit = np.stack((pit, pit), axis=2)  # F(y) and F(y-) of one output: it is continuous
    of_three = Calibration.of(pit[:3], None, 3).levels(0.9)
    of_twenty = Calibration.of(pit, None, 20).levels(0.9)
    extrapolated = Calibration.of(pit[:3], None, 20).levels(0.9)
    assert of_three[0, 0] < extrapolated[0, 0] < of_twenty[0, 0] + 0.002
    error = np.abs(extrapolated - of_twenty).max()
    assert error < 0.4 * np.abs(of_three - of_twenty).max()
    weight = np.repeat([1.0, 2.0], len(z) // 2)
    twice = np.concatenate((pit, pit[:, len(z) // 2 :]), axis=1)
    np.testing.assert_allclose(
        Calibration.of(pit[:3], weight, 20).levels(0.9),
        Calibration.of(twice[:3], None, 20).levels(0.9),
        atol=1e-4,
    )


@pytest.mark.usefixtures("few_fits")
def test_intervals_of_levels_are_no_longer_than_their_coverage_needs() -> None:
    """Both ends may be y: at 0.96 for 0.9, intervals were those of a draw within its jump."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(6000, 1))
    y = np.rint(5.6 + 0.5 * x[:, 0] + 0.6 * generator.normal(size=6000)).clip(3, 8)
    regressor = FlowRegressor(GAUSSIAN, random_state=0).fit(x[:1500], y[:1500])
    for coverage in (0.5, 0.8, 0.9):
        low, high = regressor.predict_interval(x[1500:], coverage).T
        assert np.mean((low <= y[1500:]) & (y[1500:] <= high)) == pytest.approx(coverage, abs=0.04)
