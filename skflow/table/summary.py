"""Summaries of the columns of a table, or of its parts: what a schema is inferred from."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from skflow.table.distinct import Distinct
from skflow.table.families import NUMBER
from skflow.table.objects import brief, keys_of
from skflow.table.reading import read_numpy
from skflow.table.storage import MARKERS, Library, StoredColumn, StoredTable

MOST_CATEGORIES = 2**20  # of merged parts
Vocabulary = dict[Any, Any]


@dataclass(frozen=True, eq=False)
class ColumnSummary:
    """A column of training rows, as the rules of inference read it.

    Summaries of the parts of a column, merged in whatever order, say of it what a summary of the
    whole says.

    Attributes
    ----------
    column : StoredColumn
        With its rows, or without, where parts were merged.
    n_rows, n_present : int
        Rows, and those of them that have a value.
    markers : tuple of str
        Missing markers that occur.
    counted : Distinct, optional
        Distinct values of merged parts, of families that have an order.
    named : dict, optional
        Categories of merged parts; see ``vocabulary``.
    watched : ndarray, optional
        See :class:`Distinct`.
    """

    column: StoredColumn
    n_rows: int
    n_present: int
    markers: tuple[str, ...]
    counted: Distinct | None = None
    named: Vocabulary | None = None
    watched: NDArray[Any] | None = None

    @classmethod
    def of(cls, column: StoredColumn, watched: NDArray[Any] | None = None) -> Self:
        """Return the summary of a column; what takes long is counted when it is asked for."""
        n_present = int(np.count_nonzero(column.present))
        return cls(column, len(column.missing), n_present, column.markers(), watched=watched)

    @cached_property
    def distinct(self) -> Distinct:
        """The distinct values, of families that have an order."""
        return Distinct.of(self.column, self.watched) if self.counted is None else self.counted

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The different objects by their keys, of families that hold objects."""
        if self.named is not None:
            return self.named
        values = self.column.values[self.column.present].tolist()
        return dict(zip(keys_of(values), values, strict=True))

    @property
    def has_vocabulary(self) -> bool:
        """Whether its values are objects, which have a vocabulary, and no distinct numbers."""
        return self.column.family.holds_objects

    @property
    def is_empty(self) -> bool:
        """Whether no row has a value."""
        return not self.n_present

    @property
    def levels(self) -> tuple[Any, ...]:
        """All values that are declared or occur, in order: objects by type and then by value."""
        if not self.has_vocabulary:
            return self.distinct.numbers(slice(None))
        if self.column.categories is not None:
            return self.column.categories
        values = self.vocabulary.values()
        try:
            return tuple(sorted(values, key=lambda value: (type(value).__name__, value)))
        except TypeError:  # objects without an order
            return tuple(sorted(values, key=lambda value: (type(value).__name__, repr(value))))

    def count(self, is_meant: Callable[[NDArray[Any]], NDArray[np.bool_]]) -> int:
        """Count rows with values of which a condition holds; at least some where there are."""
        if self.counted is not None:
            return int(self.counted.counts[is_meant(self.counted.values)].sum())
        return int(np.count_nonzero(is_meant(self.column.values[self.column.present])))

    def without_rows(self, column: StoredColumn) -> Self:
        """Return the summary of rows that are not kept, stored as the rows of another column."""
        if self.has_vocabulary:
            return replace(self, column=column.blank(), named=self.vocabulary)
        return replace(self, column=column.blank(), counted=self.distinct)

    def refuse_many(self) -> None:
        """Raise where the distinct values were too many to keep them all."""
        if not self.has_vocabulary and not self.distinct.is_complete:
            raise ValueError(
                f"Column {self.column.name!r} holds too many different numbers for labels. Leave "
                "it out of column_kinds and categorical_features, or round it."
            )

    def merge(self, other: Self) -> Self:
        """Return the summary of the rows of both.

        Raises
        ------
        ValueError
            Where the parts of a column are of different dtypes, or declare different categories;
            where its categories are too many to be any.
        """
        merged = replace(
            self,
            n_rows=self.n_rows + other.n_rows,
            n_present=self.n_present + other.n_present,
            markers=tuple(m for m in MARKERS if m in {*self.markers, *other.markers}),
        )
        one, two = self.column, other.column
        if (one.dtype, one.categories) != (two.dtype, two.categories):
            spelled = [
                column.dtype if column.categories is None else brief.repr(column.categories)
                for column in (one, two)
            ]
            raise ValueError(
                f"Column {one.name!r} holds {spelled[0]} in one part of the table and "
                f"{spelled[1]} in another. Give all parts the same dtype."
            )
        if one.dtype == "object" and (self.is_empty or other.is_empty):
            full = other if self.is_empty else self  # which says what the objects are
            column, counted, named = full.column, None, None
            if full.has_vocabulary:
                named = full.vocabulary
            else:
                counted = replace(full.distinct, n_rows=merged.n_rows)
        elif self.has_vocabulary or other.has_vocabulary:
            column = one if self.has_vocabulary else two
            counted, named = None, join_vocabularies(self, other)
        elif (one.values.dtype, one.python_type) != (two.values.dtype, two.python_type):
            column, counted = read_again(self, other)
            named = None if counted is not None else join_vocabularies(self, other)
        else:
            column, counted, named = one, self.distinct.merge(other.distinct), None
            column = replace(one, rounded=one.rounded or two.rounded)
        return replace(merged, column=column.blank(), counted=counted, named=named)


def join_vocabularies(first: ColumnSummary, second: ColumnSummary) -> Vocabulary:
    """Return the categories of two parts; numbers among them as the objects that they were.

    Raises
    ------
    ValueError
        Where they are too many to be categories.
    """
    joined: Vocabulary = {}
    for summary in (first, second):
        if summary.has_vocabulary:
            joined |= summary.vocabulary
        else:
            values = summary.column.filled(summary.distinct.values).to_objects({}).tolist()
            joined |= dict(zip(keys_of(values), values, strict=True))
    if len(joined) > MOST_CATEGORIES:
        raise ValueError(
            f"Column {first.column.name!r} holds more than {MOST_CATEGORIES} different strings or "
            "objects: names of rows, or free text, which have no density to learn. Drop it."
        )
    return joined


def read_again(first: ColumnSummary, second: ColumnSummary) -> tuple[StoredColumn, Distinct | None]:
    """Read numbers of two parts of a column of objects as those of the whole column are read.

    Integers and floats are floats, for instance, and integers and Decimals categories: then there
    is no Distinct.
    """
    columns = [summary.column.filled(summary.distinct.values) for summary in (first, second)]
    first.refuse_many()
    second.refuse_many()
    objects = [column.to_objects({}) for column in columns]
    read = read_numpy(np.concatenate(objects))
    own = replace(read, name=first.column.name)
    if own.family != NUMBER:
        return own, None
    exact = own.values.dtype.kind != "f" or own.python_type is float
    rounded = not exact and (own.rounded or any(column.rounded for column in columns))
    counts = np.concatenate((first.distinct.counts, second.distinct.counts))
    whole = Distinct.of(own, first.watched)
    place = np.searchsorted(whole.values, own.values)
    summed = np.bincount(place, weights=counts, minlength=len(whole.values)).astype(np.int64)
    n_rows = first.n_rows + second.n_rows
    return replace(own, rounded=rounded), replace(whole, counts=summed, n_rows=n_rows)


@dataclass(frozen=True, eq=False)
class TableSummary:
    """Summaries of the columns of a table.

    Attributes
    ----------
    columns : tuple of ColumnSummary
    container : {"array", "pandas", "polars"}
    """

    columns: tuple[ColumnSummary, ...]
    container: Library

    @classmethod
    def of(cls, table: StoredTable, watched: Mapping[int, NDArray[Any]] | None = None) -> Self:
        """Return the summaries of the columns of a table, or of a part of it.

        ``watched`` are values by the position of their column; see :class:`Distinct`.
        """
        columns = enumerate(table.columns)
        summaries = (ColumnSummary.of(column, (watched or {}).get(j)) for j, column in columns)
        return cls(tuple(summaries), table.container)

    def merge(self, other: Self) -> Self:
        """Return the summaries of the rows of both; see :meth:`ColumnSummary.merge`."""
        pairs = zip(self.columns, other.columns, strict=True)
        return replace(self, columns=tuple(one.merge(two) for one, two in pairs))

    def unsettled(self) -> dict[int, NDArray[Any]]:
        """Return values that are to be watched, by the position of their column."""
        found = {
            j: summary.counted.unsettled()
            for j, summary in enumerate(self.columns)
            if summary.counted is not None
        }
        return {j: values for j, values in found.items() if values.size}


def summarise(read: Callable[[], Iterable[StoredTable]]) -> TableSummary:
    """Return the summary of a table that comes in parts.

    Parameters
    ----------
    read : callable
        Returns the parts, in whatever order, but the same ones at each call. It is called twice
        where a column has more than 65,536 different values, and some of them may be atoms.
    """
    summary = reduce(TableSummary.merge, map(TableSummary.of, read()))
    watched = summary.unsettled()
    if not watched:
        return summary
    return reduce(TableSummary.merge, (TableSummary.of(part, watched) for part in read()))
