"""The interface of a constraint: cells of one column that cells of others imply."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from skflow.table.families.family import Family
from skflow.table.storage import StoredColumn

PLAIN = re.compile(r"[^\W\d][\w.]*(?: [\w.]+)*")


class Constraint(ABC):
    """One column as an exact function of others, row by row.

    Subclasses are frozen dataclasses of plain fields, so that they compare, hash and go into
    files.

    Attributes
    ----------
    target : str
        Name of the column that is implied.
    operands : tuple of str
        Names of the columns that imply it.
    n_operands : int or None
        How many there must be; None for any number.
    """

    target: str
    operands: tuple[str, ...]
    n_operands: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        """Read lists as tuples.

        Raises
        ------
        ValueError
            Where a field is outside its range, or fields do not go together.
        """
        for name, value in list(vars(self).items()):
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))  # the way in a frozen dataclass
        fault = self.find_fault()
        if fault is not None:
            raise ValueError(f"{type(self).__name__} for {self.target!r}: {fault}")

    @abstractmethod
    def find_fault(self) -> str | None:
        """Return in words what is wrong with the fields, and what is expected; None if nothing."""
        names = self.operands
        if not isinstance(names, tuple) or not names or not all(isinstance(x, str) for x in names):
            return f"operands must be a tuple of column names, and is {names!r}."
        if len({*names}) < len(names):
            return f"operands must be different columns, and are {names!r}."
        if self.n_operands not in (None, len(names)):
            expected = "one column" if self.n_operands == 1 else "two columns"
            return f"operands must be {expected}, and are {names!r}."
        return None

    @abstractmethod
    def find_unfit(self, families: Mapping[str, Family]) -> str | None:
        """Return in words why a column of its family cannot take part; None if all can."""

    @abstractmethod
    def imply(
        self, operands: Sequence[StoredColumn], like: StoredColumn
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the cells of the target that the operands imply.

        Parameters
        ----------
        operands : sequence of StoredColumn
            In the order of ``operands``.
        like : StoredColumn
            Storage of the target; its rows are not read.

        Returns
        -------
        values : ndarray of shape (n_rows,)
            In the dtype and ticks of ``like``.
        implied : ndarray of bool, shape (n_rows,)
            Where there is such a cell: False where an operand is missing, where the number is not
            finite or beyond what the storage holds, and outside a mapping.
        """


def spell_name(name: str) -> str:
    """Return the name of a column, in quotes where it could be read as a formula."""
    return name if PLAIN.fullmatch(name) else repr(name)
