"""Tests of a constraint on rows that took no part in its search."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skflow.table.constraints.constraint import Constraint
from skflow.table.constraints.numeric import LinearConstraint
from skflow.table.objects import keys_of
from skflow.table.storage import StoredColumn

LEAST_ROWS = 100  # in which all cells are present
MOST_BROKEN = 0.05  # share of rows
LEAST_IMPLIED = 0.5  # share of rows: others have no cell that is implied
BY_CHANCE = 0.1  # broken rows, as a share of those where the rows of the operands are permuted
LEAST_DECIDED = 30  # rows that each operand decides about: none by chance then
CLEARLY_DECIDED = 10  # such rows, where next to no others are broken


@dataclass(frozen=True)
class Evidence:
    """How well a constraint holds in some rows.

    Attributes
    ----------
    n_rows : int
        Rows whose cell is implied.
    broken : float
        Share of these that have another one.
    n_values : int
        Different cells among those that are as implied.
    """

    n_rows: int
    broken: float
    n_values: int


def examine(constraint: Constraint, columns: Mapping[str, StoredColumn]) -> Evidence:
    """Count the rows of some columns, all present, that keep a constraint."""
    target = columns[constraint.target]
    values, implied = constraint.imply([columns[name] for name in constraint.operands], target)
    kept = implied & are_equal(values, target.values)
    # A sum that is on no grid point is broken; outside a mapping nothing is.
    n_rows = len(implied) if isinstance(constraint, LinearConstraint) else int(implied.sum())
    different = set(target.values[kept].tolist())
    return Evidence(n_rows, 1 - kept.sum() / max(n_rows, 1), len(different))


def share_broken(constraint: Constraint, columns: Mapping[str, StoredColumn]) -> float:
    """Return the share of the rows of some columns, missing cells left out, that break it."""
    names = [constraint.target, *constraint.operands]
    present = np.logical_and.reduce([columns[name].present for name in names])
    evidence = examine(constraint, {name: columns[name].take(present) for name in names})
    if evidence.n_rows < max(LEAST_ROWS / 2, LEAST_IMPLIED * present.sum()):
        return 1.0
    return evidence.broken


def confirm(
    constraint: Constraint, columns: Mapping[str, StoredColumn], least_values: int
) -> Evidence | None:
    """Return how well a constraint holds if it does, and far better than by chance; else None.

    It holds by chance where operands and target mostly have one value. So it is compared with the
    same rows with the cells of the operands permuted, all together and one by one.

    Parameters
    ----------
    constraint : Constraint
    columns : mapping of str to StoredColumn
        Rows that took no part in the search.
    least_values : int
        Different values of the target that must be among those implied.
    """
    names = [constraint.target, *constraint.operands]
    present = np.logical_and.reduce([columns[name].present for name in names])
    if present.sum() < LEAST_ROWS:
        return None
    own = {name: columns[name].take(present) for name in names}
    evidence = examine(constraint, own)
    if (
        evidence.n_rows < max(LEAST_ROWS, LEAST_IMPLIED * present.sum())
        or evidence.broken > MOST_BROKEN
        or evidence.n_values < least_values
    ):
        return None
    order = np.random.default_rng(0).permutation(int(present.sum()))
    permuted = {name: own[name].take(order) for name in constraint.operands}
    together = examine(constraint, own | permuted)
    if (
        evidence.broken > BY_CHANCE * together.broken
        or together.broken * together.n_rows < LEAST_DECIDED
    ):
        return None
    for name in constraint.operands:
        alone = examine(constraint, own | {name: permuted[name]})
        decided = (alone.broken - evidence.broken) * alone.n_rows
        is_clear = evidence.broken <= BY_CHANCE * alone.broken
        if decided < (CLEARLY_DECIDED if is_clear else LEAST_DECIDED):
            return None
    return evidence


def are_equal(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where two columns of one storage have the same cell; 1 and True are two."""
    if first.dtype.kind != "O":
        return np.asarray(first == second)
    pairs = zip(keys_of(first.tolist()), keys_of(second.tolist()), strict=True)
    return np.array([x == y for x, y in pairs], dtype=bool)
