"""What was fitted to a single column, as JSON and back."""

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from skflow.archive.cells import pack_cell, unpack_cell
from skflow.archive.dtypes import pack_dtype, unpack_dtype
from skflow.archive.fields import Fields
from skflow.table.column_codec import ColumnCodec
from skflow.table.families import FAMILIES
from skflow.table.kinds import kind_of, kinds_of
from skflow.table.objects import keys_of
from skflow.table.scaling import (
    AsinhScaling,
    NearZeroAsinhScaling,
    PowerOfTwoScaling,
    Scaling,
)
from skflow.table.schema import ColumnSchema
from skflow.table.storage import MARKERS, StoredColumn
from skflow.table.units import PER_SECOND, Number

PYTHON_TYPES = {kind.__name__: kind for kind in (int, float, Decimal)}
FARTHEST = 2**80  # of an origin from 0, in base units
MOST_TICK = 10**12  # seconds
MOST_DIGITS = 400  # of a number, before and after the point: those of floats, at most
MOST_ROWS = 2**62
TINY = 5e-324


def pack_stored(stored: StoredColumn) -> dict[str, Any]:
    """Return how a column was stored."""
    categories = stored.categories
    return {
        "name": stored.name,
        "dtype": stored.dtype,
        "family": stored.family.name,
        "values": pack_dtype(stored.values.dtype),
        "categories": None if categories is None else [pack_cell(value) for value in categories],
        "tick": [stored.tick.numerator, stored.tick.denominator],
        "python_type": None if stored.python_type is None else stored.python_type.__name__,
        "zoned": stored.zoned,
    }


def unpack_stored(fields: Fields) -> StoredColumn:
    """Return what :func:`pack_stored` was given."""
    with fields:
        name, dtype = fields.text("name"), fields.text("dtype")
        family = FAMILIES[fields.text("family", tuple(FAMILIES))]
        values = unpack_dtype(fields.fields("values"))
        if not isinstance(values, np.dtype) or values.kind not in family.dtype_kinds:
            fields.refuse("values", values, f"such as hold a {family.name}")
        categories = fields.any("categories")
        if categories is not None:
            categories = _distinct(fields, "categories", categories)
        tick = fields.integers("tick", 1, MOST_TICK)
        if len(tick) != 2 or (
            PER_SECOND * tick[0] % tick[1] if family.is_temporal else tick != [1, 1]
        ):
            fields.refuse("tick", tick, "whole nanoseconds, as a fraction of seconds")
        python_type = fields.any("python_type")
        if python_type is not None and python_type not in PYTHON_TYPES:
            fields.refuse("python_type", python_type, f"one of {', '.join(PYTHON_TYPES)} or null")
        return StoredColumn(
            name,
            dtype,
            family,
            np.empty(0, dtype=values),
            np.empty(0, dtype=np.int8),
            categories,
            Fraction(*tick),
            None if python_type is None else PYTHON_TYPES[python_type],
            fields.boolean("zoned"),
        )


def pack_schema(schema: ColumnSchema) -> dict[str, Any]:
    """Return what a column is taken for."""
    return {
        "name": schema.name,
        "dtype": schema.dtype,
        "family": schema.family,
        "kind": schema.kind,
        "levels": [pack_cell(level) for level in schema.levels],
        "missing": list(schema.missing),
        "atoms": [pack_cell(atom) for atom in schema.atoms],
        "step": _pack_number(schema.step),
        "low": _pack_number(schema.low),
        "high": _pack_number(schema.high),
    } | ({"n_left_out": schema.n_left_out} if schema.n_left_out else {})


def unpack_schema(fields: Fields) -> ColumnSchema:
    """Return what :func:`pack_schema` was given."""
    with fields:
        family = fields.text("family", tuple(FAMILIES))
        kind = fields.text("kind", kinds_of(family))
        levels = _distinct(fields, "levels", fields.items("levels"))
        if not FAMILIES[family].holds_objects:
            _refuse_unordered(fields, "levels", levels)
        missing = fields.texts("missing", MARKERS)
        if len(set(missing)) < len(missing):
            fields.refuse("missing", missing, "different from each other")
        atoms = _distinct(fields, "atoms", fields.items("atoms"))
        _refuse_unordered(fields, "atoms", atoms)
        n_left_out = fields.integer("n_left_out", 1, MOST_ROWS) if fields.has("n_left_out") else 0
        step, low, high = (_unpack_number(fields, name) for name in ("step", "low", "high"))
        if step is not None and not step > 0:
            fields.refuse("step", step, "above 0")
        if low is not None and high is not None and low > high:
            fields.refuse("low", low, f"at most {high}")
        return ColumnSchema(
            name=fields.text("name"),
            dtype=fields.text("dtype"),
            kind=kind,
            levels=levels,
            missing=tuple(missing),
            atoms=atoms,
            step=step,
            low=low,
            high=high,
            family=family,
            n_left_out=n_left_out,
        )


def _pack_number(number: Number | None) -> Any:
    return None if number is None else pack_cell(number)


def _unpack_number(fields: Fields, name: str) -> Number | None:
    packed = fields.any(name)
    return None if packed is None else _as_number(fields, name, unpack_cell(packed))


def _as_number(fields: Fields, name: str, value: Any) -> Number:
    if type(value) not in (int, float, Decimal) or not math.isfinite(value):
        fields.refuse(name, value, "a finite number")
    if type(value) is Decimal:  # of which Fraction would write all digits out
        _, digits, exponent = value.as_tuple()
        if len(digits) > MOST_DIGITS or abs(int(exponent)) > MOST_DIGITS:
            fields.refuse(name, value, f"of at most {MOST_DIGITS} digits")
    number: Number = value
    return number


def _distinct(fields: Fields, name: str, packed: Any) -> tuple[Any, ...]:
    if type(packed) is not list:
        fields.refuse(name, packed, "a list")
    values = tuple(unpack_cell(value) for value in packed)
    if len(set(keys_of(values))) < len(values):
        fields.refuse(name, values, "different from each other")
    return values


def _refuse_unordered(fields: Fields, name: str, values: Sequence[Any]) -> None:
    numbers = [_as_number(fields, name, value) for value in values if type(value) is not bool]
    if any(not low < high for low, high in pairwise(numbers)):
        fields.refuse(name, values, "ascending")


def pack_codec(codec: ColumnCodec) -> dict[str, Any]:
    """Return what was fitted to a column, but for what the schema says."""
    return codec.state()


def unpack_codec(fields: Fields, stored: StoredColumn, schema: ColumnSchema) -> ColumnCodec:
    """Return what :func:`pack_codec` was given."""
    with fields:
        if (stored.name, stored.family.name) != (schema.name, schema.family):
            fields.refuse("schema", schema.name, f"that of {stored.name!r}")
        kind = kind_of(schema)
        n_labels = len(kind.known(schema)) + schema.valued + len(schema.missing)
        rarest = fields.integers("rarest", 0, max(0, n_labels - 1))
        if not rarest or any(low >= high for low, high in pairwise(rarest)):
            fields.refuse("rarest", rarest, "one label at least, ascending")
        state = {"unseen": fields.number("unseen", TINY, 1.0), "rarest": rarest}
        if not stored.family.holds_objects:
            state |= _unpack_origin(fields, is_counted=kind.is_counted(stored, schema))
            state["scaling"] = _unpack_scaling(fields.fields("scaling"))
            state["smallest"] = fields.number("smallest", 0.0)
        return kind.restore(stored, schema, state)


def _unpack_origin(fields: Fields, *, is_counted: bool) -> dict[str, Any]:
    if is_counted:
        origin = fields.integer("origin", -FARTHEST, FARTHEST)
        return {"origin": origin, "narrow": fields.boolean("narrow")}
    absent = {name: fields.any(name) for name in ("origin", "narrow")}
    for name, value in absent.items():
        if value is not None:
            fields.refuse(name, value, "null for numbers that are not counted")
    return absent


def _unpack_scaling(fields: Fields, *, near_zero: bool = True) -> Scaling:
    forms = ("power of two", "asinh", "asinh near zero")
    with fields:
        match fields.text("form", forms if near_zero else forms[:2]):
            case "power of two":
                exponent = fields.integer("exponent", -1100, 1100)
                return PowerOfTwoScaling(exponent, fields.number("scale", TINY))
            case "asinh":
                return AsinhScaling(fields.number("centre"), fields.number("pivot", TINY))
        base = _unpack_scaling(fields.fields("base"), near_zero=False)
        return NearZeroAsinhScaling(base, fields.number("edge", TINY), fields.number("pivot", TINY))
