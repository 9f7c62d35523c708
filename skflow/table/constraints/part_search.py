"""Search for columns that are a part of a time of day in another column."""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import get_args

from skflow.table.constraints.evidence import MOST_BROKEN, share_broken
from skflow.table.constraints.linear_search import Columns
from skflow.table.constraints.part import Part, PartConstraint
from skflow.table.constraints.quantities import Quantity


def find_parts(quantities: Sequence[Quantity], columns: Columns) -> Iterator[PartConstraint]:
    """Yield columns that are the hour or the minute of another one."""
    clocks = [quantity for quantity in quantities if quantity.is_clock]
    others = [quantity for quantity in quantities if not quantity.is_clock and not quantity.is_date]
    for clock, other, part in product(clocks, others, get_args(Part)):
        constraint = PartConstraint(other.name, (clock.name,), part)
        if share_broken(constraint, columns) <= MOST_BROKEN:
            yield constraint
