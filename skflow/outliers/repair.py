"""The nearest unremarkable row: few cells changed, to what is usual beside the others."""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances_argmin
from tqdm.auto import tqdm

from skflow.outliers.conditionals import Conditional
from skflow.outliers.coordinates import Coordinates
from skflow.rows import EncodedRows
from skflow.table.codec import TableCodec
from skflow.table.column_codec import ColumnCodec
from skflow.table.storage import StoredColumn, StoredTable

FloatArray = NDArray[np.float64]
Rows = NDArray[np.intp]

BLOCK_ROWS = 100  # that are repaired at once
MOST_CHANGED = 0.5  # share of the columns whose cells are replaced one by one
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
    verbose : int
        0 shows no progress bar.
    """

    codec: TableCodec
    given: Callable[[EncodedRows, int], Conditional]
    score: Callable[[StoredTable], FloatArray]
    ordinary: float
    ordinary_rows: Callable[[], StoredTable]
    coordinates: Coordinates
    verbose: int = 0

    def __call__(self, table: StoredTable) -> tuple[StoredTable, Rows]:
        """Repair the rows that are not ordinary.

        One cell after the other is replaced by what is usual given the row's others, that
        first which helps most, until the row is ordinary. Where this does not help, since
        wrong cells bear each other out, the strangest cells are replaced all at once. Then
        each is put back that need not have been replaced. A row that is still not ordinary
        gives way to the nearest ordinary one.

        Returns
        -------
        table : StoredTable
        given_way : ndarray
            Rows that were replaced as a whole.
        """
        table = original = self._in_fitted_dtypes(table)
        scores = self.score(table)
        strange = np.flatnonzero(scores < self.ordinary)
        if not len(strange):
            return table, strange
        others = self.ordinary_rows()
        given_way = []
        with tqdm(
            total=len(strange), desc="repair", unit="row", disable=not self.verbose, file=sys.stderr
        ) as bar:
            for start in range(0, len(strange), BLOCK_ROWS):
                rows = strange[start : start + BLOCK_ROWS]
                repaired, is_repaired = self._repair(original.take(rows), scores[rows], others)
                table = put_rows(table, rows, repaired)
                given_way.append(rows[~is_repaired])
                bar.update(len(rows))
        return table, np.concatenate(given_way)

    def _repair(
        self, original: StoredTable, scores: FloatArray, others: StoredTable
    ) -> tuple[StoredTable, NDArray[np.bool_]]:
        """Repair rows, none of which is ordinary, and say which of them few cells sufficed for."""
        table, n_columns = original, len(original.columns)
        changed = np.zeros((original.n_rows, n_columns), dtype=bool)
        tails = first = self._tails(table)
        most = max(1, math.ceil(MOST_CHANGED * n_columns))
        active = np.arange(original.n_rows)
        while len(active) and changed.sum(axis=1).max() < most:
            before = scores[active]
            if changed.any():
                tails = self._tails(table.take(active))
            table, scores = self._change_one(table, scores, active, changed, tails)
            active = active[(before < scores[active]) & (scores[active] < self.ordinary)]
        n_changed = 2
        while n_changed < n_columns and others.n_rows:
            rows = np.flatnonzero(scores < self.ordinary)
            if not len(rows):
                break
            strangest = np.argsort(first[rows], axis=1, kind="stable")[:, :n_changed]
            chosen = np.zeros((len(rows), n_columns), dtype=bool)
            np.put_along_axis(chosen, strangest, values=True, axis=1)
            tried = self._change_some(original.take(rows), chosen, others)
            tried_scores = self.score(tried)
            found = np.flatnonzero(tried_scores >= self.ordinary)
            table = put_rows(table, rows[found], tried.take(found))
            scores[rows[found]], changed[rows[found]] = tried_scores[found], chosen[found]
            n_changed += max(1, n_changed // 4)  # many columns: in few steps
        table = self._put_back(original, table, scores, changed)
        is_repaired = scores >= self.ordinary
        rows = np.flatnonzero(~is_repaired)
        if len(rows) and others.n_rows:
            pairs = self.coordinates(original.take(rows)), self.coordinates(others)
            table = put_rows(table, rows, others.take(pairwise_distances_argmin(*pairs)))
        return table, is_repaired

    def _tails(self, table: StoredTable) -> FloatArray:
        """Log tail probability of each cell given the others of its row."""
        encoded = self.codec.encode(table)
        columns = [self.given(encoded, j) for j in range(len(table.columns))]
        return np.column_stack([column.tail_log_prob() for column in columns])

    def _change_some(
        self, table: StoredTable, chosen: NDArray[np.bool_], others: StoredTable
    ) -> StoredTable:
        """Change the chosen cells of each row together.

        They start as they are in that of some ordinary rows which is nearest by the cells
        that stay. Then each becomes what is usual given all others.
        """
        points, of_others = self.coordinates(table), self.coordinates(others)
        stays = ~chosen[:, self.coordinates.columns]
        nearest = np.empty(table.n_rows, dtype=np.intp)
        for row, (point, kept) in enumerate(zip(points, stays, strict=True)):
            nearest[row] = ((of_others - point)[:, kept] ** 2).sum(axis=1).argmin()
        start = others.take(nearest)
        for j in range(len(table.columns)):
            rows = np.flatnonzero(chosen[:, j])
            table = put_cells(table, rows, j, start.columns[j].take(rows))
        for j in range(len(table.columns)):
            rows = np.flatnonzero(chosen[:, j])
            if len(rows):
                usual = self.given(self.codec.encode(table.take(rows)), j).usual()
                table = put_cells(table, rows, j, self._decode(j, *usual))
        return table

    def _change_one(
        self,
        table: StoredTable,
        scores: FloatArray,
        rows: Rows,
        changed: NDArray[np.bool_],
        tails: FloatArray,
    ) -> tuple[StoredTable, FloatArray]:
        """Change the one cell of each row that helps most, of the strangest; mark it."""
        encoded = self.codec.encode(table.take(rows))
        tails = np.where(changed[rows], np.inf, tails)
        best_scores, best = np.full(len(rows), -np.inf), table.take(rows)
        best_column = np.zeros(len(rows), dtype=np.intp)
        for j_of_row in np.argsort(tails, axis=1)[:, :N_TRIED].T:
            tried = table.take(rows)
            for j in np.unique(j_of_row):
                some = np.flatnonzero(j_of_row == j)
                usual = self.given(encoded.take(some), j).usual()
                tried = put_cells(tried, some, j, self._decode(j, *usual))
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
    there = column.present | (not codec.labels.is_trivial)
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
