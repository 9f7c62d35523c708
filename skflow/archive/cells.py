"""Single values, such as categories, as JSON and back: equal, and of the same type.

Texts, truth values, whole numbers and finite floats are JSON's own, which tells 1 from 1.0.
Whatever else there is becomes an object of one key, which names its type.
"""

import math
import re
import reprlib
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pandas as pd

from skflow.table.objects import plain_object

PLAIN = (str, bool, int, float)
MOST_BITS = 10_000  # of a whole number; Python reads no more than 4300 digits of a text
FRACTION = re.compile(r"-?\d+(/\d+)?")  # Python's own would take 1e999999999, and compute it
NUMPY_TIME = re.compile(r"[<>][Mm]8(\[\d{0,9}(Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?")
ZONE = re.compile(r"[A-Za-z][\w+-]*(/[\w+-]+)*|[A-Za-z]*[+-]\d\d:\d\d")


class _Spelling(NamedTuple):
    kind: type
    pack: Callable[[Any], Any]
    unpack: Callable[[Any], Any]


def pack_cell(value: Any) -> Any:
    """Return a value as JSON.

    Raises
    ------
    TypeError
        Where it is of a type that a model file cannot hold.
    """
    kind = type(value)
    is_wide = kind is int and value.bit_length() > MOST_BITS
    if kind in PLAIN and not is_wide and not (kind is float and not math.isfinite(value)):
        return value
    for name, spelling in SPELLINGS.items():
        if kind is spelling.kind and _comes_back(value, spelling):
            return {name: spelling.pack(value)}
    raise TypeError(
        f"A model file cannot hold {reprlib.repr(value)}, of type "
        f"{kind.__module__}.{kind.__qualname__}. Turn such values into texts before fitting, or "
        "save the model with joblib.dump."
    )


def _comes_back(value: Any, spelling: "_Spelling") -> bool:
    """Say whether a value is all that its spelling says; times of named zones are more."""
    if spelling.kind in (tuple, frozenset):
        return True  # what is inside is asked by itself
    try:
        back = spelling.unpack(spelling.pack(value))
        return bool(back == value) or repr(back) == repr(value)  # NaN is not its own equal
    except (ValueError, ArithmeticError, LookupError, RuntimeError):
        return False


def unpack_cell(packed: Any) -> Any:
    """Return the value that :func:`pack_cell` was given.

    Raises
    ------
    ValueError, TypeError, ArithmeticError
        Where it was given none such.
    """
    if type(packed) in PLAIN:
        return packed
    if type(packed) is not dict or len(packed) != 1:
        raise ValueError(f"{reprlib.repr(packed)} is no value")
    ((name, inside),) = packed.items()
    if name not in SPELLINGS:
        raise ValueError(f"{reprlib.repr(name)} is no type of value")
    kind, pack, unpack = SPELLINGS[name]
    value = unpack(inside)
    # One value, one spelling: whatever else its constructor understands was never written.
    if type(value) is not kind or pack(value) != inside:
        raise ValueError(f"{reprlib.repr(packed)} is no {name}")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"{reprlib.repr(value)} is no text")
    return value


def _count(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{reprlib.repr(value)} is no whole number")
    return value


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise TypeError(f"{reprlib.repr(value)} is no list")
    return value


def _of_text(read: Callable[[str], Any]) -> Callable[[Any], Any]:
    return lambda packed: read(_text(packed))


def _pack_numpy_time(value: Any) -> list[Any]:
    return [value.dtype.str, int(value.astype(np.int64))]


def _unpack_numpy_time(kind: str) -> Callable[[Any], Any]:
    def unpack(packed: Any) -> Any:
        dtype, count = packed
        if not NUMPY_TIME.fullmatch(_text(dtype)) or dtype[1] != kind:
            raise ValueError(f"{reprlib.repr(dtype)} is no dtype of times")
        return np.array(_count(count)).astype(np.dtype(dtype))[()]

    return unpack


def _read_fraction(text: str) -> Fraction:
    if not FRACTION.fullmatch(text):
        raise ValueError(f"{reprlib.repr(text)} is no fraction")
    return Fraction(text)


def check_zone(name: Any) -> str:
    """Return the name of a time zone that there is.

    Raises
    ------
    ValueError, TypeError
        Where there is none, here at least.
    """
    if not ZONE.fullmatch(_text(name)):
        raise ValueError(f"{reprlib.repr(name)} is no time zone")
    try:
        pd.Timestamp(0, tz=name)
    except (LookupError, OSError, ValueError) as error:
        raise ValueError(f"{reprlib.repr(name)} is no time zone that is known here") from error
    return str(name)


def _pack_timestamp(value: pd.Timestamp) -> list[Any]:
    return [
        value.asm8.astype(np.int64).item(),
        value.unit,
        None if value.tz is None else _zone(value),
    ]


def _zone(value: pd.Timestamp) -> str:
    try:
        name = check_zone(str(value.tz))
    except ValueError:
        name = ""
    if not name or pd.Timestamp(0, tz=name).tz != value.tz:
        raise TypeError(f"A model file cannot hold the time zone {value.tz!r}; convert it to UTC.")
    return name


def _unpack_timestamp(packed: Any) -> pd.Timestamp:
    count, unit, zone = packed
    naive = pd.Timestamp(np.datetime64(_count(count), _unit(unit)))
    return naive if zone is None else naive.tz_localize("UTC").tz_convert(check_zone(zone))


def _unpack_timedelta(packed: Any) -> pd.Timedelta:
    count, unit = packed
    return pd.Timedelta(np.timedelta64(_count(count), _unit(unit)))


def _unit(unit: Any) -> Any:
    if unit not in ("s", "ms", "us", "ns"):
        raise ValueError(f"{reprlib.repr(unit)} is no unit of times")
    return unit


def _unpack_interval(packed: Any) -> pd.Interval:
    left, right, closed = packed
    return pd.Interval(unpack_cell(left), unpack_cell(right), closed)


SPELLINGS = {
    "float": _Spelling(float, repr, _of_text(float)),  # what is not finite
    "none": _Spelling(type(None), lambda value: 0, lambda packed: None),
    "decimal": _Spelling(Decimal, str, _of_text(Decimal)),
    "fraction": _Spelling(Fraction, str, _of_text(_read_fraction)),
    "bytes": _Spelling(bytes, bytes.hex, _of_text(bytes.fromhex)),
    "uuid": _Spelling(UUID, str, _of_text(UUID)),
    "date": _Spelling(date, date.isoformat, _of_text(date.fromisoformat)),
    "datetime": _Spelling(datetime, datetime.isoformat, _of_text(datetime.fromisoformat)),
    "time": _Spelling(time, time.isoformat, _of_text(time.fromisoformat)),
    "timedelta": _Spelling(
        timedelta,
        lambda value: value // timedelta(microseconds=1),
        lambda packed: timedelta(microseconds=_count(packed)),
    ),
    "tuple": _Spelling(
        tuple,
        lambda values: [pack_cell(value) for value in values],
        lambda packed: tuple(unpack_cell(value) for value in _list(packed)),
    ),
    "frozenset": _Spelling(
        frozenset,
        lambda values: sorted((pack_cell(value) for value in values), key=repr),
        lambda packed: frozenset(unpack_cell(value) for value in _list(packed)),
    ),
    "datetime64": _Spelling(np.datetime64, _pack_numpy_time, _unpack_numpy_time("M")),
    "timedelta64": _Spelling(np.timedelta64, _pack_numpy_time, _unpack_numpy_time("m")),
    "Timestamp": _Spelling(pd.Timestamp, _pack_timestamp, _unpack_timestamp),
    "Timedelta": _Spelling(
        pd.Timedelta,
        lambda value: [value.asm8.astype(np.int64).item(), value.unit],
        _unpack_timedelta,
    ),
    "Interval": _Spelling(
        pd.Interval,
        lambda value: [*map(pack_cell, map(plain_object, (value.left, value.right))), value.closed],
        _unpack_interval,
    ),
}
