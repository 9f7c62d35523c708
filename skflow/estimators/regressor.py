"""FlowRegressor: the whole predictive distribution of y given X."""

from dataclasses import replace
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from skflow.clock import Clock
from skflow.estimators.calibration import Calibration, plan
from skflow.estimators.conditional_distribution import ConditionalDistribution
from skflow.estimators.cross_fit import cross_fit
from skflow.estimators.density import FlowDensity
from skflow.estimators.failures import keep_earlier_fit
from skflow.estimators.meta import clone_density
from skflow.estimators.predictor_files import SaveableRegressor
from skflow.estimators.targets import (
    Predictor,
    Targets,
    conditions_of,
    read_rows,
    take_rows,
)
from skflow.estimators.validation import check_table
from skflow.exceptions import warn_caller
from skflow.fitted.prediction import draw_columns, predict_column
from skflow.fitted.table_rows import EncodableTable, TableRows
from skflow.torch_state import usual_torch

FloatArray = NDArray[np.float64]

MOST_ROWS_TO_REFIT = 20_000  # with more, the rows that calibrate are hardly missed
N_FITS_WITHOUT_PART = 3  # nearly as good as the average of all, which they calibrate


class FlowRegressor(SaveableRegressor, RegressorMixin, Predictor):
    r"""Regressor that predicts the whole distribution of y given X.

    A meta-estimator: it fits a :class:`FlowDensity` of y given the columns of X, ``density_``, and
    cross-fits of it, each to all rows but a part. The prediction is the average of their
    distributions, an ensemble [1]_; the parts that are held out calibrate the intervals. The
    distribution of y in a row may have several modes, be skewed, wider in some rows than in
    others, and have atoms. X is any table, with categories, dates and missing values.

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
        Such densities, each fitted to all rows but a part, with the components and epochs that the
        first fit chose: three for each part, with seeds of their own. With fewer than 2,000 rows
        there are three parts of a tenth of the rows, or of 33 rows (a third) where a tenth is
        less; with more, one of a tenth. With 20,000 rows or more there are none: ``density_``
        itself is not fitted to that part. With fewer than 20 rows none.
    n_calibration_ : int
        Number of rows that calibrate :meth:`predict_interval`: those of the parts, at most 2,000 in
        each.
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

    References
    ----------
    .. [1] B. Lakshminarayanan, A. Pritzel, C. Blundell, "Simple and Scalable Predictive
       Uncertainty Estimation using Deep Ensembles", NeurIPS 2017, equation 2,
       :arxiv:`1612.01474`.
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
        n_rows = known.table.n_rows
        parts, every = plan(n_rows, np.random.default_rng(seed)), np.arange(n_rows)
        kept = [replace(known.rows, rows=np.setdiff1d(every, part)) for part in parts]
        clock, fits_all = Clock(density.max_time), n_rows < MOST_ROWS_TO_REFIT
        n_fits = len(parts) * (N_FITS_WITHOUT_PART if fits_all else 0)
        rows, title = known.rows if fits_all else kept[0], f"fit 1 of {1 + n_fits}"
        choices = density._fit(known, rows, validation, clock, title)
        self.density_, self.cross_fits_ = density, []
        if n_fits:
            fitted = [own for own in kept for _ in range(N_FITS_WITHOUT_PART)]
            uses = [lambda fitted, _: fitted] * n_fits
            self.cross_fits_ = cross_fit(density, known, fitted, uses, self.n_jobs, choices, seed)
        pit = np.empty((n_rows, len(self._dtypes)))
        for k, part in enumerate(parts):
            own = slice(k * N_FITS_WITHOUT_PART, (k + 1) * N_FITS_WITHOUT_PART)
            predicted = self._distribution(self.cross_fits_[own] or [density], take_rows(X, part))
            pit[part] = predicted.pit(targets.take(part).values, seed).reshape(len(part), -1)
        held_out = np.concatenate([every[:0], *parts])
        weight = None if known.table.weight is None else known.table.weight[held_out]
        self._calibration = Calibration.of(pit[held_out], weight)
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
        predicted: NDArray[Any] = self.predict(X, quantiles=quantiles)
        return predicted

    def predict_interval(self, X: ArrayLike, coverage: float = 0.9) -> NDArray[Any]:
        r"""Intervals that hold a share ``coverage`` of fresh y, whatever their distribution.

        Central intervals between two quantiles, whose levels are conformal [1]_: those between
        which this share of the calibration rows lies, each by the average of the fits that held it
        out; of each output by itself where there are several. With 20,000 rows or more, these
        intervals cover with at least this probability, on average over rows, if fresh rows are
        exchangeable with the calibration rows. With fewer, the average of more fits predicts than
        calibrates, and the share is close to ``coverage``, or a little above it.

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
        members = [self.density_, *self.cross_fits_]
        return self._distribution(members, check_table(self, X, reset=False))

    def _distribution(self, members: list[FlowDensity], X: Any) -> ConditionalDistribution:
        given, device = conditions_of(members[0], X), members[0].device
        densities = [member._density for member in members]
        if len(self._dtypes) == 1:
            columns = [predict_column(densities, given, device)]
            return ConditionalDistribution(columns, self._dtypes, is_table=self._is_table)
        drawn = draw_columns(densities, given, device)
        names = list(densities[0].container.names[-len(self._dtypes) :])

        def log_density(y: Any, rows: Any) -> FloatArray:
            part = X if rows is None else take_rows(X, rows)
            both = replace(Targets.read(self, part, y), names=names).append_to(part)
            scores = np.stack([member.score_samples(both) for member in members])
            return np.asarray(logsumexp(scores, axis=0) - np.log(len(members)))

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
