"""Columns as read from any library: values, missing markers, units."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from skflow.table.families.family import Family

Library = Literal["array", "pandas", "polars"]

# Markers of missing values. Libraries distinguish them, and so does a fitted column.
MARKERS = ("NaN", "NA", "NaT", "None")
IMPLIED = np.int8(1 + len(MARKERS))  # code of a cell that a constraint implies, in encoding
SUPPORTED = "numbers, booleans, strings, categories, dates, durations and hashable objects"


@dataclass(frozen=True, eq=False)
class StoredColumn:
    """One column, read out of its container.

    Attributes
    ----------
    name : str
    dtype : str
        As the container spells it.
    family : Family
        The sort of its values.
    values : ndarray of shape (n_rows,)
        Integers and floats in their own width, booleans, Python objects for
        categories, ticks (int64) for dates and durations. Where a value is missing
        there is some filler.
    missing : ndarray of int8
        0 where there is a value, else 1 + index into ``MARKERS``; while rows are encoded and
        decoded also ``IMPLIED``.
    categories : tuple, default=None
        The declared ones, in their order; None where the dtype declares none.
    tick : Fraction
        Seconds per tick of dates and durations, exactly; 1 for others.
    python_type : type, default=None
        Type of numbers that were read from Python objects; None for others.
    zoned : bool
        Whether dates are instants, with a time zone.
    rounded : bool
        Whether some numbers were read with more digits than ``values`` can hold.
    """

    name: str
    dtype: str
    family: Family
    values: NDArray[Any]
    missing: NDArray[np.int8]
    categories: tuple[Hashable, ...] | None = None
    tick: Fraction = field(default=Fraction(1))
    python_type: type | None = None
    zoned: bool = False
    rounded: bool = False

    @property
    def present(self) -> NDArray[np.bool_]:
        """Where there is a value."""
        return self.missing == 0

    @property
    def are_objects(self) -> bool:
        """Whether the values were read from Python objects."""
        return self.family.holds_objects or self.python_type is not None

    def take(self, rows: Any) -> Self:
        """Return some rows, by slice, mask or index."""
        return replace(self, values=self.values[rows], missing=self.missing[rows])

    def compact(self) -> Self:
        """Return the column with markers that take no memory where nothing is missing."""
        if self.missing.any():
            return self
        return replace(self, missing=np.broadcast_to(np.int8(0), self.missing.shape))

    def filled(self, values: NDArray[Any]) -> Self:
        """Return a column of these values in the same storage, none of them missing."""
        return replace(self, values=values, missing=np.zeros(len(values), dtype=np.int8))

    def blank(self) -> Self:
        """Return the column without rows, nor any memory they are in."""
        nothing = np.empty(0, dtype=self.values.dtype)
        return replace(self, values=nothing, missing=np.empty(0, dtype=np.int8))

    def spell(self) -> list[str]:
        """Return the values as text, for messages."""
        return self.family.spell_stored(self.values, self.tick)

    def markers(self) -> tuple[str, ...]:
        """Return the missing markers that occur."""
        if not self.missing.any():
            return ()
        return tuple(MARKERS[code - 1] for code in np.unique(self.missing) if 0 < code < IMPLIED)

    def to_objects(
        self, missing: Mapping[str, Any], places: int | None = None
    ) -> NDArray[np.object_]:
        """Return Python objects; ``missing`` maps each marker to its object.

        Decimals are rounded to ``places`` digits after the point.
        """
        objects = self.family.to_objects(self.values, self.python_type, places)
        for marker in self.markers():
            objects[self.missing == code_of(marker)] = missing[marker]
        return objects


@dataclass(frozen=True, eq=False)
class StoredTable:
    """A table, column by column.

    Attributes
    ----------
    columns : tuple of StoredColumn
    n_rows : int
    container : {"array", "pandas", "polars"}
    weight : ndarray of float64, shape (n_rows,), optional
        Weight of each row, which is no column; None gives all rows the same weight.
    """

    columns: tuple[StoredColumn, ...]
    n_rows: int
    container: Library = "array"
    weight: NDArray[np.float64] | None = None

    @property
    def mass(self) -> float:
        """Sum of the weights: the number of rows if all weights are equal."""
        return float(self.n_rows if self.weight is None else self.weight.sum())

    def take(self, rows: Any) -> Self:
        """Return some rows, by slice, mask or index."""
        columns = tuple(column.take(rows) for column in self.columns)
        weight = None if self.weight is None else self.weight[rows]
        return replace(self, columns=columns, n_rows=len(columns[0].missing), weight=weight)

    def select(self, columns: Sequence[int]) -> Self:
        """Return some columns, by position."""
        return replace(self, columns=tuple(self.columns[j] for j in columns))


class Faults:
    """Errors of several columns, collected and raised as one."""

    def __init__(self) -> None:
        self.found: list[tuple[str, Exception]] = []

    @contextmanager
    def collect(self, name: str) -> Iterator[None]:
        """Collect an error about a column instead of raising it."""
        try:
            yield
        except (TypeError, ValueError) as error:
            self.found.append((name, error))
        except ArithmeticError as error:  # of a signalling NaN
            refusal = TypeError(f"cells that cannot be compared ({error!r}); replace them")
            self.found.append((name, refusal))

    def raise_any(self) -> None:
        """Raise one error for all that were collected."""
        if not self.found:
            return
        lines = [f"{name!r}: {error}" for name, error in self.found]
        is_type = any(isinstance(error, TypeError) for _, error in self.found)
        raise (TypeError if is_type else ValueError)(
            f"Some columns cannot be read. X may hold {SUPPORTED}.\n  " + "\n  ".join(lines)
        )


def refuse_infinite(columns: Sequence[StoredColumn]) -> None:
    """Raise where numbers are infinite, in scikit-learn's words, naming all such columns."""
    names = [
        column.name
        for column in columns
        if column.values.dtype.kind == "f" and np.isinf(column.values[column.present]).any()
    ]
    if names:
        raise ValueError(
            "Input X contains infinity or a value too large for dtype('float64').\n"
            f"Columns: {names}. Replace infinities by missing values, or drop those rows."
        )


def code_of(marker: str) -> int:
    """Return the missing code of a marker."""
    return 1 + MARKERS.index(marker)


def with_markers(column: StoredColumn, seen: Sequence[str], held: Sequence[str]) -> StoredColumn:
    """Return a column with markers that the fitted one has.

    Parameters
    ----------
    column : StoredColumn
        Its dtype is another one than that of the fitted column, or holds any marker.
    seen : sequence of str
        Markers of the training rows. Others are replaced by the first of these.
    held : sequence of str
        Markers that the fitted dtype can hold; used where the training rows had none.
    """
    usual = [*seen, *held]
    kept = seen or held
    markers = (m if m in kept or not usual else usual[0] for m in MARKERS)
    codes = np.array([0, *map(code_of, markers)], dtype=np.int8)
    return replace(column, missing=codes[column.missing])


def as_family(column: StoredColumn, fitted: StoredColumn) -> StoredColumn:
    """Return a later ``column`` in the family of the fitted one.

    Raises
    ------
    TypeError
        Where it holds something else.
    """
    came, expected = column.family, fitted.family
    if not column.present.any():
        filler = np.zeros(len(column.values), dtype=fitted.values.dtype)
        return replace(fitted, values=filler, missing=column.missing)
    if expected.reads(came):
        if column.zoned != fitted.zoned:
            raise TypeError(_mismatch(column, fitted, "set or remove its time zone"))
        return column
    values = expected.convert(column.values, column.present, came)
    if values is not None:
        return replace(column, family=expected, values=values)
    remedy = "convert it" if expected.holds_objects else f"convert it to {fitted.dtype}"
    raise TypeError(_mismatch(column, fitted, remedy))


def _mismatch(column: StoredColumn, fitted: StoredColumn, remedy: str) -> str:
    return (
        f"was fitted as {fitted.family.name} ({fitted.dtype}) and came as "
        f"{column.family.name} ({column.dtype}): {remedy}"
    )
