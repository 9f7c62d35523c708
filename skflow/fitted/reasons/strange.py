"""Strange cells of rows: the fewest without which a row is usual.

Candidates are single cells, and the few cells that surprise most on average over all orders in
which the cells of a row may be seen (:mod:`skflow.conditioning.surprises`): these are found also
where they support each other. The cells of each candidate are replaced by draws given the other
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
N_ORDERS = 20  # each also counts backwards; fewer of many columns, whose time grows faster
LEAST_ORDERS = 5
ORDERED_CELLS = 2_000  # in all orders
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
    """

    closed: Surprises
    over_orders: FloatArray
    given_rest: FloatArray
    alone: FloatArray

    @classmethod
    @torch.inference_mode()
    def measure(cls, detector: Detector, table: StoredTable) -> "CellSurprises":
        """Measure the surprises of the cells of a table, in the fitted dtypes."""
        density = detector.density
        codec = density.codec
        batch, _ = density.model.gaussianize(Rows.of(codec.encode(table)))
        closed = Surprises(density.components, codec.indices, batch.labels, batch.y)
        n_columns = len(codec.columns)
        alone = [closed.in_order([j])[j] for j in range(n_columns)]
        n_orders = min(max(LEAST_ORDERS, ORDERED_CELLS // n_columns), N_ORDERS)
        return cls(
            closed,
            closed.over_orders(n_orders).numpy().T,
            closed.given_rest().numpy().T,
            torch.stack(alone).numpy().T,
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
    least = replacements.detector.calibration.least_score(UNREMARKABLE)
    found = Found(np.zeros(cells.alone.shape, dtype=bool), table, scores.copy())
    rows = np.flatnonzero(scores < least)
    # Most rows have one strange cell: only the others are worth the draws of many candidates.
    for candidates, most in ((single_cells, 1), (sets_of_cells, len(table.columns))):
        tried = [(row, group) for row in rows.tolist() for group in candidates(cells, row)]
        if tried:
            found = choose(replacements, found, tried, cells, enough, most)
        rows = rows[~found.strange[rows].any(axis=1)]
    return put_back(replacements, Found(found.strange, table, scores), found, cells, enough)


def choose(
    replacements: Replacements,
    found: Found,
    candidates: Sequence[tuple[int, Group]],
    cells: CellSurprises,
    enough: Enough,
    most: int,
) -> Found:
    """Choose among candidates of rows that have no strange cells yet, at most so many cells."""
    rows = np.array([row for row, _ in candidates])
    known = np.ones((len(rows), len(found.table.columns)), dtype=bool)
    for mask, (_, group) in zip(known, candidates, strict=True):
        mask[list(group)] = False
    size = np.count_nonzero(~known, axis=1)
    regained, replaced = replacements.best(found.table.take(rows), known)
    chosen = []
    for row in np.unique(rows):
        own = np.flatnonzero(rows == row)
        least = max(enough(found.scores[row], regained[own]), np.nextafter(found.scores[row], 0.0))
        suffice = own[(regained[own] >= least) & (size[own] <= most)]
        if len(suffice):
            fewest = suffice[size[suffice] == size[suffice].min()]
            surprise = np.where(known[fewest], 0.0, cells.given_rest[row]).sum(axis=1)
            chosen.append(fewest[surprise.argmax()])
    strange, scores = found.strange.copy(), found.scores.copy()
    strange[rows[chosen]], scores[rows[chosen]] = ~known[chosen], regained[chosen]
    return Found(strange, put_rows(found.table, rows[chosen], replaced.take(chosen)), scores)


def put_back(
    replacements: Replacements,
    original: Found,
    found: Found,
    cells: CellSurprises,
    enough: Enough,
) -> Found:
    """Put strange cells back without which a row is usual as well, the least surprising first.

    They are put back one at a time; of more than :data:`GROWTH`, an eighth of them at a time.
    """
    strange, table, scores = found.strange.copy(), found.table, found.scores.copy()
    turns = []
    for mask, surprises in zip(strange, cells.given_rest, strict=True):
        own = np.flatnonzero(mask)
        own = own[np.argsort(surprises[own], kind="stable")]
        turns.append(np.array_split(own, min(len(own), GROWTH)) if len(own) > 1 else [])
    for turn in range(GROWTH):
        tried = {row: own[turn] for row, own in enumerate(turns) if turn < len(own)}
        rows = np.array([row for row, own in tried.items() if strange[row].sum() > len(own)], int)
        if not len(rows):
            continue
        known = ~strange[rows]
        for mask, row in zip(known, rows, strict=True):
            mask[tried[row]] = True
        regained, replaced = replacements.best(original.table.take(rows), known)
        least = [enough(original.scores[row], scores[[row]]) for row in rows]
        stays = np.flatnonzero(regained >= least)
        strange[rows[stays]], scores[rows[stays]] = ~known[stays], regained[stays]
        table = put_rows(table, rows[stays], replaced.take(stays))
    return Found(strange, table, scores)


def single_cells(cells: CellSurprises, row: int) -> Iterator[Group]:
    """Cells that may be the only strange one, and, for comparison, the largest set of cells."""
    over_orders, given_rest = cells.over_orders[row], cells.given_rest[row]
    both = over_orders / max(over_orders.max(), TINY) + given_rest / max(given_rest.max(), TINY)
    for j in np.argsort(-both, kind="stable")[:N_SINGLE].tolist():
        yield (j,)
    sets = list(sets_of_cells(cells, row))
    yield from sets[-1:]


def sets_of_cells(cells: CellSurprises, row: int) -> Iterator[Group]:
    """Sets of the cells that surprise most over orders, in few steps."""
    order = np.argsort(-cells.over_orders[row], kind="stable").tolist()
    size = 2
    while size <= len(order):
        yield tuple(order[:size])
        size += 1 + size // GROWTH
