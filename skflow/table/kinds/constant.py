"""One number in all rows."""

from skflow.table.distinct import Distinct
from skflow.table.kinds.kind import LevelKind
from skflow.table.summary import ColumnSummary


class Constant(LevelKind):
    """One number, date or duration."""

    name = "constant"

    def applies(self, summary: ColumnSummary) -> bool:
        """Whether all values are equal."""
        return len(summary.distinct.values) == 1

    def _refuse_contradiction(self, name: str, distinct: Distinct) -> None:
        if len(distinct.values) > 1:
            raise ValueError(
                f"column_kinds takes column {name!r} for constant, but it holds "
                f"{len(distinct.values)} different values."
            )
