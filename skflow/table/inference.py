"""What each column of a table is taken for, decided from all of its rows."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from typing import Any, cast

from skflow.exceptions import LostDigitsWarning, warn_caller
from skflow.table.options import (
    POSSIBLE,
    Bounds,
    BoundsOption,
    CategoricalOption,
    KindsOption,
    read_bounds,
    read_categorical,
    read_kinds,
    refuse_contradictions,
    refuse_outside,
)
from skflow.table.rules import (
    Distinct,
    are_levels,
    are_mostly_levels,
    are_whole,
    find_atoms,
    find_clock_step,
    find_decimal_step,
    find_support,
    find_whole_step,
)
from skflow.table.schema import ColumnSchema, Kind, Number, Schema
from skflow.table.storage import StoredColumn, StoredTable, keys_of
from skflow.table.vocabularies import check_vocabularies


def infer_schema(
    table: StoredTable,
    *,
    column_kinds: KindsOption = None,
    categorical_features: CategoricalOption = "from_dtype",
    bounds: BoundsOption = None,
) -> Schema:
    """Decide what each column is taken for.

    From all rows, whatever their order, by these rules; the first that applies counts.

    1. What cannot be a number (strings, categories, other objects) is categorical,
       and booleans are, unless ``categorical_features`` says otherwise. Levels: the
       declared ones, else those that occur, sorted.
    2. One number is constant. At most 64, each in 20 rows on average, are levels;
       so are two that occur in 5 rows each. At most 4 rows have a number that occurs
       once: these are left out of the levels, as the schema says. Where more rows do,
       the column is one of the kinds that follow, so that no such number is unseen; if
       four of five different numbers repeat, or lie on no grid, each that repeats is an
       atom there.
    3. Whole numbers are integers: a grid of step 1, or of the largest power of ten
       that divides all (of 10 different ones at least).
    4. Numbers of a fixed count of decimals are decimal, where that grid is coarser
       than the floats' own, and the column spans at most 2^40 of its steps.
    5. Other numbers are continuous. Dates and durations keep their kind, on a grid of
       the largest unit of the clock, from day to nanosecond, that divides all.

    In kinds with values, a value is an atom that is repeated in at least 1 % of rows
    (at least 10; these are enough for the lowest and the highest) and 5 times as often
    as its neighbours, unless ``column_kinds`` says "continuous": that is numbers alone,
    without grid or atom. Numbers that are all of one sign, durations too, end at 0. No
    level, atom or bound is a number that occurs once.

    Parameters
    ----------
    table : StoredTable
        Training rows.
    column_kinds : mapping or Schema, default=None
        Kinds of some columns by name (or position), or a schema to be kept as it is.
    categorical_features : "from_dtype", None, or array-like, default="from_dtype"
        Names, indices or a mask of categorical columns; None: only what cannot be
        numeric.
    bounds : mapping, default=None
        Supports, ``(low, high)``, of some columns; None is open.

    Returns
    -------
    schema : Schema

    Raises
    ------
    ValueError
        Where options contradict the columns, or some columns look like identifiers.

    Warns
    -----
    LostDigitsWarning
        Where integers or dates span too many steps of their grid, or decimals and integers
        have more digits than the float64 they are read as.
    DoubtfulColumnsWarning
        Where columns hold free text, names of rows or dates as text.
    """
    columns = table.columns
    categorical = read_categorical(categorical_features, columns)
    limits = read_bounds(bounds, columns)
    if isinstance(column_kinds, Schema):
        pinned = _pin(columns, column_kinds)
        _refuse_denials(pinned, categorical or (), limits)
        return pinned
    kinds = read_kinds(column_kinds, columns)
    refuse_contradictions(columns, kinds, categorical or (), limits)
    refuse_outside(((columns[j], limits[j]) for j in limits), "bounds")
    check_vocabularies(table, accepted={*kinds, *(categorical or ())})
    inferred = []
    for j, column in enumerate(columns):
        by_dtype = column.family == "category" or (
            categorical is None and column.family == "boolean"
        )
        kind = "categorical" if by_dtype or j in (categorical or ()) else None
        schema = _infer_column(column, kinds.get(j, kind))
        if j in limits:
            schema = replace(schema, low=limits[j][0], high=limits[j][1])
        inferred.append(schema)
    _warn_of_lost_digits(columns, inferred, kinds)
    return Schema(tuple(inferred))


def _infer_column(column: StoredColumn, kind: str | None) -> ColumnSchema:
    """Fill in a kind that is given, or the one the values suggest."""
    schema = ColumnSchema(
        column.name,
        column.dtype,
        "categorical",
        missing=column.markers(),
        family=column.family,
    )
    if column.family == "category":
        return replace(schema, levels=_categories(column))
    distinct = Distinct.of(column)
    if not distinct.values.size:
        return schema
    asked = kind
    kind = kind or _infer_kind(column, distinct)
    schema = replace(schema, kind=cast(Kind, kind))
    if kind == "categorical":
        return replace(schema, levels=distinct.numbers(slice(None)))
    if column.family == "boolean":
        levels = tuple(map(int, distinct.repeated()))
        return replace(schema, levels=levels, step=1, n_left_out=distinct.n_single)
    step = _find_step(schema, distinct)
    low, high = (None, None) if column.family == "date" else find_support(distinct)
    schema = replace(schema, step=step, low=low, high=high)
    if schema.valued:
        return replace(schema, atoms=_find_atoms(schema, distinct, asked))
    _refuse_contradiction(schema, distinct)
    return replace(schema, levels=distinct.repeated(), n_left_out=distinct.n_single)


def _infer_kind(column: StoredColumn, distinct: Distinct) -> str:
    if len(distinct.values) == 1:
        return "constant"
    if column.family in ("date", "duration"):
        return column.family
    if column.family == "boolean" or are_levels(distinct):
        return "levels"
    if are_whole(distinct):
        return "integer" if find_whole_step(distinct) else "continuous"
    return "decimal" if find_decimal_step(distinct) else "continuous"


def _find_atoms(schema: ColumnSchema, distinct: Distinct, asked: str | None) -> tuple[Number, ...]:
    """Return the atoms of a column with values, whose kind was ``asked`` for or inferred."""
    if asked == "continuous":
        return ()
    inferred = asked is None and schema.family == "number"
    if inferred and are_mostly_levels(distinct, gridded=schema.step is not None):
        return distinct.repeated()
    return find_atoms(distinct)


def _find_step(schema: ColumnSchema, distinct: Distinct) -> Number | None:
    """Return the grid of a column of a known kind; raise where there must be one."""
    if distinct.tick:
        return find_clock_step(distinct)
    if schema.kind == "continuous":
        return None
    whole = are_whole(distinct)
    step = find_whole_step(distinct) if whole else find_decimal_step(distinct)
    if schema.kind == "levels" or schema.kind == "constant":
        return step
    if step is None or (schema.kind == "integer" and not whole):
        raise ValueError(
            f"column_kinds takes column {schema.name!r} for {schema.kind!r}, but its values lie "
            'on no such grid of at most 2^40 steps. Name it "continuous", or round it.'
        )
    return step


def _refuse_contradiction(schema: ColumnSchema, distinct: Distinct) -> None:
    if schema.kind == "constant" and len(distinct.values) > 1:
        raise ValueError(
            f"column_kinds takes column {schema.name!r} for constant, but it holds "
            f"{len(distinct.values)} different values."
        )
    if schema.kind == "levels" and not (distinct.counts > 1).any():
        raise ValueError(
            f"column_kinds takes column {schema.name!r} for levels, but no value occurs twice. "
            'Name it "continuous", or "categorical".'
        )


def _categories(column: StoredColumn) -> tuple[Any, ...]:
    """Return declared categories, else those that occur, by type and then by value."""
    if column.categories is not None:
        return column.categories
    values = column.values[column.present].tolist()
    distinct = dict(zip(keys_of(values), values, strict=True)).values()
    try:
        return tuple(sorted(distinct, key=lambda value: (type(value).__name__, value)))
    except TypeError:  # objects without an order
        return tuple(sorted(distinct, key=lambda value: (type(value).__name__, repr(value))))


def _warn_of_lost_digits(
    columns: Sequence[StoredColumn], schemas: Sequence[ColumnSchema], kinds: Container[int]
) -> None:
    names = []
    for j, (column, schema) in enumerate(zip(columns, schemas, strict=True)):
        integers = column.family == "number" and column.values.dtype.kind in "iu"
        wide = schema.kind == "continuous" if integers else schema.kind in ("date", "duration")
        if wide and schema.step is None and j not in kinds:
            names.append(column.name)
    if names:
        warn_caller(
            f"Columns {names} span more than 2^40 steps of their grid (integers, or dates and "
            "durations in fine units): they are taken as continuous, and inverse_transform "
            "does not keep their last digits. Round them, or subtract what they share.",
            LostDigitsWarning,
        )
    rounded = [column.name for column in columns if column.rounded]
    if rounded:
        warn_caller(
            f"Columns {rounded} hold decimals or integers of more digits than a float64 has: "
            "they are read as float64, and inverse_transform does not keep their last digits. "
            "Round them, or convert them to int64 in units of their last digit; what only names "
            "rows or things, to text.",
            LostDigitsWarning,
        )


def _pin(columns: Sequence[StoredColumn], schema: Schema) -> Schema:
    """Keep a schema as it stands, for other rows of the same columns."""
    names, expected = [c.name for c in columns], [c.name for c in schema.columns]
    if names != expected:
        raise ValueError(
            f"column_kinds is a schema of columns {expected}, but the columns are {names}."
        )
    pairs = list(zip(columns, schema.columns, strict=True))
    faults = [
        f"column {column.name!r} holds {column.dtype}, which cannot be {pinned.kind!r}"
        for column, pinned in pairs
        if pinned.kind not in POSSIBLE[column.family] or not _fits(column, pinned)
    ]
    if faults:
        raise ValueError("column_kinds is a schema of other columns:\n  " + "\n  ".join(faults))
    refuse_outside(
        ((column, (pinned.low, pinned.high)) for column, pinned in pairs if pinned.valued),
        "the bounds of column_kinds",
    )
    return Schema(tuple(_pin_column(*pair) for pair in pairs))


def _pin_column(column: StoredColumn, pinned: ColumnSchema) -> ColumnSchema:
    """Keep what a column is taken for; count what its levels leave out of these rows."""
    n_left_out = 0
    if pinned.kind in ("levels", "constant"):
        found = Distinct.of(column).numbers(slice(None))
        n_left_out = len(set(found) - set(pinned.levels))
    return replace(pinned, dtype=column.dtype, family=column.family, n_left_out=n_left_out)


def _refuse_denials(pinned: Schema, categorical: Iterable[int], limits: dict[int, Bounds]) -> None:
    """Raise where other options deny what a schema pins."""
    columns = pinned.columns
    faults = [
        f"column {columns[j].name!r}: {columns[j].kind!r} there, and in categorical_features"
        for j in categorical
        if columns[j].kind != "categorical"
    ] + [
        f"column {columns[j].name!r}: within [{columns[j].low}, {columns[j].high}] there, and "
        f"within [{low}, {high}] in bounds"
        for j, (low, high) in limits.items()
        if (low, high) != (columns[j].low, columns[j].high)
    ]
    if faults:
        raise ValueError(
            "column_kinds is a schema, which other options contradict:\n  "
            + "\n  ".join(faults)
            + "\nLeave these columns to the schema."
        )


def _fits(column: StoredColumn, pinned: ColumnSchema) -> bool:
    """Whether the levels are such as the column may hold."""
    return column.family == "category" or all(isinstance(x, Number) for x in pinned.levels)
