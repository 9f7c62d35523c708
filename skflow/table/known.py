"""Numbers that have a label of their own: levels and atoms, compared and decoded exactly.

Coordinates are floats, which distinguish 64-bit integers below 2^53 only. So stored values
are compared: integers with integers, and floats with floats.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skflow.table.storage import StoredColumn
from skflow.table.units import Number


class KnownNumbers:
    """Numbers of the schema, as a column stores them.

    Parameters
    ----------
    numbers : sequence of Number
        Ascending, in the column's unit; seconds for dates and durations.
    stored : StoredColumn
        Storage of the fitted column; its rows are not read.

    Attributes
    ----------
    values : ndarray of shape (n_known,)
        The numbers in the fitted dtype, or the nearest ones that it can hold.
    """

    def __init__(self, numbers: Sequence[Number], stored: StoredColumn) -> None:
        self.numbers = tuple(numbers)
        self.tick = stored.tick
        dtype = stored.values.dtype
        counts = [
            number if dtype.kind == "f" else ticks_of(number, self.tick) for number in numbers
        ]
        held = [nearest_held(count, dtype) for count in counts]
        self.values = np.array(held, dtype=dtype)
        self._exact = np.array([x == y for x, y in zip(held, counts, strict=True)], dtype=bool)

    def __len__(self) -> int:
        return len(self.numbers)

    def find(self, column: StoredColumn) -> NDArray[np.int64]:
        """Return the index of the number in each row of a column; -1 for others.

        Floats of more digits than the fitted ones are rounded to these.

        Parameters
        ----------
        column : StoredColumn
            The fitted storage, or another one.

        Returns
        -------
        index : ndarray of int64, shape (n_rows,)
        """
        known, values, dtype = self, column.values, self.values.dtype
        if values.dtype.kind == dtype.kind == "f" and values.dtype.itemsize > dtype.itemsize:
            with np.errstate(over="ignore", under="ignore"):
                values = values.astype(dtype)
        elif (values.dtype, column.tick) != (dtype, self.tick):
            known = KnownNumbers(self.numbers, column)
        labels = np.flatnonzero(known._exact)
        if not labels.size:
            return np.full(len(values), -1)
        keys = known.values[labels]
        place = np.searchsorted(keys, values).clip(max=len(keys) - 1)
        return np.where(keys[place] == values, labels[place], -1)


def ticks_of(number: Number | Fraction, tick: Fraction) -> int | Fraction:
    """Return a number in ticks, exactly; ``tick`` is one tick in units of the column."""
    return number if tick == 1 and type(number) is int else Fraction(number) / tick


def nearest_held(number: Number | Fraction, dtype: np.dtype) -> Any:
    """Return the nearest number that a dtype of floats, integers or booleans can hold."""
    if dtype.kind == "f":
        limit = float(np.finfo(dtype).max)
        with np.errstate(under="ignore"):
            return float(dtype.type(float(min(max(number, -limit), limit))))
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return min(max(round(number), int(low)), int(high))
