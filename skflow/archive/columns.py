"""What was learnt of a single column, as JSON and back."""

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
from skflow.table.columns import CategoryColumn, ColumnCodec, NumberColumn
from skflow.table.lines import FloatLine, GridLine, is_counted
from skflow.table.options import POSSIBLE
from skflow.table.scaling import Bent, Lens, Scaled, Scaling
from skflow.table.schema import PER_SECOND, ColumnSchema, Number
from skflow.table.storage import MARKERS, StoredColumn, keys_of

CELLS = {kind.__name__: kind for kind in (int, float, Decimal)}
STORED_AS = {  # kinds of NumPy dtypes, by family
    "number": "iuf",
    "boolean": "b",
    "category": "OUSb",
    "date": "i",
    "duration": "i",
}
FARTHEST = 2**80  # that an origin may lie from 0, in base units
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
        "family": stored.family,
        "values": pack_dtype(stored.values.dtype),
        "categories": None if categories is None else [pack_cell(value) for value in categories],
        "tick": [stored.tick.numerator, stored.tick.denominator],
        "cell": None if stored.cell is None else stored.cell.__name__,
        "zoned": stored.zoned,
    }


def unpack_stored(fields: Fields) -> StoredColumn:
    """Return what :func:`pack_stored` was given."""
    with fields:
        name, dtype = fields.text("name"), fields.text("dtype")
        family = fields.kind("family", tuple(POSSIBLE))
        values = unpack_dtype(fields.fields("values"))
        if not isinstance(values, np.dtype) or values.kind not in STORED_AS[family]:
            fields.refuse("values", values, f"such as hold a {family}")
        categories = fields.any("categories")
        if categories is not None:
            categories = _distinct(fields, "categories", categories)
        tick = fields.integers("tick", 1, MOST_TICK)
        is_timed = family in ("date", "duration")
        if len(tick) != 2 or (PER_SECOND * tick[0] % tick[1] if is_timed else tick != [1, 1]):
            fields.refuse("tick", tick, "whole nanoseconds, as a fraction of seconds")
        cell = fields.any("cell")
        if cell is not None and cell not in CELLS:
            fields.refuse("cell", cell, f"one of {', '.join(CELLS)} or null")
        return StoredColumn(
            name,
            dtype,
            family,
            np.empty(0, dtype=values),
            np.empty(0, dtype=np.int8),
            categories,
            Fraction(*tick),
            None if cell is None else CELLS[cell],
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
        family = fields.kind("family", tuple(POSSIBLE))
        kind = fields.kind("kind", POSSIBLE[family])
        levels = _distinct(fields, "levels", fields.items("levels"))
        if family != "category":
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
    packed: dict[str, Any] = {"unseen": codec.unseen, "rarest": codec.rarest.tolist()}
    if isinstance(codec, CategoryColumn):
        return packed
    line = codec.line
    return packed | {
        "origin": line.origin if isinstance(line, GridLine) else None,
        "narrow": line.narrow if isinstance(line, GridLine) else None,
        "scaling": _pack_scaling(codec.scaling),
        "smallest": codec.smallest,
    }


def unpack_codec(fields: Fields, stored: StoredColumn, schema: ColumnSchema) -> ColumnCodec:
    """Return what :func:`pack_codec` was given."""
    with fields:
        if (stored.name, stored.family) != (schema.name, schema.family):
            fields.refuse("schema", schema.name, f"that of {stored.name!r}")
        unseen = fields.number("unseen", TINY, 1.0)
        known = schema.atoms if schema.valued else schema.levels
        n_labels = len(known) + schema.valued + len(schema.missing)
        rarest = np.array(fields.integers("rarest", 0, max(0, n_labels - 1)), dtype=np.int64)
        if not len(rarest) or (np.diff(rarest) <= 0).any():
            fields.refuse("rarest", rarest.tolist(), "one label at least, ascending")
        if stored.family == "category":
            return CategoryColumn(stored, schema, unseen, rarest)
        line = _unpack_line(fields, stored, schema)
        scaling = _unpack_scaling(fields.fields("scaling"))
        smallest = fields.number("smallest", 0.0)
        return NumberColumn(stored, schema, unseen, rarest, line, scaling, smallest)


def _unpack_line(
    fields: Fields, stored: StoredColumn, schema: ColumnSchema
) -> FloatLine | GridLine:
    if is_counted(stored, schema):
        origin = fields.integer("origin", -FARTHEST, FARTHEST)
        return GridLine(stored, schema, origin, narrow=fields.boolean("narrow"))
    for name in ("origin", "narrow"):
        value = fields.any(name)
        if value is not None:
            fields.refuse(name, value, "null for what is not counted")
    return FloatLine(stored, schema)


def _pack_scaling(scaling: Scaling) -> dict[str, Any]:
    match scaling:
        case Scaled():
            return {"form": "scaled", "exponent": scaling.exponent, "scale": scaling.scale}
        case Bent():
            return {"form": "bent", "centre": scaling.centre, "pivot": scaling.pivot}
        case Lens():
            return {
                "form": "lens",
                "base": _pack_scaling(scaling.base),
                "edge": scaling.edge,
                "pivot": scaling.pivot,
            }
    raise TypeError(f"{type(scaling).__name__} has no form in a file.")


def _unpack_scaling(fields: Fields, forms: Sequence[str] = ("scaled", "bent", "lens")) -> Scaling:
    with fields:
        form = fields.text("form", forms)
        if form == "scaled":
            return Scaled(fields.integer("exponent", -1100, 1100), fields.number("scale", TINY))
        if form == "bent":
            return Bent(fields.number("centre"), fields.number("pivot", TINY))
        base = _unpack_scaling(fields.fields("base"), forms[:2])
        return Lens(base, fields.number("edge", TINY), fields.number("pivot", TINY))
