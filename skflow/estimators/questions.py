"""Questions to a fitted joint density: any columns given any others."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import StrOptions, validate_parameter_constraints
from sklearn.utils.validation import check_is_fitted

from skflow.estimators.validation import Count, check_part, check_table, positions_of
from skflow.fitted.imputation import impute
from skflow.fitted.questions.constrained import ConstrainedQuestions
from skflow.fitted.questions.questions import PartialTable, sample_rows, with_columns

FloatArray = NDArray[np.float64]
RandomState = int | np.random.RandomState | None


class JointQuestions:
    """Methods of a density that draw, integrate or condition on some of its columns."""

    def sample_given(
        self: Any, X: Any, *, n_samples: int = 1, random_state: RandomState = None
    ) -> Any:
        r"""Draw the columns that ``X`` lacks, given those that it holds.

        Draws follow :math:`p(x_A \mid x_B)` of the joint density :math:`p`, by importance
        sampling: exact in the limit of many draws.

        Parameters
        ----------
        X : DataFrame of shape (n_rows, n_columns)
            Some of the fitted columns, by name, in any order. After a fit to an array, columns
            are ``x0``, ``x1`` and so on, or their positions. A missing value is an event
            here, as in :meth:`score_samples`.
        n_samples : int, default=1
            Rows that are drawn for each row of ``X``.
        random_state : int, RandomState instance or None, default=None
            None draws fresh rows at each call. A row's draws depend on its position in ``X``
            and on its cells, not on other rows.

        Returns
        -------
        rows : array or DataFrame of shape (n_rows * n_samples, n_features)
            Whole rows in the fitted container, ``n_samples`` for the first row of ``X``, then
            for the second, and so on. Given cells are as they were, in the fitted dtypes.

        Raises
        ------
        ValueError, TypeError
            Where ``X`` is no DataFrame, has a column that was not fitted, or cells that their
            column cannot hold.

        Warns
        -----
        FewEffectiveDrawsWarning
            Where draws are hardly better than those of a rough approximation.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skflow import FlowDensity
        >>> X = load_iris(as_frame=True).data
        >>> flow = FlowDensity(n_layers=0, n_components=3, random_state=0).fit(X)
        >>> known = X.loc[[0, 100], ["petal width (cm)"]]
        >>> flow.sample_given(known, n_samples=2, random_state=0)
           sepal length (cm)  sepal width (cm)  petal length (cm)  petal width (cm)
        0                4.6               2.7                1.8               0.2
        1                5.0               3.1                1.5               0.2
        2                7.0               3.3                6.1               2.5
        3                6.7               3.1                6.2               2.5
        """
        check_is_fitted(self)
        validate_parameter_constraints(
            {"n_samples": [Count(1)]},
            {"n_samples": n_samples},
            caller_name=f"{type(self).__name__}.sample_given",
        )
        partial = self._read_part(X)
        questions = ConstrainedQuestions(self._density, self.device, "known")
        generator = check_random_state(random_state)
        return sample_rows(questions, partial, n_samples, generator)

    def log_density_given(
        self: Any, X: Any, *, targets: Any, return_error: bool = False
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        r"""Log-density of some columns given the others.

        .. math:: \log p(x_T \mid x_B) = \log p(x_T, x_B) - \log p(x_B)

        with the targets T and the other columns B of ``X``. Columns of the fit that ``X`` lacks
        are summed out. One target given all other columns is exact, by quadrature of the joint
        density; other sums are estimated by importance sampling.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_columns)
            Some of the fitted columns; an array holds all of them.
        targets : str, int or sequence of these
            Names of columns of ``X``, or positions where it is an array.
        return_error : bool, default=False
            Whether to return standard errors as well.

        Returns
        -------
        log_density : ndarray of shape (n_samples,), float64
            In nats: log-probabilities of events and log-densities of values, per unit of the
            target columns.
        error : ndarray of shape (n_samples,), float64
            Standard error of each, in nats; 0 where exact. Only with ``return_error=True``.

        Raises
        ------
        ValueError, TypeError
            Where a target is no column of ``X``, or ``X`` has a column that was not fitted.

        Warns
        -----
        FewEffectiveDrawsWarning
            Where the estimate of some rows is rough.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skflow import FlowDensity
        >>> X = load_iris(as_frame=True).data
        >>> flow = FlowDensity(n_layers=0, n_components=3, random_state=0).fit(X)
        >>> rows = X.iloc[[0, 0]].assign(**{"petal width (cm)": [0.2, 2.0]})
        >>> flow.log_density_given(rows, targets=["petal width (cm)"]).round(1)
        array([ 1.2, -6.5])
        """
        check_is_fitted(self)
        partial = self._read_part(X)
        chosen = positions_of(self, X, targets)
        questions = ConstrainedQuestions(self._density, self.device, "every")
        given = np.ones(partial.known.shape[1], dtype=bool)
        given[chosen] = False
        joint, error = questions.log_density(partial)
        if partial.known.all() and len(chosen) == 1:
            log_density = joint - questions.log_density_without(partial, chosen[0])
            return (log_density, error) if return_error else log_density
        of_given, error_given = questions.log_density(partial.only(given))
        log_density = joint - of_given
        return (log_density, np.hypot(error, error_given)) if return_error else log_density

    def marginal_log_density(self: Any, X: Any) -> FloatArray:
        r"""Log-density of the columns that ``X`` holds, the others summed out.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_columns)
            Some of the fitted columns; an array holds all of them.

        Returns
        -------
        log_density : ndarray of shape (n_samples,), float64
            In nats, per unit of the columns of ``X``: estimated by importance sampling, and
            equal to :meth:`score_samples` where ``X`` holds all columns.

        Raises
        ------
        ValueError, TypeError
            Where ``X`` has a column that was not fitted.

        Warns
        -----
        FewEffectiveDrawsWarning
            Where the estimate of some rows is rough.
        """
        check_is_fitted(self)
        questions = ConstrainedQuestions(self._density, self.device, "every")
        return questions.log_density(self._read_part(X))[0]

    def impute(
        self: Any, X: Any, *, strategy: str = "sample", random_state: RandomState = None
    ) -> Any:
        r"""Fill missing cells, given the other cells of each row.

        A missing cell is unknown here: it is drawn given that there is a value, whatever the
        probability of a missing value is. This assumes that values are missing at random: that
        their being missing says no more about them than the rest of the row does.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            All fitted columns. Any may have missing cells, also those that had none in ``fit``.
        strategy : {"sample", "typical"}, default="sample"
            "sample" draws the unknown cells of a row together, from their conditional
            distribution. "typical" takes the median of each number or date, and the likeliest of
            each category, given the known cells.
        random_state : int, RandomState instance or None, default=None
            None draws afresh at each call. A row's draws depend on its position in ``X`` and on
            its cells, not on other rows.

        Returns
        -------
        X_imputed : array or DataFrame of shape (n_samples, n_features)
            In the container and the dtypes of ``X``; known cells are unchanged. A cell stays
            missing only where its column had no value at all in ``fit``.

        Raises
        ------
        ValueError, TypeError
            Where ``X`` has other columns than the fitted table, or cells that can not be what
            their column holds.

        Warns
        -----
        FewEffectiveDrawsWarning
            Where draws are hardly better than those of a rough approximation.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skflow import FlowDensity
        >>> X = load_iris(as_frame=True).data
        >>> flow = FlowDensity(n_layers=0, n_components=3, random_state=0).fit(X)
        >>> partial = X.iloc[[0, 100]].assign(**{"petal length (cm)": float("nan")})
        >>> flow.impute(partial, random_state=0)
             sepal length (cm)  sepal width (cm)  petal length (cm)  petal width (cm)
        0                  5.1               3.5                1.0               0.2
        100                6.3               3.3                5.6               2.5
        """
        check_is_fitted(self)
        validate_parameter_constraints(
            {"strategy": [StrOptions({"sample", "typical"})]},
            {"strategy": strategy},
            caller_name=f"{type(self).__name__}.impute",
        )
        X = check_table(self, X, reset=False)
        questions = ConstrainedQuestions(self._density, self.device, "present")
        return impute([questions], X, strategy, random_state)

    def _read_part(self: Any, X: Any) -> PartialTable:
        """Read some of the fitted columns."""
        X, columns = check_part(self, X)
        container = self._density.container.select(columns)
        return with_columns(self._density.codec, container.read(X), columns)
