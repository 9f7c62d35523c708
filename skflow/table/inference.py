"""Inference of the schema of a table, from all of its rows."""

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from skflow.exceptions import LostDigitsWarning, warn_caller
from skflow.table.constraints.finding import find_constraints
from skflow.table.constraints.implied_cells import ImpliedCells
from skflow.table.families.family import Bounds
from skflow.table.kinds import KINDS, kind_of, kinds_of
from skflow.table.options import (
    BoundsOption,
    CategoricalOption,
    ConstraintsOption,
    KindsOption,
    read_bounds,
    read_categorical,
    read_given,
    read_kinds,
    refuse_contradictions,
    refuse_outside,
    refuse_unfit,
)
from skflow.table.rules import are_graded, are_whole
from skflow.table.schema import ColumnSchema, Schema
from skflow.table.storage import StoredColumn, StoredTable
from skflow.table.summary import ColumnSummary, TableSummary
from skflow.table.units import Number
from skflow.table.vocabularies import check_vocabularies

MOST_SEARCHED = 500  # columns; of more, the search would take as long as a fit
MOST_GRADED = 8  # columns of levels whose order may be left to labels


def infer_schema(
    table: StoredTable | TableSummary,
    *,
    column_kinds: KindsOption = None,
    categorical_features: CategoricalOption = "from_dtype",
    bounds: BoundsOption = None,
    given: ArrayLike | None = None,
) -> Schema:
    """Infer the kind of each column, its levels, grid, atoms and support.

    All rows are read, in whatever order; the first of these rules that applies counts. They
    are the kinds of :data:`skflow.table.kinds.RULES`, in order.

    1. *categorical*: strings, categories and other objects, and booleans unless
       ``categorical_features`` says otherwise. Levels are the declared ones, else those
       that occur, sorted.
    2. *constant*: one number, date or duration.
    3. *levels*: at most 64 numbers, each in 20 rows on average, or two that occur in 5
       rows each. At most 4 rows have a number that occurs once: these are left out of the
       levels, and counted in the schema. Where more rows do, the column is one of the
       kinds that follow, so that no such number is unseen; if four of five different
       numbers repeat, or lie on no grid, each that repeats is an atom there. Where more than 8
       columns would be levels of 5 numbers or more on a grid without gaps, such as pixels or
       answers on a scale, they are integers or decimals instead: the order of their numbers says
       more than labels do. Conditions are left out of this.
    4. *clock*: whole numbers such as 517 or 1830 that spell times of day, from 0 to 2400, on a
       grid of minutes. No number of an hour that is followed by another is from 60 to 99, in 6
       such hours at least, and by chance this has a probability below 10^-12. Minutes reach the
       last quarter of an hour, or the last point of a coarser grid.
    5. *integer*: whole numbers, on a grid of step 1, or of the largest number that divides
       all, where they are numerous enough: 10 different ones for a step of 10 or more, 34 for 2.
    6. *decimal*: numbers of a fixed count of decimals, or multiples of one such, where that
       grid is 16 times as coarse as the floats' own, twice where 34 different numbers are the
       float32 or float16 nearest to its points, and the column spans at most 2^40 of its steps.
    7. *continuous*: other numbers.
    8. *date* and *duration*, on a grid of the largest unit of the clock, from day to
       nanosecond, that divides all, or of a multiple of it, as 30 minutes.

    In kinds with values, a value is an atom if it is repeated in at least 1 % of rows
    (at least 10; these are enough for the lowest and the highest) and 5 times as often
    as its neighbours, on the same rounding level, unless ``column_kinds`` says
    "continuous": these are numbers without grid or atom. Where no smooth density explains the
    counts of numbers, dates or durations on a grid, rounding levels included, as of amounts of a
    tariff, each in 10 rows is an atom, the 128 of most rows at most; or each in 3 rows, of 128 at
    most, of whole numbers that are dense 4,096, where this gains half a nat per row, and the
    counts are not as equal as those of rows that were repeated or drawn with replacement. The
    support of numbers, and of durations, that are all of one sign ends at 0. No level, atom or
    bound is a number that occurs once.

    On a grid, steps of which multiples have many more rows than chance gives them are *rounding
    levels*: of a unit of the clock, or of 1, 2, 2.5 and 5 times powers of ten, at most four, each
    a divisor of the next.

    Parameters
    ----------
    table : StoredTable or TableSummary
        Training rows, or the summary of all of their parts.
    column_kinds : mapping or Schema, default=None
        Kinds of some columns by name (or position), or a schema to be kept as it is.
    categorical_features : "from_dtype", None, or array-like, default="from_dtype"
        Names, indices or a mask of categorical columns; None: only what cannot be
        numeric.
    bounds : mapping, default=None
        Supports, ``(low, high)``, of some columns; None is open.
    given : array-like, default=None
        Names or indices of columns that are conditions of the others.

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
    summary = TableSummary.of(table) if isinstance(table, StoredTable) else table
    summaries = summary.columns
    columns = [column_summary.column for column_summary in summaries]
    categorical = read_categorical(categorical_features, columns)
    limits = read_bounds(bounds, columns)
    conditions = read_given(given, columns)
    if isinstance(column_kinds, Schema):
        pinned = _pin(summaries, column_kinds)
        _refuse_denials(pinned, categorical or (), limits)
        return Schema(
            tuple(
                # What has no density needs no rounding levels.
                replace(c, is_given=j in conditions, rounding=() if j in conditions else c.rounding)
                for j, c in enumerate(pinned.columns)
            ),
            pinned.constraints_without(conditions),
        )
    kinds = read_kinds(column_kinds, columns)
    refuse_contradictions(columns, kinds, categorical or (), limits)
    refuse_outside(((summaries[j], limits[j]) for j in limits), "bounds")
    check_vocabularies(summary, accepted={*kinds, *(categorical or ())})
    inferred = []
    for j, column in enumerate(columns):
        is_categorical = column.family.is_categorical if categorical is None else j in categorical
        kind = kinds.get(j, "categorical" if is_categorical else None)
        inferred.append(_infer_column(summaries[j], kind, is_given=j in conditions))
    graded = [
        j
        for j, schema in enumerate(inferred)
        if schema.kind == "levels" and j not in kinds and not schema.is_given
        if are_graded(summaries[j].distinct, schema.step)
    ]
    if len(graded) > MOST_GRADED:
        for j in graded:
            name = "integer" if are_whole(summaries[j].distinct) else "decimal"
            inferred[j] = _infer_column(summaries[j], name, is_given=False)
    for j, (low, high) in limits.items():
        inferred[j] = replace(inferred[j], low=low, high=high)
    _warn_of_lost_digits(columns, inferred, kinds)
    return Schema(tuple(inferred))


def with_constraints(
    schema: Schema,
    sample: StoredTable,
    option: ConstraintsOption,
    chosen: KindsOption,
    summarise: Callable[[ImpliedCells], TableSummary],
) -> Schema:
    """Return a schema with constraints, where targets are as their other cells are.

    Parameters
    ----------
    schema : Schema
        Of all columns, each by itself; one with constraints is returned as it is.
    sample : StoredTable
        Rows in which constraints are found: all, or some of them.
    option : "auto", sequence of Constraint, or None
    chosen : mapping or Schema, default=None
        Kinds of columns that the user chose, which are no targets of constraints that are found.
    summarise : callable
        Returns the summary of all rows without the cells that constraints imply.
    """
    if option is None or schema.constraints or isinstance(chosen, Schema):
        return schema
    if isinstance(option, str):
        if len(schema.columns) > MOST_SEARCHED:
            return schema
        named = {sample.columns[j].name for j in read_kinds(chosen, sample.columns)}
        with np.errstate(all="ignore"):  # of candidates that are none
            found = find_constraints(sample, schema.columns)
        option = [each for each in found if each.target not in named]
    else:
        refuse_unfit(option, schema)
    if not option:
        return schema
    implied, specified = ImpliedCells(option, sample.columns), list(schema.columns)
    summaries = summarise(implied).columns
    for target, _ in implied.positions:
        whole, others = specified[target], summaries[target]
        own = kind_of(whole).of_target(whole, others)
        if own is None:
            own = replace(
                _infer_column(others, None, is_given=False),
                low=whole.low,
                high=whole.high,
                is_implied=True,
                n_not_implied=others.n_present,
            )
        specified[target] = own
    return Schema(tuple(specified), tuple(option))


def _infer_column(summary: ColumnSummary, name: str | None, *, is_given: bool) -> ColumnSchema:
    """Return the schema of a column of the named kind, or of the first that applies."""
    column = summary.column
    draft = ColumnSchema(
        column.name,
        column.dtype,
        "categorical",
        missing=summary.markers,
        family=column.family.name,
        is_given=is_given,
    )
    if name is not None and not summary.is_empty:
        return KINDS[name].specify(draft, summary, is_chosen=True)
    possible = [KINDS[name] for name in kinds_of(column.family.name)]
    kind = next((kind for kind in possible if kind.applies(summary)), possible[-1])
    return kind.specify(draft, summary, is_chosen=False)


def _warn_of_lost_digits(
    columns: Sequence[StoredColumn], schemas: Sequence[ColumnSchema], kinds: Container[int]
) -> None:
    pairs = enumerate(zip(columns, schemas, strict=True))
    names = [
        column.name
        for j, (column, schema) in pairs
        if j not in kinds and kind_of(schema).loses_digits(column, schema)
    ]
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


def _pin(summaries: Sequence[ColumnSummary], schema: Schema) -> Schema:
    """Return a pinned schema for other rows of the same columns."""
    names = [summary.column.name for summary in summaries]
    expected = [c.name for c in schema.columns]
    if names != expected:
        raise ValueError(
            f"column_kinds is a schema of columns {expected}, but the columns are {names}."
        )
    pairs = list(zip(summaries, schema.columns, strict=True))
    columns = [(summary.column, pinned) for summary, pinned in pairs]
    faults = [
        f"column {column.name!r} holds {column.dtype}, which cannot be {pinned.kind!r}"
        for column, pinned in columns
        if pinned.kind not in kinds_of(column.family.name) or not _fits(column, pinned)
    ]
    if faults:
        raise ValueError("column_kinds is a schema of other columns:\n  " + "\n  ".join(faults))
    bounded = ((column, kind_of(pinned).value_schema(pinned)) for column, pinned in pairs)
    refuse_outside(
        ((column, (own.low, own.high)) for column, own in bounded), "the bounds of column_kinds"
    )
    return Schema(tuple(_pin_column(*pair) for pair in pairs), schema.constraints)


def _pin_column(summary: ColumnSummary, pinned: ColumnSchema) -> ColumnSchema:
    """Return a pinned column; the numbers of these rows that are no levels are counted."""
    n_left_out = kind_of(pinned).count_left_out(summary, pinned)
    dtype, family = summary.column.dtype, summary.column.family.name
    return replace(pinned, dtype=dtype, family=family, n_left_out=n_left_out)


def _refuse_denials(pinned: Schema, categorical: Iterable[int], limits: dict[int, Bounds]) -> None:
    """Raise where other options contradict a pinned schema."""
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
    """Whether a column can hold the pinned levels."""
    return column.family.holds_objects or all(isinstance(x, Number) for x in pinned.levels)
