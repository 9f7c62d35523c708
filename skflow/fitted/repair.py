"""Repair of outliers: the nearest unremarkable row, with few cells changed to typical ones."""

import math
import sys
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances_argmin
from tqdm.auto import tqdm

from skflow.fitted.cells import in_fitted_dtypes, put_cells, put_rows
from skflow.fitted.detector import Detector
from skflow.outliers.conditionals import Conditional
from skflow.outliers.joint_density import JointDensity
from skflow.table.storage import StoredColumn, StoredTable
from skflow.torch_state import usual_torch

FloatArray = NDArray[np.float64]
Rows = NDArray[np.intp]
Device = str | torch.device

UNREMARKABLE = 0.1  # p-value from which a row is
N_DRAWN = 1_000  # rows of which the unremarkable ones replace those that cannot be repaired
BLOCK_ROWS = 100  # that are repaired at once
MOST_CHANGED = 0.5  # share of the columns whose cells are replaced one by one
N_TRIED = 3  # columns with the lowest tail probabilities, of which the best to change is taken


@usual_torch()
def repair(
    detector: Detector, table: StoredTable, device: Device, verbose: int = 0
) -> tuple[StoredTable, Rows]:
    """Replace cells of rows with a p-value below 0.1 until it is at least 0.1.

    One cell after the other is replaced by a typical one given the row's others, the one that
    raises the score most first. Where this does not suffice, because wrong cells agree with each
    other, the cells with the lowest conditional probabilities are replaced together. Then each
    cell that need not have been replaced is put back. A row that is still not unremarkable is
    replaced by the nearest unremarkable one of some drawn rows.

    Parameters
    ----------
    detector : Detector
    table : StoredTable
    device : str or torch.device
    verbose : int, default=0
        0 shows no progress bar.

    Returns
    -------
    table : StoredTable
        In the fitted dtypes.
    replaced : ndarray of intp
        Rows that were replaced as a whole.
    """
    density = detector.density
    columns = in_fitted_dtypes(density.codec.columns, table.columns)
    table = original = replace(table, columns=tuple(columns))
    least = detector.calibration.least_score(UNREMARKABLE)
    scores = detector.score(table, device)
    strange = np.flatnonzero(scores < least)
    if not len(strange):
        return table, strange
    drawn = density.sample(N_DRAWN, np.random.RandomState(0), device)
    ordinary = density.container.read(drawn)
    ordinary = ordinary.take(np.flatnonzero(detector.score(ordinary, device) >= least))
    joint = JointDensity(density.model, device, min(len(strange), BLOCK_ROWS) * len(table.columns))
    work = _Repair(detector, joint, device, least, ordinary)
    replaced = []
    with tqdm(
        total=len(strange), desc="repair", unit="row", disable=not verbose, file=sys.stderr
    ) as bar:
        for start in range(0, len(strange), BLOCK_ROWS):
            rows = strange[start : start + BLOCK_ROWS]
            repaired, is_repaired = work.repair(original.take(rows), scores[rows])
            table = put_rows(table, rows, repaired)
            replaced.append(rows[~is_repaired])
            bar.update(len(rows))
    return table, np.concatenate(replaced)


@dataclass(frozen=True)
class _Repair:
    """Repair of some rows at a time.

    Attributes
    ----------
    detector : Detector
    joint : JointDensity
        Joint density of the detector's density.
    device : str or torch.device
    least : float
        Score from which a row is unremarkable.
    ordinary : StoredTable
        Drawn rows that are.
    """

    detector: Detector
    joint: JointDensity
    device: Device
    least: float
    ordinary: StoredTable

    def repair(
        self, original: StoredTable, scores: FloatArray
    ) -> tuple[StoredTable, NDArray[np.bool_]]:
        """Repair rows, all of them outliers; say which ones a change of some cells repairs."""
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
            active = active[(before < scores[active]) & (scores[active] < self.least)]
        n_changed = 2
        while n_changed < n_columns and self.ordinary.n_rows:
            rows = np.flatnonzero(scores < self.least)
            if not len(rows):
                break
            strangest = np.argsort(first[rows], axis=1, kind="stable")[:, :n_changed]
            chosen = np.zeros((len(rows), n_columns), dtype=bool)
            np.put_along_axis(chosen, strangest, values=True, axis=1)
            tried = self._change_together(original.take(rows), chosen)
            tried_scores = self._score(tried)
            found = np.flatnonzero(tried_scores >= self.least)
            table = put_rows(table, rows[found], tried.take(found))
            scores[rows[found]], changed[rows[found]] = tried_scores[found], chosen[found]
            n_changed += max(1, n_changed // 4)  # many columns: in few steps
        table = self._put_back(original, table, scores, changed)
        is_repaired = scores >= self.least
        rows = np.flatnonzero(~is_repaired)
        if len(rows) and self.ordinary.n_rows:
            coordinates = self.detector.scorers.clusters.coordinates
            pairs = coordinates(original.take(rows)), coordinates(self.ordinary)
            table = put_rows(table, rows, self.ordinary.take(pairwise_distances_argmin(*pairs)))
        return table, is_repaired

    def _score(self, table: StoredTable) -> FloatArray:
        return self.detector.score(table, self.device)

    def _tails(self, table: StoredTable) -> FloatArray:
        """Conditional log tail probability of each cell, given the others of its row."""
        codec = self.detector.density.codec
        encoded = codec.encode(table)
        columns = [Conditional(codec, self.joint, encoded, j) for j in range(len(table.columns))]
        return np.column_stack([column.tail_log_prob() for column in columns])

    def _typical(self, table: StoredTable, j: int) -> StoredColumn:
        """Typical cells of a column, given the others of each row."""
        codec = self.detector.density.codec
        labels, values = Conditional(codec, self.joint, codec.encode(table), j).typical()
        nothing = np.full(len(labels), np.nan)
        return codec.columns[j].decode(labels, nothing, values, on_grid=True)

    def _change_together(self, table: StoredTable, chosen: NDArray[np.bool_]) -> StoredTable:
        """Change the chosen cells of each row together.

        They start as those of the unremarkable row that is nearest in the cells that stay. Then
        each becomes typical given all others.
        """
        coordinates = self.detector.scorers.clusters.coordinates
        points, of_ordinary = coordinates(table), coordinates(self.ordinary)
        stays = ~chosen[:, coordinates.columns]
        nearest = np.empty(table.n_rows, dtype=np.intp)
        for row, (point, kept) in enumerate(zip(points, stays, strict=True)):
            nearest[row] = ((of_ordinary - point)[:, kept] ** 2).sum(axis=1).argmin()
        start = self.ordinary.take(nearest)
        for j in range(len(table.columns)):
            rows = np.flatnonzero(chosen[:, j])
            table = put_cells(table, rows, j, start.columns[j].take(rows))
        for j in range(len(table.columns)):
            rows = np.flatnonzero(chosen[:, j])
            if len(rows):
                table = put_cells(table, rows, j, self._typical(table.take(rows), j))
        return table

    def _change_one(
        self,
        table: StoredTable,
        scores: FloatArray,
        rows: Rows,
        changed: NDArray[np.bool_],
        tails: FloatArray,
    ) -> tuple[StoredTable, FloatArray]:
        """Change the one cell of each row that raises its score most; mark it as changed."""
        before = table.take(rows)
        tails = np.where(changed[rows], np.inf, tails)
        best_scores, best = np.full(len(rows), -np.inf), before
        best_column = np.zeros(len(rows), dtype=np.intp)
        for j_of_row in np.argsort(tails, axis=1)[:, :N_TRIED].T:
            tried = before
            for j in np.unique(j_of_row):
                some = np.flatnonzero(j_of_row == j)
                tried = put_cells(tried, some, j, self._typical(before.take(some), j))
            tried_scores = self._score(tried)
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
        """Put changed cells back where rows are unremarkable with the original ones as well."""
        several = (scores >= self.least) & (changed.sum(axis=1) > 1)
        for j in range(len(table.columns)):
            rows = np.flatnonzero(several & changed[:, j])
            if len(rows):
                cells = original.columns[j].take(rows)
                as_it_was = put_cells(table.take(rows), np.arange(len(rows)), j, cells)
                stays = np.flatnonzero(self._score(as_it_was) >= self.least)
                table = put_rows(table, rows[stays], as_it_was.take(stays))
        return table
