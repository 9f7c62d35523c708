"""Cells that constraints imply: left out when rows are encoded, computed when they are decoded."""

from collections.abc import Container, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skflow.table.constraints.constraint import Constraint
from skflow.table.storage import IMPLIED, StoredColumn, StoredTable

Mask = NDArray[np.bool_]


class ImpliedCells:
    """The constraints of a table, each with the positions of its columns.

    Parameters
    ----------
    constraints : sequence of Constraint
        Operands that are targets themselves come before, as targets.
    columns : sequence of StoredColumn
        Storage of all columns.

    Attributes
    ----------
    positions : list of (int, list of int)
        Target and operands of each constraint.
    """

    def __init__(self, constraints: Sequence[Constraint], columns: Sequence[StoredColumn]) -> None:
        position = {column.name: j for j, column in enumerate(columns)}
        self.constraints = constraints
        self.positions = [
            (position[each.target], [position[name] for name in each.operands])
            for each in constraints
        ]
        self._like = [columns[target].blank() for target, _ in self.positions]

    def leave_out(
        self, table: StoredTable, known: Mask | None = None, broken: Container[int] = ()
    ) -> StoredTable:
        """Mark the cells of targets that are as their constraints say.

        Parameters
        ----------
        table : StoredTable
        known : ndarray of bool, shape (n_rows, n_columns), optional
            A cell is marked where it and all operands are known; None: everywhere.
        broken : container of int
            Constraints that mark no cell.
        """
        columns = list(table.columns)
        for i, (target, operands) in enumerate(self.positions):
            if i in broken:
                continue
            # Operands are the cells of the table, implied or not.
            own, is_implied = table.columns[target], self.are_kept(i, table.columns)
            if known is not None:
                is_implied &= known[:, [target, *operands]].all(axis=1)
            columns[target] = replace(own, missing=np.where(is_implied, IMPLIED, own.missing))
        return replace(table, columns=tuple(columns))

    def are_kept(self, i: int, columns: Sequence[StoredColumn]) -> Mask:
        """Whether the target of constraint i is as it says."""
        values, is_implied = self.imply(i, columns)
        own = columns[self.positions[i][0]]
        return is_implied & own.present & (own.values == values)

    def compute(self, columns: Sequence[StoredColumn]) -> list[StoredColumn]:
        """Compute the cells that are marked, from the operands of their rows.

        A cell that nothing implies, as where an operand is missing, stays marked.
        """
        computed = list(columns)
        for i, (target, _) in enumerate(self.positions):
            own = computed[target]
            marked = own.missing == IMPLIED
            if marked.any():
                values, is_implied = self.imply(i, computed)
                found = marked & is_implied
                values = np.where(found, values, own.values).astype(own.values.dtype)
                missing = np.where(found, np.int8(0), own.missing)
                computed[target] = replace(own, values=values, missing=missing)
        return computed

    def imply(self, i: int, columns: Sequence[StoredColumn]) -> tuple[NDArray[Any], Mask]:
        """Return the cells that constraint i implies, and where it implies some."""
        operands = [columns[j] for j in self.positions[i][1]]
        return self.constraints[i].imply(operands, self._like[i])
