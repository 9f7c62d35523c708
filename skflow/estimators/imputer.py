"""FlowImputer: missing cells of any table, drawn from a density of its rows."""

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import TransformerMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils._param_validation import StrOptions
from sklearn.utils._set_output import ADAPTERS_MANAGER
from sklearn.utils.validation import _check_feature_names_in, _get_feature_names, check_is_fitted

from skflow.clock import Clock
from skflow.estimators.cross_fit import sibling
from skflow.estimators.density import FlowDensity
from skflow.estimators.failures import keep_earlier_fit
from skflow.estimators.meta import DENSITY, MetaEstimator, clone_density
from skflow.estimators.persistence import SaveableImputer
from skflow.estimators.validation import check_table, numbers_like, weighted_rows
from skflow.fitted.donors import complete
from skflow.fitted.imputation import impute
from skflow.fitted.questions.constrained import ConstrainedQuestions
from skflow.fitted.table_rows import EncodableTable
from skflow.torch_state import usual_torch

STRATEGIES = ("sample", "typical")
N_FITS = 4  # each to a completed table of its own
MOST_CELLS = 50_000  # of a table; with more, the fits hardly differ, and there is one


class FlowImputer(SaveableImputer, TransformerMixin, MetaEstimator):
    r"""Imputation of any table: numbers, categories, dates and durations together.

    A meta-estimator: it fits a :class:`FlowDensity` to the rows, ``density_``, and fills the
    missing cells of a row from their conditional distribution given its other cells,

    .. math:: p(x_A \mid x_B, \text{there are values}).

    Draws of several imputed tables, with ``strategy="sample"`` and different seeds, differ by most
    of what is unknown (multiple imputation [1]_).

    Missing cells of the rows that are fitted are filled before: by the cells of similar rows, which
    linear predictions and random trees find, one column after the other, several times over [2]_.
    A table of at most 50,000 cells is completed four times, and a density fitted to each of these
    tables. All cells of a table are drawn from one of them.

    Parameters
    ----------
    density : FlowDensity, default=None
        Unfitted density with the parameters of the fit; None is one with default parameters.
        It is cloned, never fitted or changed. Its ``random_state`` is not used: that of the
        imputer is. Grids name its parameters ``density__n_layers`` and so on.
    strategy : {"sample", "typical"}, default="sample"
        "sample" draws the missing cells of a row together. "typical" takes the median of each
        number or date, and the likeliest of each category, of draws from all fits.
    add_indicator : bool, default=False
        Whether :meth:`transform` appends a column for each column that had missing cells in
        ``fit``: 1 where a cell was missing, else 0.
    random_state : int, RandomState instance or None, default=None
        Seed of the fit and of the draws. With an integer, :meth:`transform` draws the same
        cells at each call; None draws fresh ones. Consecutive integers draw from the fits by
        turns.

    Attributes
    ----------
    density_ : FlowDensity
        Density of the rows, their missing cells filled: the first of the fits. Columns hold no
        missing values in its ``schema_``, unless they hold nothing else.
    indicated_ : ndarray of intp
        Columns that had missing cells in ``fit``.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of str
        Names of the columns, where the table has names.
    n_iter_ : int
        Epochs of the fit of ``density_``.

    See Also
    --------
    FlowDensity.impute : The same with a density that is fitted already.
    sklearn.impute.IterativeImputer : Regressions of each column on the others; numbers only.

    References
    ----------
    .. [1] D. B. Rubin, "Multiple Imputation for Nonresponse in Surveys", Wiley, 1987.
    .. [2] L. L. Doove, S. van Buuren, E. Dusseldorp, "Recursive partitioning for missing data
       imputation in the presence of interaction effects", Computational Statistics & Data Analysis
       72, 2014.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skflow import FlowDensity, FlowImputer
    >>> X = load_iris(as_frame=True).data
    >>> density = FlowDensity(n_layers=0, n_components=3)
    >>> imputer = FlowImputer(density, random_state=0).fit(X)
    >>> partial = X.iloc[[0, 100]].assign(**{"petal length (cm)": float("nan")})
    >>> imputer.transform(partial)
         sepal length (cm)  sepal width (cm)  petal length (cm)  petal width (cm)
    0                  5.1               3.5                1.0               0.2
    100                6.3               3.3                6.3               2.5
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "density": DENSITY,
        "strategy": [StrOptions(set(STRATEGIES))],
        "add_indicator": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        density: FlowDensity | None = None,
        *,
        strategy: str = "sample",
        add_indicator: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.density = density
        self.strategy = strategy
        self.add_indicator = add_indicator
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)  # type: ignore[untyped-decorator]
    def fit(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the density of the rows of ``X``, their missing cells filled.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            A pandas or polars DataFrame of any columns, or an array; cells may be missing.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows; only their ratios count, and a row of weight 0 is left out.

        Returns
        -------
        self : FlowImputer

        Raises
        ------
        ValueError, TypeError
            As :meth:`FlowDensity.fit`. An earlier fit is then left as it was.
        """
        with keep_earlier_fit(self):
            table = check_table(self, X, reset=True, fewest_rows=2)
            table, weight = weighted_rows(self, table, sample_weight, fewest_rows=2)
            density, seed = clone_density(self)
            check_table(density, table, reset=True)
            known = EncodableTable.learn(density, table, weight)
            missing = np.column_stack([~column.present for column in known.table.columns])
            self.indicated_ = np.flatnonzero(missing.any(axis=0))
            can_be_filled = [column.labels.has_values for column in known.codec.columns]
            self._fit(density, known, missing & can_be_filled & ~missing.all(axis=0), seed)
        return self

    @usual_torch()
    def _fit(
        self, density: FlowDensity, known: EncodableTable, missing: NDArray[np.bool_], seed: int
    ) -> None:
        """Fit the density, and clones of it, each to a completed table of its own."""
        n_fits = N_FITS if missing.any() and missing.size <= MOST_CELLS else 1
        generator = np.random.RandomState(seed)
        self._other_fits = [sibling(density, k, seed) for k in range(n_fits - 1)]
        choices = None
        for k, fit in enumerate([density, *self._other_fits]):
            rows, clock = known, Clock(fit.max_time)
            if missing.any():
                table = complete(known.table, known.codec, missing, generator, clock)
                rows = known.completed(table)
            name = "fit" if n_fits == 1 else f"fit {k + 1} of {n_fits}"
            own = fit._fit(rows, rows.rows, None, clock, name, choices)
            choices = choices or own
        self.density_, self.n_iter_ = density, density.n_iter_

    def transform(self, X: ArrayLike) -> Any:
        """Fill the missing cells of ``X``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Any cell may be missing, also in columns that had none in ``fit``.

        Returns
        -------
        X_imputed : array or DataFrame of shape (n_samples, n_features_out)
            In the container and the dtypes of ``X``; known cells are unchanged. A cell stays
            missing only where its column had no value at all in ``fit``, or a number or date in
            one row alone, which no draw repeats. An array where the fit was to one, unless
            :meth:`set_output` says otherwise.

        Raises
        ------
        ValueError, TypeError
            Where ``X`` has other columns than the fitted table, or cells that can not be what
            their column holds.
        """
        check_is_fitted(self)
        table = check_table(self, X, reset=False)
        self._validate_params()
        members = [
            ConstrainedQuestions(fit._density, fit.device, "present")
            for fit in (self.density_, *self._other_fits)
        ]
        imputed = impute(members, table, self.strategy, self.random_state)
        if _get_feature_names(table) is not None and not hasattr(self, "feature_names_in_"):
            imputed = np.asarray(imputed)  # its names are not those of the fit
        if not self.add_indicator:
            return imputed
        stored = self.density_._density.container.read(table).select(self.indicated_.tolist())
        missing = np.array([~column.present for column in stored.columns]).T
        missing = missing.reshape(stored.n_rows, -1)  # also where there are no indicators
        names = self.get_feature_names_out()[self.n_features_in_ :]
        marks = numbers_like(missing.astype(np.int64), imputed, list(names))
        adapter = ADAPTERS_MANAGER.adapters.get(type(imputed).__module__.split(".")[0])
        if adapter is not None:
            return adapter.hstack([imputed, marks])
        return np.hstack([imputed, marks.astype(np.result_type(imputed, np.int8))])

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[np.object_]:
        """Names of the columns, and of the indicators after them.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Must be the fitted names, where there are any.

        Returns
        -------
        names : ndarray of str objects
            Indicators are called ``missingindicator_<column>``.
        """
        check_is_fitted(self)
        names: NDArray[np.object_] = _check_feature_names_in(self, input_features)
        if not self.add_indicator:
            return names
        marks = [f"missingindicator_{name}" for name in names[self.indicated_]]
        return np.array([*names, *marks], dtype=object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
