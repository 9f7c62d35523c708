"""Constraints: columns that other columns determine exactly, in nearly all rows.

``fit`` finds them, and ``schema_.constraints`` holds them. They may also be written by hand, for
the parameter ``constraints`` of :class:`~skflow.FlowDensity`.
"""

from skflow.table.constraints.constraint import Constraint
from skflow.table.constraints.mapping import MappingConstraint
from skflow.table.constraints.numeric import LinearConstraint, ProductConstraint
from skflow.table.constraints.part import PartConstraint

__all__ = [
    "Constraint",
    "LinearConstraint",
    "MappingConstraint",
    "PartConstraint",
    "ProductConstraint",
]
