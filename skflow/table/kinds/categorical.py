"""Categories: labels without an order."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from skflow.table.category_codec import CategoryCodec
from skflow.table.column_codec import ColumnCodec
from skflow.table.column_schema import ColumnSchema
from skflow.table.kinds.kind import Kind
from skflow.table.number_codecs import NumberCategoryCodec
from skflow.table.objects import keys_of
from skflow.table.rules import ColumnSummary
from skflow.table.storage import StoredColumn


class Categorical(Kind):
    """Strings, categories and other objects; other values where an option says so."""

    name = "categorical"
    families = ("number", "boolean", "category", "date", "duration")

    def applies(self, summary: ColumnSummary) -> bool:
        """Whether values are no numbers, or there are none."""
        return summary.column.family.holds_objects or summary.is_empty

    def specify(
        self, draft: ColumnSchema, summary: ColumnSummary, *, is_given: bool
    ) -> ColumnSchema:
        """Return the schema, with all values as levels."""
        objects = summary.column.family.holds_objects
        levels = _categories(summary.column) if objects else summary.distinct.numbers(slice(None))
        return replace(draft, kind=self.name, levels=levels)

    def fit(self, column: StoredColumn, schema: ColumnSchema) -> ColumnCodec:
        """Return a fitted codec, of objects or of numbers."""
        if column.family.holds_objects:
            return CategoryCodec.fit(column, schema)
        is_counted = self.is_counted(column, schema)
        return NumberCategoryCodec.fit(column, schema, is_counted=is_counted)

    def restore(
        self, stored: StoredColumn, schema: ColumnSchema, state: Mapping[str, Any]
    ) -> ColumnCodec:
        """Return the codec of a state, of objects or of numbers."""
        codec = CategoryCodec if stored.family.holds_objects else NumberCategoryCodec
        return codec.restore(stored, schema, state)


def _categories(column: StoredColumn) -> tuple[Any, ...]:
    """Return declared categories, else those that occur, by type and then by value."""
    if column.categories is not None:
        return column.categories
    values = column.values[column.present].tolist()
    distinct = dict(zip(keys_of(values), values, strict=True)).values()
    try:
        return tuple(sorted(distinct, key=lambda value: (type(value).__name__, value)))
    except TypeError:  # objects without an order
        return tuple(sorted(distinct, key=lambda value: (type(value).__name__, repr(value))))
