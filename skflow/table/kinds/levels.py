"""Few numbers, each in many rows."""

from skflow.table.distinct import Distinct
from skflow.table.kinds.kind import LevelKind
from skflow.table.rules import are_graded, are_levels
from skflow.table.specification import ColumnSpecification
from skflow.table.summary import ColumnSummary


class Levels(LevelKind):
    """Numbers as events: few, each in 20 rows on average. Truth values as well."""

    name = "levels"
    families = ("number", "boolean")

    def applies(self, draft: ColumnSpecification, summary: ColumnSummary) -> bool:
        """Whether few numbers occur, and next to none of them once."""
        # A condition has values beside labels, whatever its levels.
        return are_levels(summary.distinct) and (draft.is_given or not are_graded(summary.distinct))

    def _refuse_contradiction(self, name: str, distinct: Distinct) -> None:
        if not (distinct.counts > 1).any():
            raise ValueError(
                f"column_kinds takes column {name!r} for levels, but no value occurs twice. "
                'Name it "continuous", or "categorical".'
            )
