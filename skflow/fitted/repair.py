"""Repair of outliers: the nearest unremarkable row, with few cells changed to typical ones."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from tqdm.auto import tqdm

from skflow.fitted.cells import in_fitted_dtypes, put_cells, put_rows
from skflow.fitted.detector import Detector
from skflow.fitted.reasons.replacements import Replacements
from skflow.fitted.reasons.strange import GROWTH, UNREMARKABLE, CellSurprises, Found, find_strange
from skflow.flow.recipe import WIDE
from skflow.outliers.conditionals import Conditional
from skflow.outliers.joint_density import JointDensity
from skflow.table.storage import StoredTable
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
    is put back. Where columns are more than 64, an eighth of a row's strange cells is tried at a
    time. A row that no change of some cells makes unremarkable is replaced by the nearest
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
    table = in_fitted_dtypes(density.codec.columns, table)
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
        several = found.strange & (n_strange > 1)[:, None]
        for turn in in_turns(several):
            tried = table
            for j, rows in turn.items():
                tried = put_cells(tried, rows, j, original.columns[j].take(rows))
            table = self.take_where_unremarkable(table, tried, turn)
        return table, is_repaired

    def _make_typical(self, found: Found) -> StoredTable:
        """Replace draws by typical cells, where rows stay unremarkable."""
        table = found.table
        codec = self.replacements.detector.density.codec
        for turn in in_turns(found.strange):
            tried, encoded = table, codec.encode(table)
            for j, rows in turn.items():
                given = Conditional(codec, self.joint, encoded.take(rows), j)
                labels, values = given.typical()
                cells = codec.decode_cells(j, labels, values, tried.take(rows))
                tried = put_cells(tried, rows, j, cells)
            table = self.take_where_unremarkable(table, tried, turn)
        return table

    def take_where_unremarkable(
        self, table: StoredTable, tried: StoredTable, turn: dict[int, Rows]
    ) -> StoredTable:
        """Take the rows of a turn where they are unremarkable as they have been tried."""
        rows = np.unique(np.concatenate(list(turn.values())))
        detector, device = self.replacements.detector, self.replacements.device
        stays = rows[detector.score(tried.take(rows), device) >= self.least]
        return put_rows(table, stays, tried.take(stays))


def in_turns(strange: NDArray[np.bool_]) -> Iterator[dict[int, Rows]]:
    """Yield some strange cells of each row at a time: the rows of each column that has some.

    They are one cell, or where columns are many an eighth of the cells.
    """
    most = strange.shape[1] if strange.shape[1] <= WIDE else GROWTH
    cells = [np.flatnonzero(mask) for mask in strange]
    parts = [np.array_split(own, min(most, len(own)) or 1) for own in cells]
    for turn in range(most):
        rows_of: dict[int, list[int]] = {}
        for row, own in enumerate(parts):
            for j in own[turn].tolist() if turn < len(own) else []:
                rows_of.setdefault(j, []).append(row)
        if rows_of:
            yield {j: np.array(rows) for j, rows in sorted(rows_of.items())}


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
