"""Container and codec of a table as JSON, and back."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any, NoReturn

import msgspec
import numpy as np

from skflow.archive.constraints import pack_constraint, unpack_constraint
from skflow.archive.document import (
    AsinhFields,
    CategoryFields,
    ColumnFields,
    ConstraintFields,
    NearZeroAsinhFields,
    NumberFields,
    PowerOfTwoFields,
    ScalingFields,
    SchemaFields,
    TableFields,
)
from skflow.archive.dtypes import pack_dtype, pack_index, unpack_dtype, unpack_index
from skflow.archive.scalars import pack_scalar, shorten, unpack_scalar
from skflow.exceptions import ModelFileError
from skflow.table.building import empty_table
from skflow.table.codec import TableCodec
from skflow.table.column_codec import ColumnCodec
from skflow.table.families import FAMILIES, NUMBER
from skflow.table.frames import Container
from skflow.table.kinds import kind_of, kinds_of
from skflow.table.objects import keys_of
from skflow.table.options import refuse_unfit
from skflow.table.scaling import (
    AsinhScaling,
    NearZeroAsinhScaling,
    PowerOfTwoScaling,
    Scaling,
    decimal_ratio,
)
from skflow.table.schema import ColumnSchema, Schema
from skflow.table.storage import StoredColumn
from skflow.table.units import Number

PYTHON_TYPES = {kind.__name__: kind for kind in (int, float, Decimal)}
FARTHEST = 2**80  # that an origin may lie from 0, in base units
FARTHEST_LEVEL = 2**52  # ratio of the steps of rounding levels, at most
MAX_DIGITS = 400  # of a number, before and after the point: those of floats, at most


def pack_table(container: Container, codec: TableCodec) -> dict[str, Any]:
    """Return container and codec; TypeError where a file cannot hold a dtype or a category."""
    dtypes, columns = [], []
    parts = (container.dtypes, container.fitted, container.markers)
    fitted = zip(*parts, codec.schema.columns, codec.columns, strict=True)
    for dtype, stored, markers, schema, column in fitted:
        try:
            dtypes.append(pack_dtype(dtype))
            packed = {"schema": pack_schema(schema), "codec": column.state()}
        except TypeError as error:
            raise TypeError(f"Column {stored.name!r}: {error}") from error
        if stored.dtype == "object" and stored.python_type is not None:
            values = stored.values.dtype.name
            packed["objects"] = {"python_type": stored.python_type.__name__, "values": values}
        columns.append({"markers": list(markers), **packed})
    constraints = list(map(pack_constraint, codec.schema.constraints))
    return {
        **({"constraints": constraints} if constraints else {}),
        "container": container.library,
        "names": pack_index(container.template.columns) if container.library == "pandas" else None,
        "dtypes": dtypes[:1] if container.library == "array" else dtypes,
        "columns": columns,
    }


def unpack_table(fields: TableFields) -> tuple[Container, TableCodec]:
    """Return the container and codec of :func:`pack_table`.

    The storage of a column follows from its dtype; only objects may hold anything.
    """
    schemas = [unpack_schema(column.schema) for column in fields.columns]
    names = [schema.name for schema in schemas]
    dtypes = [unpack_dtype(dtype) for dtype in fields.dtypes]
    if fields.container == "array":
        dtypes *= len(names)
    if len(dtypes) != len(names) or len(set(names)) < len(names):
        raise ModelFileError("There must be one dtype and one name for each column.")
    if all(schema.is_given for schema in schemas):
        raise ModelFileError("All columns are given: none has a density.")
    labels: Any = names
    if fields.container == "pandas" and fields.names is not None:
        labels = unpack_index(fields.names)
    template = empty_table(fields.container, dtypes, labels)
    is_array = fields.container == "array"
    rows = template.reshape(0, len(names)) if is_array else template
    stored = Container.fit(rows, names).fitted
    stored = tuple(map(_with_objects, stored, fields.columns))
    markers = tuple(tuple(column.markers) for column in fields.columns)
    container = Container(fields.container, template, dtypes, stored, markers)
    packed = zip(fields.columns, stored, schemas, strict=True)
    schema = join_schema(schemas, fields.constraints)
    return container, TableCodec(schema, [_unpack_codec(*each) for each in packed])


def _with_objects(stored: StoredColumn, fields: ColumnFields) -> StoredColumn:
    """Return the storage of a column whose objects are numbers."""
    if fields.objects is None:
        return stored
    if stored.dtype != "object":
        _refuse("objects", stored.dtype, "of a column of objects")
    values = np.empty(0, dtype=fields.objects.values)
    python_type = PYTHON_TYPES[fields.objects.python_type]
    return replace(stored, family=NUMBER, values=values, python_type=python_type)


def pack_schema(schema: ColumnSchema) -> dict[str, Any]:
    """Return the schema of a column."""
    packed = {name: getattr(schema, name) for name in ("name", "dtype", "family", "kind")}
    for name in ("levels", "atoms"):
        packed[name] = [pack_scalar(value) for value in getattr(schema, name)]
    for name in ("step", "low", "high"):
        packed[name] = pack_scalar(getattr(schema, name))
    packed["missing"] = list(schema.missing)
    rounding = [pack_scalar(step) for step in schema.rounding]
    names = ("n_left_out", "is_given", "is_implied", "n_not_implied")
    rare = {"rounding": rounding} | {name: getattr(schema, name) for name in names}
    return packed | {name: value for name, value in rare.items() if value}


def join_schema(columns: Sequence[ColumnSchema], constraints: Sequence[ConstraintFields]) -> Schema:
    """Return the schema of a table, of columns and packed constraints between them."""
    schema = Schema(tuple(columns), tuple(map(unpack_constraint, constraints)))
    refuse_unfit(schema.constraints, schema)
    targets = sorted(constraint.target for constraint in schema.constraints)
    if targets != sorted(column.name for column in columns if column.is_implied):
        raise ModelFileError("There must be one constraint for each column that is implied.")
    return schema


def unpack_schema(fields: SchemaFields) -> ColumnSchema:
    """Return the schema of :func:`pack_schema`."""
    if fields.family not in FAMILIES:
        _refuse("family", fields.family, f"one of {', '.join(FAMILIES)}")
    kinds = kinds_of(fields.family)
    if fields.kind not in kinds:
        _refuse("kind", fields.kind, f"one of {', '.join(kinds)}")
    if len(set(fields.missing)) < len(fields.missing):
        _refuse("missing", fields.missing, "different from each other")
    levels, atoms = _distinct(fields.levels), _distinct(fields.atoms)
    for values in (atoms,) if FAMILIES[fields.family].holds_objects else (levels, atoms):
        numbers = [_number("levels", value) for value in values if type(value) is not bool]
        if any(not low < high for low, high in pairwise(numbers)):
            _refuse("levels", values, "ascending")
    step, low, high = (
        None if packed is None else _number(name, unpack_scalar(packed))
        for name, packed in (("step", fields.step), ("low", fields.low), ("high", fields.high))
    )
    if step is not None and not step > 0:
        _refuse("step", step, "above 0")
    if low is not None and high is not None and low > high:
        _refuse("low", low, f"at most {high}")
    parsed: dict[str, Any] = {"levels": levels, "atoms": atoms, "missing": tuple(fields.missing)}
    parsed |= {"step": step, "low": low, "high": high, "rounding": _rounding(fields, step)}
    return ColumnSchema(**msgspec.structs.asdict(fields) | parsed)


def _rounding(fields: SchemaFields, step: Number | None) -> tuple[Number, ...]:
    """Return the steps of rounding levels, each of which divides the next."""
    rounding = tuple(_number("rounding", unpack_scalar(packed)) for packed in fields.rounding)
    if rounding and step is None:
        _refuse("rounding", rounding, "empty where there is no step")
    for finer, coarser in pairwise([step, *rounding] if rounding else []):
        ratio = decimal_ratio(coarser) / decimal_ratio(finer)
        if not 2 <= ratio <= FARTHEST_LEVEL or ratio.denominator > 1:
            _refuse("rounding", rounding, "multiples of the step, and each of the one before it")
    return rounding


def _number(name: str, value: Any) -> Number:
    if type(value) not in (int, float, Decimal) or not math.isfinite(value):
        _refuse(name, value, "a finite number")
    if type(value) is Decimal:  # of which Fraction would write all digits out
        _, digits, exponent = value.as_tuple()
        if len(digits) > MAX_DIGITS or abs(int(exponent)) > MAX_DIGITS:
            _refuse(name, value, f"of at most {MAX_DIGITS} digits")
    number: Number = value
    return number


def _distinct(packed: Iterable[Any]) -> tuple[Any, ...]:
    values = tuple(unpack_scalar(value) for value in packed)
    if len(set(keys_of(values))) < len(values):
        _refuse("levels", values, "different from each other")
    return values


def _unpack_codec(column: ColumnFields, stored: StoredColumn, schema: ColumnSchema) -> ColumnCodec:
    """Return the codec of a :meth:`ColumnCodec.state`."""
    if (stored.dtype, stored.family.name) != (schema.dtype, schema.family):
        _refuse("dtype", schema.dtype, f"{stored.dtype} of a {stored.family.name}")
    is_category = stored.family.holds_objects
    fields = msgspec.convert(column.codec, CategoryFields if is_category else NumberFields)
    kind = kind_of(schema)
    n_labels = kind.count_labels(schema)
    if max(fields.rarest) >= max(1, n_labels) or any(a >= b for a, b in pairwise(fields.rarest)):
        _refuse("rarest", fields.rarest, "labels of the column, ascending")
    state = msgspec.structs.asdict(fields)
    if isinstance(fields, NumberFields):
        origin, is_counted = fields.origin, kind.is_counted(stored, schema)
        if {origin is None, fields.narrow is None} != {not is_counted}:
            pair = (origin, fields.narrow)
            _refuse("origin", pair, "null for what is not counted, and only there")
        if origin is not None and abs(origin) > FARTHEST:
            _refuse("origin", origin, f"within {FARTHEST} of 0")
        state["scaling"] = _unpack_scaling(fields.scaling)
    return kind.restore(stored, schema, state)


def _unpack_scaling(fields: ScalingFields) -> Scaling:
    match fields:
        case PowerOfTwoFields():
            return PowerOfTwoScaling(fields.exponent, fields.scale)
        case AsinhFields():
            return AsinhScaling(fields.centre, fields.pivot)
        case NearZeroAsinhFields():
            return NearZeroAsinhScaling(_unpack_scaling(fields.base), fields.edge, fields.pivot)


def _refuse(name: str, value: Any, expected: str) -> NoReturn:
    raise ModelFileError(f"{name} must be {expected}; it is {shorten(value)}.")
