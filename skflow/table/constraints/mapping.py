"""Constraints that a table of values states: city to country."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skflow.table.constraints.constraint import Constraint, spell_name
from skflow.table.families.family import Family
from skflow.table.known import KnownNumbers, nearest_held, ticks_of
from skflow.table.objects import as_objects, keys_of
from skflow.table.storage import StoredColumn


@dataclass(frozen=True)
class MappingConstraint(Constraint):
    """The value of one column for each value of another.

    Parameters
    ----------
    target : str
    operands : tuple of one str
    pairs : tuple of pairs
        Value of the operand and value of the target, as a schema has them: numbers in the
        column's unit, dates and durations in seconds, booleans, objects. 1, True, 1.0 and "1"
        are different objects; 1 and 1.0 are the same number.

    Examples
    --------
    >>> print(MappingConstraint("country", ("city",), (("Rome", "Italy"), ("Nice", "France"))))
    country by city (2 pairs)
    """

    target: str
    operands: tuple[str, ...]
    pairs: tuple[tuple[Any, Any], ...]
    n_operands = 1

    def find_fault(self) -> str | None:
        """Return a fault of the operand or of the pairs."""
        fault = super().find_fault()
        if fault is not None:
            return fault
        pairs = self.pairs
        if not isinstance(pairs, tuple) or not pairs or not all(map(is_pair, pairs)):
            return "pairs must be a tuple of (value, value), with at least one, and none missing."
        try:
            n_different = len(set(keys_of(as_objects([key for key, _ in pairs]))))
        except TypeError as error:
            return f"a value of pairs cannot be compared: {error}."
        return None if n_different == len(pairs) else "pairs has two values for one of the operand."

    def find_unfit(self, families: Mapping[str, Family]) -> str | None:
        """Return the first column of numbers for which pairs has other values."""
        for name, values in zip(
            (*self.operands, self.target), zip(*self.pairs, strict=True), strict=True
        ):
            if not families[name].holds_objects and not all(isinstance(x, Real) for x in values):
                return (
                    f"{name!r} is a {families[name].name}, and pairs must have its values as "
                    "numbers, of seconds for dates and durations"
                )
        return None

    def imply(
        self, operands: Sequence[StoredColumn], like: StoredColumn
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Look values of the operand up."""
        (operand,) = operands
        place = np.where(operand.present, places_in(operand, [x for x, _ in self.pairs]), -1)
        values, is_held = stored_as(like, [y for _, y in self.pairs])
        implied = (place >= 0) & is_held[place]
        return values[np.where(implied, place, 0)], implied

    def __str__(self) -> str:
        target, operand = map(spell_name, (self.target, *self.operands))
        return f"{target} by {operand} ({len(self.pairs):,} pairs)"


def is_pair(value: Any) -> bool:
    """Whether a value is two others, of which none is None or NaN."""
    if not isinstance(value, tuple) or len(value) != 2:
        return False
    return not any(x is None or (x != x) is True for x in value)


def places_in(column: StoredColumn, known: Sequence[Any]) -> NDArray[np.int64]:
    """Return the place of each value of a column among known ones; -1 for others."""
    if column.values.dtype.kind == "O":
        place_of = {key: place for place, key in enumerate(keys_of(known))}
        return np.array([place_of.get(key, -1) for key in keys_of(column.values)], dtype=np.int64)
    order = sorted(range(len(known)), key=known.__getitem__)
    found = KnownNumbers([known[place] for place in order], column).find(column)
    return np.where(found >= 0, np.array(order)[found], -1)


def stored_as(like: StoredColumn, known: Sequence[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return values of a schema as a column stores them, and which it holds exactly."""
    dtype = like.values.dtype
    if dtype.kind == "O":
        return as_objects(known), np.ones(len(known), dtype=bool)
    counts = [value if dtype.kind == "f" else ticks_of(value, like.tick) for value in known]
    held = [nearest_held(count, dtype) for count in counts]
    is_held = np.array([x == y for x, y in zip(held, counts, strict=True)], dtype=bool)
    return np.array(held, dtype=dtype), is_held
