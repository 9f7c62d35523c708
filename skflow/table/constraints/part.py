"""Constraints that state a part of a time: the hour of 517 is 5, and its minute 17."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from skflow.table.clock_times.arithmetic import HUNDRED, are_times
from skflow.table.constraints.constraint import Constraint, spell_name
from skflow.table.constraints.numbers import write_floats
from skflow.table.families.family import Family
from skflow.table.storage import StoredColumn

Part = Literal["hour", "minute"]


@dataclass(frozen=True)
class PartConstraint(Constraint):
    """The hour or the minute of a time of day that a number spells, such as 517.

    Parameters
    ----------
    target : str
    operands : tuple of one str
    part : {"hour", "minute"}

    Examples
    --------
    >>> print(PartConstraint("hour", ("departure",), "hour"))
    hour = hour of departure
    """

    target: str
    operands: tuple[str, ...]
    part: Part
    n_operands = 1

    def find_fault(self) -> str | None:
        """Return a fault of the operand or of the part."""
        fault = super().find_fault()
        if fault is not None:
            return fault
        if self.part not in get_args(Part):
            return f"part must be one of {get_args(Part)}, and is {self.part!r}."
        return None

    def find_unfit(self, families: Mapping[str, Family]) -> str | None:
        """Return the first column that holds no numbers."""
        for name in (self.target, *self.operands):
            if families[name].name != "number":
                return f"{name!r} must hold numbers, and is a {families[name].name}"
        return None

    def imply(
        self, operands: Sequence[StoredColumn], like: StoredColumn
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the part of each time; numbers that are no times imply nothing."""
        (operand,) = operands
        numbers = np.where(operand.present, operand.values, 0)
        is_implied = operand.present & are_times(numbers)
        numbers = np.where(is_implied, numbers, 0).astype(np.int64)
        hours, minutes = np.divmod(numbers, HUNDRED)
        parts = hours if self.part == "hour" else minutes
        dtype = like.values.dtype
        if dtype.kind == "f":
            return write_floats(parts.astype(np.float64), is_implied, dtype)
        return parts.astype(dtype), is_implied

    def __str__(self) -> str:
        return f"{spell_name(self.target)} = {self.part} of {spell_name(self.operands[0])}"
