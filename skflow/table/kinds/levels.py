"""Few numbers, each in many rows."""

from skflow.table.distinct import Distinct
from skflow.table.kinds.kind import LevelKind
from skflow.table.rules import are_levels
from skflow.table.summary import ColumnSummary


class Levels(LevelKind):
    """Numbers as events: at most 64, each in 20 rows on average. Truth values as well."""

    name = "levels"
    families = ("number", "boolean")

    def applies(self, summary: ColumnSummary) -> bool:
        """Whether few numbers occur, and next to none of them once."""
        return are_levels(summary.distinct)

    def _refuse_contradiction(self, name: str, distinct: Distinct) -> None:
        if not (distinct.counts > 1).any():
            raise ValueError(
                f"column_kinds takes column {name!r} for levels, but no value occurs twice. "
                'Name it "continuous", or "categorical".'
            )
