"""Python objects as cells: plain types, identity, numbers among them."""

from collections.abc import Hashable, Iterable, Sequence
from decimal import Decimal
from reprlib import Repr
from typing import Any

import numpy as np
from numpy.typing import NDArray

brief = Repr()
brief.maxstring = brief.maxother = 60  # characters of a value in a message


def keys_of(values: Iterable[Any]) -> list[Hashable]:
    """Return the identity of each category: 1, True, 1.0 and "1" are four."""
    return [value if type(value) is str else (type(value), value) for value in values]


def plain_object(value: Any) -> Any:
    """Return a NumPy scalar as the Python object that equals it; others as they are."""
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
    """Whether some Python numbers have more digits than the numbers they were read as."""
    pairs = zip(numbers.tolist(), cells, strict=True)
    # As decimals are read: 0.1 is the Decimal of one digit.
    return any(
        Decimal(repr(number)) != cell if isinstance(cell, Decimal) else number != cell
        for number, cell in pairs
    )


def objects_of_numbers(
    values: NDArray[Any], python_type: type | None, places: int | None = None
) -> list[Any]:
    """Return numbers as Python objects of a type; Decimals rounded to ``places`` digits."""
    numbers = values.tolist()
    if python_type is Decimal:
        rounded = numbers if places is None else [round(number, places) for number in numbers]
        return [Decimal(repr(number)) for number in rounded]
    return numbers if python_type is None else [python_type(number) for number in numbers]
