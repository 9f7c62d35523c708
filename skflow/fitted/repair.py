"""Repair of outliers: the nearest unremarkable row, with few cells changed to typical ones."""

import sys
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from tqdm.auto import tqdm

from skflow.fitted.cells import in_fitted_dtypes, put_cells, put_rows
from skflow.fitted.detector import Detector
from skflow.fitted.reasons.replacements import Replacements
from skflow.fitted.reasons.strange import UNREMARKABLE, CellSurprises, Found, find_strange
from skflow.outliers.conditionals import Conditional
from skflow.outliers.joint_density import JointDensity
from skflow.table.storage import StoredColumn, StoredTable
from skflow.torch_state import usual_torch

FloatArray = NDArray[np.float64]
Rows = NDArray[np.intp]
Device = str | torch.device

N_DRAWN = 1_000  # rows of which the unremarkable ones replace those that cannot be repaired
BLOCK_ROWS = 100  # that are repaired at once
N_PER_ROW = 4  # or more of them, where many rows cannot be repaired


@usual_torch()
def repair(
    detector: Detector, table: StoredTable, device: Device, verbose: int = 0
) -> tuple[StoredTable, Rows]:
    """Replace cells of rows with a p-value below 0.1 until it is at least 0.1.

    The strange cells of a row are replaced, first by draws given its other cells, then one after
    the other by the typical cell given all others. Then each cell that need not have been replaced
    is put back. A row that no change of some cells makes unremarkable is replaced by the nearest
    unremarkable one of some drawn rows that no other row was replaced by.

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
    table = replace(table, columns=tuple(columns))
    least = detector.calibration.least_score(UNREMARKABLE)
    scores = detector.score(table, device)
    strange = np.flatnonzero(scores < least)
    if not len(strange):
        return table, strange
    joint = JointDensity(density.model, device, min(len(strange), BLOCK_ROWS))
    work = _Repair(Replacements(detector, device), joint, least)
    whole = []
    with tqdm(
        total=len(strange), desc="repair", unit="row", disable=not verbose, file=sys.stderr
    ) as bar:
        for start in range(0, len(strange), BLOCK_ROWS):
            rows = strange[start : start + BLOCK_ROWS]
            repaired, is_repaired = work.repair(table.take(rows), scores[rows])
            table = put_rows(table, rows, repaired)
            whole.append(rows[~is_repaired])
            bar.update(len(rows))
    rows = np.concatenate(whole)
    if not len(rows):
        return table, rows
    return put_rows(table, rows, nearest_draws(detector, table.take(rows), least, device)), rows


@dataclass(frozen=True)
class _Repair:
    """Repair of some rows at a time.

    Attributes
    ----------
    replacements : Replacements
    joint : JointDensity
        Joint density of the detector's density.
    least : float
        Score from which a row is unremarkable.
    """

    replacements: Replacements
    joint: JointDensity
    least: float

    def repair(
        self, original: StoredTable, scores: FloatArray
    ) -> tuple[StoredTable, NDArray[np.bool_]]:
        """Repair rows, all of them outliers; say which ones a change of some cells repairs."""
        cells = CellSurprises.measure(self.replacements.detector, original)
        found = find_strange(self.replacements, original, scores, cells, lambda *_: self.least)
        # With all of its cells strange, nothing of a row is left to be repaired.
        n_strange = np.count_nonzero(found.strange, axis=1)
        is_repaired = (n_strange > 0) & (n_strange < len(original.columns))
        table = self._make_typical(found)
        return self._put_back(original, table, found.strange), is_repaired

    def _score(self, table: StoredTable) -> FloatArray:
        return self.replacements.detector.score(table, self.replacements.device)

    def _make_typical(self, found: Found) -> StoredTable:
        """Replace draws by typical cells, where rows stay unremarkable."""
        table = found.table
        codec = self.replacements.detector.density.codec
        for j, column in enumerate(codec.columns):
            rows = np.flatnonzero(found.strange[:, j])
            if len(rows):
                given = Conditional(codec, self.joint, codec.encode(table.take(rows)), j)
                labels, values = given.typical()
                nothing = np.full(len(labels), np.nan)
                cells = column.decode(labels, nothing, values, on_grid=True)
                table = self._put_where_unremarkable(table, rows, j, cells)
        return table

    def _put_back(
        self, original: StoredTable, table: StoredTable, changed: NDArray[np.bool_]
    ) -> StoredTable:
        """Put changed cells back where rows are unremarkable with the original ones as well."""
        several = changed.sum(axis=1) > 1
        for j in range(len(table.columns)):
            rows = np.flatnonzero(several & changed[:, j])
            if len(rows):
                cells = original.columns[j].take(rows)
                table = self._put_where_unremarkable(table, rows, j, cells)
        return table

    def _put_where_unremarkable(
        self, table: StoredTable, rows: Rows, j: int, cells: StoredColumn
    ) -> StoredTable:
        tried = put_cells(table.take(rows), np.arange(len(rows)), j, cells)
        stays = np.flatnonzero(self._score(tried) >= self.least)
        return put_rows(table, rows[stays], tried.take(stays))


def nearest_draws(
    detector: Detector, table: StoredTable, least: float, device: Device
) -> StoredTable:
    """Unremarkable draws that are nearest to rows in sum, a different one for each row.

    The rows themselves, where too few draws are unremarkable.
    """
    n_drawn = max(N_DRAWN, N_PER_ROW * table.n_rows)
    density = detector.density
    drawn = density.container.read(density.sample(n_drawn, np.random.RandomState(0), device))
    drawn = drawn.take(np.flatnonzero(detector.score(drawn, device) >= least))
    coordinates = detector.scorers.clusters.coordinates
    rows, nearest = linear_sum_assignment(cdist(coordinates(table), coordinates(drawn)))
    return put_rows(table, rows, drawn.take(nearest))
