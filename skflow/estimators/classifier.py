"""FlowClassifier: probabilities of the classes of y given X."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils import assert_all_finite, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from skflow.estimators.failures import keep_earlier_fit
from skflow.estimators.meta import clone_density
from skflow.estimators.predictor_files import SaveableClassifier
from skflow.estimators.targets import Predictor, Targets, conditions_of, fit_given, read_rows
from skflow.estimators.validation import check_table
from skflow.fitted.prediction import predict_column

FloatArray = NDArray[np.float64]


class FlowClassifier(SaveableClassifier, ClassifierMixin, Predictor):
    """Classifier with the probabilities of a density of y given X.

    A meta-estimator: it fits a :class:`FlowDensity` of the label y given the columns of X,
    ``density_``. X is any table, with categories, dates and missing values.

    Parameters
    ----------
    density : FlowDensity, default=None
        Unfitted density with the parameters of the fit; None is one with default parameters.
        It is cloned, never fitted or changed. Its ``random_state`` and ``verbose`` are not used:
        those of the classifier are. Grids name its parameters ``density__learning_rate`` and so
        on. Names or positions in its parameters are those of the columns of X.
    random_state : int, RandomState instance or None, default=None
        Seed of the fit.
    verbose : int, default=0
        1 shows the progress bar of the fit.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Classes of y, sorted.
    density_ : FlowDensity
        Density of the number of the class given X, of the table that has it after the columns
        of X.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of str
        Names of the columns, where X has names.
    n_iter_ : int
        Epochs of the fit of ``density_``.

    See Also
    --------
    FlowRegressor : Distributions of numbers.
    sklearn.ensemble.HistGradientBoostingClassifier : Boosted trees, usually more accurate.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skflow import FlowClassifier, FlowDensity
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = FlowClassifier(FlowDensity(n_layers=0), random_state=0).fit(X, y)
    >>> classifier.predict_proba(X[[0, 70, 100]]).round(2)
    array([[0.99, 0.  , 0.  ],
           [0.01, 0.46, 0.53],
           [0.  , 0.  , 0.99]])
    """

    @_fit_context(prefer_skip_nested_validation=False)  # type: ignore[untyped-decorator]
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            A pandas or polars DataFrame of any columns, or an array.
        y : array-like of shape (n_samples,)
            Classes.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows; only their ratios count, and a row of weight 0 is left out.

        Returns
        -------
        self : FlowClassifier

        Raises
        ------
        ValueError, TypeError
            As :meth:`FlowDensity.fit`, and where y holds no classes. An earlier fit is then left
            as it was.
        """
        with keep_earlier_fit(self):
            density, _ = clone_density(self)
            table, targets, weight = read_rows(self, X, y, sample_weight, read=_read_classes)
            self.classes_, codes = np.unique(targets.columns[0], return_inverse=True)
            kinds = density.column_kinds
            if kinds is None or isinstance(kinds, dict):
                density.set_params(column_kinds={**(kinds or {}), table.shape[1]: "categorical"})
            numbers = Targets([codes.astype(np.float64)], ["class"], is_table=False)
            self.density_ = fit_given(density, table, numbers, weight)
            self.n_iter_ = self.density_.n_iter_
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Likeliest class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        classes : ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])

    def predict_proba(self, X: ArrayLike) -> FloatArray:
        """Probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes), float64
            In the order of ``classes_``; each row adds up to 1.
        """
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X: ArrayLike) -> FloatArray:
        """Logarithm of the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes), float64
            In nats, in the order of ``classes_``.
        """
        check_is_fitted(self)
        given = conditions_of(self.density_, check_table(self, X, reset=False))
        predicted = predict_column(
            [self.density_._density], np.ones(1), given, self.density_.device
        )
        log_probs: FloatArray = log_softmax(predicted.label_log_probs, axis=1)
        return log_probs


def _read_classes(estimator: Any, X: Any, y: Any) -> Targets:
    """Read and check classes."""
    classes = column_or_1d(y, warn=True)
    assert_all_finite(classes, input_name="y")
    try:
        check_classification_targets(classes)
    except TypeError as error:  # what has no order
        types = sorted({type(label).__name__ for label in classes})
        expected = "Classes must be all strings or all numbers, without None"
        raise TypeError(f"{expected}; got {types}.") from error
    check_consistent_length(X, classes)
    return Targets([classes], ["class"], is_table=False)
