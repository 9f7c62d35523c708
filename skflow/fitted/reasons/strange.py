"""Strange cells of rows: the fewest without which a row is usual.

Candidates are single cells, and the few cells that surprise most on average over all orders in
which the cells of a row may be seen (:mod:`skflow.conditioning.surprises`): these are found also
where they vouch for each other. The cells of each candidate are replaced by draws given the other
cells of the row, and the smallest candidate that suffices counts.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from skflow.conditioning.surprises import Surprises
from skflow.fitted.cells import put_rows
from skflow.fitted.detector import Detector
from skflow.fitted.reasons.replacements import Replacements
from skflow.flow.model import Rows
from skflow.table.storage import StoredTable

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]
Group = tuple[int, ...]
Enough = Callable[[float, FloatArray], float]

UNREMARKABLE = 0.1  # p-value from which a row has no strange cells
N_ORDERS = 20  # each also counts backwards
N_SINGLE = 4  # cells that are tried alone
GROWTH = 8  # cells of a candidate from which the next one has more than one cell more
TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class CellSurprises:
    """How surprising each cell of some rows is, in closed form.

    Attributes
    ----------
    closed : Surprises
    over_orders, given_rest, alone : ndarray of shape (n_rows, n_columns)
        On average over orders, after all other cells, and before them.
    drawable : ndarray of bool, shape (n_columns,)
        Columns of which a cell can be drawn.
    """

    closed: Surprises
    over_orders: FloatArray
    given_rest: FloatArray
    alone: FloatArray
    drawable: Mask

    @classmethod
    @torch.inference_mode()
    def measure(cls, detector: Detector, table: StoredTable) -> "CellSurprises":
        """Measure the surprises of the cells of a table, in the fitted dtypes."""
        density = detector.density
        codec = density.codec
        batch, _ = density.model.gaussianize(Rows.of(codec.encode(table)))
        closed = Surprises(density.components, codec.indices, batch.labels, batch.y)
        every = range(len(codec.columns))
        given_rest = [closed.in_order([*(k for k in every if k != j), j])[j] for j in every]
        alone = [closed.in_order([j])[j] for j in every]
        return cls(
            closed,
            closed.over_orders(N_ORDERS).numpy().T,
            torch.stack(given_rest).numpy().T,
            torch.stack(alone).numpy().T,
            np.array([column.labels.has_values for column in codec.columns]),
        )

    @torch.inference_mode()
    def in_order(self, row: int, order: Sequence[int]) -> FloatArray:
        """Surprises of the cells of a row in one order, ``(n_columns,)``."""
        return self.closed.take(torch.tensor([row])).in_order(order).numpy()[:, 0]

    def of_group(self, row: int, group: Group, rest: Sequence[int]) -> tuple[float, float]:
        """Sum of the surprises of a group's cells, after others and before them."""
        after, before = self.in_order(row, [*rest, *group]), self.in_order(row, group)
        return float(after[list(group)].sum()), float(before.sum())


class Found(NamedTuple):
    """Strange cells of rows, and the rows with usual cells in their place.

    Attributes
    ----------
    strange : ndarray of bool, shape (n_rows, n_columns)
    table : StoredTable
        The rows without them.
    scores : ndarray of shape (n_rows,)
        Scores of these.
    """

    strange: Mask
    table: StoredTable
    scores: FloatArray


def find_strange(
    replacements: Replacements,
    table: StoredTable,
    scores: FloatArray,
    cells: CellSurprises,
    enough: Enough,
) -> Found:
    """Find the fewest cells of each row without which it is usual.

    A row has none where its p-value is at least 0.1, or where no candidate suffices.

    Parameters
    ----------
    replacements : Replacements
    table : StoredTable
        In the fitted dtypes.
    scores : ndarray of shape (n_rows,)
    cells : CellSurprises
    enough : callable
        Takes the score of a row and its scores without each of its candidates; returns the score
        from which a candidate suffices.
    """
    strange, best = np.zeros(cells.alone.shape, dtype=bool), scores.copy()
    least = replacements.detector.calibration.least_score(UNREMARKABLE)
    candidates = [
        (row, group)
        for row in np.flatnonzero(scores < least).tolist()
        for group in _candidates(cells, row)
    ]
    if not candidates:
        return Found(strange, table, best)
    rows = np.array([row for row, _ in candidates])
    known = np.ones((len(rows), len(table.columns)), dtype=bool)
    for mask, (_, group) in zip(known, candidates, strict=True):
        mask[list(group)] = False
    regained, replaced = replacements.best(table.take(rows), known)
    chosen = []
    for row in np.unique(rows):
        own = np.flatnonzero(rows == row)
        least_of_row = max(enough(scores[row], regained[own]), np.nextafter(scores[row], 0.0))
        suffice = own[regained[own] >= least_of_row]
        if not len(suffice):
            continue
        size = (~known[suffice]).sum(axis=1)
        fewest = suffice[size == size.min()]
        surprise = np.where(known[fewest], 0.0, cells.given_rest[row]).sum(axis=1)
        chosen.append(fewest[surprise.argmax()])
    strange[rows[chosen]], best[rows[chosen]] = ~known[chosen], regained[chosen]
    return Found(strange, put_rows(table, rows[chosen], replaced.take(chosen)), best)


def _candidates(cells: CellSurprises, row: int) -> Iterator[Group]:
    """Cells of a row that may be strange: single ones, and sets of the most surprising."""
    surprises, given_rest = cells.over_orders[row], cells.given_rest[row]
    both = surprises / max(surprises.max(), TINY) + given_rest / max(given_rest.max(), TINY)
    can_be = np.flatnonzero(cells.drawable)
    for j in can_be[np.argsort(-both[can_be], kind="stable")][:N_SINGLE]:
        yield (int(j),)
    order = can_be[np.argsort(-surprises[can_be], kind="stable")].tolist()
    size = 2
    while size <= len(order):
        yield tuple(order[:size])
        size += 1 + size // GROWTH
