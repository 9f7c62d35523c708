"""FlowOutlierDetector: conformal p-values of rows, reasons and repairs."""

import copy
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import false_discovery_control
from sklearn.base import OutlierMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints
from sklearn.utils.validation import check_is_fitted

from skflow.clock import Clock
from skflow.estimators.cross_fit import cross_fit, measure_held_out
from skflow.estimators.density import FlowDensity
from skflow.estimators.display import flagged_where
from skflow.estimators.failures import keep_earlier_fit
from skflow.estimators.meta import DENSITY, MetaEstimator, clone_density
from skflow.estimators.persistence import SaveableDetector
from skflow.estimators.training_rows import is_dataset, read_training_rows
from skflow.estimators.validation import check_table, numbers_like
from skflow.exceptions import warn_caller
from skflow.fitted.detector import CalibrationPlan, Detector, FittedScorers
from skflow.fitted.reasons.explanation import explain, in_columns
from skflow.fitted.repair import repair
from skflow.fitted.table_rows import EncodableTable
from skflow.outliers.tails import quantile
from skflow.report.outliers import OutlierReport, report_outliers
from skflow.report.rows import Request
from skflow.table.frames import new_frame
from skflow.table.objects import brief
from skflow.table.storage import StoredTable
from skflow.torch_state import usual_torch
from skflow.training.workers import ALONE, Workers

FloatArray = NDArray[np.float64]

FALSE_ALARMS = 0.01  # of contamination="auto"
FEWEST_ROWS = 3  # two to fit to, and one to calibrate with


class FlowOutlierDetector(SaveableDetector, OutlierMixin, MetaEstimator):
    r"""Outlier detector for any table, with conformal p-values, reasons and repairs.

    A meta-estimator: it fits a :class:`FlowDensity`, ``density_``, and an ensemble of smoothed
    clusters at several scales, since no single measure finds every outlier. Measure v of a row
    becomes a tail probability :math:`p_v`, the share of calibration rows with a measure no
    higher; nothing is fitted to calibration rows. The score is the logarithm of the weighted
    harmonic mean of these [1]_,

    .. math:: s(x) = -\log \sum_v w_v \, p_v(x)^{-a_v},

    which the lowest probability dominates; :math:`a_v` is 1 for clusters and columns alone, 1/2 for
    the sharper measures of the density, or as much as 1 where many columns are categories. The
    score has no unit: rescaling a column does not change it.

    Parameters
    ----------
    density : FlowDensity, default=None
        Unfitted density with the parameters of the fits; None is one with default parameters.
        It is cloned, never fitted or changed. Its ``random_state`` and ``verbose`` are not used:
        those of the detector are. Grids name its parameters ``density__n_layers`` and so on.
        ``max_time`` limits each of the fits. With ``warm_start=True``, ``density_`` goes on from
        the fit before; cross-fits begin at the initialization. With ``checkpoint_path``, that
        file belongs to the fit of ``density_``, and cross-fit k has a file of its own, with
        ``.k`` appended to the name.
    contamination : "auto" or float, default="auto"
        Which rows :meth:`predict` flags. "auto": those with a p-value of 0.01 or less, as about
        1 % of fresh normal rows have; with fewer than 99 calibration rows no p-value is as
        small, and the threshold is where 1 % are expected below if the lower tail of their
        scores is exponential. A float in (0, 0.5]: this share of the training rows, whatever
        their p-values.
    robust : bool, default=False
        Whether the training rows may hold outliers: rows that are improbable under a fit to the
        others are then excluded from fits, and from calibration where they are extreme.
    n_jobs : int, default=None
        Number of cross-fits that run at the same time, in processes of joblib; -1 is all
        processors. None is 1, unless ``joblib.parallel_config`` sets another. The result is the
        same for every value, to the last bit where each process has as many threads
        (``OMP_NUM_THREADS``).
    random_state : int, RandomState instance or None, default=None
        Seed of everything that is random in ``fit``: calibration rows, clusters and the density.
    verbose : int, default=0
        1 shows progress bars: of fits, as :class:`FlowDensity` does, where cross-fits that run
        at the same time share one; of :meth:`score_features`; and of :meth:`repair`.

    Attributes
    ----------
    density_ : FlowDensity
        Density of the training rows, with latents, samples and log-densities in nats. With
        2,000 rows or more, a quarter of them, 5,000 at most, calibrates and is not fitted to;
        the schema and the known labels are those of all rows. Scoring reads its ``device`` at
        each call: ``detector.density_.set_params(device="cpu")`` moves the detector.
    offset_ : float
        Score below which :meth:`predict` flags a row: with ``contamination="auto"`` the lowest
        score with a p-value above 0.01.
    n_calibration_ : int
        Number of calibration rows, to which p-values compare. With fewer than 2,000 rows, all
        rows calibrate, each scored by a cross-fit: a fit that its part of the rows is held out
        of.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of str
        Names of the columns, where the table has names.
    n_iter_ : int
        Epochs of the fit of ``density_``.

    See Also
    --------
    FlowDensity : The density alone.
    sklearn.ensemble.IsolationForest : Faster; no reasons, no p-values, numbers only.
    sklearn.neighbors.LocalOutlierFactor : Distances to neighbours; numbers only.

    References
    ----------
    .. [1] D. J. Wilson, "The harmonic mean p-value for combining dependent tests",
       PNAS 116 (4), 2019, equation 1.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skflow import FlowDensity, FlowOutlierDetector
    >>> X = load_iris(as_frame=True).data
    >>> density = FlowDensity(n_layers=0, n_components=3)
    >>> detector = FlowOutlierDetector(density, random_state=0).fit(X)
    >>> new = X.head(2).assign(**{"petal length (cm)": [6.0, 1.4]})
    >>> detector.predict(new), detector.p_values(new).round(3)
    (array([-1,  1]), array([0.007, 0.841]))
    >>> detector.score_features(new).round(1)
       sepal length (cm)  sepal width (cm)  petal length (cm)  petal width (cm)
    0               -6.0               0.0              -15.6              -7.9
    1               -0.6              -1.6               -0.6               0.0
    >>> detector.repair(new)
       sepal length (cm)  sepal width (cm)  petal length (cm)  petal width (cm)
    0                5.1               3.5                1.6               0.2
    1                4.9               3.0                1.4               0.2
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "density": DENSITY,
        "contamination": [Interval(Real, 0, 0.5, closed="right"), StrOptions({"auto"})],
        "robust": ["boolean"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        density: FlowDensity | None = None,
        *,
        contamination: float | str = "auto",
        robust: bool = False,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.density = density
        self.contamination = contamination
        self.robust = robust
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    _detector: Detector

    @_fit_context(prefer_skip_nested_validation=False)  # type: ignore[untyped-decorator]
    def fit(
        self, X: ArrayLike, y: Any = None, *, sample_weight: ArrayLike | str | None = None
    ) -> Self:
        """Fit the detector to the rows of ``X``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            A pandas or polars DataFrame of any columns, an array, or a ``pyarrow.dataset.Dataset``
            of Parquet files. Where a dataset is larger than memory, a sample of about 200,000
            rows determines the clusters, the calibration rows (5,000, fitted to by nothing) and
            the threshold of a ``contamination`` that is a number.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or str, default=None
            How much each row counts in fits, calibration and ``contamination``; see
            :meth:`FlowDensity.fit`. None gives all rows the same weight.

        Returns
        -------
        self : FlowOutlierDetector

        Raises
        ------
        ValueError, TypeError
            As :meth:`FlowDensity.fit`, but with at least 3 rows. An earlier fit is then left as
            it was.
        """
        with keep_earlier_fit(self):
            workers = Workers.join() if is_dataset(X) else ALONE
            density, own_seed = clone_density(self)
            seed = workers.agree(own_seed)
            density.set_params(random_state=seed)
            if density.warm_start and hasattr(self, "density_"):
                # The fitted state of before, under the parameters of now.
                density = copy.deepcopy(self.density_).set_params(**density.get_params())
            known, _ = read_training_rows(self, density, X, sample_weight, FEWEST_ROWS)
            self._fit(density, known, seed, workers)
        return self

    @usual_torch()
    def _fit(self, density: FlowDensity, known: Any, seed: int, workers: Workers) -> None:
        in_memory = isinstance(known, EncodableTable)
        plan_fits = CalibrationPlan.of_table if in_memory else CalibrationPlan.of_dataset
        plan = plan_fits(known, seed, robust=self.robust)
        title, clock = f"fit 1 of {1 + len(plan.cross_fitted)}", Clock(density.max_time)
        choices = density._fit(known, plan.fitted, None, clock, title, workers=workers)
        scorers = FittedScorers.fit(density._density, plan.fitted, seed)
        held_out, fitted = plan.calibrating, plan.cross_fitted
        if fitted:
            uses = [partial(measure_held_out, seed=seed, held_out=table) for table in held_out]
            of_fits = cross_fit(density, known, fitted, uses, self.n_jobs, choices, seed)
        else:
            of_fits = [scorers.measure(table, density.device) for table in held_out]
        measures, weight = np.concatenate(of_fits), plan.sample.weight
        weights = [table.weight for table in held_out if table.weight is not None]
        own = np.concatenate(weights) if weights else None
        self.density_ = density
        self._detector = Detector.calibrate(scorers, measures, own)
        self.n_calibration_ = len(measures)
        self.n_iter_ = density.n_iter_
        if isinstance(self.contamination, str):
            self.offset_ = self._detector.calibration.threshold(FALSE_ALARMS)
        else:
            scores = self._detector.score(plan.sample, density.device)
            self.offset_ = quantile(scores, self.contamination, weight)

    def score_samples(self, X: ArrayLike) -> FloatArray:
        """Unit-free scores of rows: lower is more abnormal.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        scores : ndarray of shape (n_samples,), float64
            Log tail probabilities: about the logarithm of the share of normal rows that score
            no higher, so 0 for the most normal row and -4.6 where one in a hundred is as low.
            Rescaling a column, in ``fit`` and here, changes nothing.

        Raises
        ------
        ValueError, TypeError
            Where ``X`` has other columns than the fitted table, or cells of a type that
            their column cannot hold.
        """
        check_is_fitted(self)
        return self._detector.score(self._read(X), self.density_.device, warns=True)

    def decision_function(self, X: ArrayLike) -> FloatArray:
        """Scores less the threshold: negative for outliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        decision : ndarray of shape (n_samples,), float64
            :meth:`score_samples` less ``offset_``.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Labels of rows: outlier or inlier.

        With ``contamination="auto"``, outliers are the rows whose :meth:`p_values` are at
        most 0.01, where there are 99 calibration rows or more.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            -1 for outliers, 1 for inliers.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_values(self, X: ArrayLike) -> FloatArray:
        r"""Conformal p-values of rows: the share of normal rows with a score no higher.

        .. math:: p(x) = \frac{1 + \#\{i : s(x_i) \le s(x)\}}{1 + m}

        over m calibration rows :math:`x_i`, to which no weight was fitted. With ``sample_weight``,
        each row counts by its weight :math:`w_i`, and the fresh row by their mean
        :math:`\bar w`, because its own is not known:

        .. math:: p(x) = \frac{\bar w + \sum_{i : s(x_i) \le s(x)} w_i}{\bar w + \sum_i w_i} .

        This is split conformal prediction [1]_, and such p-values are conformal p-values [2]_: if
        fresh rows are exchangeable with the calibration rows, a share of at most alpha has a
        p-value of at most alpha, within sampling error. With fewer than 2,000 rows the
        calibration rows are scored by cross-fits, with the components and numbers of epochs that
        the fit to all rows chose: there the share is close to alpha, and up to twice as large where
        most categories are rare.

        The schema is inferred from all training rows, the calibration rows among them. So a
        label without a fitted row counts as never seen here, in calibration rows as in fresh
        ones.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        p_values : ndarray of shape (n_samples,), float64
            In ``[1 / (n_calibration_ + 1), 1]``.

        Warns
        -----
        UserWarning
            Where the smallest possible p-value is above 0.01.

        References
        ----------
        .. [1] V. Vovk, A. Gammerman, G. Shafer, "Algorithmic Learning in a Random World",
           Springer, 2005, chapters 2 and 4.
        .. [2] S. Bates, E. Candès, L. Lei, Y. Romano, M. Sesia, "Testing for Outliers with
           Conformal p-values", Annals of Statistics 51 (1), 2023, :arxiv:`2104.08279`.
        """
        scores = self.score_samples(X)
        if self.n_calibration_ + 1 < 1 / FALSE_ALARMS:
            needed = "that are not left out as outliers" if self.robust else "or more"
            warn_caller(
                f"No p-value is below {1 / (self.n_calibration_ + 1):.3g}, because "
                f"{self.n_calibration_} rows calibrate. Fit on 99 rows {needed} for p-values of "
                f"{FALSE_ALARMS}.",
            )
        return self._detector.p_values(scores)

    def p_values_of_scores(self, scores: ArrayLike) -> FloatArray:
        """Return the p-values of rows that :meth:`score_samples` has scored already.

        Parameters
        ----------
        scores : array-like of shape (n_samples,)
            As :meth:`score_samples` gives them.

        Returns
        -------
        p_values : ndarray of shape (n_samples,), float64
            As of :meth:`p_values`, which warns where the smallest is above 0.01.
        """
        check_is_fitted(self)
        return self._detector.p_values(np.asarray(scores, dtype=np.float64))

    def select(self, X: ArrayLike, fdr: float = 0.1) -> NDArray[np.bool_]:
        r"""Select outliers such that few of the selected rows are false discoveries.

        The procedure of Benjamini and Hochberg, on :meth:`p_values`: of N rows the k with the
        lowest p-values are selected, with the largest k such that each of them is at most
        ``fdr * k / N``. The expected share of normal rows among the selected ones is then at most
        ``fdr``, also where p-values share their calibration rows [1]_.

        Rows below all m calibration rows tie at the p-value :math:`1 / (m + 1)`: all of them are
        selected, or none. So nothing is selected where fewer than
        :math:`N / (\mathrm{fdr} \, (m + 1))` rows are that low: to find single rows among
        thousands takes tens of thousands of calibration rows, or :meth:`score_samples`, which
        ranks them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        fdr : float, default=0.1
            Largest expected share of normal rows among the selected ones, in (0, 1].

        Returns
        -------
        is_selected : ndarray of bool, shape (n_samples,)

        References
        ----------
        .. [1] S. Bates, E. Candès, L. Lei, Y. Romano, M. Sesia, "Testing for Outliers with
           Conformal p-values", Annals of Statistics 51 (1), 2023, theorem 2.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skflow import FlowDensity, FlowOutlierDetector
        >>> X = load_iris(as_frame=True).data
        >>> density = FlowDensity(n_layers=0, n_components=2)
        >>> detector = FlowOutlierDetector(density, random_state=0).fit(X)
        >>> strange = X.head(4).assign(**{"petal length (cm)": [6.0, 1.4, 1.3, 1.5]})
        >>> detector.select(strange, fdr=0.1)
        array([ True, False, False, False])
        """
        check_is_fitted(self)
        validate_parameter_constraints(
            {"fdr": [Interval(Real, 0, 1, closed="right")]},
            {"fdr": fdr},
            caller_name=f"{type(self).__name__}.select",
        )
        selected: NDArray[np.bool_] = false_discovery_control(self.p_values(X)) <= fdr
        return selected

    def score_features(self, X: ArrayLike) -> Any:
        r"""Conditional log tail probability of each cell, given the others of its row.

        The logarithm of the probability that a draw of column j given the row's other
        columns is no likelier than the row's own cell,

        .. math:: \log P\big(p(X_j \mid x_{-j}) \le p(x_j \mid x_{-j})\big),

        from the exact joint density of ``density_``: labels are enumerated, values
        integrated over. Rescaling a column changes nothing. Where layers were trained on more than
        64 columns of values, that is so of cells below -3; others are off by up to 0.13.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        log_probs : ndarray or DataFrame of shape (n_samples, n_features), float64
            At most 0; lower is stranger. -4.6 means that one draw in a hundred is no
            likelier. A DataFrame with the fitted names where ``X`` is one.
        """
        check_is_fitted(self)
        table = self._read(X)
        log_probs = self._detector.score_features(table, self.density_.device, self.verbose)
        return numbers_like(log_probs, X, self._detector.density.container.names)

    def explain(self, X: ArrayLike) -> Any:
        """Reasons that add up to the score of each row, the most important ones first.

        Cells that support each other, such as a total and the only part of it, are one line
        where they are strange together: given the other, each is normal.

        The strange cells of a row are the fewest without which it is usual: they are replaced by
        draws given the others. The score that the row regains is theirs; what it still lacks is
        shared among its other cells in proportion to their surprise. A row with a p-value of at
        least 0.1 has no strange cells, and its score is shared among all.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        reasons : DataFrame
            A polars frame where ``X`` is one, otherwise a pandas frame. It has one line for each
            row and each column or group of columns, with these columns:

            ``row``
                Index of the row where ``X`` is a pandas frame, otherwise its position.
            ``column``
                Name of the column, or names of a group, separated by commas.
            ``value``
                The row's own cells as text.
            ``usual``
                What is usual given the other columns of the row, as text: the range of the
                central 90 % of numbers, or the likeliest label with its probability. For a group,
                it is what is usual given the columns outside of it.
            ``contribution``
                Part of the row's score, the lowest first; they sum to :meth:`score_samples`.
            ``conditional_surprise``
                Negative log tail probability of the cell given the other columns, in nats: the
                negative of :meth:`score_features`. For a group, the sum over its cells, each
                given the columns outside of the group and those before it.
            ``marginal_surprise``
                The same, given no other column or none outside of the group. This, and surprises of
                groups, are those of an approximating mixture.

        Raises
        ------
        ValueError, TypeError
            As :meth:`score_samples`.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skflow import FlowDensity, FlowOutlierDetector
        >>> X = load_iris(as_frame=True).data
        >>> density = FlowDensity(n_layers=0, n_components=2)
        >>> detector = FlowOutlierDetector(density, random_state=0).fit(X)
        >>> strange = X.iloc[[0]].assign(**{"petal length (cm)": 6.0})
        >>> detector.explain(strange).iloc[:2, 1:5].round(1)
                      column value     usual  contribution
        0  petal length (cm)     6  1 to 1.9         -18.4
        1   petal width (cm)   0.2  0 to 0.5          -0.1
        """
        check_is_fitted(self)
        table = self._read(X)
        reasons = explain(self._detector, table, self.density_.device, self.verbose)
        return new_frame(in_columns(reasons, table), np.array([each.row for each in reasons]), X)

    def repair(self, X: ArrayLike) -> Any:
        """Nearest unremarkable row of each row: what would have been normal.

        The strange cells of a row are replaced until its p-value is at least 0.1; then each cell
        that the p-value does not need is put back, one at a time, or an eighth of them where
        columns are more than 64. A label becomes the likeliest one given the row's others, a
        number its conditional median. Rows with a p-value of at least 0.1 come back as they are; a
        row that no change of some cells makes unremarkable is replaced by the nearest of drawn
        rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        X_repaired : array or DataFrame of shape (n_samples, n_features)
            In the container and the dtypes that were fitted, on each column's grid, in
            its support and among its labels. Cells that need no change are equal to
            those of ``X``.

        Warns
        -----
        UserWarning
            Where rows are replaced as a whole; it names them.
        """
        check_is_fitted(self)
        table = self._read(X)
        repaired, whole = repair(self._detector, table, self.density_.device, self.verbose)
        if len(whole):
            shown = brief.repr(whole.tolist())
            warn_caller(
                f"{len(whole)} of {table.n_rows} rows were replaced as a whole, because no change "
                f"of some of their cells makes them unremarkable: rows {shown}, counted from 0. "
                "Do not take these for corrections.",
            )
        return self._detector.density.container.build(repaired.columns, X)

    def report(self, X: ArrayLike, *, title: str | None = None) -> OutlierReport:
        """Report on the outliers among rows: one HTML page, to look at and to send.

        The page has what :meth:`p_values`, :meth:`score_features` and :meth:`repair` say of the
        flagged rows, the strangest first; how many false alarms to expect; and what has changed
        against training. It needs no server and makes no request. At most 3,000 rows are shown,
        of which the first 50 are repaired, and fewer where columns are more than 20.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        title : str, default=None
            Title of the page; None is "Outlier report".

        Returns
        -------
        report : OutlierReport
            Shown by notebooks, with ``save(path)`` and ``open()``.

        Raises
        ------
        ValueError, TypeError
            As :meth:`score_samples`.
        """
        check_is_fitted(self)
        table = self._read(X)
        index = getattr(X, "index", None) if hasattr(X, "iloc") else None
        request = Request(self.offset_, flagged_where(self), index, title, self.verbose)
        return report_outliers(self._detector, table, self.density_.device, request)

    def _read(self, X: ArrayLike) -> StoredTable:
        return self._detector.density.container.read(check_table(self, X, reset=False))
