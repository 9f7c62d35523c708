"""Single values, such as categories, as JSON and back: equal, and of the same type.

Strings, booleans, integers, finite floats and None are JSON's own, in which 1 is not 1.0. Another
value becomes an object of one key, the name of its type. A value that a model file cannot hold is a
TypeError; JSON of no value is one of the errors that a reader expects.
"""

import math
import re
import reprlib
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import numpy as np
import pandas as pd

from skflow.table.objects import plain_object

PLAIN = (str, bool, int, float, type(None))
MAX_BITS = 10_000  # of an integer; Python reads no more than 4300 digits of a text
NUMPY_TIME = re.compile(r"[<>][Mm]8(\[\d{0,9}(Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?")
ZONE = re.compile(r"[A-Za-z][\w+-]*(/[\w+-]+)*|[A-Za-z]*[+-]\d\d:\d\d")


class _Spelling(NamedTuple):
    kind: type
    pack: Callable[[Any], Any]
    unpack: Callable[[Any], Any]


def pack_scalar(value: Any) -> Any:
    """Return a value as JSON."""
    kind = type(value)
    is_wide = kind is int and value.bit_length() > MAX_BITS
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


def _comes_back(value: Any, spelling: _Spelling) -> bool:
    """Return whether the spelling loses nothing, such as the name of a time's zone."""
    if spelling.kind is tuple:
        return True  # each item is checked by itself
    try:
        back = spelling.unpack(spelling.pack(value))
        return bool(back == value) or repr(back) == repr(value)  # NaN is not its own equal
    except (ValueError, ArithmeticError, LookupError, RuntimeError):
        return False


def unpack_scalar(packed: Any) -> Any:
    """Return the value of :func:`pack_scalar`."""
    if type(packed) in PLAIN:
        return packed
    if type(packed) is not dict or len(packed) != 1:
        raise ValueError(f"{shorten(packed)} is no value")
    ((name, inside),) = packed.items()
    kind, pack, unpack = SPELLINGS[name]
    value = unpack(inside)
    # One value, one spelling: whatever else its constructor understands was never written.
    if type(value) is not kind or pack(value) != inside:
        raise ValueError(f"{shorten(packed)} is no {name}")
    return value


def shorten(value: Any) -> str:
    """Return a bounded representation for messages, in bounded time."""
    text = reprlib.repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def check_zone(name: Any) -> str:
    """Return the name of a time zone that is known here."""
    if not ZONE.fullmatch(name):
        raise ValueError(f"{shorten(name)} is no time zone")
    try:
        pd.Timestamp(0, tz=name)
    except (LookupError, OSError, ValueError) as error:
        raise ValueError(f"{shorten(name)} is no time zone that is known here") from error
    return str(name)


def pack_zone(zone: Any) -> str:
    """Return the name of a time zone, where the zone is the one of its name."""
    try:
        name = check_zone(str(zone))
    except ValueError:
        name = ""
    # As dtypes: pytz, which pandas 2 takes, has other objects for the same zone.
    if not name or pd.DatetimeTZDtype("ns", name) != pd.DatetimeTZDtype("ns", zone):
        raise TypeError(f"A model file cannot hold the time zone {zone!r}; convert it to UTC.")
    return name


def _pack_numpy_time(value: Any) -> list[Any]:
    return [value.dtype.str, int(value.astype(np.int64))]


def _unpack_numpy_time(packed: Any) -> Any:
    dtype, count = packed
    if not NUMPY_TIME.fullmatch(dtype):
        raise ValueError(f"{shorten(dtype)} is no dtype of times")
    return np.array(int(count)).astype(np.dtype(dtype))[()]


def _unpack_timestamp(packed: Any) -> pd.Timestamp:
    *time, zone = packed
    naive = pd.Timestamp(_unpack_numpy_time(time))
    return naive if zone is None else naive.tz_localize("UTC").tz_convert(check_zone(zone))


SPELLINGS = {
    "float": _Spelling(float, repr, float),  # what is not finite
    **{
        kind.__name__: _Spelling(kind, msgspec.to_builtins, partial(msgspec.convert, type=kind))
        for kind in (bytes, Decimal, UUID, date, datetime, time, timedelta)
    },
    "tuple": _Spelling(
        tuple,
        lambda values: [pack_scalar(value) for value in values],
        lambda packed: tuple(unpack_scalar(value) for value in packed),
    ),
    "datetime64": _Spelling(np.datetime64, _pack_numpy_time, _unpack_numpy_time),
    "timedelta64": _Spelling(np.timedelta64, _pack_numpy_time, _unpack_numpy_time),
    "Timestamp": _Spelling(
        pd.Timestamp,
        lambda value: [*_pack_numpy_time(value.asm8), value.tz and pack_zone(value.tz)],
        _unpack_timestamp,
    ),
    "Timedelta": _Spelling(
        pd.Timedelta,
        lambda value: _pack_numpy_time(value.asm8),
        lambda packed: pd.Timedelta(_unpack_numpy_time(packed)),
    ),
    "Interval": _Spelling(
        pd.Interval,
        lambda value: [
            *(pack_scalar(plain_object(end)) for end in (value.left, value.right)),
            value.closed,
        ],
        lambda packed: pd.Interval(*map(unpack_scalar, packed)),
    ),
}
