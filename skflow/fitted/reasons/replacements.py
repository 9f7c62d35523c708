"""Scores of rows in which some cells are replaced by usual ones, given the other cells."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from skflow.conditioning.answering import answer_at_once
from skflow.fitted.cells import put_draws
from skflow.fitted.detector import Detector
from skflow.fitted.questions.constrained import ConstrainedQuestions
from skflow.fitted.questions.questions import PartialTable
from skflow.table.storage import StoredColumn, StoredTable

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]
Device = str | torch.device

N_DRAWS = 64  # of the unknown cells of a row
N_TRIED = 8  # chosen among them, of which the most usual one counts


class Replacements:
    """Draws of cells given the others of their rows, in place of cells that may be wrong.

    Draws are few and weighted once: they separate rows that become usual from rows that do not.
    All rows have the same random numbers, so that no row's draws depend on other rows.

    Parameters
    ----------
    detector : Detector
    device : str or torch.device
    """

    def __init__(self, detector: Detector, device: Device) -> None:
        self.detector = detector
        self.device = device
        questions = ConstrainedQuestions(detector.density, device, "known", answer_at_once)
        self.questions = questions.made_rough()
        generator = np.random.RandomState(0)
        self._uniform = generator.random_sample(self.questions.n_uniform)

    def best(self, table: StoredTable, known: Mask) -> tuple[FloatArray, StoredTable]:
        """Replace the cells that are not known; keep the draw of each row that scores highest.

        Parameters
        ----------
        table : StoredTable
            In the fitted dtypes.
        known : ndarray of bool, shape (n_rows, n_columns)

        Returns
        -------
        scores : ndarray of shape (n_rows,)
        replaced : StoredTable
        """
        n_rows = table.n_rows
        drawn = self.draw(table, known, N_DRAWS, N_TRIED)
        scores = self.detector.score(drawn, self.device).reshape(n_rows, N_TRIED)
        chosen = scores.argmax(axis=1)
        return scores.max(axis=1), drawn.take(np.arange(n_rows) * N_TRIED + chosen)

    def draw(self, table: StoredTable, known: Mask, n_draws: int, n_chosen: int) -> StoredTable:
        """Replace the cells that are not known by draws, ``n_chosen`` for each row."""
        columns = list(table.take(np.repeat(np.arange(table.n_rows), n_chosen)).columns)
        uniform = np.broadcast_to(self._uniform, (table.n_rows, len(self._uniform)))
        partial = PartialTable(table, known)
        for rows, cells in self.questions.draw(partial, uniform, n_draws, n_chosen):
            put_draws(columns, rows, n_chosen, known, cells)
        return replace(table, columns=tuple(columns), n_rows=table.n_rows * n_chosen, weight=None)


def cells_of(column: StoredColumn, row: int, n_chosen: int) -> StoredColumn:
    """Return the draws of a row."""
    return column.take(slice(row * n_chosen, (row + 1) * n_chosen))
