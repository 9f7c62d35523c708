"""Choice among constraints that were found: one per target, without circles, natural first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skflow.table.constraints.constraint import Constraint
from skflow.table.constraints.evidence import Evidence
from skflow.table.constraints.numeric import NumericConstraint
from skflow.table.constraints.quantities import Quantity
from skflow.table.constraints.simplest import complexity
from skflow.table.storage import StoredColumn

# Share of rows, and of broken ones, that a constraint of more columns must save.
LEAST_SAVED, SAVED = 0.003, 0.5
WHOLE, GENUINE = 1e-6, 0.9  # width of rounding errors in steps: of none, of real ones
TIE = 1e-4  # steps
MOST_NEAR, MOSTLY = 0.002, 0.5  # share of near misses, of rows and of broken ones
MOSTLY_COVERED = 0.5  # share of rows with a target
ALIKE = 0.98  # ratio of spreads that count as equal


@dataclass(frozen=True)
class Candidate:
    """A constraint that was found, with its evidence on other rows.

    Attributes
    ----------
    constraint : NumericConstraint
    evidence : Evidence
    rounded : float
        Width of the errors that rounding leaves, in steps: near 1 where the target is a rounded
        number, less where rounding undoes that of an operand, 0 where there is none.
    near : float
        Share of rows that the next count would keep, ties left out.
    covered : float
        Share of the rows with a target that have all operands.
    """

    constraint: NumericConstraint
    evidence: Evidence
    rounded: float
    near: float
    covered: float

    @classmethod
    def of(
        cls,
        constraint: NumericConstraint,
        evidence: Evidence,
        columns: Mapping[str, StoredColumn],
    ) -> "Candidate":
        """Return a candidate, its rounding examined on some rows of all columns."""
        names = [*constraint.operands, constraint.target]
        present = np.logical_and.reduce([columns[name].present for name in names])
        *operands, target = (columns[name].take(present) for name in names)
        errors = constraint.rounding_errors(operands, target)
        shift = {"down": 0.5, "up": -0.5}.get(constraint.rounding, 0.0)
        sizes = np.abs(errors + shift)
        low, high = np.quantile(errors[sizes <= 1], [0.05, 0.95])
        near = (sizes > 0.5 + TIE) & (sizes <= 1.5) & (constraint.rounding != "exact")
        covered = present.sum() / columns[constraint.target].present.sum()
        return cls(constraint, evidence, float(high - low) / 0.9, float(near.mean()), covered)

    @property
    def columns(self) -> frozenset[str]:
        """Names of all columns that take part."""
        return frozenset((self.constraint.target, *self.constraint.operands))

    @property
    def approximates(self) -> bool:
        """Whether broken rows are mostly near misses, as where the function is another one."""
        return self.near > max(MOST_NEAR, MOSTLY * self.evidence.broken)


def rank(candidates: Sequence[Candidate], quantities: Mapping[str, Quantity]) -> list[Constraint]:
    """Return constraints, the most natural first; none that another one improves on."""

    def key(candidate: Candidate) -> tuple[Any, ...]:
        constraint = candidate.constraint
        target, is_rounded = quantities[constraint.target], constraint.rounding != "exact"
        factors = constraint.factors
        widest = max(quantities[name].spread for name in candidate.columns)
        return (
            candidate.covered < MOSTLY_COVERED,
            is_rounded,
            WHOLE < candidate.rounded < GENUINE,
            # Numbers of many digits are not known from those of few.
            -target.spread / constraint.step if is_rounded and constraint.step else 0.0,
            len(constraint.operands),
            min(factors) < 0,
            sum(map(complexity, factors)),
            target.spread < ALIKE * widest,
            -target.position,
            [quantities[name].position for name in constraint.operands],
        )

    exact = [candidate for candidate in candidates if not candidate.approximates]
    kept = [
        candidate for candidate in exact if not any(improves(other, candidate) for other in exact)
    ]
    return [candidate.constraint for candidate in sorted(kept, key=key)]


def improves(other: Candidate, candidate: Candidate) -> bool:
    """Whether a constraint of the same columns and some more holds in more rows."""
    if not candidate.columns < other.columns:
        return False
    broken = candidate.evidence.broken
    if other.constraint.target == candidate.constraint.target:
        return other.evidence.broken < broken  # each of its operands decides about some rows
    return other.evidence.broken < min(broken * SAVED, broken - LEAST_SAVED)


def accept(constraint: Constraint, chosen: dict[str, Constraint]) -> None:
    """Add a constraint by its target, unless that has one, or an operand depends on it."""
    if constraint.target in chosen:
        return
    pending, seen = list(constraint.operands), set()
    while pending:
        name = pending.pop()
        if name == constraint.target:
            return
        if name in chosen and name not in seen:
            seen.add(name)
            pending += chosen[name].operands
    chosen[constraint.target] = constraint


def in_order(chosen: Mapping[str, Constraint]) -> Iterator[Constraint]:
    """Yield constraints, those of operands first."""
    waiting = dict(chosen)
    while waiting:
        for target, constraint in list(waiting.items()):
            if not any(name in waiting for name in constraint.operands):
                yield waiting.pop(target)
