"""Rows of a table that a model is fitted to, encoded when they are read, or once."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import _check_feature_names_in

from skflow.fitted.table_density import TableDensity
from skflow.rows import EncodedRows, concatenate, encoded_blocks
from skflow.table.codec import TableCodec
from skflow.table.frames import Container
from skflow.table.inference import infer_schema, with_constraints
from skflow.table.storage import StoredTable
from skflow.table.summary import TableSummary

# Encoded rows are kept where they are few, or take little memory.
MOST_ROWS_KEPT = 5_000
MOST_BYTES_KEPT = 2**26


@dataclass(frozen=True)
class EncodableTable:
    """Training rows, their container, and the codec of their columns.

    Attributes
    ----------
    container : Container
    codec : TableCodec
        Fitted to all rows of the table.
    table : StoredTable
    """

    container: Container
    codec: TableCodec
    table: StoredTable

    @classmethod
    def learn(cls, estimator: Any, X: Any, weight: NDArray[np.float64] | None = None) -> Self:
        """Infer the columns from all rows of ``X``, as the estimator's parameters say.

        ``weight`` holds the weight of each row, ``(n_rows,)``; None gives all rows the same weight.
        """
        container, table = Container.fit_read(X, list(_check_feature_names_in(estimator)))
        table = replace(table, weight=weight)
        schema = infer_schema(
            table,
            column_kinds=estimator.column_kinds,
            categorical_features=estimator.categorical_features,
            bounds=estimator.bounds,
            given=estimator.given,
        )
        schema = with_constraints(
            schema,
            table,
            estimator.constraints,
            estimator.column_kinds,
            lambda implied: TableSummary.of(implied.leave_out(table)),
        )
        return cls(container, TableCodec.fit(table, schema), table)

    def completed(self, table: StoredTable) -> Self:
        """Return the rows with missing cells filled; kinds, levels and grids stay as they are.

        A column without any value keeps its missing cells.
        """
        pinned = tuple(
            column if (stored.missing > 0).any() else replace(column, missing=())
            for column, stored in zip(self.codec.schema.columns, table.columns, strict=True)
        )
        schema = replace(self.codec.schema, columns=pinned)
        return replace(self, codec=TableCodec.fit(table, schema), table=table)

    @classmethod
    def read(cls, density: TableDensity, X: Any, weight: NDArray[np.float64] | None = None) -> Self:
        """Read rows with the columns of an earlier fit, which a warm start goes on from."""
        table = replace(density.container.read(X), weight=weight)
        return cls(density.container, density.codec, table)

    @property
    def rows(self) -> "TableRows":
        """All rows, encoded when they are read."""
        return TableRows.all_of(self.codec, self.table)


@dataclass(frozen=True)
class TableRows:
    """Rows of a table, encoded when they are read; a source of rows.

    Attributes
    ----------
    codec : TableCodec
    table : StoredTable
    rows : ndarray of int32 or int64
        Which of the table's rows these are, in as few bytes as number them.
    kept : EncodedRows, optional
        All rows of the table, encoded before.
    """

    codec: TableCodec
    table: StoredTable
    rows: NDArray[np.integer]
    kept: EncodedRows | None = None

    @classmethod
    def all_of(cls, codec: TableCodec, table: StoredTable) -> Self:
        """Return all rows of a table."""
        dtype = np.int32 if table.n_rows < 2**31 else np.int64
        return cls(codec, table, np.arange(table.n_rows, dtype=dtype))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def mass(self) -> float:
        """Sum of the weights: the number of rows if all weights are equal."""
        weight = self.table.weight
        return float(len(self) if weight is None else weight[self.rows].sum())

    @property
    def quantized_columns(self) -> list[int]:
        """Columns of values on a grid."""
        return self.codec.quantized_columns

    def stored(self, rows: Any) -> StoredTable:
        """Return some of the rows, as they are stored."""
        return self.table.take(self.rows[rows])

    def blocks(self) -> Iterator[EncodedRows]:
        """Encode all rows, block by block."""
        for _, rows in encoded_blocks(self, self.codec.n_encoded):
            yield rows

    def take(self, rows: Any) -> EncodedRows:
        """Return some of the rows encoded, by slice or index."""
        if self.kept is not None:
            return self.kept.take(self.rows[rows])
        return self.codec.encode(self.stored(rows))

    def keep(self) -> Self:
        """Encode the rows once for all reads, where that takes at most 64 MiB or 5,000 rows.

        What is kept is a label and a coordinate of each column of labels, a value and a bin width
        of each column of values, 8 bytes each.
        """
        n_columns = self.codec.n_encoded
        most_rows = max(MOST_ROWS_KEPT, MOST_BYTES_KEPT // (8 * (2 * n_columns + 1)))
        if self.kept is not None or len(self) > most_rows:
            return self
        kept = concatenate(list(self.blocks()))
        return replace(self.all_of(self.codec, self.stored(slice(None))), kept=kept)

    def unsplit(self) -> Self:
        """Return all rows."""
        return self

    def split(self, fraction: float, generator: torch.Generator) -> tuple[Self, Self]:
        """Split off a fraction of the rows at random: ``(train, held out)``."""
        n_rows = len(self)
        n_held_out = min(max(1, round(fraction * n_rows)), n_rows - 1)
        order = self.rows[torch.randperm(n_rows, generator=generator).numpy()]
        return replace(self, rows=order[n_held_out:]), replace(self, rows=order[:n_held_out])
