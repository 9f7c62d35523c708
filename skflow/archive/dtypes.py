"""Dtypes of NumPy, pandas, polars and Arrow as JSON, and back.

None is evaluated: a dtype is looked up by a name that is known here. A dtype that a model file
cannot hold is a TypeError; JSON of no dtype is one of the errors that a reader expects.
"""

import re
from importlib import import_module
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from skflow.archive.document import IndexFields
from skflow.archive.scalars import check_zone, pack_scalar, pack_zone, shorten, unpack_scalar

NUMPY = re.compile(r"[<>|=]?([biufO]\d*|[US]\d{1,4}|[Mm]8\[([1-9]\d{0,5})?(D|h|m|s|ms|us|ns)\])")
SIZED = [f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)]
MASKED = (*SIZED, "Float32", "Float64", "boolean")
# Parameters of polars' dtypes, by their names.
POLARS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((*SIZED, "Float16", "Float32", "Float64", "Boolean", "String", "Date"), ()),
    **dict.fromkeys(("Null", "Object", "Categorical"), ()),
    "Datetime": ("time_unit", "time_zone"),
    "Duration": ("time_unit",),
    "Decimal": ("precision", "scale"),
    "Enum": ("categories",),
}
ARROW_ZONED = re.compile(r"timestamp\[(s|ms|us|ns), tz=([\w/+:-]+)\]")
ARROW_DECIMAL = re.compile(r"decimal(32|64|128)\((\d+), (-?\d+)\)")
ARROW_DICTIONARY = re.compile(r"dictionary<values=(.+), indices=(\w+), ordered=([01])>")
REMEDY = "Convert such columns before fitting, or save the model with joblib.dump."


def pack_dtype(dtype: Any) -> dict[str, Any]:
    """Return a dtype as JSON."""
    if isinstance(dtype, np.dtype) and NUMPY.fullmatch(dtype.str):
        return {"library": "numpy", "name": dtype.str}
    if isinstance(dtype, pd.api.extensions.ExtensionDtype):
        packed = _pack_pandas(dtype)
    else:
        packed = _pack_polars(dtype)
    if packed is None:
        raise TypeError(f"A model file cannot hold the dtype {dtype}. {REMEDY}")
    return packed


def unpack_dtype(packed: Any) -> Any:
    """Return the dtype of :func:`pack_dtype`."""
    name = packed["name"]
    match packed["library"]:
        case "numpy":
            dtype = np.dtype(name) if NUMPY.fullmatch(name) else None
        case "arrow":
            dtype = pd.ArrowDtype(_read_arrow(name))
        case "pandas":
            dtype = _unpack_pandas(packed)
        case "polars":
            dtype = _unpack_polars(packed)
        case _:
            dtype = None
    # One dtype, one spelling: no field is missing, and none is there without need.
    if dtype is None or pack_dtype(dtype) != packed:
        raise ValueError(f"{shorten(packed)} is no dtype")
    return dtype


def _pack_pandas(dtype: Any) -> dict[str, Any] | None:
    if isinstance(dtype, pd.StringDtype):
        missing = "NA" if dtype.na_value is pd.NA else "NaN"
        return {"library": "pandas", "name": "string", "storage": dtype.storage, "na": missing}
    if isinstance(dtype, pd.CategoricalDtype):
        return {
            "library": "pandas",
            "name": "category",
            "categories": None if dtype.categories is None else pack_index(dtype.categories),
            "ordered": bool(dtype.ordered),
        }
    if isinstance(dtype, pd.DatetimeTZDtype):
        zone = pack_zone(dtype.tz)
        return {"library": "pandas", "name": "datetime", "unit": dtype.unit, "zone": zone}
    if isinstance(dtype, pd.ArrowDtype):
        name = str(dtype.pyarrow_dtype)
        _read_arrow(name)  # raises where it is not known
        return {"library": "arrow", "name": name}
    return {"library": "pandas", "name": str(dtype)} if str(dtype) in MASKED else None


def _unpack_pandas(packed: Any) -> Any:
    match packed["name"]:
        case "string":
            return pd.StringDtype(packed["storage"], pd.NA if packed["na"] == "NA" else np.nan)
        case "datetime":
            return pd.DatetimeTZDtype(packed["unit"], check_zone(packed["zone"]))
        case "category":
            index = packed["categories"]
            if index is not None:
                index = unpack_index(msgspec.convert(index, IndexFields))
            return pd.CategoricalDtype(index, packed["ordered"])
    return pd.api.types.pandas_dtype(MASKED[MASKED.index(packed["name"])])


def _read_arrow(name: str) -> Any:
    """Return the Arrow type of a name, as Arrow itself spells it."""
    pa = import_module("pyarrow")
    if zoned := ARROW_ZONED.fullmatch(name):
        return pa.timestamp(zoned[1], check_zone(zoned[2]))
    if decimal := ARROW_DECIMAL.fullmatch(name):
        bits, digits, scale = decimal.groups()
        return getattr(pa, f"decimal{bits}")(int(digits), int(scale))
    if dictionary := ARROW_DICTIONARY.fullmatch(name):
        values, indices, ordered = dictionary.groups()
        return pa.dictionary(_read_arrow(indices), _read_arrow(values), ordered == "1")
    try:
        return pa.type_for_alias(name)
    except ValueError as error:
        raise TypeError(f"A model file cannot hold the Arrow type {name}. {REMEDY}") from error


def _pack_polars(dtype: Any) -> dict[str, Any] | None:
    name = dtype.__name__ if isinstance(dtype, type) else type(dtype).__name__
    own = None if name != "Categorical" else getattr(dtype, "categories", None)
    if own is not None and not own.is_global():  # named ones, which came with polars 1.31
        named = [own.name(), own.namespace(), own.physical().__name__]
        return {"library": "polars", "name": "Categories", "named": named}
    if name not in POLARS:
        return None
    parameters = {parameter: getattr(dtype, parameter) for parameter in POLARS[name]}
    if name == "Enum":
        parameters["categories"] = dtype.categories.to_list()
    return {"library": "polars", "name": name, **parameters}


def _unpack_polars(packed: Any) -> Any:
    polars, name = import_module("polars"), packed["name"]
    if name == "Categories":
        own, space, physical = packed["named"]
        if physical not in ("UInt8", "UInt16", "UInt32"):
            return None
        categories = polars.Categories(str(own), str(space), physical=getattr(polars, physical))
        return polars.Categorical(categories)
    parameters = {parameter: packed[parameter] for parameter in POLARS[name]}
    if name == "Decimal" and not 0 <= packed["scale"] <= packed["precision"] <= 38:
        return None
    if parameters.get("time_zone") is not None:
        check_zone(packed["time_zone"])
    return getattr(polars, name)(**parameters)


def pack_index(index: Any) -> dict[str, Any]:
    """Return the labels of a pandas index, of columns or categories."""
    if isinstance(index, pd.MultiIndex):
        raise TypeError(
            "A model file cannot hold column names of several levels. Join them before fitting, "
            "or save the model with joblib.dump."
        )
    labels = [pack_scalar(label) for label in index.tolist()]
    is_interval = isinstance(index, pd.IntervalIndex)
    dtype = None if is_interval else pack_dtype(index.dtype)
    return {"labels": labels, "dtype": dtype, "name": pack_scalar(index.name)}


def unpack_index(fields: IndexFields) -> Any:
    """Return the index of :func:`pack_index`."""
    labels = [unpack_scalar(label) for label in fields.labels]
    dtype = None if fields.dtype is None else unpack_dtype(fields.dtype)
    return pd.Index(labels, dtype=dtype, name=unpack_scalar(fields.name))
