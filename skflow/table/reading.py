"""Columns of arrays and frames as :class:`StoredColumn`, without copies where that is possible."""

from dataclasses import replace
from decimal import Decimal
from itertools import takewhile
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skflow.table.building import marker_of, null_marker
from skflow.table.families import BOOLEAN, CATEGORY, DATE, DURATION, NUMBER
from skflow.table.objects import are_rounded, as_objects, numbers_of_objects, plain_objects
from skflow.table.storage import StoredColumn, code_of
from skflow.table.units import TICKS

PYTHON_TYPES = {  # of objects that are all numbers, by pandas' name for them
    "integer": int,
    "floating": float,
    "mixed-integer-float": float,
    "decimal": Decimal,
}
COMPLEX = "Complex data not supported; split it into two columns"
MOST_EXACT = 1e15  # decimals of at most 15 digits come back from float64
DATE64 = "date64[ms][pyarrow]"  # narwhals lacks it, and the narrow decimals
NARROW_DECIMALS = ("decimal32(", "decimal64(")
NULLS = ("Null", "null[pyarrow]")  # dtypes without values
REMEDIES = {  # by the first letters of the dtype
    "time": "convert it to durations since midnight",
    "binary": "convert it to text",
    "decimal": "convert it to decimals of at most 38 digits, or floats",
    "int": "convert it to 64 bits, or floats",
    "uint": "convert it to 64 bits, or floats",
    "period": 'convert it to dates: X["column"].dt.to_timestamp()',
    "interval": 'convert it to categories: X["column"].astype("category")',
    "sparse": 'make it dense: X["column"].sparse.to_dense()',
}


def read_series(series: "nw.Series[Any]") -> StoredColumn:
    """Read a column of a frame."""
    native, dtype = series.to_native(), series.dtype
    spelled = str(native.dtype)
    if isinstance(native.dtype, np.dtype):  # also those that narwhals does not know
        return read_numpy(native.to_numpy())
    null = series.is_null().to_numpy()
    missing = np.zeros(len(null), dtype=np.int8)
    missing[null] = code_of(null_marker(native.dtype))
    column = StoredColumn("", spelled, CATEGORY, np.empty(0), missing)
    if isinstance(native.dtype, pd.CategoricalDtype):
        categories = native.cat.categories.tolist()
        objects = as_objects([*categories, None])[native.cat.codes.to_numpy()]
        return replace(column, values=objects, categories=tuple(categories))
    if isinstance(dtype, nw.String | nw.Categorical | nw.Enum):
        declared = tuple(dtype.categories) if isinstance(dtype, nw.Enum) else None
        return replace(column, values=as_objects(series.to_list()), categories=declared)
    if isinstance(dtype, nw.Boolean):
        return _read_values(column, _fill(series, null, False))
    if isinstance(dtype, nw.Decimal) or spelled.startswith(NARROW_DECIMALS):
        numbers = [
            0.0 if lost else float(x) for x, lost in zip(series.to_list(), null, strict=True)
        ]
        return _read_decimals(column, np.array(numbers), series)
    if (dtype.is_integer() or dtype.is_float()) and not isinstance(dtype, nw.Int128 | nw.UInt128):
        return _read_values(column, _fill(series, null, 0))
    arrow = getattr(native.dtype, "pyarrow_dtype", None)
    if isinstance(native.dtype, pd.DatetimeTZDtype) or getattr(arrow, "tz", None) is not None:
        # narwhals does not know all zones
        instants = native.to_numpy(dtype=f"M8[{(arrow or native.dtype).unit}]")
        return _read_values(replace(column, zoned=True), instants)
    if isinstance(dtype, nw.Datetime | nw.Duration):
        zoned = isinstance(dtype, nw.Datetime) and dtype.time_zone is not None
        return _read_values(replace(column, zoned=zoned), series.to_numpy())
    if isinstance(dtype, nw.Date) or spelled == DATE64:
        days = np.array([None if pd.isna(x) else x for x in series.to_list()], dtype="M8[D]")
        read = _read_values(column, days)
        return replace(read, values=read.values.astype(np.int32))
    if isinstance(dtype, nw.Object):
        return _read_objects(as_objects(series.to_list()))
    if spelled in NULLS:
        return replace(column, values=np.full(len(null), None))
    raise ValueError(COMPLEX) if "complex" in spelled else TypeError(_unsupported(spelled))


def _read_decimals(
    column: StoredColumn, numbers: NDArray[np.float64], series: "nw.Series[Any]"
) -> StoredColumn:
    """Add decimals of fixed places as float64, and whether that lost digits."""
    places, there = getattr(series.dtype, "scale", None), column.present
    many = places is None or float(np.abs(numbers).max(initial=0.0)) * 10.0**places >= MOST_EXACT
    rounded = many and are_rounded(numbers[there], as_objects(series.to_list())[there])
    return replace(column, family=NUMBER, values=numbers, python_type=Decimal, rounded=rounded)


def _fill(series: "nw.Series[Any]", null: NDArray[np.bool_], filler: Any) -> NDArray[Any]:
    """Return an array, with a filler for nulls; the series' own memory where it has none."""
    return (series.fill_null(filler) if null.any() else series).to_numpy()


def read_numpy(values: NDArray[Any]) -> StoredColumn:
    """Read a column of an array."""
    if values.dtype.kind == "O":
        return _read_objects(values)
    missing = np.zeros(len(values), dtype=np.int8)
    return _read_values(StoredColumn("", str(values.dtype), CATEGORY, values, missing), values)


def _read_values(column: StoredColumn, values: NDArray[Any]) -> StoredColumn:
    """Add NumPy values to a column; NaN and NaT become missing values.

    Numbers without missing values are not copied, so that a table is not held twice.
    """
    kind = values.dtype.kind
    if kind in "US":
        return replace(column, values=plain_objects(values))
    if kind == "b":
        return replace(column, family=BOOLEAN, values=values)
    if kind == "c":
        raise ValueError(COMPLEX)
    if kind not in "iufMm":
        raise TypeError(_unsupported(str(values.dtype)))
    if kind in "iu":
        return replace(column, family=NUMBER, values=_as_native(values))
    is_missing = np.isnan(values) if kind == "f" else np.isnat(values)
    code = code_of("NaN" if kind == "f" else "NaT")
    missing = column.missing
    if is_missing.any():
        missing = np.where(is_missing & column.present, np.int8(code), missing)
        values = np.where(is_missing, np.zeros((), dtype=values.dtype), values)
    if kind == "f":
        return replace(column, family=NUMBER, values=_as_native(values), missing=missing)
    unit, count = np.datetime_data(values.dtype)
    if unit not in TICKS:
        raise TypeError(_unsupported(str(values.dtype)))
    return replace(
        column,
        family=DATE if kind == "M" else DURATION,
        values=values.astype(f"{kind}8[{count}{unit}]", copy=False).view(np.int64),
        missing=missing,
        tick=TICKS[unit] * count,
    )


def _read_objects(values: NDArray[Any]) -> StoredColumn:
    """Read Python objects: numbers where they all are, else categories."""
    is_missing = pd.isna(values)
    missing = np.zeros(len(values), dtype=np.int8)
    missing[is_missing] = [code_of(marker_of(value)) for value in values[is_missing]]
    column = StoredColumn("", "object", CATEGORY, values, missing)
    present = values[~is_missing]
    kind = pd.api.types.infer_dtype(present, skipna=False)
    if kind == "complex":
        raise ValueError(COMPLEX)
    python_type = PYTHON_TYPES.get(kind)
    if python_type is None:
        objects = plain_objects(values)
        try:
            set(objects[~is_missing])
        except TypeError as error:
            raise TypeError(f"cells that are no single values ({error}); expand them") from error
        return replace(column, values=objects)
    numbers = numbers_of_objects(present)
    filled = np.zeros(len(values), dtype=numbers.dtype)
    filled[~is_missing] = numbers
    exact = numbers.dtype.kind != "f" or python_type is float
    rounded = not exact and are_rounded(numbers, present)
    return replace(column, family=NUMBER, values=filled, python_type=python_type, rounded=rounded)


def _unsupported(dtype: str) -> str:
    name = "".join(takewhile(str.isalpha, dtype.lower()))
    return f"dtype {dtype} is not supported; {REMEDIES.get(name, 'convert the column')}, or drop it"


def native_dtype(dtype: np.dtype) -> np.dtype:
    """Return a dtype in this machine's byte order; float64 for the wider ones."""
    return np.dtype(np.float64) if dtype.char == "g" else dtype.newbyteorder("=")


def _as_native(values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers in this machine's byte order, uncopied where they are so already."""
    with np.errstate(over="ignore"):  # of longdouble
        return values.astype(native_dtype(values.dtype), copy=False)
