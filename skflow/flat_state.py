"""Flat dictionaries of arrays or numbers, whose names begin with those of their parts."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def prefixed(prefix: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of a part under names that begin with its own."""
    return {f"{prefix}.{name}": value for name, value in state.items()}


def take_prefixed(prefix: str, state: dict[str, Any]) -> dict[str, Any]:
    """Remove the state of a part and return it, under the rest of its names."""
    names = [name for name in state if name.startswith(f"{prefix}.")]
    return {name.removeprefix(f"{prefix}."): state.pop(name) for name in names}
