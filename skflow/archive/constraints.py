"""Constraints of a schema as JSON, and back."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import msgspec

from skflow.archive.document import (
    ConstraintFields,
    LinearFields,
    MappingFields,
    ProductFields,
    SchemaFields,
)
from skflow.archive.scalars import pack_scalar, unpack_scalar
from skflow.exceptions import ModelFileError
from skflow.table.constraints.constraint import Constraint
from skflow.table.constraints.mapping import MappingConstraint
from skflow.table.constraints.numeric import LinearConstraint, ProductConstraint

FORMS: dict[type[ConstraintFields], type[Constraint]] = {
    LinearFields: LinearConstraint,
    ProductFields: ProductConstraint,
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


def unpack_constraints(
    packed: Sequence[ConstraintFields], columns: Sequence[SchemaFields]
) -> tuple[Constraint, ...]:
    """Return the constraints of a table, each after those that imply its operands."""
    constraints = tuple(map(unpack_constraint, packed))
    names = {column.name for column in columns if not column.is_given}
    left = [constraint.target for constraint in constraints]
    if sorted(left) != sorted(column.name for column in columns if column.is_implied):
        raise ModelFileError("There must be one constraint for each column that is implied.")
    for constraint in constraints:
        # A target is an operand of later constraints alone, and never its own.
        if not set(constraint.operands) <= names.difference(left):
            raise ModelFileError(f"The operands of {constraint.target!r} must come before it.")
        left.remove(constraint.target)
    return constraints
