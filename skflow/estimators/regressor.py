"""FlowRegressor: the whole predictive distribution of y given X."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from skflow.estimators.calibration import Calibration, plan
from skflow.estimators.conditional_distribution import ConditionalDistribution
from skflow.estimators.density import FlowDensity
from skflow.estimators.failures import keep_earlier_fit
from skflow.estimators.meta import clone_density
from skflow.estimators.predictor_files import SaveableRegressor
from skflow.estimators.targets import (
    Predictor,
    Targets,
    conditions_of,
    fit_given,
    read_rows,
    take_rows,
)
from skflow.estimators.validation import check_table
from skflow.exceptions import warn_caller
from skflow.fitted.prediction import draw_columns, predict_column

FloatArray = NDArray[np.float64]


class FlowRegressor(SaveableRegressor, RegressorMixin, Predictor):
    r"""Regressor that predicts the whole distribution of y given X.

    A meta-estimator: it fits a :class:`FlowDensity` of y given the columns of X, ``density_``.
    The distribution of y in a row is in closed form; it may have several modes, be skewed, wider
    in some rows than in others, and have atoms. X is any table, with categories, dates and
    missing values.

    Parameters
    ----------
    density : FlowDensity, default=None
        Unfitted density with the parameters of the fits; None is one with default parameters.
        It is cloned, never fitted or changed. Its ``random_state`` and ``verbose`` are not used:
        those of the regressor are. Grids name its parameters ``density__n_layers`` and so on.
        Names or positions in its parameters are those of the columns of X, then of y.
    random_state : int, RandomState instance or None, default=None
        Seed of everything that is random in ``fit``: calibration rows and the density.
    verbose : int, default=0
        1 shows the progress bars of the fits.

    Attributes
    ----------
    density_ : FlowDensity
        Density of y given X, of the table that has the columns of y after those of X.
    n_calibration_ : int
        Number of rows that calibrate :meth:`predict_interval`. With 2,000 rows or more, a tenth
        of them, 2,000 at most, is not fitted to. With fewer, all rows calibrate, each predicted
        by a cross-fit: a fit that its part of the rows is held out of. With fewer than 20 none.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of str
        Names of the columns, where X has names.
    n_iter_ : int
        Epochs of the fit of ``density_``.

    See Also
    --------
    FlowDensity : The density alone; ``given`` makes it conditional.
    sklearn.ensemble.HistGradientBoostingRegressor : Means or single quantiles, faster.
    sklearn.gaussian_process.GaussianProcessRegressor : Normal distributions.

    Examples
    --------
    >>> import numpy as np
    >>> from skflow import FlowDensity, FlowRegressor
    >>> generator = np.random.default_rng(0)
    >>> X = generator.normal(size=(300, 2))
    >>> y = X[:, 0] + 0.5 * generator.normal(size=300)
    >>> regressor = FlowRegressor(FlowDensity(n_layers=0), random_state=0).fit(X, y)
    >>> regressor.predict_interval(X[:5], coverage=0.9).shape
    (5, 2)
    >>> bool(regressor.score(X, y) > 0.7)
    True
    """

    _calibration: Calibration
    _dtypes: list[np.dtype]
    _is_table: bool

    @_fit_context(prefer_skip_nested_validation=False)  # type: ignore[untyped-decorator]
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
    ) -> Self:
        """Fit the distribution of y given X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            A pandas or polars DataFrame of any columns, or an array.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Numbers, dates or durations.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows; only their ratios count, and a row of weight 0 is left out.
        X_val, y_val : array-like, default=None
            Rows for early stopping, instead of a share of X and y.

        Returns
        -------
        self : FlowRegressor

        Raises
        ------
        ValueError, TypeError
            As :meth:`FlowDensity.fit`, and where y is missing, or holds missing values,
            infinities or text. An earlier fit is then left as it was.
        """
        with keep_earlier_fit(self):
            density, seed = clone_density(self)
            table, targets, weight = read_rows(self, X, y, sample_weight)
            validation = None
            if (X_val is None) != (y_val is None):
                raise ValueError("X_val and y_val belong together: pass both, or neither.")
            if X_val is not None:
                rows = check_table(self, X_val, reset=False)
                validation = Targets.read(self, rows, y_val).append_to(rows)
            self._dtypes = [column.dtype for column in targets.columns]
            self._is_table = targets.is_table
            self._fit(density, seed, table, targets, weight, validation)
        return self

    def _fit(
        self,
        density: FlowDensity,
        seed: int,
        X: Any,
        targets: Targets,
        weight: FloatArray | None,
        validation: Any,
    ) -> None:
        generator = np.random.default_rng(seed)
        parts, every = plan(len(targets.columns[0]), generator), np.arange(len(targets.columns[0]))
        pit = np.empty((len(every), len(targets.columns)))

        def fit(rows: NDArray[Any]) -> FlowDensity:
            of_rows = None if weight is None else weight[rows]
            return fit_given(density, take_rows(X, rows), targets.take(rows), of_rows, validation)

        for part in parts:
            others = np.setdiff1d(every, part)
            fitted = fit(others)
            predicted = self._distribution(fitted, take_rows(X, part))
            held_out = targets.take(part).values
            pit[part] = predicted.pit(held_out, seed).reshape(len(part), -1)
        self.density_ = fitted if len(parts) == 1 else fit(every)
        calibrating = np.concatenate(parts) if parts else every[:0]
        of_parts = None if weight is None else weight[calibrating]
        self._calibration = Calibration.of(pit[calibrating], of_parts)
        self.n_calibration_ = self._calibration.n_rows
        self.n_iter_ = self.density_.n_iter_

    def predict(
        self, X: ArrayLike, *, return_std: bool = False, quantiles: ArrayLike | None = None
    ) -> Any:
        """Means of y, or its quantiles.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        return_std : bool, default=False
            Whether to return standard deviations as well.
        quantiles : array-like of shape (n_quantiles,), default=None
            Probabilities in (0, 1): quantiles at these instead of means. A Pipeline hands this
            keyword through, which it does not do for other methods.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs), float64
            Means; dates or durations where y is. Quantiles have the dtype of y, and shape
            (n_samples, n_quantiles) or (n_samples, n_outputs, n_quantiles).
        std : ndarray of the same shape
            With ``return_std``.
        """
        distribution = self.predict_dist(X)
        if quantiles is not None:
            if return_std:
                raise ValueError("Pass return_std or quantiles, not both.")
            return distribution.ppf(np.atleast_1d(np.asarray(quantiles, dtype=np.float64)))
        if return_std:
            return distribution.mean(), distribution.std()
        return distribution.mean()

    def predict_quantiles(
        self, X: ArrayLike, quantiles: ArrayLike = (0.05, 0.5, 0.95)
    ) -> NDArray[Any]:
        """Quantiles of y: ``predict(X, quantiles=quantiles)``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        quantiles : array-like of shape (n_quantiles,), default=(0.05, 0.5, 0.95)
            Probabilities in (0, 1).

        Returns
        -------
        quantiles : ndarray of shape (n_samples, n_quantiles) or (n_samples, n_outputs, n_quantiles)
            In the dtype of y.
        """
        predicted: NDArray[Any] = self.predict(X, quantiles=quantiles)
        return predicted

    def predict_interval(self, X: ArrayLike, coverage: float = 0.9) -> NDArray[Any]:
        r"""Intervals that hold a share ``coverage`` of fresh y, whatever their distribution.

        Central intervals between two quantiles, whose levels are conformal [1]_: those between
        which this share of the calibration rows lies. If fresh rows are exchangeable with the
        calibration rows, these intervals cover with at least this probability, on average over
        rows; of each output by itself where there are several.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        coverage : float, default=0.9
            In (0, 1).

        Returns
        -------
        interval : ndarray of shape (n_samples, 2) or (n_samples, n_outputs, 2)
            In the dtype of y.

        Warns
        -----
        UserWarning
            Where the calibration rows are too few for this coverage: the quantiles are then
            those of the fit, not calibrated.

        References
        ----------
        .. [1] V. Chernozhukov, K. Wüthrich, Y. Zhu, "Distributional conformal prediction",
           PNAS 118 (48), 2021, :arxiv:`1909.07889`.
        """
        check_is_fitted(self)
        if not 0 < coverage < 1:
            raise ValueError(f"coverage must be between 0 and 1; got {coverage}.")
        levels = self._calibration.levels(coverage)
        if levels is None:
            warn_caller(
                f"Intervals of coverage {coverage:g} are not calibrated: {self.n_calibration_} "
                f"rows calibrate, and {int(np.ceil(2 / (1 - coverage) - 1 - 1e-9))} are needed. "
                "Fit on more rows.",
            )
            levels = np.full((2, len(self._dtypes)), (1 - coverage) / 2)
            levels[1] = (1 + coverage) / 2
        distribution, inside = self.predict_dist(X), levels.clip(1e-12, 1 - 1e-12)
        ends = [distribution.ppf_of_outputs(end) for end in inside]
        return np.stack(ends, axis=-1)

    def predict_dist(self, X: ArrayLike) -> ConditionalDistribution:
        """Distribution of y in each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        distribution : ConditionalDistribution
        """
        check_is_fitted(self)
        return self._distribution(self.density_, check_table(self, X, reset=False))

    def _distribution(self, density: FlowDensity, X: Any) -> ConditionalDistribution:
        given, fitted = conditions_of(density, X), density._density
        if len(self._dtypes) == 1:
            columns = [predict_column(fitted, given, density.device)]
            return ConditionalDistribution(columns, self._dtypes, is_table=self._is_table)
        drawn = draw_columns(fitted, given, density.device)

        def log_density(y: Any, rows: Any) -> FloatArray:
            part = X if rows is None else take_rows(X, rows)
            return density.score_samples(Targets.read(self, part, y).append_to(part))

        return ConditionalDistribution(drawn, self._dtypes, is_table=True, log_density=log_density)

    def sample(
        self,
        X: ArrayLike,
        n_samples: int = 1,
        random_state: int | np.random.RandomState | None = None,
    ) -> NDArray[Any]:
        """Draw y given X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        n_samples : int, default=1
            Number of draws for each row.
        random_state : int, RandomState instance or None, default=None
            None draws afresh at each call.

        Returns
        -------
        y : ndarray of shape (n_samples, n_rows) or (n_samples, n_rows, n_outputs)
            In the dtype of y, on its grid, within its bounds and among its levels.
        """
        return self.predict_dist(X).sample(n_samples, random_state)

    def log_density(self, X: ArrayLike, y: ArrayLike) -> FloatArray:
        """Log-density of y given X, or log-probability of its levels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)

        Returns
        -------
        log_density : ndarray of shape (n_samples,), float64
            In nats per unit of y; of all outputs together where there are several.
        """
        values = y.to_numpy() if hasattr(y, "to_numpy") else np.asarray(y)
        return self.predict_dist(X).logpdf(values)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
