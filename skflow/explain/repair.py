"""The nearest unremarkable row: few cells changed, to what is usual beside the others."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances_argmin

from skflow.explain.conditionals import Conditional
from skflow.table.codec import EncodedTable, TableCodec
from skflow.table.columns import ColumnCodec
from skflow.table.coordinates import Coordinates
from skflow.table.storage import StoredColumn, StoredTable

FloatArray = NDArray[np.float64]
Rows = NDArray[np.intp]

N_TRIED = 3  # columns, the strangest given the others, of which the best to change is taken


@dataclass(frozen=True)
class Repairer:
    """What repairs rows.

    Attributes
    ----------
    codec : TableCodec
    given : callable
        Column j of encoded rows, given their other columns.
    score : callable
        How normal rows are; higher is more.
    ordinary : float
        The score from which a row is unremarkable.
    ordinary_rows : callable
        Draws such rows.
    coordinates : Coordinates
        Of rows, to tell which of them are near.
    """

    codec: TableCodec
    given: Callable[[EncodedTable, int], Conditional]
    score: Callable[[StoredTable], FloatArray]
    ordinary: float
    ordinary_rows: Callable[[], StoredTable]
    coordinates: Coordinates

    def __call__(self, table: StoredTable) -> StoredTable:
        """Repair the rows that are not ordinary.

        One cell after the other is replaced by what is usual given the row's others, that
        first which helps most, until the row is ordinary; then each is put back that need
        not have been replaced. A row that is not ordinary with every cell replaced gives way
        to the nearest ordinary one.
        """
        table = original = self._in_fitted_dtypes(table)
        changed = np.zeros((table.n_rows, len(table.columns)), dtype=bool)
        scores = self.score(table)
        while len(rows := np.flatnonzero((scores < self.ordinary) & ~changed.all(axis=1))):
            table, scores = self._change_one(table, scores, rows, changed)
        table = self._put_back(original, table, scores, changed)
        rows = np.flatnonzero(scores < self.ordinary)
        if len(rows) and (others := self.ordinary_rows()).n_rows:
            pairs = self.coordinates(original.take(rows)), self.coordinates(others)
            nearest = pairwise_distances_argmin(*pairs)
            table = put_rows(table, rows, others.take(nearest))
        return table

    def _change_one(
        self, table: StoredTable, scores: FloatArray, rows: Rows, changed: NDArray[np.bool_]
    ) -> tuple[StoredTable, FloatArray]:
        """Change the one cell of each row that helps most; mark it."""
        encoded = self.codec.encode(table.take(rows))
        given = [self.given(encoded, j) for j in range(len(table.columns))]
        tails = np.column_stack([column.tail_log_prob() for column in given])
        tails[changed[rows]] = np.inf
        best_scores, best = np.full(len(rows), -np.inf), table.take(rows)
        best_column = np.zeros(len(rows), dtype=np.intp)
        for j_of_row in np.argsort(tails, axis=1)[:, :N_TRIED].T:
            tried = table.take(rows)
            for j in np.unique(j_of_row):
                some = np.flatnonzero(j_of_row == j)
                labels, values = (part[some] for part in given[j].usual())
                tried = put_cells(tried, some, j, self._decode(j, labels, values))
            tried_scores = self.score(tried)
            free = ~changed[rows, j_of_row]
            better = np.flatnonzero(free & (tried_scores > best_scores))
            best = put_rows(best, better, tried.take(better))
            best_scores[better], best_column[better] = tried_scores[better], j_of_row[better]
        changed[rows, best_column] = True
        scores = scores.copy()
        scores[rows] = best_scores
        return put_rows(table, rows, best), scores

    def _put_back(
        self,
        original: StoredTable,
        table: StoredTable,
        scores: FloatArray,
        changed: NDArray[np.bool_],
    ) -> StoredTable:
        """Return the table with changed cells as they were where rows stay ordinary with them."""
        several = (scores >= self.ordinary) & (changed.sum(axis=1) > 1)
        for j in range(len(table.columns)):
            rows = np.flatnonzero(several & changed[:, j])
            if len(rows):
                cells = original.columns[j].take(rows)
                as_it_was = put_cells(table.take(rows), np.arange(len(rows)), j, cells)
                stays = np.flatnonzero(self.score(as_it_was) >= self.ordinary)
                table = put_rows(table, rows[stays], as_it_was.take(stays))
        return table

    def _decode(self, j: int, labels: NDArray[np.int64], values: FloatArray) -> StoredColumn:
        nothing = np.full(len(labels), np.nan)
        return self.codec.columns[j].decode(labels, nothing, values, on_grid=True)

    def _in_fitted_dtypes(self, table: StoredTable) -> StoredTable:
        """Return the table in the dtypes that decoding gives."""
        columns = []
        for codec, column in zip(self.codec.columns, table.columns, strict=True):
            fitted = codec.stored
            if (column.values.dtype, column.tick) != (fitted.values.dtype, fitted.tick):
                column = _in_fitted_dtype(codec, column)
            columns.append(column)
        return replace(table, columns=tuple(columns))


def _in_fitted_dtype(codec: ColumnCodec, column: StoredColumn) -> StoredColumn:
    """Decode what is there; a hole stays one where no row that was fitted had any."""
    there = column.present | (not codec.labels.idle)
    encoded = codec.encode(column.take(there))
    decoded = codec.decode(*encoded[:3], on_grid=False)
    values = np.zeros(len(there), decoded.values.dtype)
    return _put(replace(decoded, values=values, missing=column.missing), there, decoded)


def put_cells(table: StoredTable, rows: Rows, j: int, cells: StoredColumn) -> StoredTable:
    """Return the table with other cells in some rows of column j."""
    columns = list(table.columns)
    columns[j] = _put(columns[j], rows, cells)
    return replace(table, columns=tuple(columns))


def put_rows(table: StoredTable, rows: Rows, others: StoredTable) -> StoredTable:
    """Return the table with some rows replaced by others."""
    pairs = zip(table.columns, others.columns, strict=True)
    return replace(table, columns=tuple(_put(old, rows, new) for old, new in pairs))


def _put(column: StoredColumn, rows: Rows | NDArray[np.bool_], cells: StoredColumn) -> StoredColumn:
    values, missing = column.values.copy(), column.missing.copy()
    values[rows], missing[rows] = cells.values, cells.missing
    return replace(column, values=values, missing=missing)
