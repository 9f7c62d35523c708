"""Numbers on no grid."""

from skflow.table.distinct import Distinct
from skflow.table.kinds.kind import NumberKind
from skflow.table.specification import ColumnSpecification
from skflow.table.storage import StoredColumn
from skflow.table.summary import ColumnSummary
from skflow.table.units import Number


class Continuous(NumberKind):
    """Other numbers. An option that names this kind excludes atoms."""

    name = "continuous"
    counts_integers = False

    def applies(self, summary: ColumnSummary) -> bool:
        """Whether the column holds numbers: always, where this rule is reached."""
        return True

    def _step(self, name: str, distinct: Distinct) -> Number | None:
        return None

    def _atoms(
        self,
        distinct: Distinct,
        step: Number | None,
        rounding: tuple[Number, ...],
        *,
        is_chosen: bool,
    ) -> tuple[Number, ...]:
        return () if is_chosen else super()._atoms(distinct, step, rounding, is_chosen=is_chosen)

    def loses_digits(self, column: StoredColumn, schema: ColumnSpecification) -> bool:
        """Whether the values are integers."""
        return column.values.dtype.kind in "iu"
