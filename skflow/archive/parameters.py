"""Parameters of estimators as JSON and back: whatever a user may have given."""

import os
import reprlib
from typing import Any

import numpy as np
import torch

from skflow.archive.cells import pack_cell, unpack_cell
from skflow.archive.columns import pack_schema, unpack_schema
from skflow.archive.fields import Fields
from skflow.exceptions import ModelFileError
from skflow.table.objects import plain_object
from skflow.table.schema import Schema

STATE = ("MT19937", 624)  # NumPy's generator behind RandomState, and the words of its state


def pack_parameter(value: Any) -> Any:
    """Return the value of a parameter.

    Raises
    ------
    TypeError
        Where it is of a type that a file cannot hold.
    """
    match value:
        case None:
            return None
        case Schema():
            return {"schema": [pack_schema(column) for column in value.columns]}
        case dict():
            pairs = value.items()
            return {
                "dict": [[pack_cell(_plain(key)), pack_parameter(inside)] for key, inside in pairs]
            }
        case list():
            return {"list": [pack_parameter(item) for item in value]}
        case torch.device():
            return {"device": str(value)}
        case np.random.RandomState():
            return {"random_state": _pack_state(value)}
        case os.PathLike():
            return os.fspath(value)
    plain = _plain(value)
    if not isinstance(plain, np.generic) and hasattr(plain, "__array__"):
        return {"array": [pack_parameter(item) for item in np.asarray(plain).tolist()]}
    return pack_cell(plain)


def _plain(value: Any) -> Any:
    """Return NumPy's scalars, and those within tuples, as the Python objects they stand for."""
    if type(value) is tuple:
        return tuple(map(_plain, value))
    return plain_object(value)


def unpack_parameter(packed: Any) -> Any:
    """Return the value that :func:`pack_parameter` was given; arrays as arrays of objects."""
    if packed is None:
        return None
    if type(packed) is not dict or len(packed) != 1:
        return unpack_cell(packed)
    ((kind, inside),) = packed.items()
    match kind:
        case "schema":
            columns = Fields({"columns": inside}, "schema").objects("columns")
            return Schema(tuple(unpack_schema(column) for column in columns))
        case "dict":
            return {unpack_cell(key): unpack_parameter(value) for key, value in inside}
        case "list":
            return [unpack_parameter(item) for item in inside]
        case "array":
            return np.array([unpack_parameter(item) for item in inside], dtype=object)
        case "device":
            return unpack_device(inside)
        case "random_state":
            return _unpack_state(Fields(inside, "random_state"))
    return unpack_cell(packed)


def unpack_device(name: Any) -> torch.device:
    """Return a device, whether or not it is there; no other spelling of one is read."""
    if type(name) is not str or str(device := torch.device(name)) != name:
        raise ModelFileError(f"{reprlib.repr(name)} is no device.")
    return device


def _pack_state(random_state: np.random.RandomState) -> dict[str, Any]:
    name, words, place, has_gauss, gauss = random_state.get_state()
    if name != STATE[0]:
        raise TypeError(f"A model file cannot hold a RandomState of {name}; give an integer.")
    return {
        "words": np.asarray(words).tolist(),
        "place": place,
        "has_gauss": has_gauss,
        "gauss": gauss,
    }


def _unpack_state(fields: Fields) -> np.random.RandomState:
    with fields:
        words = fields.integers("words", 0, 2**32 - 1)
        if len(words) != STATE[1]:
            raise ModelFileError(f"random_state must be of {STATE[1]} words; it has {len(words)}.")
        random_state = np.random.RandomState()
        random_state.set_state(
            (
                STATE[0],
                np.array(words, dtype=np.uint32),
                fields.integer("place", 0, STATE[1]),
                fields.integer("has_gauss", 0, 1),
                fields.number("gauss"),
            )
        )
        return random_state
