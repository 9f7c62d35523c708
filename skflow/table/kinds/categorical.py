"""Categories: labels without an order."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skflow.table.category_codec import CategoryCodec
from skflow.table.column_codec import ColumnCodec
from skflow.table.kinds.kind import Kind
from skflow.table.number_codecs import NumberCategoryCodec
from skflow.table.specification import ColumnSpecification, Specification
from skflow.table.storage import StoredColumn
from skflow.table.summary import ColumnSummary


class Categorical(Kind):
    """Strings, categories and other objects; other values where an option says so."""

    name = "categorical"
    families = ("number", "boolean", "category", "date", "duration")

    def applies(self, summary: ColumnSummary) -> bool:
        """Whether values are no numbers, or there are none."""
        return summary.column.family.holds_objects or summary.is_empty

    def specify(
        self, draft: Specification, summary: ColumnSummary, *, is_chosen: bool
    ) -> Specification:
        """Return the schema, with all values as levels."""
        summary.refuse_many()
        return replace(draft, kind=self.name, levels=summary.levels)

    def fit(
        self,
        column: StoredColumn,
        schema: ColumnSpecification,
        weight: NDArray[np.float64] | None = None,
    ) -> ColumnCodec:
        """Return a fitted codec, of objects or of numbers."""
        codec, is_counted = self._codec_of(column), self.is_counted(column, schema)
        return codec.fit(column, schema, weight, is_counted=is_counted)

    def restore(
        self, stored: StoredColumn, schema: ColumnSpecification, state: Mapping[str, Any]
    ) -> ColumnCodec:
        """Return the codec of a state, of objects or of numbers."""
        return self._codec_of(stored).restore(stored, schema, state)

    def _codec_of(self, stored: StoredColumn) -> type[ColumnCodec]:
        return CategoryCodec if stored.family.holds_objects else NumberCategoryCodec
