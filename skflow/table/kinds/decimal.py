"""Numbers of a fixed count of decimals."""

from skflow.table.distinct import Distinct
from skflow.table.kinds.kind import NumberKind
from skflow.table.rules import are_whole, find_decimal_step, find_step
from skflow.table.summary import ColumnSummary
from skflow.table.units import Number


class Decimal(NumberKind):
    """Decimals, on a grid of a power of ten."""

    name = "decimal"
    counts_integers = False

    def applies(self, summary: ColumnSummary) -> bool:
        """Whether all numbers lie on a grid coarser than the floats, within 2^40 steps."""
        distinct = summary.distinct
        return not are_whole(distinct) and find_decimal_step(distinct) is not None

    def _step(self, name: str, distinct: Distinct) -> Number | None:
        return find_step(distinct) or self._refuse_grid(name)
