"""Numbers that a constraint implies, but for a few rows."""

from typing import NoReturn

from skflow.table.distinct import Distinct
from skflow.table.kinds.kind import LevelKind
from skflow.table.number_codecs import ImpliedCodec
from skflow.table.specification import ColumnSpecification, Specification
from skflow.table.summary import ColumnSummary


class Implied(LevelKind):
    """Numbers that other columns imply; the rows with another number are too few for a density.

    It is the kind of a column after its constraint was found: no rule of inference, no option.
    """

    codec = ImpliedCodec
    name = "implied"
    families = ("number", "date", "duration")

    def applies(self, summary: ColumnSummary) -> bool:
        """Whether the rule holds of a column alone: never."""
        return False

    def specify(self, draft: Specification, summary: ColumnSummary, *, is_chosen: bool) -> NoReturn:
        """Raise: a column becomes one by :meth:`ValueKind.of_target`."""
        self._refuse_contradiction(draft.name, summary.distinct)

    def _refuse_contradiction(self, name: str, distinct: Distinct) -> NoReturn:
        raise ValueError(
            f"column_kinds takes column {name!r} for implied. Constraints make columns so, and no "
            "option does: leave the column out of column_kinds."
        )

    def count_left_out(self, summary: ColumnSummary, schema: ColumnSpecification) -> int:
        """Return 0: numbers that are not implied are no levels."""
        return 0

    def _describe_present(self, schema: ColumnSpecification) -> list[str]:
        others = f", {schema.n_not_implied:,} cells excepted" if schema.n_not_implied else ""
        return [f"implied by other columns{others}"]
