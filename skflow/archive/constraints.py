"""Constraints of a schema as JSON, and back."""

from dataclasses import asdict
from typing import Any

import msgspec

from skflow.archive.document import (
    ConstraintFields,
    LinearFields,
    MappingFields,
    PartFields,
    ProductFields,
)
from skflow.archive.scalars import pack_scalar, unpack_scalar
from skflow.table.constraints.constraint import Constraint
from skflow.table.constraints.mapping import MappingConstraint
from skflow.table.constraints.numeric import LinearConstraint, ProductConstraint
from skflow.table.constraints.part import PartConstraint

FORMS: dict[type[ConstraintFields], type[Constraint]] = {
    LinearFields: LinearConstraint,
    ProductFields: ProductConstraint,
    PartFields: PartConstraint,
    MappingFields: MappingConstraint,
}


def pack_constraint(constraint: Constraint) -> dict[str, Any]:
    """Return a constraint; TypeError where a file cannot hold a value of a mapping."""
    fields = next(own for own, form in FORMS.items() if type(constraint) is form)
    packed: dict[str, Any] = asdict(constraint)  # type: ignore[call-overload]
    if isinstance(constraint, MappingConstraint):
        packed["pairs"] = [[pack_scalar(value) for value in pair] for pair in constraint.pairs]
    return {"form": fields.__struct_config__.tag, **packed}


def unpack_constraint(fields: ConstraintFields) -> Constraint:
    """Return the constraint of :func:`pack_constraint`."""
    values = msgspec.structs.asdict(fields)
    if isinstance(fields, MappingFields):
        values["pairs"] = tuple((unpack_scalar(x), unpack_scalar(y)) for x, y in fields.pairs)
    values = {name: tuple(x) if isinstance(x, list) else x for name, x in values.items()}
    return FORMS[type(fields)](**values)
