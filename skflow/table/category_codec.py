"""The codec of Python objects as categories: labels alone."""

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any, Self

import numpy as np

from skflow.table.column_codec import (
    MIN_PROBABILITY,
    ColumnCodec,
    EncodedColumn,
    FloatArray,
    LabelArray,
    LabelSet,
    good_turing,
    rarest_labels,
)
from skflow.table.objects import as_objects, keys_of
from skflow.table.specification import ColumnSpecification
from skflow.table.storage import StoredColumn
from skflow.table.vocabularies import strange_labels


class CategoryCodec(ColumnCodec):
    """Categories, looked up among the levels of the schema."""

    scale = math.nan

    def __init__(
        self, stored: StoredColumn, schema: ColumnSpecification, unseen: float, rarest: LabelArray
    ) -> None:
        labels = LabelSet(len(schema.levels), 0, schema.missing, schema.is_implied)
        super().__init__(stored, labels, unseen, rarest)
        self.levels = as_objects(schema.levels)
        self._label_of = _index(schema.levels)

    def __getstate__(self) -> dict[str, Any]:
        # skops stores no dict whose keys are tuples.
        return {name: value for name, value in vars(self).items() if name != "_label_of"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _label_of=_index(state["levels"].tolist()))

    @classmethod
    def fit(
        cls,
        column: StoredColumn,
        schema: ColumnSpecification,
        weight: FloatArray | None = None,
        *,
        is_counted: bool,
    ) -> Self:
        """Count the categories of the training rows; objects are never counted from an origin."""
        codec = cls(column, schema, MIN_PROBABILITY, np.zeros(1, dtype=np.int64))
        labels = codec.encode(column).labels
        keys = keys_of(column.values[column.present].tolist())
        repeats = Counter(keys)
        is_single = np.array([repeats[key] == 1 for key in keys], dtype=bool)
        codec.unseen = good_turing(is_single, column.present, weight)
        codec.rarest = rarest_labels(labels, codec.labels)
        return codec

    @classmethod
    def restore(
        cls, stored: StoredColumn, schema: ColumnSpecification, state: Mapping[str, Any]
    ) -> Self:
        """Return the codec whose state is given."""
        return cls(stored, schema, state["unseen"], np.array(state["rarest"], dtype=np.int64))

    def encode(self, column: StoredColumn) -> EncodedColumn:
        """Look categories up."""
        labels = self.labels.of_missing(column.missing)
        keys = keys_of(column.values[column.present].tolist())
        never = repeat(self.labels.n_labels)
        labels[column.present] = list(map(self._label_of.get, keys, never))
        nothing, zeros = np.full(len(labels), np.nan), np.zeros(len(labels))
        return EncodedColumn(labels, nothing, nothing, zeros, zeros)

    def decode(
        self, labels: LabelArray, novel: FloatArray, values: FloatArray, *, on_grid: bool
    ) -> StoredColumn:
        """Return the categories."""
        labels = self._replace_unseen(labels, labels == self.labels.n_labels)
        missing = self.labels.to_missing(labels)
        objects = np.empty(len(labels), dtype=object)
        objects[missing == 0] = self.levels[labels[missing == 0]]
        return replace(self.stored, values=objects, missing=missing)

    def strangeness(self, column: StoredColumn) -> str | None:
        """Explain how categories, none of which is known, differ from the known ones."""
        return strange_labels(column, self.levels.tolist())


def _index(levels: Sequence[Any]) -> dict[Hashable, int]:
    """Return the label of each category."""
    label_of = {key: label for label, key in enumerate(keys_of(levels))}
    for label, level in enumerate(levels):
        # A missing value turns a column of integers into floats: they are the same categories.
        if type(level) in (int, float) and abs(level) < 2**53 and level % 1 == 0:
            for key in keys_of([int(level), float(level)]):
                label_of.setdefault(key, label)
    return label_of
