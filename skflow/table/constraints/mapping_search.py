"""Search for categories, and few numbers, that determine another column."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skflow.table.constraints.evidence import MOST_BROKEN, confirm
from skflow.table.constraints.mapping import MappingConstraint
from skflow.table.objects import keys_of
from skflow.table.schema import ColumnSchema
from skflow.table.storage import StoredColumn

LEAST_PAIR = 2  # rows of a pair: none is of a single row
SUPPORTED = 20  # rows of a value that must have one value of the target
LEAST_SHARE = 0.85  # of these rows
MOST_UNDECIDED = 0.05  # share of rows of values that do not
LEAST_COVERED = 0.5  # share of rows whose pair is known


@dataclass(frozen=True, eq=False)
class Codes:
    """One column as codes of its different values.

    Attributes
    ----------
    name : str
    codes : ndarray of int64, shape (n_rows,)
        -1 where missing.
    values : tuple
        As a schema has them.
    is_operand : bool
        Whether each value is a label, so that it may determine others.
    """

    name: str
    codes: NDArray[np.int64]
    values: tuple[Any, ...]
    is_operand: bool


def read_codes(columns: Sequence[StoredColumn], schemas: Sequence[ColumnSchema]) -> list[Codes]:
    """Return the columns of values that repeat."""
    read = []
    for column, schema in zip(columns, schemas, strict=True):
        if schema.is_given:
            continue
        present = column.values[column.present]
        codes = np.full(len(column.values), -1)
        if present.dtype.kind == "O":
            cells = present.tolist()
            cell_of = dict(zip(keys_of(cells), cells, strict=True))
            # Sorted, so that the order of rows does not matter.
            ordered = sorted(cell_of, key=lambda key: (str(cell_of[key]), repr(key)))
            place = {key: code for code, key in enumerate(ordered)}
            codes[column.present] = [place[key] for key in keys_of(cells)]
            values: tuple[Any, ...] = tuple(cell_of[key] for key in ordered)
        else:
            different, codes[column.present] = np.unique(present, return_inverse=True)
            tick = int(column.tick * column.family.base_units)
            values = tuple(column.family.from_stored(x, tick) for x in different.tolist())
        if 1 < len(values) <= len(present) / LEAST_PAIR:
            read.append(Codes(schema.name, codes, values, bool(schema.levels)))
    return read


@dataclass(frozen=True, eq=False)
class Table:
    """The value of the target that most rows of each operand value have.

    Attributes
    ----------
    best : ndarray of int64, shape (n_values,)
        Its code; -1 where no pair has enough rows, or none has nearly all.
    covered, kept, undecided : float
        Share of rows whose pair is known; of these, share that has it; share of rows of values
        in many rows that determine nothing.
    """

    best: NDArray[np.int64]
    covered: float
    kept: float
    undecided: float


def tabulate(operand: NDArray[np.int64], target: NDArray[np.int64], n_values: int) -> Table:
    """Count the pairs of two columns of codes, without missing ones."""
    width = int(target.max(initial=0)) + 1
    pairs, counts = np.unique(operand * width + target, return_counts=True)
    owner, value = pairs // width, pairs % width
    order = np.lexsort((value, -counts, owner))
    firsts = order[np.unique(owner[order], return_index=True)[1]]
    total = np.bincount(owner, weights=counts, minlength=n_values)
    most = np.zeros(n_values)
    most[owner[firsts]] = counts[firsts]
    best = np.full(n_values, -1)
    best[owner[firsts]] = value[firsts]
    is_split = (total >= SUPPORTED) & (most < LEAST_SHARE * total)
    best[(most < LEAST_PAIR) | (most <= 0.5 * total) | is_split] = -1
    known, n = best >= 0, max(total.sum(), 1)
    return Table(
        best,
        covered=float(total[known].sum() / n),
        kept=float(most[known].sum() / max(total[known].sum(), 1)),
        undecided=float(total[is_split].sum() / n),
    )


def find_mappings(
    columns: Sequence[StoredColumn],
    schemas: Sequence[ColumnSchema],
    learnt: NDArray[np.intp],
    tested: NDArray[np.intp],
    known: Container[str],
) -> Iterator[MappingConstraint]:
    """Yield mappings that hold, with the pairs of the ``learnt`` rows.

    Of several operands those of fewest values come first, as the nearest.

    Parameters
    ----------
    columns : sequence of StoredColumn
    schemas : sequence of ColumnSchema
    learnt, tested : ndarray of int
        Rows whose pairs are learnt, and others on which they are tested.
    known : container of str
        Targets that have a constraint; the caller adds to it what it accepts.
    """
    read = read_codes([column.take(learnt) for column in columns], schemas)
    held_out = {
        schema.name: column.take(tested) for column, schema in zip(columns, schemas, strict=True)
    }
    # As schemas are in order, so are the columns of as many values.
    operands = sorted((codes for codes in read if codes.is_operand), key=lambda c: len(c.values))
    for j, target in enumerate(read):
        for operand in operands:
            if target.name in known:
                break
            is_later = read.index(operand) >= j
            if operand is target or not determines(operand, target, is_later=is_later):
                continue
            mapping = learn(operand, target)
            if confirm(mapping, held_out, least_values=2) is not None:
                yield mapping


def determines(operand: Codes, target: Codes, *, is_later: bool) -> bool:
    """Whether each value of the operand nearly always has one of the target."""
    if len(operand.values) < len(target.values) / 2:
        return False
    both = (operand.codes >= 0) & (target.codes >= 0)
    table = tabulate(operand.codes[both], target.codes[both], len(operand.values))
    n_pairs = np.count_nonzero(table.best >= 0)
    n_values = len(np.unique(table.best[table.best >= 0]))
    # Where two columns determine each other, the later one is the target.
    is_other_way = is_later and n_pairs == n_values and target.is_operand
    return (
        n_values > 1
        and table.kept >= 1 - MOST_BROKEN
        and table.covered >= LEAST_COVERED
        and table.undecided <= MOST_UNDECIDED
        and not is_other_way
    )


def learn(operand: Codes, target: Codes) -> MappingConstraint:
    """Return the pairs of two columns, those of a single row left out."""
    both = (operand.codes >= 0) & (target.codes >= 0)
    table = tabulate(operand.codes[both], target.codes[both], len(operand.values))
    pairs = [
        (value, target.values[code])
        for value, code in zip(operand.values, table.best.tolist(), strict=True)
        if code >= 0
    ]
    return MappingConstraint(target.name, (operand.name,), tuple(pairs))


def learn_all(
    mapping: MappingConstraint, columns: Sequence[StoredColumn], schemas: Sequence[ColumnSchema]
) -> MappingConstraint:
    """Return a mapping with the pairs of all rows."""
    place = {schema.name: j for j, schema in enumerate(schemas)}
    places = [place[name] for name in (*mapping.operands, mapping.target)]
    return learn(*read_codes([columns[j] for j in places], [schemas[j] for j in places]))
