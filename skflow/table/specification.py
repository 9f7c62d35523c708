"""The specification of one column: what kinds and codecs depend on."""

from dataclasses import dataclass, field
from typing import Any, TypeVar

from skflow.table.units import Number


@dataclass(frozen=True)
class ColumnSpecification:
    """Fields of a :class:`~skflow.table.schema.ColumnSchema`, which documents them."""

    name: str
    dtype: str = field(compare=False)
    kind: str
    levels: tuple[Any, ...] = ()
    missing: tuple[str, ...] = ()
    atoms: tuple[Number, ...] = ()
    step: Number | None = None
    rounding: tuple[Number, ...] = ()
    low: Number | None = None
    high: Number | None = None
    family: str = field(default="number", compare=False)
    n_left_out: int = field(default=0, compare=False)
    is_given: bool = False
    is_implied: bool = False
    n_not_implied: int = field(default=0, compare=False)


Specification = TypeVar("Specification", bound=ColumnSpecification)
