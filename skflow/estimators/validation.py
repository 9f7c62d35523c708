"""scikit-learn's manners towards any table."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import _safe_indexing, assert_all_finite, check_array
from sklearn.utils._param_validation import Interval
from sklearn.utils._set_output import ADAPTERS_MANAGER
from sklearn.utils.validation import (
    _check_feature_names_in,
    _check_sample_weight,
    validate_data,
)

from skflow.exceptions import printable
from skflow.rows import WeightScale
from skflow.table.frames import Conditions, as_frame

# Libraries of other frames, and the call that makes one of theirs one of pandas or polars.
CONVERSIONS = {
    "pyarrow": "X.to_pandas()",
    "narwhals": "X.to_native()",
    "dask": "X.compute()",
    "pyspark": "X.toPandas()",
    "ray": "X.to_pandas()",
    "cudf": "X.to_pandas()",
    "ibis": "X.to_pandas()",
    "duckdb": "X.df()",
}


class Count(Interval):
    """Integers from ``least`` to ``most``; a boolean is none, though Python counts True as 1."""

    def __init__(self, least: int, most: int | None = None) -> None:
        super().__init__(Integral, least, most, closed="left" if most is None else "both")

    def is_satisfied_by(self, val: Any) -> bool:
        """Return whether ``val`` is such an integer."""
        return not isinstance(val, bool) and super().is_satisfied_by(val)


class EngineCalls(NamedTuple):
    """Calls on a frame of an engine: one answers its parts by a task, one writes them."""

    answer: str
    write: str


# Engines whose frames are in parts.
PARTITIONED = {
    "dask": EngineCalls("X.map_partitions(task, meta=task.meta)", 'X.to_parquet("rows/")'),
    "pyspark": EngineCalls("X.mapInArrow(task.stream, task.ddl)", 'X.write.parquet("rows/")'),
    "ray": EngineCalls('X.map_batches(task, batch_format="pyarrow")', 'X.write_parquet("rows/")'),
}


def check_table(estimator: BaseEstimator, X: Any, *, reset: bool, fewest_rows: int = 1) -> Any:
    """Check names and number of columns; return a DataFrame as it is, else a 2-D array.

    Infinities are left to who reads the columns, and can name them.

    Raises
    ------
    ValueError, TypeError
        In scikit-learn's words.
    """
    remedy = _remedy(X)
    if remedy:
        module, name = type(X).__module__, type(X).__name__
        spelled = name if module == "builtins" else f"{module}.{name}"
        raise TypeError(
            f"X must be an array, or a pandas or polars DataFrame; got {spelled}. {remedy}"
        )
    if not (hasattr(X, "columns") and hasattr(X, "shape")):
        return validate_data(
            estimator,
            X,
            reset=reset,
            dtype=None,
            ensure_all_finite=False,
            ensure_min_samples=fewest_rows,
        )
    as_frame(X)  # before scikit-learn, which does not say what to do
    try:
        validate_data(estimator, X, reset=reset, skip_check_array=True)
    except ValueError as error:  # names columns as they are
        raise ValueError(printable(str(error), lines=True)) from error
    for axis, (what, fewest) in enumerate((("sample", fewest_rows), ("feature", 1))):
        if X.shape[axis] < fewest:
            raise ValueError(
                f"Found array with {X.shape[axis]} {what}(s) (shape={X.shape}) while a minimum "
                f"of {fewest} is required by {type(estimator).__name__}."
            )
    return _in_native_order(X)


def check_weight(sample_weight: Any, X: Any) -> NDArray[np.float64]:
    """Check weights of rows, or a scalar; return them as an array, ``(n_samples,)``.

    Raises
    ------
    ValueError
        Where weights are negative, not finite, all zero, or not as many as rows of ``X``.
    """
    if isinstance(sample_weight, str):
        raise ValueError(
            "sample_weight must be a number for each row; the name of a column, such as "
            f"{sample_weight!r}, is for a fit to a dataset. Pass X.pop({sample_weight!r})."
        )
    weight: NDArray[np.float64] = _check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True
    )
    assert_all_finite(weight, input_name="sample_weight")
    if not weight.any():  # scikit-learn's own check since 1.9
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weight


def positive_rows(
    estimator: BaseEstimator, X: Any, sample_weight: Any, fewest_rows: int
) -> tuple[NDArray[np.intp] | None, NDArray[np.float64] | None]:
    """Find the rows of positive weight, and scale their weights; see :class:`WeightScale`.

    Parameters
    ----------
    estimator : estimator
        Named in errors.
    X : array or DataFrame of shape (n_samples, n_features)
        As :func:`check_table` returns it.
    sample_weight : array-like of shape (n_samples,), float or None
    fewest_rows : int
        Rows of positive weight, at least.

    Returns
    -------
    rows : ndarray of shape (n_positive,), or None
        Their positions; None where all rows have a positive weight.
    weight : ndarray of shape (n_positive,), float64, or None
        None where all weights are equal.

    Raises
    ------
    ValueError
        Where weights are negative, not finite, all zero, or not as many as rows.
    """
    if sample_weight is None:
        return None, None
    weight = check_weight(sample_weight, X)
    scale = WeightScale.fit(lambda: [weight])
    if scale.n_positive < fewest_rows:
        raise ValueError(
            f"Found {scale.n_positive} sample(s) with a positive sample_weight while a minimum of "
            f"{fewest_rows} is required by {type(estimator).__name__}."
        )
    is_positive, scaled = scale.apply(weight)
    return None if is_positive.all() else np.flatnonzero(is_positive), scaled


def weighted_rows(
    estimator: BaseEstimator, X: Any, sample_weight: Any, fewest_rows: int
) -> tuple[Any, NDArray[np.float64] | None]:
    """Drop rows of weight 0, and scale the weights of the others; see :func:`positive_rows`."""
    rows, weight = positive_rows(estimator, X, sample_weight, fewest_rows)
    return X if rows is None else _safe_indexing(X, rows), weight


def read_conditions(density: Any, given: Any, method: str) -> Conditions | None:
    """Read rows of conditions of a fitted FlowDensity; None where it has none.

    Raises
    ------
    ValueError
        Where it has conditions and ``given`` is None, or the reverse; ``method`` is named.
    """
    codec, container = density._density.codec, density._density.container
    chosen = [container.names[j] for j in codec.conditions]
    if not chosen:
        if given is None:
            return None
        raise ValueError(
            f"{method} takes given= only where the density was fitted with the parameter "
            "given; this one is joint. Leave it out, or fit FlowDensity(given=[...])."
        )
    if given is None:
        raise ValueError(
            f"This {type(density).__name__} is the density of other columns given {chosen}: call "
            f"{method} with given=, a table of these columns."
        )
    named = hasattr(density, "feature_names_in_")
    table = check_conditions(given, container.names, codec.conditions, named=named)
    read: Conditions = container.read_given(table, codec.conditions)
    return read


def _remedy(X: Any) -> str | None:
    """Say how to make a table of what is none, and "reshape" would not help; else None."""
    frame = "Make it a DataFrame: pd.DataFrame(X)."
    library = type(X).__module__.split(".")[0]
    if library in PARTITIONED:
        return (
            "It is in parts, perhaps on several machines. A fitted model answers each part by a "
            f"task: task = skflow.BatchTask(model); {PARTITIONED[library].answer}. A FlowDensity "
            f"is fitted to Parquet files: {PARTITIONED[library].write}, then "
            'fit(pyarrow.dataset.dataset("rows/")).'
        )
    if library in CONVERSIONS:
        if library == "pyarrow" and hasattr(X, "to_table"):
            return (
                "Convert it: X = X.to_table().to_pandas(date_as_object=False). A fitted model "
                "answers a dataset that is larger than memory by a task: "
                "map(skflow.BatchTask(model), X.to_batches())."
            )
        if library == "pyarrow" and not hasattr(X, "to_pandas"):  # a file, or files
            return "Convert it: X = X.read().to_pandas(date_as_object=False)."
        return f"Convert it: X = {CONVERSIONS[library]}."
    if isinstance(X, np.ndarray):
        if np.ma.is_masked(X):
            return "It has masked entries: fill them, as with X.astype(float).filled(np.nan)."
        return frame if X.dtype.names else None
    if hasattr(X, "shape"):  # also sparse matrices, some of which are mappings
        return None
    if isinstance(X, Mapping) or (isinstance(X, list | tuple) and X and isinstance(X[0], Mapping)):
        return frame
    if hasattr(X, "collect_schema"):
        return "Collect it: X.collect()."
    if isinstance(X, Iterator | AbstractSet):
        return "Make it a list of rows: list(X)."
    return "Read the table first." if X is None or isinstance(X, str | bytes) else None


def _in_native_order(frame: Any) -> Any:
    """Return a frame in this machine's byte order; pandas takes no rows of another."""
    if not hasattr(frame.dtypes, "items"):  # of polars, which knows no other
        return frame
    dtypes = {name: dtype for name, dtype in frame.dtypes.items() if isinstance(dtype, np.dtype)}
    native = {name: dtype.newbyteorder("=") for name, dtype in dtypes.items() if not dtype.isnative}
    return frame.astype(native) if native else frame


def check_conditions(
    given: Any, names: Sequence[str], columns: Sequence[int], *, named: bool
) -> Any:
    """Check rows of conditions; return their columns alone, in the order of the fitted table.

    Parameters
    ----------
    given : array or DataFrame
        The columns that are given, or all columns.
    names : sequence of str
        Of all columns of the fitted table.
    columns : sequence of int
        Positions of those that are given.
    named : bool
        Whether the fitted table had names.

    Raises
    ------
    ValueError, TypeError
        Where ``given`` is no table of these columns.
    """
    chosen = [names[j] for j in columns]
    remedy = _remedy(given)
    if remedy:
        raise TypeError(
            f"given must be an array, or a pandas or polars DataFrame; got "
            f"{type(given).__name__}. {remedy}"
        )
    frame = as_frame(given) if hasattr(given, "columns") and hasattr(given, "shape") else None
    if frame is None:
        given = check_array(given, dtype=None, ensure_all_finite=False, input_name="given")
    if not len(given):
        raise ValueError("given has no rows: pass a row for each condition.")
    n_columns = given.shape[1]
    if frame is not None and named:
        missing = [name for name in chosen if name not in frame.columns]
        unknown = [name for name in frame.columns if name not in names]
        if missing or unknown:
            raise ValueError(
                f"given must hold the columns {chosen}; "
                + " and ".join(
                    [f"it lacks {missing}"] * bool(missing)
                    + [f"it holds {unknown}, which were not fitted"] * bool(unknown)
                )
                + "."
            )
        return _in_native_order(frame.select(chosen).to_native())
    if n_columns not in (len(columns), len(names)):
        raise ValueError(
            f"given has {n_columns} columns, expected the {len(columns)} that are given, {chosen}, "
            f"or all {len(names)}."
        )
    places = list(range(n_columns) if n_columns == len(columns) else columns)
    if frame is None:
        return given[:, places]
    return _in_native_order(frame[:, places].to_native())


def check_latents(estimator: BaseEstimator, Z: Any, names: Sequence[str]) -> NDArray[np.float64]:
    """Check latents of these names; return them as an array."""
    latents: NDArray[np.float64] = check_array(Z, dtype=np.float64, input_name="Z")
    if latents.shape[1] != len(names):
        raise ValueError(
            f"Z has {latents.shape[1]} columns, but this {type(estimator).__name__} gives "
            f"{len(names)} latents per row. Pass what transform returned."
        )
    own = list(getattr(Z, "columns", names))
    if own != list(names) and not set(own).isdisjoint(names):
        raise ValueError(
            f"Z has columns named {own}, but latents are named {list(names)}, in this order. "
            "Pass what transform returned, or an array."
        )
    return latents


def numbers_like(numbers: NDArray, table: Any, names: Sequence[str]) -> Any:
    """Return numbers in a frame of these column names where ``table`` is one."""
    adapter = ADAPTERS_MANAGER.adapters.get(type(table).__module__.split(".")[0])
    if adapter is None:
        return numbers
    return adapter.create_container(numbers, table, columns=names)


def check_part(estimator: Any, X: Any) -> tuple[Any, list[int]]:
    """Check a table of some of the fitted columns; return it, and which columns they are.

    Raises
    ------
    ValueError, TypeError
        Where a column was not fitted, or an array does not have all columns.
    """
    frame = as_frame(X) if hasattr(X, "columns") and hasattr(X, "shape") else None
    if frame is None:
        if np.ndim(X) == 2 and np.shape(X)[1] != estimator.n_features_in_:
            raise ValueError(
                f"X is an array of {np.shape(X)[1]} columns, and does not say which of the "
                f"{estimator.n_features_in_} fitted columns these are. Pass a DataFrame with their "
                "names or, after a fit to an array, their positions: "
                "pd.DataFrame(X, columns=[0, 2])."
            )
        return check_table(estimator, X, reset=False), list(range(estimator.n_features_in_))
    if not min(frame.shape):
        raise ValueError(
            f"X must have at least one row and one column; its shape is {tuple(frame.shape)}."
        )
    return _in_native_order(X), _find(estimator, list(X.columns))


def positions_of(estimator: Any, X: Any, targets: Any) -> list[int]:
    """Return which fitted columns the targets, columns of ``X``, are.

    Raises
    ------
    ValueError
        Where a target is no column of ``X``, or there is none.
    """
    targets = [targets] if isinstance(targets, str | Integral) else list(targets)
    if not targets:
        raise ValueError("targets must name at least one column of X; it is empty.")
    found = _find(estimator, targets)
    held = list(getattr(X, "columns", targets))
    absent = [target for target in targets if target not in held]
    if absent:
        raise ValueError(f"targets must be columns of X, {held}; got {absent}.")
    return found


def _find(estimator: Any, labels: list[Any]) -> list[int]:
    """Return the positions of fitted columns, by name or, without names, by number."""
    names = list(_check_feature_names_in(estimator))
    place = {name: j for j, name in enumerate(names)}
    if not hasattr(estimator, "feature_names_in_"):
        place |= {j: j for j in range(len(names))}
    strange = [label for label in labels if label not in place]
    if strange:
        raise ValueError(
            f"X has columns that were not fitted: {strange}. Those fitted are {names}."
        )
    found = [place[label] for label in labels]
    if len(set(found)) < len(found):
        raise ValueError(f"Columns must be named once each; got {labels}.")
    return found
