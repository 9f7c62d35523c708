"""Options about columns, checked against the columns."""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from skflow.table.constraints.constraint import Constraint
from skflow.table.families import FAMILIES
from skflow.table.families.family import Bounds
from skflow.table.kinds import RULES, kinds_of
from skflow.table.schema import Schema
from skflow.table.storage import StoredColumn
from skflow.table.summary import ColumnSummary

KindsOption = Mapping[Any, str] | Schema | None
CategoricalOption = ArrayLike | Literal["from_dtype"] | None
BoundsOption = Mapping[Any, tuple[Any, Any]] | None
ConstraintsOption = Sequence[Constraint] | Literal["auto"] | None


def read_kinds(option: Mapping[Any, str] | None, columns: Sequence[StoredColumn]) -> dict[int, str]:
    """Return kinds by position; raise where a column cannot be of its kind."""
    if option is None:
        return {}
    if not isinstance(option, Mapping):
        raise TypeError(
            "column_kinds must be a mapping of column to kind, a fitted schema_ or None; "
            f"got {type(option).__name__}."
        )
    kinds = _by_position(option, columns, "column_kinds")
    faults = [
        f"column {columns[j].name!r} holds {columns[j].dtype}, which cannot be {kind!r}; "
        f"possible: {', '.join(kinds_of(columns[j].family.name))}"
        for j, kind in kinds.items()
        if kind not in kinds_of(columns[j].family.name)
    ]
    if faults:
        names = ", ".join(kind.name for kind in RULES)
        raise ValueError(
            f"column_kinds must name kinds that fit the columns, of {names}:\n  "
            + "\n  ".join(faults)
        )
    return kinds


def read_categorical(option: CategoricalOption, columns: Sequence[StoredColumn]) -> set[int] | None:
    """Return the positions of columns named categorical; None where dtypes decide."""
    if isinstance(option, str) and option == "from_dtype":
        return None
    if option is None:
        return set()
    chosen = np.atleast_1d(np.asarray(option, dtype=object)).tolist()
    if chosen and all(isinstance(key, bool | np.bool_) for key in chosen):
        if len(chosen) != len(columns):
            raise ValueError(
                f"categorical_features as a mask must have one entry for each of the "
                f"{len(columns)} columns; got {len(chosen)}."
            )
        return set(np.flatnonzero(chosen).tolist())
    return {find_column(key, columns, "categorical_features") for key in chosen}


def read_given(option: ArrayLike | None, columns: Sequence[StoredColumn]) -> set[int]:
    """Return the positions of columns that are conditions."""
    if option is None:
        return set()
    keys = np.atleast_1d(np.asarray(option, dtype=object)).tolist()
    chosen = {find_column(key, columns, "given") for key in keys}
    if not chosen:
        raise ValueError("given names no column. Name some, or leave it None: a joint density.")
    if len(chosen) == len(columns):
        raise ValueError(
            f"given names all {len(columns)} columns: none is left to have a density. Leave out "
            "those whose density given the others is wanted."
        )
    return chosen


def read_bounds(option: BoundsOption, columns: Sequence[StoredColumn]) -> dict[int, Bounds]:
    """Return bounds by position, as numbers of the schema."""
    if option is None:
        return {}
    if not isinstance(option, Mapping):
        raise TypeError(
            "bounds must be a mapping of column to (low, high) or None; "
            f"got {type(option).__name__}."
        )
    pairs = _by_position(option, columns, "bounds")
    return {j: _read_pair(pair, columns[j]) for j, pair in pairs.items()}


def refuse_contradictions(
    columns: Sequence[StoredColumn],
    kinds: Mapping[int, str],
    categorical: Collection[int],
    bounds: Collection[int],
) -> None:
    """Raise where two options contradict each other about a column."""
    faults = [
        f"column {columns[j].name!r}: {kinds[j]!r} in column_kinds, and in categorical_features"
        for j in kinds
        if j in categorical and kinds[j] != "categorical"
    ] + [
        f"column {columns[j].name!r}: categorical, and in bounds"
        for j in bounds
        if j in categorical or kinds.get(j) == "categorical"
    ]
    if faults:
        raise ValueError(
            "Options contradict each other:\n  "
            + "\n  ".join(faults)
            + "\nName each such column in one of them."
        )


def refuse_unfit(constraints: Sequence[Constraint], schema: Schema) -> None:
    """Raise where a constraint is none of a table's columns, or they are not in order."""
    for constraint in constraints:
        if not isinstance(constraint, Constraint):
            raise TypeError(
                "constraints must be 'auto', None or a sequence of constraints, such as some of a "
                f"fitted schema_.constraints; one of them is a {type(constraint).__name__}."
            )
    families = {c.name: FAMILIES[c.family] for c in schema.columns if not c.is_given}
    targets = [constraint.target for constraint in constraints]
    for place, constraint in enumerate(constraints):
        for name in (constraint.target, *constraint.operands):
            if name not in families:
                raise ValueError(
                    f"The constraint '{constraint}' names {name!r}, which is no column with a "
                    "density of its own. Leave the constraint out, or correct the name."
                )
        unfit = constraint.find_unfit(families)
        if unfit is not None:
            raise ValueError(f"The constraint '{constraint}' does not fit its columns: {unfit}.")
        if targets.count(constraint.target) > 1:
            raise ValueError(f"Two constraints imply {constraint.target!r}. Leave one of them out.")
        later = {constraint.target, *targets[place:]} & {*constraint.operands}
        if later:
            raise ValueError(
                f"The constraint '{constraint}' has operands {sorted(later)} that it, or a later "
                "constraint, implies. Put constraints that imply operands first; they must not "
                "imply each other."
            )


def find_column(key: Hashable, columns: Sequence[StoredColumn], parameter: str) -> int:
    """Return the position of a column given by name or position."""
    names = [column.name for column in columns]
    if key in names:
        return names.index(key)
    if isinstance(key, Integral) and not isinstance(key, bool) and 0 <= key < len(names):
        return int(key)
    shown = ", ".join(map(repr, names[:10])) + (", ..." if len(names) > 10 else "")
    raise ValueError(f"{parameter} names {key!r}, which is no column. The columns are {shown}.")


def _by_position(
    option: Mapping[Any, Any], columns: Sequence[StoredColumn], parameter: str
) -> dict[int, Any]:
    """Return the values of an option by position; raise where it names a column twice."""
    found = {key: find_column(key, columns, parameter) for key in option}
    twice = sorted({columns[j].name for j, n in Counter(found.values()).items() if n > 1})
    if twice:
        raise ValueError(f"{parameter} names columns {twice} twice, by name and position.")
    return {j: option[key] for key, j in found.items()}


def count_outside(summary: ColumnSummary, bounds: Bounds) -> int:
    """Count values below or above bounds."""
    low, high = summary.column.family.to_stored(bounds, summary.column.tick)
    below = 0 if low is None else summary.count(lambda values: values < low)
    return below + (0 if high is None else summary.count(lambda values: values > high))


def refuse_outside(columns: Iterable[tuple[ColumnSummary, Bounds]], origin: str) -> None:
    """Raise where training values lie outside bounds, listing all such columns."""
    faults = [
        f"column {summary.column.name!r}: {count} values outside [{low}, {high}]"
        for summary, (low, high) in columns
        if (count := count_outside(summary, (low, high)))
    ]
    if faults:
        raise ValueError(
            f"Training rows must lie within {origin}:\n  "
            + "\n  ".join(faults)
            + "\nDrop those rows, or widen the bounds (None is open)."
        )


def _read_pair(pair: Any, column: StoredColumn) -> Bounds:
    expected = f"bounds of column {column.name!r} must be a pair (low, high), low < high, of "
    expected += column.family.bounds
    if not column.family.bounds:
        raise ValueError(f"bounds name column {column.name!r}, which holds no numbers: remove it.")
    try:
        low, high = (None if end is None else column.family.read_bound(end) for end in pair)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{expected} or None; got {pair!r}.") from error
    if low is not None and high is not None and not low < high:
        raise ValueError(f"{expected} or None; got {pair!r}.")
    return low, high
