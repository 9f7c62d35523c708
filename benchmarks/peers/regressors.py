"""Probabilistic regressors on one split: log-densities, quantiles and means of the test rows.

Each library is imported when it is asked for, so that those which are absent are left out.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.linear_model import BayesianRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skflow import FlowDensity, FlowRegressor

FloatArray = NDArray[np.float64]

LEVELS = (np.arange(200) + 0.5) / 200  # quantiles that CRPS is computed from
MOST_GP_ROWS = 2_000  # time grows with the cube of rows


class Predicted(NamedTuple):
    """Predictions of test rows.

    Attributes
    ----------
    mean : ndarray of shape (n_rows,)
    quantiles : ndarray of shape (n_rows, n_levels)
        At :data:`LEVELS`.
    pit : ndarray of shape (n_rows,)
        Values of the distribution function.
    interval : ndarray of shape (n_rows, 2)
        Of coverage 0.9.
    log_density : ndarray of shape (n_rows,), optional
        None of methods without a density.
    """

    mean: FloatArray
    quantiles: FloatArray
    pit: FloatArray
    interval: FloatArray
    log_density: FloatArray | None = None


Method = Callable[[FloatArray, FloatArray, FloatArray, FloatArray, int], Predicted]


def skflow_conditional(
    X: FloatArray, y: FloatArray, X_test: FloatArray, y_test: FloatArray, seed: int
) -> Predicted:
    """FlowRegressor, all of its defaults."""
    return _of_regressor(FlowRegressor(random_state=seed), X, y, X_test, y_test)


def skflow_initialization(
    X: FloatArray, y: FloatArray, X_test: FloatArray, y_test: FloatArray, seed: int
) -> Predicted:
    """FlowRegressor without trained layers."""
    regressor = FlowRegressor(FlowDensity(n_layers=0), random_state=seed)
    return _of_regressor(regressor, X, y, X_test, y_test)


def _of_regressor(
    regressor: FlowRegressor,
    X: FloatArray,
    y: FloatArray,
    X_test: FloatArray,
    y_test: FloatArray,
) -> Predicted:
    predicted = regressor.fit(X, y).predict_dist(X_test)
    return Predicted(
        predicted.mean(),
        predicted.ppf(LEVELS),
        predicted.pit(y_test, 0),
        regressor.predict_interval(X_test, 0.9),
        predicted.logpdf(y_test),
    )


def of_normal(mean: FloatArray, sd: FloatArray, y_test: FloatArray) -> Predicted:
    """Predictions of a normal distribution in each row."""
    normal = stats.norm(mean[:, None], sd[:, None])
    interval = normal.ppf(np.array([0.05, 0.95]))
    own = stats.norm(mean, sd)
    return Predicted(mean, normal.ppf(LEVELS), own.cdf(y_test), interval, own.logpdf(y_test))


def linear(
    X: FloatArray, y: FloatArray, X_test: FloatArray, y_test: FloatArray, seed: int
) -> Predicted:
    """Bayesian ridge regression."""
    model = make_pipeline(StandardScaler(), BayesianRidge()).fit(X, y)
    return of_normal(*model.predict(X_test, return_std=True), y_test)


def gaussian_process(
    X: FloatArray, y: FloatArray, X_test: FloatArray, y_test: FloatArray, seed: int
) -> Predicted:
    """scikit-learn's Gaussian process, a scale for each column, 2,000 rows at most."""
    chosen = np.random.default_rng(seed).permutation(len(y))[:MOST_GP_ROWS]
    kernel = ConstantKernel() * Matern(np.ones(X.shape[1]), nu=2.5) + WhiteKernel()
    process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed)
    model = make_pipeline(StandardScaler(), process).fit(X[chosen], y[chosen])
    return of_normal(*model.predict(X_test, return_std=True), y_test)


def ngboost(
    X: FloatArray, y: FloatArray, X_test: FloatArray, y_test: FloatArray, seed: int
) -> Predicted:
    """NGBoost with a normal distribution, 500 boosting steps."""
    model = import_module("ngboost").NGBRegressor(verbose=False, random_state=seed).fit(X, y)
    normal = model.pred_dist(X_test)
    return of_normal(np.asarray(normal.loc), np.asarray(normal.scale), y_test)


def quantile_forest(
    X: FloatArray, y: FloatArray, X_test: FloatArray, y_test: FloatArray, seed: int
) -> Predicted:
    """Quantile regression forest of 100 trees, leaves of 5 rows."""
    forest = import_module("quantile_forest").RandomForestQuantileRegressor
    model = forest(min_samples_leaf=5, random_state=seed).fit(X, y)
    quantiles = model.predict(X_test, quantiles=LEVELS.tolist())
    return _of_quantiles(quantiles, y_test)


def treeffuser(
    X: FloatArray, y: FloatArray, X_test: FloatArray, y_test: FloatArray, seed: int
) -> Predicted:
    """Treeffuser, 200 draws of each row."""
    model = import_module("treeffuser").Treeffuser(seed=seed)
    draws = np.asarray(model.fit(X, y).sample(X_test, n_samples=200, seed=seed, verbose=False))
    return _of_quantiles(np.quantile(draws.reshape(200, -1).T, LEVELS, axis=1).T, y_test)


def _of_quantiles(quantiles: FloatArray, y_test: FloatArray) -> Predicted:
    """Predictions of methods that have quantiles alone."""
    pit = (quantiles < y_test[:, None]).mean(axis=1) / 2
    pit += (quantiles <= y_test[:, None]).mean(axis=1) / 2
    interval = np.column_stack(
        (quantiles[:, 9:11].mean(axis=1), quantiles[:, 189:191].mean(axis=1))
    )
    return Predicted(quantiles.mean(axis=1), quantiles, pit, interval)


METHODS: dict[str, tuple[str, Method]] = {
    "FlowRegressor": ("scikit-learn", skflow_conditional),
    "FlowRegressor, n_layers=0": ("scikit-learn", skflow_initialization),
    "NGBoost": ("ngboost", ngboost),
    "quantile-forest": ("quantile_forest", quantile_forest),
    "treeffuser": ("treeffuser", treeffuser),
    "Gaussian process": ("scikit-learn", gaussian_process),
    "Bayesian ridge": ("scikit-learn", linear),
}


def is_installed(name: str) -> bool:
    """Return whether the library of a method can be imported."""
    library = METHODS[name][0]
    if library == "scikit-learn":
        return True
    try:
        import_module(library)
    except ImportError:
        return False
    return True


def crps_of_quantiles(quantiles: FloatArray, y: FloatArray) -> Any:
    """Mean CRPS: twice the mean pinball loss over :data:`LEVELS`."""
    error = y[:, None] - quantiles
    return float(2 * np.mean(np.maximum(LEVELS * error, (LEVELS - 1) * error)))
