"""Whole numbers."""

from skflow.table.distinct import Distinct
from skflow.table.kinds.kind import NumberKind
from skflow.table.rules import are_whole, find_whole_step
from skflow.table.summary import ColumnSummary
from skflow.table.units import Number


class Integer(NumberKind):
    """Whole numbers, on a grid of step 1 or a power of ten."""

    name = "integer"
    may_be_codes = True

    def applies(self, summary: ColumnSummary) -> bool:
        """Whether all numbers are whole, within 2^40 steps."""
        return are_whole(summary.distinct) and find_whole_step(summary.distinct) is not None

    def _step(self, name: str, distinct: Distinct) -> Number | None:
        step = find_whole_step(distinct) if are_whole(distinct) else None
        return step or self._refuse_grid(name)
