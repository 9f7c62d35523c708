"""FlowOutlierDetector: which rows are not like the others, how surely, and why."""

import copy
import os
from collections.abc import Mapping
from dataclasses import replace
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skflow.clock import Clock
from skflow.estimators.density import FlowDensity
from skflow.estimators.display import SchemaDisplay
from skflow.estimators.persistence import SaveableDetector
from skflow.estimators.validation import check_table, numbers_like
from skflow.exceptions import warn_caller
from skflow.fitted.checkpoint import draw_seed
from skflow.fitted.detector import Detector, FittedScorers, plan_calibration
from skflow.fitted.fit import EncodableTable, TableRows, keep_earlier_fit
from skflow.flow.torch_state import usual_torch
from skflow.outliers.trimming import LEARNT, NORMAL, log_tail_probs
from skflow.table.schema import Schema
from skflow.table.storage import StoredTable, brief

FloatArray = NDArray[np.float64]

FALSE_ALARMS = 0.01  # of contamination="auto"
FEWEST_ROWS = 3  # two to fit to, and one to judge by them


class FlowOutlierDetector(SchemaDisplay, SaveableDetector, OutlierMixin, BaseEstimator):
    r"""Outliers of any table, with p-values, reasons and repairs.

    It has a density, ``density_``, and looks at rows in further views, since no one view
    finds every outlier: clusters of rows at several scales, and the strangest single
    column. How normal a row is in view v is told as a tail probability :math:`p_v`, the
    share of normal rows that are no more normal, by rows that nothing was fitted to. The
    score is the logarithm of their weighted harmonic mean [1]_,

    .. math:: s(x) = -\log \sum_v w_v \, p_v(x)^{-a_v},

    which the strangest view decides; :math:`a_v` is 1 for the clusters and 1/2 for the
    sharper views of the density, or as much as 1 where many columns are categories. It has
    no unit: columns may be rescaled.

    Parameters
    ----------
    contamination : "auto" or float, default="auto"
        Which rows :meth:`predict` calls outliers. "auto": those with a p-value of 0.01 or
        less, as about 1 % of fresh normal rows have; where fewer than 99 rows calibrate,
        no p-value is so small, and the threshold is where 1 % are expected below if the
        lower tail of their scores is exponential. A float in (0, 0.5]: this share of the
        training rows, whatever their p-values.
    robust : bool, default=False
        Whether the training rows may hold outliers: rows that stay improbable under
        what is learnt from the others are then not learnt from.
    n_layers, hidden_units, n_bins, n_components, dropout, weight_decay, learning_rate
        As in :class:`FlowDensity`, for ``density_``.
    batch_size, max_iter, max_time, early_stopping, validation_fraction, n_iter_no_change, tol
        Likewise. ``max_time`` holds for each of its fits.
    categorical_features, column_kinds, bounds, handle_unknown, device, random_state, verbose
        Likewise.
    warm_start : bool, default=False
        Likewise.
    checkpoint_path : str or path-like, default=None
        Likewise. Where several densities are fitted, each further one has a file of its own,
        with a number appended.

    Attributes
    ----------
    density_ : FlowDensity
        Of the training rows: latents, samples and nats are found here. Where rows are
        2,000 or more, a quarter of them, 5,000 at most, calibrates and is not fitted to;
        the schema and the known labels are those of all rows.
    offset_ : float
        Score below which :meth:`predict` says outlier: with ``contamination="auto"`` the
        lowest of which the p-value is above 0.01.
    n_calibration_ : int
        Rows that p-values are counted among. Fewer than 2,000 rows calibrate all:
        each fifth is scored by a fit to the others.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of str
        Names of the columns, where the table had names.
    n_iter_ : int
        Epochs of ``density_``.

    See Also
    --------
    FlowDensity : The density alone.
    sklearn.ensemble.IsolationForest : Quicker; no reasons, no p-values, numbers only.
    sklearn.neighbors.LocalOutlierFactor : Distances to neighbours; numbers only.

    References
    ----------
    .. [1] D. J. Wilson, "The harmonic mean p-value for combining dependent tests",
       PNAS 116 (4), 2019, equation 1.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skflow import FlowOutlierDetector
    >>> X = load_iris(as_frame=True).data
    >>> detector = FlowOutlierDetector(max_iter=5, random_state=0).fit(X)
    >>> strange = X.iloc[[0]].assign(**{"petal length (cm)": 6.0})
    >>> detector.predict(strange)
    array([-1])
    """

    _doc_link_module = "skflow"
    _doc_link_template = FlowDensity._doc_link_template

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "contamination": [Interval(Real, 0, 0.5, closed="right"), StrOptions({"auto"})],
        "robust": ["boolean"],
        **FlowDensity._parameter_constraints,
    }

    def __init__(
        self,
        *,
        contamination: float | str = "auto",
        robust: bool = False,
        n_layers: int | str = "auto",
        hidden_units: int | str = "auto",
        n_bins: int = 8,
        n_components: int | str = "auto",
        dropout: float | str = "auto",
        weight_decay: float | str = "auto",
        learning_rate: float | str = "auto",
        batch_size: int | str = "auto",
        max_iter: int | str = "auto",
        max_time: float | None = None,
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.1,
        n_iter_no_change: int | str = "auto",
        tol: float = 1e-4,
        categorical_features: ArrayLike | str | None = "from_dtype",
        column_kinds: Mapping[Any, str] | Schema | None = None,
        bounds: Mapping[Any, tuple[float | None, float | None]] | None = None,
        handle_unknown: str = "error",
        device: str | torch.device = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        warm_start: bool = False,
        checkpoint_path: str | os.PathLike[str] | None = None,
    ) -> None:
        self.contamination = contamination
        self.robust = robust
        self.n_layers = n_layers
        self.hidden_units = hidden_units
        self.n_bins = n_bins
        self.n_components = n_components
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.max_time = max_time
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.categorical_features = categorical_features
        self.column_kinds = column_kinds
        self.bounds = bounds
        self.handle_unknown = handle_unknown
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start
        self.checkpoint_path = checkpoint_path

    _detector: Detector

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Learn what rows of ``X`` are like.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            A pandas or polars DataFrame of any columns, or an array.
        y : None
            Ignored.

        Returns
        -------
        self : FlowOutlierDetector

        Raises
        ------
        ValueError, TypeError
            As :meth:`FlowDensity.fit`, but of 3 rows at least. An earlier fit is then left as
            it was.
        """
        with keep_earlier_fit(self):
            table = check_table(self, X, reset=True, fewest_rows=FEWEST_ROWS)
            seed = draw_seed(self.random_state, self.checkpoint_path, "random_state")
            self._fit(table, seed)
        return self

    @usual_torch()
    def _fit(self, X: Any, seed: int) -> None:
        known, every = self._learn_table(X), np.arange(X.shape[0])
        learnt, normal = self._trim(known, seed) if self.robust else (every, every)
        parts = plan_calibration(len(every), np.random.default_rng(seed))
        cross_fits = len(parts) > 1
        n_parts = len(parts) if cross_fits else 0
        rows = replace(known.rows, rows=learnt if cross_fits else np.setdiff1d(learnt, parts[0]))
        self.density_ = self._fit_density(known, rows, seed, n_parts)
        witness = FittedScorers.fit(self.density_._density, rows.stored(slice(None)), seed)
        measures = []
        for number, part in enumerate(parts):
            judged_by = witness
            if cross_fits:
                rows = replace(known.rows, rows=np.setdiff1d(learnt, part))
                density = self._fit_density(known, rows, seed, n_parts, number)
                judged_by = FittedScorers.fit(density._density, rows.stored(slice(None)), seed)
            fresh = known.table.take(np.intersect1d(part, normal))
            measures.append(judged_by.measure(fresh, self.device))
        self._detector = Detector.calibrate(witness, np.concatenate(measures))
        self.n_calibration_ = len(self._detector.normal)
        self.n_iter_ = self.density_.n_iter_
        self.offset_ = self._find_offset(known.table)

    def _learn_table(self, X: Any) -> EncodableTable:
        """Learn the columns; a warm start keeps those of the fit before."""
        if self.warm_start and hasattr(self, "density_"):
            table = check_table(self.density_, X, reset=False)
            return EncodableTable.read(self.density_._density, table)
        return EncodableTable.learn(self, X)

    def _trim(self, known: EncodableTable, seed: int) -> tuple[NDArray, NDArray]:
        """Return the rows to learn from, and those to take for normal."""
        log_probs = log_tail_probs(known.codec, known.table, seed)
        return np.where(log_probs >= np.log(LEARNT))[0], np.where(log_probs >= np.log(NORMAL))[0]

    def _find_offset(self, table: StoredTable) -> float:
        if not isinstance(self.contamination, str):
            scores = self._detector.score(table, self.device)
            return float(np.percentile(scores, 100 * self.contamination))
        return self._detector.threshold(FALSE_ALARMS)

    def _fit_density(
        self,
        known: EncodableTable,
        rows: TableRows,
        seed: int,
        n_parts: int,
        part: int | None = None,
    ) -> FlowDensity:
        """Fit a density to some rows: the one that is kept, or that which judges a part."""
        title = f"fit 1 of {n_parts + 1}"
        density = FlowDensity()
        parameters = {name: getattr(self, name) for name in density.get_params()}
        parameters["random_state"] = seed
        if part is not None:
            title = f"fit {part + 2} of {n_parts + 1}, calibrating"
            parameters["warm_start"] = False
            if self.checkpoint_path is not None:
                parameters["checkpoint_path"] = f"{os.fspath(self.checkpoint_path)}.{part}"
        elif self.warm_start and hasattr(self, "density_"):
            density = copy.deepcopy(self.density_)
        density.set_params(**parameters)
        for name in {"n_features_in_", "feature_names_in_"} & vars(self).keys():
            setattr(density, name, getattr(self, name))
        density._fit(known, rows, None, Clock(self.max_time), title)
        return density

    def score_samples(self, X: ArrayLike) -> FloatArray:
        """Score rows by how normal they are: lower is stranger.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        scores : ndarray of shape (n_samples,), float64
            About the logarithm of the share of normal rows that are no more normal: 0 for
            the most normal row, -4.6 where one in a hundred is. No unit: rescaling a
            column, at fit and here, changes nothing.

        Raises
        ------
        ValueError, TypeError
            Where ``X`` has other columns than the fitted table, or cells that can
            not be what their column holds.
        """
        check_is_fitted(self)
        return self._detector.score(self._read(X), self.device, warns=True)

    def decision_function(self, X: ArrayLike) -> FloatArray:
        """Score rows from the threshold: negative for outliers.

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
        """Tell outliers from inliers.

        With ``contamination="auto"`` outliers are the rows of which :meth:`p_values` is at
        most 0.01, wherever 99 rows or more calibrate.

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
        r"""Tell how rare it is that a normal row is as strange.

        .. math:: p(x) = \frac{1 + \#\{i : s(x_i) \le s(x)\}}{1 + m}

        over m normal rows :math:`x_i` that no weight and no epoch was chosen by. Of fresh
        normal rows a share of at most alpha has a p-value of at most alpha, within
        sampling error; see V. Vovk et al., "Algorithmic Learning in a Random World",
        2005, section 2. Fewer than 2,000 rows are scored by fits to parts of them: there
        the share is close to alpha, and up to twice as large where most categories are rare.

        What the columns are taken for is decided by all training rows, those that
        calibrate among them. So a label that no fitted row has counts as never seen here,
        in rows that calibrate as in fresh ones.

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
            Where the smallest p-value is above 0.01.
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

    def score_features(self, X: ArrayLike) -> Any:
        r"""Tell how unlikely each cell is, given the others of its row.

        The logarithm of the probability that a draw of column j given the row's other
        columns is no likelier than what the row holds,

        .. math:: \log P\big(p(X_j \mid x_{-j}) \le p(x_j \mid x_{-j})\big),

        from the exact joint density of ``density_``: labels are enumerated, values
        integrated over. Rescaling a column changes nothing.

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
        log_probs = self._detector.explain(table, self.device, self.verbose)
        return numbers_like(log_probs, X, self._detector.density.container.names)

    def repair(self, X: ArrayLike) -> Any:
        """Return, for each row, the nearest unremarkable one: what would have been normal.

        Cells are changed one after the other, that first whose change helps most, until
        the p-value is 0.1 at least; those that it is as high without are put back. A label
        becomes the likeliest given the row's others, a number its median given these. Where
        single cells do not help, the strangest are changed together. Rows
        that are unremarkable come back as they are; one that no change of some cells
        makes so, far from everything, gives way to the nearest of drawn rows.

        A progress bar is shown where ``verbose`` is above 0.

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
            Where rows are replaced as a whole, saying which.
        """
        check_is_fitted(self)
        table = self._read(X)
        repaired, whole = self._detector.repair(table, self.device, self.verbose)
        if len(whole):
            shown = brief.repr(whole.tolist())
            warn_caller(
                f"{len(whole)} of {table.n_rows} rows were replaced as a whole, because no change "
                f"of some of their cells makes them unremarkable: rows {shown}, counted from 0. "
                "Do not take these for corrections.",
            )
        return self._detector.density.container.build(repaired.columns, X)

    def _read(self, X: ArrayLike) -> StoredTable:
        return self._detector.density.container.read(check_table(self, X, reset=False))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        return tags
