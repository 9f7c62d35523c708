"""scikit-learn's manners towards any table."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils._set_output import ADAPTERS_MANAGER
from sklearn.utils.validation import validate_data


def check_table(estimator: BaseEstimator, X: Any, *, reset: bool, fewest_rows: int = 1) -> Any:
    """Check names and number of columns; return a DataFrame as it is, else a 2-D array.

    Raises
    ------
    ValueError, TypeError
        In scikit-learn's words.
    """
    if not (hasattr(X, "columns") and hasattr(X, "shape")):
        return validate_data(
            estimator,
            X,
            reset=reset,
            dtype=None,
            ensure_all_finite="allow-nan",
            ensure_min_samples=fewest_rows,
        )
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    for axis, (what, fewest) in enumerate((("sample", fewest_rows), ("feature", 1))):
        if X.shape[axis] < fewest:
            raise ValueError(
                f"Found array with {X.shape[axis]} {what}(s) (shape={X.shape}) while a minimum "
                f"of {fewest} is required by {type(estimator).__name__}."
            )
    return X


def numbers_like(numbers: NDArray, table: Any, names: Sequence[str]) -> Any:
    """Return numbers in a frame of these column names where ``table`` is one."""
    adapter = ADAPTERS_MANAGER.adapters.get(type(table).__module__.split(".")[0])
    if adapter is None:
        return numbers
    return adapter.create_container(numbers, table, columns=names)
