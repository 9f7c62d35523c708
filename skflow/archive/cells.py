"""Single values, such as categories, as JSON and back: equal, and of the same type.

Texts, truth values, whole numbers and finite floats are JSON's own, which tells 1 from 1.0.
Whatever else there is becomes an object of one key, which names its type.
"""

import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pandas as pd

from skflow.table.storage import plain_object

PLAIN = (str, bool, int, float)


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
    if kind in PLAIN and not (kind is float and not math.isfinite(value)):
        return value
    for name, spelling in SPELLINGS.items():
        if kind is spelling.kind:
            return {name: spelling.pack(value)}
    raise TypeError(
        f"A model file cannot hold {value!r}, of type {kind.__module__}.{kind.__qualname__}. Turn "
        "such values into texts before fitting, or save the model with joblib.dump."
    )


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
        raise ValueError(f"{packed!r} is no value")
    ((name, inside),) = packed.items()
    if name not in SPELLINGS:
        raise ValueError(f"{name!r} is no type of value")
    kind, _, unpack = SPELLINGS[name]
    value = unpack(inside)
    if type(value) is not kind:
        raise ValueError(f"{packed!r} is no {name}")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"{value!r} is no text")
    return value


def _count(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} is no whole number")
    return value


def _of_text(read: Callable[[str], Any]) -> Callable[[Any], Any]:
    return lambda packed: read(_text(packed))


def _pack_numpy_time(value: Any) -> list[Any]:
    return [value.dtype.str, int(value.astype(np.int64))]


def _unpack_numpy_time(kind: str) -> Callable[[Any], Any]:
    def unpack(packed: Any) -> Any:
        dtype, count = packed
        if not _text(dtype).lstrip("<>=").startswith(f"{kind}8"):
            raise ValueError(f"{dtype!r} is no dtype of times")
        return np.array(_count(count)).astype(np.dtype(dtype))[()]

    return unpack


def _pack_timestamp(value: pd.Timestamp) -> list[Any]:
    return [
        value.asm8.astype(np.int64).item(),
        value.unit,
        None if value.tz is None else _zone(value),
    ]


def _zone(value: pd.Timestamp) -> str:
    name = str(value.tz)
    if pd.Timestamp(0, tz=name).tz != value.tz:
        raise TypeError(f"A model file cannot hold the time zone {value.tz!r}; convert it to UTC.")
    return name


def _unpack_timestamp(packed: Any) -> pd.Timestamp:
    count, unit, zone = packed
    naive = pd.Timestamp(np.datetime64(_count(count), _unit(unit)))
    return naive if zone is None else naive.tz_localize("UTC").tz_convert(_text(zone))


def _unpack_timedelta(packed: Any) -> pd.Timedelta:
    count, unit = packed
    return pd.Timedelta(np.timedelta64(_count(count), _unit(unit)))


def _unit(unit: Any) -> Any:
    if unit not in ("s", "ms", "us", "ns"):
        raise ValueError(f"{unit!r} is no unit of times")
    return unit


def _unpack_interval(packed: Any) -> pd.Interval:
    left, right, closed = packed
    return pd.Interval(unpack_cell(left), unpack_cell(right), closed)


SPELLINGS = {
    "float": _Spelling(float, repr, _of_text(float)),  # what is not finite
    "none": _Spelling(type(None), lambda value: 0, lambda packed: None),
    "decimal": _Spelling(Decimal, str, _of_text(Decimal)),
    "fraction": _Spelling(Fraction, str, _of_text(Fraction)),
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
        lambda packed: tuple(unpack_cell(value) for value in packed),
    ),
    "frozenset": _Spelling(
        frozenset,
        lambda values: sorted((pack_cell(value) for value in values), key=repr),
        lambda packed: frozenset(unpack_cell(value) for value in packed),
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
