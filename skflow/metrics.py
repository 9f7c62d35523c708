r"""Scores of predictive distributions, and scorers for model selection.

``log_density_scorer`` and ``crps_scorer`` are scorers of scikit-learn, for the parameter
``scoring`` of :func:`~sklearn.model_selection.cross_val_score` and
:class:`~sklearn.model_selection.GridSearchCV`. They take a fitted :class:`~skflow.FlowRegressor`,
whose distributions no function of predicted numbers could score. Higher is better for both:
CRPS counts with its sign changed.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array, check_consistent_length

FloatArray = NDArray[np.float64]

__all__ = [
    "coverage_error",
    "crps_scorer",
    "interval_score",
    "log_density_scorer",
    "pit_values",
]


def log_density_scorer(estimator: Any, X: ArrayLike, y: ArrayLike) -> float:
    r"""Mean log-density of y given X, :math:`\frac{1}{n} \sum_i \log p(y_i \mid x_i)`.

    Parameters
    ----------
    estimator : FlowRegressor, or Pipeline that ends with one
        Fitted.
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)

    Returns
    -------
    score : float
        In nats per row, per unit of y; higher is better. The negative log-likelihood (NLL) is
        this with its sign changed.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import cross_val_score
    >>> from skflow import FlowDensity, FlowRegressor
    >>> from skflow.metrics import log_density_scorer
    >>> X = np.random.default_rng(0).normal(size=(90, 1))
    >>> y = X[:, 0] + np.random.default_rng(1).normal(size=90)
    >>> regressor = FlowRegressor(FlowDensity(n_layers=0, n_components=1), random_state=0)
    >>> cross_val_score(regressor, X, y, cv=3, scoring=log_density_scorer).round(1)
    array([-1.2, -1.4, -1.2])
    """
    return float(np.mean(_distribution(estimator, X).logpdf(np.asarray(y))))


def crps_scorer(estimator: Any, X: ArrayLike, y: ArrayLike) -> float:
    r"""Mean continuous ranked probability score of y given X, its sign changed.

    Defined in [1]_.

    .. math:: -\frac{1}{n} \sum_i \int (F_i(t) - [y_i \le t])^2 \, dt

    Parameters
    ----------
    estimator : FlowRegressor, or Pipeline that ends with one
        Fitted.
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)

    Returns
    -------
    score : float
        In units of y, at most 0; higher is better. Several outputs are averaged.

    References
    ----------
    .. [1] T. Gneiting, A. E. Raftery, "Strictly Proper Scoring Rules, Prediction, and
       Estimation", JASA 102, 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from skflow import FlowDensity, FlowRegressor
    >>> from skflow.metrics import crps_scorer
    >>> X = np.random.default_rng(0).normal(size=(90, 1))
    >>> y = X[:, 0] + np.random.default_rng(1).normal(size=90)
    >>> regressor = FlowRegressor(FlowDensity(n_layers=0, n_components=1), random_state=0).fit(X, y)
    >>> round(crps_scorer(regressor, X, y), 2)
    -0.47
    """
    return -float(np.mean(_distribution(estimator, X).crps(np.asarray(y))))


def interval_score(y_true: ArrayLike, interval: ArrayLike, *, coverage: float) -> float:
    r"""Mean interval score: narrow intervals that cover score best.

    Defined in [1]_.

    .. math:: u - l + \frac{2}{\alpha} (l - y)_+ + \frac{2}{\alpha} (y - u)_+ ,
              \qquad \alpha = 1 - \text{coverage}

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
    interval : array-like of shape (n_samples, 2)
        Ends l and u, as :meth:`FlowRegressor.predict_interval` gives them.
    coverage : float
        Probability that the intervals are meant to hold, in (0, 1).

    Returns
    -------
    score : float
        In units of y; lower is better.

    Raises
    ------
    ValueError
        Where shapes do not agree, or the coverage is not between 0 and 1.

    References
    ----------
    .. [1] T. Gneiting, A. E. Raftery, "Strictly Proper Scoring Rules, Prediction, and
       Estimation", JASA 102, 2007, equation 43.

    Examples
    --------
    >>> from skflow.metrics import interval_score
    >>> interval_score([1.0, 5.0], [[0.0, 2.0], [0.0, 4.0]], coverage=0.8)
    8.0
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage must be between 0 and 1; got {coverage}.")
    y = check_array(y_true, ensure_2d=False, dtype=np.float64, input_name="y_true").ravel()
    ends = check_array(interval, dtype=np.float64, input_name="interval")
    check_consistent_length(y, ends)
    if ends.shape[1] != 2:
        raise ValueError(f"interval must be of shape (n_samples, 2); got {ends.shape}.")
    low, high = ends.T
    beyond = np.maximum(low - y, 0) + np.maximum(y - high, 0)
    return float(np.mean(high - low + 2 / (1 - coverage) * beyond))


def coverage_error(pit: ArrayLike, *, n_bins: int = 10) -> float:
    r"""Quantile interval coverage error (QICE).

    Defined in [1]_.

    .. math:: \frac{1}{B} \sum_{b=1}^{B} \left| r_b - \frac{1}{B} \right|

    with :math:`r_b` the share of rows whose y lies between the quantiles (b - 1)/B and b/B that
    were predicted for it.

    Parameters
    ----------
    pit : array-like of shape (n_samples,)
        Values of the predicted distribution functions, as of :func:`pit_values`.
    n_bins : int, default=10
        Number B of intervals of equal predicted probability.

    Returns
    -------
    error : float
        In [0, 1]; 0 if every interval has its share.

    References
    ----------
    .. [1] X. Han, H. Zheng, M. Zhou, "CARD: Classification and Regression Diffusion Models",
       NeurIPS 2022, :arxiv:`2206.07275`, equation 15.

    Examples
    --------
    >>> import numpy as np
    >>> from skflow.metrics import coverage_error
    >>> coverage_error((np.arange(100) + 0.5) / 100)
    0.0
    """
    values = check_array(pit, ensure_2d=False, dtype=np.float64, input_name="pit").ravel()
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("pit must hold probabilities, between 0 and 1.")
    counts, _ = np.histogram(values, bins=n_bins, range=(0, 1))
    return float(np.mean(np.abs(counts / len(values) - 1 / n_bins)))


def pit_values(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike,
    *,
    random_state: int | np.random.RandomState | None = 0,
) -> FloatArray:
    r"""Probability integral transform: values of the predicted distribution functions at y.

    :math:`U_i = F(y_i \mid x_i)` are uniform on [0, 1] if the predictions are right. Where the
    distribution function jumps, a uniform draw within the jump.

    Parameters
    ----------
    estimator : FlowRegressor, or Pipeline that ends with one
        Fitted.
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    random_state : int, RandomState instance or None, default=0
        Seed of the draws within jumps.

    Returns
    -------
    pit : ndarray of shape (n_samples,) or (n_samples, n_outputs), float64

    Examples
    --------
    >>> import numpy as np
    >>> from skflow import FlowDensity, FlowRegressor
    >>> from skflow.metrics import pit_values
    >>> X = np.random.default_rng(0).normal(size=(90, 1))
    >>> y = X[:, 0] + np.random.default_rng(1).normal(size=90)
    >>> regressor = FlowRegressor(FlowDensity(n_layers=0, n_components=1), random_state=0).fit(X, y)
    >>> pit = pit_values(regressor, X, y)
    >>> np.histogram(pit, bins=3, range=(0, 1))[0]
    array([27, 31, 32])
    """
    return _distribution(estimator, X).pit(np.asarray(y), random_state)


def _distribution(estimator: Any, X: ArrayLike) -> Any:
    """Return the predicted distributions, also of the last step of a pipeline."""
    last, table = estimator, X
    if isinstance(estimator, Pipeline):
        last = estimator[-1]
        table = estimator[:-1].transform(X) if len(estimator) > 1 else X
    if not hasattr(last, "predict_dist"):
        raise TypeError(
            f"Expected a FlowRegressor, whose distributions are scored; got {type(last).__name__}."
        )
    return last.predict_dist(table)
