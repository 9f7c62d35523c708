"""Targets of supervised estimators: columns of y beside those of X, in one table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.utils import _safe_indexing, check_array, check_consistent_length

from skflow.estimators.density import FlowDensity
from skflow.estimators.meta import DENSITY, MetaEstimator
from skflow.estimators.validation import check_table, positive_rows, read_conditions
from skflow.table.frames import Conditions, append_columns, as_frame

FloatArray = NDArray[np.float64]


class Predictor(MetaEstimator):
    """Meta-estimator that predicts y: its density is that of y given X."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "density": DENSITY,
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        density: FlowDensity | None = None,
        *,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.density = density
        self.random_state = random_state
        self.verbose = verbose


@dataclass(frozen=True)
class Targets:
    """Columns of y.

    Attributes
    ----------
    columns : list of ndarray of shape (n_rows,)
        Numbers, dates or durations.
    names : list of str
    is_table : bool
        Whether y has two dimensions.
    """

    columns: list[NDArray[Any]]
    names: list[str]
    is_table: bool

    @classmethod
    def read(cls, estimator: Any, X: Any, y: Any) -> Self:
        """Read and check y, which belongs to the rows of X.

        Raises
        ------
        ValueError
            Where y is of another length, or holds missing values or infinities, or what is no
            number, date or duration.
        TypeError
            Where y holds dates with a time zone, or outputs of several sorts.
        """
        if hasattr(y, "columns") and hasattr(y, "shape"):
            frame = as_frame(y)
            assert frame is not None
            names = [str(name) for name in frame.columns]
            columns = [_read_column(frame[name].to_numpy()) for name in frame.columns]
            is_table = True
        else:
            array = np.asarray(_read_column(y))
            is_table = array.ndim == 2
            columns = list(array.T) if is_table else [array]
            name = getattr(y, "name", None)
            several = [f"y{k}" for k in range(len(columns))]
            names = several if len(columns) > 1 else [name if isinstance(name, str) else "y"]
        check_consistent_length(X, columns[0])
        if len({column.dtype.kind if column.dtype.kind in "Mm" else "" for column in columns}) > 1:
            raise TypeError(
                "y holds outputs of several sorts, numbers, dates or durations, which no array of "
                "predictions can. Convert them to numbers, or fit one regressor for each sort."
            )
        return cls(columns, names, is_table)

    @property
    def values(self) -> NDArray[Any]:
        """The columns as one array, ``(n_rows,)`` or ``(n_rows, n_columns)``."""
        return np.column_stack(self.columns) if self.is_table else self.columns[0]

    def append_to(self, X: Any) -> Any:
        """Return the table of X and y."""
        return append_columns(X, self.columns, self.names)

    def take(self, rows: NDArray[Any]) -> Self:
        """Return some of the rows, by index or mask."""
        return type(self)([column[rows] for column in self.columns], self.names, self.is_table)


def _read_column(y: Any) -> NDArray[Any]:
    values = y.to_numpy() if hasattr(y, "to_numpy") else np.asarray(y)
    if values.dtype.kind in "Mm":
        if np.isnat(values).any():
            raise ValueError("Input y contains NaT. Drop these rows.")
        return values
    if values.dtype.kind == "O" and getattr(next(iter(values.flat), None), "tzinfo", None):
        raise TypeError(
            "y holds dates with a time zone, which predictions, as arrays, cannot. Convert it to "
            'UTC: y.dt.tz_convert("UTC").dt.tz_localize(None).'
        )
    is_text = values.dtype.kind in "SU" or any(isinstance(cell, str) for cell in values.flat)
    array: NDArray[Any] = np.asarray(values)
    if not is_text:
        array = check_array(
            y, dtype="numeric", ensure_2d=False, ensure_min_samples=0, input_name="y"
        )
    if array.dtype.kind not in "iufb":
        kind = "text" if is_text else type(array.flat[0]).__name__
        raise ValueError(
            f"y must be numbers, dates or durations; got {kind}. Convert it, or use FlowClassifier."
        )
    return array.astype(np.float64) if array.dtype.kind == "b" else array


def fit_given(
    density: FlowDensity,
    X: Any,
    targets: Targets,
    weight: FloatArray | None = None,
    validation: Any = None,
) -> FlowDensity:
    """Fit a clone of a density of targets given X.

    Parameters
    ----------
    density : FlowDensity
    X : table
    targets : Targets
    weight : ndarray of shape (n_rows,), optional
    validation : table, optional
        Rows of X and y for early stopping.
    """
    n_columns = X.shape[1]
    own = clone(density).set_params(given=list(range(n_columns)))
    weights = {} if weight is None else {"sample_weight": weight}
    return own.fit(targets.append_to(X), X_val=validation, **weights)


def conditions_of(density: FlowDensity, X: Any) -> Conditions:
    """Read rows of X as conditions of a fitted density."""
    given = read_conditions(density, X, "predict")
    assert given is not None
    return given


def take_rows(X: Any, rows: NDArray[Any]) -> Any:
    """Return rows of a table, by index."""
    return _safe_indexing(X, rows)


def read_rows(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: ArrayLike | None,
    read: Callable[[Any, Any, Any], Targets] = Targets.read,
) -> tuple[Any, Targets, FloatArray | None]:
    """Check X, y, by ``read``, and weights for a fit; rows of weight 0 are left out."""
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y "
            "is None."
        )
    table = check_table(estimator, X, reset=True, fewest_rows=2)
    targets = read(estimator, table, y)
    rows, weight = positive_rows(estimator, table, sample_weight, fewest_rows=2)
    if rows is not None:
        table, targets = take_rows(table, rows), targets.take(rows)
    return table, targets, weight
