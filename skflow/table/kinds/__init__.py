"""Kinds of columns, one file each, in the order of the rules by which they are inferred."""

from skflow.table.kinds.categorical import Categorical
from skflow.table.kinds.clock import Clock
from skflow.table.kinds.constant import Constant
from skflow.table.kinds.continuous import Continuous
from skflow.table.kinds.date import Date
from skflow.table.kinds.decimal import Decimal
from skflow.table.kinds.duration import Duration
from skflow.table.kinds.implied import Implied
from skflow.table.kinds.integer import Integer
from skflow.table.kinds.kind import Kind
from skflow.table.kinds.levels import Levels
from skflow.table.specification import ColumnSpecification

#: The rules of :func:`skflow.table.inference.infer_schema`: the first kind that applies counts.
RULES: tuple[Kind, ...] = (
    Categorical(),
    Constant(),
    Levels(),
    Clock(),
    Integer(),
    Decimal(),
    Continuous(),
    Date(),
    Duration(),
)

#: Kinds by name, which ``column_kinds``, a ``ColumnSpecification`` and files hold.
KINDS: dict[str, Kind] = {kind.name: kind for kind in (*RULES, Implied())}


def kind_of(schema: ColumnSpecification) -> Kind:
    """Return the kind of a column."""
    return KINDS[schema.kind]


def kinds_of(family: str) -> tuple[str, ...]:
    """Return the names of the kinds that a column of a family may have."""
    return tuple(name for name, kind in KINDS.items() if family in kind.families)
