"""Constraints some of whose operands other constraints imply."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skflow.table.constraints.constraint import Constraint
from skflow.table.storage import StoredColumn


@dataclass(frozen=True)
class ComposedConstraint:
    """A constraint as a function of the operands of others, which imply operands of its own.

    With ``total = net + tax`` and ``tax = 0.2 net``, the total is a function of ``net``.

    Attributes
    ----------
    outer : Constraint
    inner : tuple of Constraint
        Each implies an operand of ``outer``.
    likes : tuple of StoredColumn
        Storage of their targets.
    """

    target: str
    operands: tuple[str, ...]
    outer: Constraint
    inner: tuple[Constraint, ...]
    likes: tuple[StoredColumn, ...]

    @classmethod
    def compose(
        cls, outer: Constraint, inner: Sequence[Constraint], likes: Sequence[StoredColumn]
    ) -> "ComposedConstraint":
        """Compose constraints; operands are those of all, each once."""
        implied = {each.target for each in inner}
        names = [name for each in (outer, *inner) for name in each.operands if name not in implied]
        operands = tuple(dict.fromkeys(names))
        return cls(outer.target, operands, outer, tuple(inner), tuple(likes))

    def imply(
        self, operands: Sequence[StoredColumn], like: StoredColumn
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the cells of the target that the operands imply, by way of inner targets."""
        cells, implied = dict(zip(self.operands, operands, strict=True)), np.array(True)
        for constraint, own in zip(self.inner, self.likes, strict=True):
            values, is_own = constraint.imply([cells[name] for name in constraint.operands], own)
            cells[constraint.target], implied = own.filled(values), implied & is_own
        values, is_own = self.outer.imply([cells[name] for name in self.outer.operands], like)
        return values, is_own & implied

    def __str__(self) -> str:
        return f"{self.outer}, where {' and '.join(map(str, self.inner))}"


Solvable = Constraint | ComposedConstraint
