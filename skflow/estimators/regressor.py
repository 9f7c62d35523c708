"""FlowRegressor: the whole predictive distribution of y given X."""

from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from skflow.estimators.calibration import Calibration, Plan, share_of_second
from skflow.estimators.conditional_distribution import ConditionalDistribution
from skflow.estimators.density import FlowDensity
from skflow.estimators.ensemble import Ensemble
from skflow.estimators.failures import keep_earlier_fit
from skflow.estimators.meta import clone_density
from skflow.estimators.predictor_files import SaveableRegressor
from skflow.estimators.spread import spread_of_latents
from skflow.estimators.targets import Predictor, Targets, conditions_of, read_rows, take_rows
from skflow.estimators.validation import check_table
from skflow.exceptions import warn_caller
from skflow.fitted.prediction import draw_columns, predict_column
from skflow.fitted.table_rows import EncodableTable, TableRows
from skflow.torch_state import usual_torch

FloatArray = NDArray[np.float64]


class FlowRegressor(SaveableRegressor, RegressorMixin, Predictor):
    r"""Regressor that predicts the whole distribution of y given X.

    A meta-estimator: it fits a :class:`FlowDensity` of y given the columns of X, ``density_``, and
    cross-fits of it, each to all rows but a part. The prediction is the average of their
    distributions, an ensemble [1]_, in which fits without coupling layers have a share, by stacking
    [2]_: the rows that are held out choose it. They also calibrate the intervals. The distribution
    of y in a row may have several modes, be skewed, wider in some rows than in others, and have
    atoms. X is any table, with categories, dates and missing values.

    Parameters
    ----------
    density : FlowDensity, default=None
        Unfitted density with the parameters of the fits; None is one with default parameters.
        It is cloned, never fitted or changed. Its ``random_state`` and ``verbose`` are not used:
        those of the regressor are. Grids name its parameters ``density__n_layers`` and so on.
        Names or positions in its parameters are those of the columns of X, then of y.
    n_jobs : int, default=None
        Number of cross-fits that run at the same time, in processes of joblib; -1 is all
        processors. None is 1, unless ``joblib.parallel_config`` sets another.
    random_state : int, RandomState instance or None, default=None
        Seed of everything that is random in ``fit``: calibration rows and the densities.
    verbose : int, default=0
        1 shows the progress bars of the fits.

    Attributes
    ----------
    density_ : FlowDensity
        Density of y given X, of the table that has the columns of y after those of X.
    cross_fits_ : list of FlowDensity
        Such densities, each with a seed of its own and fitted to all rows but some, with the
        components and epochs that the first fit chose. With fewer than 2,000 rows nine, each
        without another tenth of the rows, or 33 rows (a third) where a tenth is less; with more,
        three without the same tenth. With 20,000 rows or more none: ``density_`` itself is not
        fitted to that tenth. With fewer than 20 rows none.
    initial_fits_ : list of FlowDensity
        Fits to the same rows without coupling layers, where their share is 0.01 or more.
    initial_share_ : float
        Weight of the average of ``initial_fits_`` in the prediction; the rest is that of the
        average of ``density_`` and ``cross_fits_``.
    spread_ : float
        Standard deviation of the average's latents in calibration rows, at most 1: the average is
        too wide, and made narrower by it. 1 for several outputs, and where one fit predicts.
    n_calibration_ : int
        Number of rows that calibrate, each held out by fits; at most 2,000.
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
    >>> regressor = FlowRegressor(FlowDensity(n_layers=0, n_components=1), random_state=0).fit(X, y)
    >>> regressor.predict([[-1, 0], [1, 0]]).round(1)
    array([-1.,  1.])
    >>> regressor.predict_interval([[-1, 0], [1, 0]], coverage=0.9).round(1)
    array([[-1.9, -0.2],
           [ 0.2,  1.8]])

    References
    ----------
    .. [1] B. Lakshminarayanan, A. Pritzel, C. Blundell, "Simple and Scalable Predictive
       Uncertainty Estimation using Deep Ensembles", NeurIPS 2017, equation 2,
       :arxiv:`1612.01474`.
    .. [2] Y. Yao, A. Vehtari, D. Simpson, A. Gelman, "Using Stacking to Average Bayesian Predictive
       Distributions", Bayesian Analysis 13 (3), 2018, equation 5, :arxiv:`1704.02030`.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Predictor._parameter_constraints,
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        density: FlowDensity | None = None,
        *,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(density, random_state=random_state, verbose=verbose)
        self.n_jobs = n_jobs

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
            density.set_params(given=list(range(table.shape[1])))
            both = check_table(density, targets.append_to(table), reset=True)
            known = EncodableTable.learn(density, both, weight)
            validation = None
            if (X_val is None) != (y_val is None):
                raise ValueError("X_val and y_val belong together: pass both, or neither.")
            if X_val is not None:
                rows = check_table(self, X_val, reset=False)
                both = Targets.read(self, rows, y_val).append_to(rows)
                held_out = known.container.read(both)
                ones = None if weight is None else np.ones(held_out.n_rows)
                validation = TableRows.all_of(known.codec, replace(held_out, weight=ones))
            self._dtypes = [column.dtype for column in targets.columns]
            self._is_table = targets.is_table
            self._fit(density, seed, known, table, targets, validation)
        return self

    @usual_torch()
    def _fit(
        self,
        density: FlowDensity,
        seed: int,
        known: EncodableTable,
        X: Any,
        targets: Targets,
        validation: TableRows | None,
    ) -> None:
        plan = Plan.of(known.table.n_rows, np.random.default_rng(seed))
        fits = Ensemble.fit(density, known, plan.held_out(), validation, self.n_jobs, seed)
        self.initial_share_, self.spread_, weight = 0.0, 1.0, known.table.weight
        probabilities = np.empty((1, 0, 2 * len(self._dtypes)))
        if plan.parts:
            predicted = []
            for part, holders in zip(*plan, strict=True):
                predict = partial(self._distribution, X=take_rows(X, part))
                predicted.append(fits.predict_part(holders, predict, targets.take(part).values))
            of_parts = zip(*predicted, strict=True)
            log_densities, *of_groups = (np.concatenate(own, axis=2) for own in of_parts)
            weight = None if weight is None else weight[np.concatenate(plan.parts)]
            if fits.initial_fits:
                self.initial_share_ = share_of_second(log_densities, weight)
            shares = [1 - self.initial_share_, self.initial_share_][: len(log_densities)]
            probabilities, masses = (np.tensordot(shares, own, axes=1) for own in of_groups)
            probabilities = probabilities.reshape(*probabilities.shape[:2], -1)
            self.spread_ = spread_of_latents(masses, weight, len(fits.fits))
        self.density_, *self.cross_fits_ = fits.fits
        self.initial_fits_ = fits.initial_fits if self.initial_share_ else []
        self._calibration = Calibration.of(probabilities, weight, len(fits.fits))
        self.n_calibration_ = self._calibration.n_rows
        self.n_iter_ = density.n_iter_

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
        return np.asarray(self.predict(X, quantiles=quantiles))

    def predict_interval(self, X: ArrayLike, coverage: float = 0.9) -> NDArray[Any]:
        r"""Intervals that hold a share ``coverage`` of fresh y, whatever their distribution.

        Central intervals between two quantiles, whose levels are conformal [1]_: those between
        which this share of the calibration rows lies; of each output by itself where there are
        several. Levels of y, and its grid, are taken into account. With 20,000 rows or more, these
        intervals cover with at least this probability, on average over rows, if fresh rows are
        exchangeable with the calibration rows. With fewer, a calibration row is predicted by the
        three fits that held it out, from which the levels of the average of all fits are
        extrapolated: the share is then close to ``coverage``.

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
        if not (isinstance(coverage, Real) and 0 < coverage < 1):
            raise ValueError(f"coverage must be a number between 0 and 1; got {coverage!r}.")
        levels, spread = self._calibration.levels(coverage), 1.0  # the levels are the average's own
        if levels is None:
            warn_caller(
                f"Intervals of coverage {coverage:g} are not calibrated: {self.n_calibration_} "
                f"rows calibrate, and {int(np.ceil(2 / (1 - coverage) - 1 - 1e-9))} are needed. "
                "Fit on more rows.",
            )
            ends = np.array([[1 - coverage], [1 + coverage]]) / 2
            levels, spread = np.repeat(ends, len(self._dtypes), axis=1), self.spread_
        distribution, inside = self._predict(X, spread), levels.clip(1e-12, 1 - 1e-12)
        return np.stack([distribution.ppf_of_outputs(end) for end in inside], axis=-1)

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
        return self._predict(X, self.spread_)

    def _predict(self, X: ArrayLike, spread: float) -> ConditionalDistribution:
        """Distribution of y in each row, the average narrowed by a spread."""
        fits = Ensemble([self.density_, *self.cross_fits_], self.initial_fits_)
        weights, X = fits.weights(self.initial_share_), check_table(self, X, reset=False)
        return self._distribution([*fits.fits, *fits.initial_fits], weights, X, spread)

    def _distribution(
        self, members: list[FlowDensity], weights: FloatArray, X: Any, spread: float = 1.0
    ) -> ConditionalDistribution:
        """Average of the distributions of members; several outputs are drawn by the weights."""
        given, device = conditions_of(members[0], X), members[0].device
        densities = [member._density for member in members]
        if len(self._dtypes) == 1:
            columns = [predict_column(densities, weights, given, device, spread)]
            return ConditionalDistribution(columns, self._dtypes, is_table=self._is_table)
        drawn = draw_columns(densities, weights, given, device)
        names = list(densities[0].container.names[-len(self._dtypes) :])

        def log_density(y: Any, rows: Any) -> FloatArray:
            part = X if rows is None else take_rows(X, rows)
            both = replace(Targets.read(self, part, y), names=names).append_to(part)
            scores = np.stack([member.score_samples(both) for member in members])
            return np.asarray(logsumexp(scores, axis=0, b=weights[:, None] / weights.sum()))

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
