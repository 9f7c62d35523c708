"""Parameters of estimators as JSON and back: whatever a user may have given."""

import os
from typing import Any

import msgspec
import numpy as np
import torch

from skflow.archive.constraints import pack_constraint, unpack_constraint
from skflow.archive.document import AnyConstraint, StateFields, WholeSchemaFields
from skflow.archive.scalars import pack_scalar, shorten, unpack_scalar
from skflow.archive.table import join_schema, pack_schema, unpack_schema
from skflow.exceptions import ModelFileError
from skflow.table.constraints.constraint import Constraint
from skflow.table.objects import plain_object
from skflow.table.schema import Schema

GENERATOR = "MT19937"  # NumPy's generator behind RandomState


def pack_parameter(value: Any) -> Any:
    """Return the value of a parameter; TypeError where it is one that a file cannot hold."""
    match value:
        case Schema():
            of_columns: dict[str, Any] = {
                "columns": [pack_schema(column) for column in value.columns]
            }
            if value.constraints:
                of_columns["constraints"] = list(map(pack_constraint, value.constraints))
            return {"schema": of_columns if value.constraints else of_columns["columns"]}
        case Constraint():
            return {"constraint": pack_constraint(value)}
        case dict():
            pairs = value.items()
            packed = [[pack_scalar(_plain(key)), pack_parameter(inside)] for key, inside in pairs]
            return {"dict": packed}
        case list() | (Constraint(), *_):
            return {"list": [pack_parameter(item) for item in value]}
        case torch.device():
            return {"device": str(value)}
        case np.random.RandomState():
            name, words, place, has_gauss, gauss = value.get_state()
            if name != GENERATOR:
                raise TypeError(
                    f"A model file cannot hold a RandomState of {name}; give an integer."
                )
            state = {"place": place, "has_gauss": has_gauss, "gauss": gauss}
            return {"random_state": {"words": np.asarray(words).tolist(), **state}}
        case os.PathLike():
            return os.fspath(value)
    plain = _plain(value)
    if not isinstance(plain, np.generic) and hasattr(plain, "__array__"):
        return {"array": [pack_parameter(item) for item in np.asarray(plain).tolist()]}
    return pack_scalar(plain)


def _plain(value: Any) -> Any:
    """Return NumPy's scalars, and those within tuples, as the Python objects they stand for."""
    if type(value) is tuple:
        return tuple(map(_plain, value))
    return plain_object(value)


def unpack_parameter(packed: Any) -> Any:
    """Return the value of :func:`pack_parameter`; arrays as arrays of objects."""
    if type(packed) is not dict or len(packed) != 1:
        return unpack_scalar(packed)
    ((kind, inside),) = packed.items()
    match kind:
        case "schema":
            whole = inside if type(inside) is dict else {"columns": inside}
            fields = msgspec.convert(whole, WholeSchemaFields)
            return join_schema(list(map(unpack_schema, fields.columns)), fields.constraints)
        case "constraint":
            return unpack_constraint(msgspec.convert(inside, AnyConstraint))
        case "dict":
            return {unpack_scalar(key): unpack_parameter(value) for key, value in inside}
        case "list":
            return [unpack_parameter(item) for item in inside]
        case "array":
            return np.array([unpack_parameter(item) for item in inside], dtype=object)
        case "device":
            return unpack_device(inside)
        case "random_state":
            state = msgspec.convert(inside, StateFields)
            words = np.array(state.words, dtype=np.uint32)
            random_state = np.random.RandomState()
            random_state.set_state((GENERATOR, words, state.place, state.has_gauss, state.gauss))
            return random_state
    return unpack_scalar(packed)


def unpack_device(name: Any) -> torch.device:
    """Return a device, whether or not it is there; no other spelling of one is read."""
    if type(name) is not str or str(device := torch.device(name)) != name:
        raise ModelFileError(f"{shorten(name)} is no device.")
    return device
