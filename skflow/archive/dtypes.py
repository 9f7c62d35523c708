"""Dtypes of NumPy, pandas, polars and Arrow as JSON, and back.

None is evaluated: a dtype is looked up by a name that is known here.
"""

import re
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

from skflow.archive.cells import check_zone, pack_cell, unpack_cell
from skflow.archive.fields import Fields

NUMPY = re.compile(r"[<>|=]?([biufO]\d*|[US]\d{1,4}|[Mm]8\[\d{0,6}(D|h|m|s|ms|us|ns)\])")
MASKED = {
    "boolean": pd.BooleanDtype,
    **{
        f"{sign}Int{bits}": getattr(pd, f"{sign}Int{bits}Dtype")
        for sign in ("", "U")
        for bits in (8, 16, 32, 64)
    },
    "Float32": pd.Float32Dtype,
    "Float64": pd.Float64Dtype,
}
UNITS = ("s", "ms", "us", "ns")
POLARS_PLAIN = (
    *(f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)),
    *(
        "Float16",
        "Float32",
        "Float64",
        "Boolean",
        "String",
        "Date",
        "Null",
        "Object",
        "Categorical",
    ),
)
ARROW_PLAIN = {  # as Arrow spells them, and its functions that make them
    "bool": "bool_",
    **{name: name for name in ("string", "large_string", "null", "string_view")},
    **{f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "halffloat": "float16",
    "float": "float32",
    "double": "float64",
    "date32[day]": "date32",
    "date64[ms]": "date64",
}
ARROW_TIMED = re.compile(r"(timestamp|duration)\[(s|ms|us|ns)(?:, tz=([\w/+:-]+))?\]")
ARROW_DECIMAL = re.compile(r"decimal(32|64|128)\((\d+), (-?\d+)\)")
ARROW_DICTIONARY = re.compile(r"dictionary<values=(.+), indices=(\w+), ordered=([01])>")


def pack_dtype(dtype: Any) -> dict[str, Any]:
    """Return a dtype as JSON.

    Raises
    ------
    TypeError
        Where it is one that a model file cannot hold.
    """
    if isinstance(dtype, np.dtype) and NUMPY.fullmatch(dtype.str):
        return {"library": "numpy", "name": dtype.str}
    if isinstance(dtype, pd.api.extensions.ExtensionDtype):
        packed = _pack_pandas(dtype)
    else:
        packed = _pack_polars(dtype)
    if packed is None:
        raise TypeError(
            f"A model file cannot hold the dtype {dtype}. Convert such columns before fitting, or "
            "save the model with joblib.dump."
        )
    return packed


def unpack_dtype(fields: Fields) -> Any:
    """Return the dtype that :func:`pack_dtype` was given."""
    readers = {
        "numpy": _unpack_numpy,
        "pandas": _unpack_pandas,
        "arrow": _unpack_arrow,
        "polars": _unpack_polars,
    }
    with fields:
        return readers[fields.text("library", readers)](fields)


def _unpack_numpy(fields: Fields) -> np.dtype:
    name = fields.text("name")
    if not NUMPY.fullmatch(name):
        fields.refuse("name", name, "a dtype of NumPy")
    return np.dtype(name)


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
        zone = pack_cell(pd.Timestamp(0, tz=dtype.tz))["Timestamp"][2]
        return {"library": "pandas", "name": "datetime", "unit": dtype.unit, "zone": zone}
    if isinstance(dtype, pd.ArrowDtype):
        name = str(dtype.pyarrow_dtype)
        _read_arrow(name)  # raises where it is not known
        return {"library": "arrow", "name": name}
    return {"library": "pandas", "name": str(dtype)} if str(dtype) in MASKED else None


def _unpack_pandas(fields: Fields) -> Any:
    name = fields.text("name")
    if name in MASKED:
        return MASKED[name]()
    if name == "string":
        storage = fields.text("storage", ("python", "pyarrow"))
        if fields.text("na", ("NA", "NaN")) == "NA":
            return pd.StringDtype(storage)  # of every pandas; that of NaN came with 2.3
        return pd.StringDtype(storage, np.nan)
    if name == "datetime":
        unit = fields.text("unit", UNITS)
        zone = check_zone(fields.text("zone"))
        return pd.DatetimeTZDtype(unit, zone)  # type: ignore[call-overload]
    if name == "category":
        packed = fields.any("categories")
        categories = None if packed is None else unpack_index(Fields(packed, "categories"))
        return pd.CategoricalDtype(categories, fields.boolean("ordered"))
    return fields.refuse("name", name, "a dtype of pandas")


def _unpack_arrow(fields: Fields) -> pd.ArrowDtype:
    return pd.ArrowDtype(_read_arrow(fields.text("name")))


def _read_arrow(name: str) -> Any:
    """Return the Arrow type of a name, as Arrow itself spells it."""
    pa = import_module("pyarrow")
    if name in ARROW_PLAIN:
        return getattr(pa, ARROW_PLAIN[name])()
    if timed := ARROW_TIMED.fullmatch(name):
        kind, unit, zone = timed.groups()
        if zone is not None:
            check_zone(zone)
        return pa.timestamp(unit, zone) if kind == "timestamp" else pa.duration(unit)
    if decimal := ARROW_DECIMAL.fullmatch(name):
        bits, digits, scale = decimal.groups()
        return getattr(pa, f"decimal{bits}")(int(digits), int(scale))
    if dictionary := ARROW_DICTIONARY.fullmatch(name):
        values, indices, ordered = dictionary.groups()
        return pa.dictionary(_read_arrow(indices), _read_arrow(values), ordered == "1")
    raise TypeError(
        f"A model file cannot hold the Arrow type {name}. Convert such columns before fitting, or "
        "save the model with joblib.dump."
    )


def _pack_polars(dtype: Any) -> dict[str, Any] | None:
    name = type(dtype).__name__ if not isinstance(dtype, type) else dtype.__name__
    packed: dict[str, Any] = {"library": "polars", "name": name}
    if name == "Datetime":
        return packed | {"unit": dtype.time_unit, "zone": dtype.time_zone}
    if name == "Duration":
        return packed | {"unit": dtype.time_unit}
    if name == "Decimal":
        return packed | {"digits": dtype.precision, "scale": dtype.scale}
    if name == "Enum":
        return packed | {"categories": dtype.categories.to_list()}
    own = None if name != "Categorical" else getattr(dtype, "categories", None)
    if own is not None and not own.is_global():  # named ones, which came with polars 1.31
        named = [own.name(), own.namespace(), own.physical().__name__]
        return {"library": "polars", "name": "Categories", "named": named}
    return packed if name in POLARS_PLAIN else None


def _unpack_polars(fields: Fields) -> Any:
    polars, name = import_module("polars"), fields.text("name")
    if name in POLARS_PLAIN:
        return getattr(polars, name)()
    if name == "Datetime":
        unit, zone = fields.text("unit", UNITS), fields.any("zone")
        return polars.Datetime(unit, None if zone is None else check_zone(zone))
    if name == "Duration":
        return polars.Duration(fields.text("unit", UNITS))
    if name == "Decimal":
        digits = fields.integer("digits", 1, 38)
        return polars.Decimal(digits, fields.integer("scale", 0, digits))
    if name == "Enum":
        categories = fields.texts("categories")
        if len(set(categories)) < len(categories):
            fields.refuse("categories", categories, "different from each other")
        return polars.Enum(categories)
    if name == "Categories":
        named = fields.texts("named")
        if len(named) != 3 or named[2] not in ("UInt8", "UInt16", "UInt32"):
            fields.refuse("named", named, "name, namespace and an unsigned dtype")
        categories = polars.Categories(*named[:2], physical=getattr(polars, named[2]))
        return polars.Categorical(categories)
    return fields.refuse("name", name, "a dtype of polars")


def pack_index(index: Any) -> dict[str, Any]:
    """Return the labels of a pandas index, of columns or categories."""
    if isinstance(index, pd.MultiIndex):
        raise TypeError(
            "A model file cannot hold column names of several levels. Join them before fitting, "
            "or save the model with joblib.dump."
        )
    labels = [pack_cell(label) for label in index.tolist()]
    is_interval = isinstance(index, pd.IntervalIndex)
    dtype = None if is_interval else pack_dtype(index.dtype)
    return {"labels": labels, "dtype": dtype, "name": pack_cell(index.name)}


def unpack_index(fields: Fields) -> Any:
    """Return the index that :func:`pack_index` was given."""
    with fields:
        labels = [unpack_cell(label) for label in fields.items("labels")]
        packed = fields.any("dtype")
        dtype = None if packed is None else unpack_dtype(Fields(packed, "dtype"))
        return pd.Index(labels, dtype=dtype, name=unpack_cell(fields.any("name")))


def pack_names(template: Any) -> dict[str, Any] | None:
    """Return the column names of a pandas frame, whatever they are; None of others."""
    return pack_index(template.columns) if isinstance(template, pd.DataFrame) else None


def unpack_names(packed: Any) -> Any:
    """Return what :func:`pack_names` was given the frame of."""
    return None if packed is None else unpack_index(Fields(packed, "names"))


def empty_table(kind: str, dtypes: Sequence[Any], labels: Any, names: Sequence[str]) -> Any:
    """Return an array or a frame of no rows; ``labels`` are those of a pandas frame."""
    if kind == "array":
        return np.empty(0, dtype=dtypes[0])
    if kind == "polars":
        return import_module("polars").DataFrame(schema=dict(zip(names, dtypes, strict=True)))
    empty = pd.DataFrame({j: pd.Series(dtype=dtype) for j, dtype in enumerate(dtypes)})
    return empty.set_axis(labels, axis=1)
