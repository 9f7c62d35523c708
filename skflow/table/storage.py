"""What a column holds, whatever library stored it: values, missing markers, units."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from reprlib import Repr
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from skflow.table.schema import PER_SECOND, seconds_of, spell_date, spell_duration

Family = Literal["number", "boolean", "category", "date", "duration"]
ContainerKind = Literal["array", "pandas", "polars"]

# What may stand where a value is missing. Libraries tell them apart, and so do we.
MARKERS = ("NaN", "NA", "NaT", "None")
SUPPORTED = "numbers, booleans, strings, categories, dates, durations and hashable objects"

# Seconds per tick of NumPy's time units.
TICKS = {
    "D": Fraction(86400),
    "h": Fraction(3600),
    "m": Fraction(60),
    "s": Fraction(1),
    "ms": Fraction(1, 10**3),
    "us": Fraction(1, 10**6),
    "ns": Fraction(1, 10**9),
}


brief = Repr()
brief.maxstring = brief.maxother = 60  # characters of a value in a message


@dataclass(frozen=True, eq=False)
class StoredColumn:
    """One column, read out of its container.

    Attributes
    ----------
    name : str
    dtype : str
        As the container spells it.
    family : {"number", "boolean", "category", "date", "duration"}
    values : ndarray of shape (n_rows,)
        Integers and floats in their own width, booleans, Python objects for
        categories, ticks (int64) for dates and durations. Where a value is missing
        there is some filler.
    missing : ndarray of int8
        0 where there is a value, else 1 + index into ``MARKERS``.
    categories : tuple, default=None
        The declared ones, in their order; None where the dtype declares none.
    tick : Fraction
        Seconds per tick of dates and durations, exactly; 1 for others.
    cell : type, default=None
        Python type of the numbers, where they are Python objects.
    zoned : bool
        Whether dates are instants, of a time zone.
    rounded : bool
        Whether some of the numbers have more digits than ``values`` could take.
    """

    name: str
    dtype: str
    family: Family
    values: NDArray[Any]
    missing: NDArray[np.int8]
    categories: tuple[Hashable, ...] | None = None
    tick: Fraction = field(default=Fraction(1))
    cell: type | None = None
    zoned: bool = False
    rounded: bool = False

    @property
    def present(self) -> NDArray[np.bool_]:
        """Where there is a value."""
        return self.missing == 0

    def take(self, rows: Any) -> Self:
        """Return some rows, by slice, mask or index."""
        return replace(self, values=self.values[rows], missing=self.missing[rows])

    def compact(self) -> Self:
        """Return the column with markers that take no memory where nothing is missing."""
        if self.missing.any():
            return self
        return replace(self, missing=np.broadcast_to(np.int8(0), self.missing.shape))

    def blank(self) -> Self:
        """Return the column without rows, nor any memory they are in."""
        nothing = np.empty(0, dtype=self.values.dtype)
        return replace(self, values=nothing, missing=np.empty(0, dtype=np.int8))

    def spell(self) -> list[str]:
        """Return the values as text, for messages."""
        if self.family not in ("date", "duration"):
            return [brief.repr(value) for value in self.values.tolist()]
        tick = int(self.tick * PER_SECOND)
        seconds = [seconds_of(tick * value) for value in self.values.tolist()]
        return [spell_date(x) if self.family == "date" else spell_duration(x) for x in seconds]

    def markers(self) -> tuple[str, ...]:
        """Return the missing markers that occur."""
        return tuple(MARKERS[code - 1] for code in np.unique(self.missing) if code)

    def to_objects(
        self, missing: Mapping[str, Any], places: int | None = None
    ) -> NDArray[np.object_]:
        """Return Python objects, with what ``missing`` gives for each marker.

        Decimals are rounded to so many ``places``.
        """
        if self.family == "category":
            objects = self.values.copy()
        elif self.family == "number":
            objects = as_objects(objects_of_numbers(self.values, self.cell, places))
        else:
            objects = as_objects(self.values.tolist())
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
    """

    columns: tuple[StoredColumn, ...]
    n_rows: int
    container: ContainerKind = "array"

    def take(self, rows: Any) -> Self:
        """Return some rows, by slice, mask or index."""
        columns = tuple(column.take(rows) for column in self.columns)
        return replace(self, columns=columns, n_rows=len(columns[0].missing))


class Faults:
    """What is wrong with columns, raised at once."""

    def __init__(self) -> None:
        self.found: list[tuple[str, Exception]] = []

    @contextmanager
    def collect(self, name: str) -> Iterator[None]:
        """Note an error about a column instead of raising it."""
        try:
            yield
        except (TypeError, ValueError) as error:
            self.found.append((name, error))
        except ArithmeticError as error:  # of a signalling NaN
            refusal = TypeError(f"cells that cannot be compared ({error!r}); replace them")
            self.found.append((name, refusal))

    def raise_any(self) -> None:
        """Raise one error for all that were noted."""
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


def keys_of(values: Iterable[Any]) -> list[Hashable]:
    """Return what tells categories apart: 1, True, 1.0 and "1" are four."""
    return [value if type(value) is str else (type(value), value) for value in values]


def plain_object(value: Any) -> Any:
    """Return a NumPy scalar as the Python object it stands for."""
    if isinstance(value, np.generic) and value.dtype.kind in "biufUS":
        return value.item()
    return value


def plain_objects(values: NDArray[Any]) -> NDArray[np.object_]:
    """Return an object array of plain Python objects."""
    return as_objects([plain_object(value) for value in values.tolist()])


def as_objects(values: Sequence[Any]) -> NDArray[np.object_]:
    """Return an object array of one dimension, whatever the objects are."""
    # Filled by an iterator: a sequence among them would be unpacked by np.array.
    return np.fromiter(values, dtype=object, count=len(values))


def numbers_of_objects(values: NDArray[Any]) -> NDArray[Any]:
    """Return Python numbers as int64 where they fit, else as uint64, else as float64."""
    if all(isinstance(value, int | np.integer) for value in values):
        for dtype in (np.int64, np.uint64):
            try:
                return values.astype(dtype)
            except OverflowError:
                continue
    try:
        return values.astype(np.float64)
    except OverflowError:
        raise ValueError("a value too large for dtype('float64')") from None


def are_rounded(numbers: NDArray[Any], cells: Iterable[Any]) -> bool:
    """Say whether some Python numbers have more digits than the numbers that were read."""
    pairs = zip(numbers.tolist(), cells, strict=True)
    # As decimals are read: 0.1 is the Decimal of one digit.
    return any(
        Decimal(repr(number)) != cell if isinstance(cell, Decimal) else number != cell
        for number, cell in pairs
    )


def objects_of_numbers(
    values: NDArray[Any], cell: type | None, places: int | None = None
) -> list[Any]:
    """Return numbers as Python objects of type ``cell``, Decimals of so many places."""
    numbers = values.tolist()
    if cell is Decimal:
        rounded = numbers if places is None else [round(number, places) for number in numbers]
        return [Decimal(repr(number)) for number in rounded]
    return numbers if cell is None else [cell(number) for number in numbers]


def code_of(marker: str) -> int:
    """Return the missing code of a marker."""
    return 1 + MARKERS.index(marker)


def with_markers(column: StoredColumn, seen: Sequence[str], held: Sequence[str]) -> StoredColumn:
    """Spell missing values of another dtype as the fitted one does.

    Where theirs was not ``seen`` at fit, it is the first that was; else the first that
    the fitted dtype can have ``held``.
    """
    usual = [*seen, *held]
    kept = seen or held
    markers = (m if m in kept or not usual else usual[0] for m in MARKERS)
    codes = np.array([0, *map(code_of, markers)], dtype=np.int8)
    return replace(column, missing=codes[column.missing])


def as_family(column: StoredColumn, fitted: StoredColumn) -> StoredColumn:
    """Return a later ``column`` as what it was taken for when it was fitted.

    Raises
    ------
    TypeError
        Where it holds something else.
    """
    came, expected = column.family, fitted.family
    numeric = {"number", "boolean"}
    if not column.present.any():
        filler = np.zeros(len(column.values), dtype=fitted.values.dtype)
        return replace(fitted, values=filler, missing=column.missing)
    if came == expected == "date" and column.zoned != fitted.zoned:
        raise TypeError(_mismatch(column, fitted, "set or remove its time zone"))
    if came == expected or {came, expected} == numeric:
        return column
    if expected == "category" and came in numeric:
        return replace(column, family="category", values=plain_objects(column.values))
    objects = column.values[column.present]
    if expected == "boolean" and all(type(value) is bool for value in objects):
        booleans = np.zeros(len(column.values), dtype=bool)
        booleans[column.present] = objects
        return replace(column, family="boolean", values=booleans)
    remedy = "convert it" if expected == "category" else f"convert it to {fitted.dtype}"
    raise TypeError(_mismatch(column, fitted, remedy))


def _mismatch(column: StoredColumn, fitted: StoredColumn, remedy: str) -> str:
    return (
        f"was fitted as {fitted.family} ({fitted.dtype}) and came as "
        f"{column.family} ({column.dtype}): {remedy}"
    )
