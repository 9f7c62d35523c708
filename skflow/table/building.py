"""Columns as arrays of a library's own dtypes, spelled with its own missing markers."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skflow.table.storage import MARKERS, Library, StoredColumn, code_of

try:  # pandas columns of Arrow dtypes exist only where it is installed
    import pyarrow as pa
except ImportError:
    pa = None

SENTINELS: dict[str, Any] = {"NaN": float("nan"), "NA": pd.NA, "NaT": pd.NaT, "None": None}
NONES: dict[str, Any] = dict.fromkeys(MARKERS)  # for libraries that know what None means


def marker_of(value: Any) -> str:
    """Return the marker that a missing Python object is."""
    if value is None:
        return "None"
    if value is pd.NA:
        return "NA"
    return "NaT" if isinstance(value, type(pd.NaT) | np.datetime64 | np.timedelta64) else "NaN"


def null_marker(dtype: Any) -> str:
    """Return the marker of a column's nulls."""
    if not isinstance(dtype, np.dtype | pd.api.extensions.ExtensionDtype):
        return "None"  # of polars
    if isinstance(dtype, np.dtype):
        return "NaT" if dtype.kind in "Mm" else "NaN"
    return marker_of(dtype.na_value)


def markers_held(dtype: Any) -> tuple[str, ...]:
    """Return the missing markers that a column of ``dtype`` can hold, the usual one first."""
    if isinstance(dtype, np.dtype):
        return {"f": ("NaN",), "M": ("NaT",), "m": ("NaT",), "O": MARKERS}.get(dtype.kind, ())
    null = null_marker(dtype)
    floating = dtype.kind == "f" if null == "NA" else null == "None" and dtype.is_float()
    return (null, "NaN") if floating else (null,)


def to_numpy(column: StoredColumn, dtype: np.dtype) -> NDArray[Any]:
    """Return a column as an array of ``dtype``."""
    if dtype.kind in "OUS":
        return column.to_objects(SENTINELS).astype(dtype)
    values = column.values
    if dtype.kind in "Mm":
        return np.where(column.present, values.view(dtype), np.array("NaT", dtype=dtype))
    stored = values.astype(dtype)
    return np.where(column.present, stored, dtype.type(np.nan)) if dtype.kind == "f" else stored


def array_with_holes(columns: Sequence[StoredColumn], dtype: np.dtype) -> np.dtype:
    """Return the dtype of an array of integers, booleans or strings that now has missing values.

    Floats where they hold all integers exactly, else objects.
    """
    exact = dtype.kind in "iu" and all(
        (column.values <= 2**53).all() and (column.values >= -(2**53)).all() for column in columns
    )
    return np.dtype(np.float64 if exact else object)


def nullable(dtype: np.dtype) -> Any:
    """Return the dtype of pandas that holds the same integers or booleans, and missing values."""
    if dtype.kind == "b":
        return pd.BooleanDtype()
    return pd.api.types.pandas_dtype(dtype.name.replace("i", "I").replace("u", "U"))


def to_pandas(column: StoredColumn, dtype: Any) -> Any:
    """Return a column as a pandas array of ``dtype``."""
    if isinstance(dtype, np.dtype):
        return to_numpy(column, dtype)
    if isinstance(dtype, pd.CategoricalDtype):
        return pd.Categorical(column.to_objects(NONES), dtype=dtype)
    if isinstance(dtype, pd.StringDtype):
        return pd.array(column.to_objects(NONES), dtype=dtype)
    if isinstance(dtype, pd.DatetimeTZDtype):
        instants = to_numpy(column, np.dtype(f"M8[{dtype.unit}]"))
        return pd.DatetimeIndex(instants).tz_localize("UTC").tz_convert(dtype.tz).array
    null = column.missing == code_of("NA")
    values = column.values
    if values.dtype.kind == "f":
        values = np.where(column.missing == code_of("NaN"), np.nan, values)
    if isinstance(dtype, pd.ArrowDtype):
        return pd.arrays.ArrowExtensionArray(_to_arrow(column, values, null, dtype.pyarrow_dtype))
    return dtype.construct_array_type()(values.astype(dtype.numpy_dtype), null)


def _to_arrow(column: StoredColumn, values: NDArray[Any], null: NDArray[Any], dtype: Any) -> Any:
    """Return a column as an Arrow array of ``dtype``."""
    if column.are_objects:
        places = getattr(dtype, "scale", None)
        return pa.array(column.to_objects(NONES, places).tolist(), type=dtype)
    array = pa.array(values, mask=null, from_pandas=False)
    days = pa.types.is_date64(dtype)  # counts milliseconds, and only those of whole days
    return (array.cast(pa.date32()) if days else array).cast(dtype)


def to_polars(polars: Any, column: StoredColumn, name: str, dtype: Any) -> Any:
    """Return a column as a polars Series of ``dtype``."""
    if column.are_objects:
        places = getattr(dtype, "scale", None)
        return polars.Series(name, column.to_objects(NONES, places).tolist(), dtype=dtype)
    values = column.values
    if values.dtype.kind == "f":
        values = np.where(column.missing == code_of("NaN"), np.nan, values)
    series = polars.Series(name, values).cast(dtype)
    return series.scatter(np.flatnonzero(column.missing == code_of("None")), None)


def empty_table(library: Library, dtypes: Sequence[Any], labels: Any) -> Any:
    """Return an array or a frame of no rows, with columns of these dtypes and labels."""
    if library == "array":
        return np.empty(0, dtype=dtypes[0])
    if library == "polars":
        return import_module("polars").DataFrame(schema=dict(zip(labels, dtypes, strict=True)))
    empty = pd.DataFrame({j: pd.Series(dtype=dtype) for j, dtype in enumerate(dtypes)})
    return empty.set_axis(labels, axis=1)
