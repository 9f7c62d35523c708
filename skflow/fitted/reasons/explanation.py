"""Reasons that add up: which cells make a row strange, alone or as a group.

First the cells are found without which a row is usual. Candidates are single cells and the few
cells that surprise most, on average over all orders in which the cells of a row may be seen
(:mod:`skflow.conditioning.surprises`). The cells of each candidate are replaced by draws given the
others, and the smallest one that suffices counts. Cells that vouch for each other are a group: one
is much less surprising once the other is known.

The score that a row regains when its strange cells are replaced is theirs. What it still lacks is
shared among its other cells in proportion to their surprise. So contributions sum to the score.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from skflow.conditioning.surprises import Surprises
from skflow.fitted.cells import in_fitted_dtypes
from skflow.fitted.detector import Detector
from skflow.fitted.reasons.replacements import Replacements, cells_of
from skflow.fitted.reasons.words import RANGE, range_words, usual_words, words_of
from skflow.flow.model import Rows as EncodedTensors
from skflow.outliers.conditionals import conditionals
from skflow.outliers.joint_density import JointDensity
from skflow.table.storage import StoredTable
from skflow.torch_state import usual_torch

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]
Device = str | torch.device
Group = tuple[int, ...]

UNREMARKABLE = 0.1  # p-value from which a row has no strange cells
N_ORDERS = 20  # each also counts backwards
N_SINGLE = 4  # cells that are tried alone
GROWTH = 4  # of sizes of candidates: 2, 3, 4, 5, 6, 7, 8, 10, ...
REGAINED = 0.75  # share of the score that can be regained, from which a candidate suffices
LACKING = 3.0  # nats that it may lack, at most
VOUCHED = 0.5  # share of a cell's surprise that another one takes away
MOST_SPLIT = 8  # strange cells that are divided into groups
RANGE_DRAWS, RANGE_CHOSEN = 256, 64


class Reason(NamedTuple):
    """One line of the explanation of a row.

    Attributes
    ----------
    row : int
    columns : tuple of int
        A column, or those of a group.
    value, usual : str
        The row's own cells, and usual ones given the other cells of the row.
    contribution : float
        Part of the row's score.
    conditional, marginal : float
        Surprise given the other cells of the row, and without any: in nats.
    """

    row: int
    columns: Group
    value: str
    usual: str
    contribution: float
    conditional: float
    marginal: float


@usual_torch()
def explain(
    detector: Detector, table: StoredTable, device: Device, verbose: int = 0
) -> list[Reason]:
    """Reasons of each row, those that contribute most first."""
    density = detector.density
    table = replace(table, columns=tuple(in_fitted_dtypes(density.codec.columns, table.columns)))
    cells = _Cells.measure(detector, table, device, verbose)
    replacements = Replacements(detector, device)
    scores = detector.score(table, device)
    strange, regained = _find_strange(replacements, table, scores, cells)
    groups = [_groups_of(cells, row, mask) for row, mask in enumerate(strange)]
    parts = _divide(replacements, table, scores, regained, groups)
    usual = _usual_of_groups(replacements, table, strange, groups)
    words = [words_of(column) for column in table.columns]
    reasons = []
    for row, own in enumerate(groups):
        shares = _share_rest(regained[row], strange[row], cells.surprises[row])
        lines = [
            Reason(row, (j,), words[j][row], cells.usual[j][row], share, *cells.of_one(row, j))
            for j, share in enumerate(shares)
            if not strange[row, j]
        ]
        for group, part in zip(own, parts[row], strict=True):
            value = ", ".join(words[j][row] for j in group)
            if len(group) == 1:
                told = usual.get((row, group), cells.usual[group[0]][row])
                both = cells.of_one(row, group[0])
            else:
                told, both = usual[row, group], cells.of_group(row, group)
            lines.append(Reason(row, group, value, told, part, *both))
        reasons.extend(sorted(lines, key=lambda line: line.contribution))
    return reasons


def in_columns(reasons: list[Reason], table: StoredTable) -> dict[str, list[Any]]:
    """Return the columns of a frame with one line for each reason, other than its row."""
    names = [column.name for column in table.columns]
    return {
        "column": [", ".join(names[j] for j in each.columns) for each in reasons],
        "value": [each.value for each in reasons],
        "usual": [each.usual for each in reasons],
        "contribution": [each.contribution for each in reasons],
        "conditional_surprise": [each.conditional for each in reasons],
        "marginal_surprise": [each.marginal for each in reasons],
    }


@dataclass(frozen=True)
class _Cells:
    """What is known of each cell.

    Attributes
    ----------
    conditional : ndarray of shape (n_rows, n_columns)
        Surprise given the other cells of the row, by quadrature of the exact joint density.
    marginal : ndarray of shape (n_rows, n_columns)
        Surprise without any other cell.
    usual : list of lists of str
        Usual cells of each column given the other cells of each row.
    surprises : ndarray of shape (n_rows, n_columns)
        Mean surprise over orders.
    in_closed_form : Surprises
    drawable : ndarray of bool, shape (n_columns,)
    """

    conditional: FloatArray
    marginal: FloatArray
    usual: list[list[str]]
    surprises: FloatArray
    in_closed_form: Surprises
    drawable: Mask = field(repr=False)

    @classmethod
    def measure(
        cls, detector: Detector, table: StoredTable, device: Device, verbose: int
    ) -> "_Cells":
        density = detector.density
        codec = density.codec
        joint = JointDensity(density.model, device, table.n_rows * len(codec.columns))
        conditional = np.empty((table.n_rows, len(codec.columns)))
        usual: list[list[str]] = [[] for _ in codec.columns]
        for rows, j, given in conditionals(codec, joint, table, "explain", verbose):
            conditional[rows, j] = -given.tail_log_prob()
            labels, ends, probability = given.usual(*RANGE)
            nothing = np.full(len(labels), np.nan)
            low, high = (
                codec.columns[j].decode(labels, nothing, values, on_grid=True) for values in ends
            )
            usual[j].extend(range_words(low, high, probability))
        encoded = codec.encode(table)
        with torch.inference_mode():
            batch, _ = density.model.gaussianize(EncodedTensors.of(encoded))
            closed = Surprises(density.components, codec.indices, batch.labels, batch.y)
            surprises = closed.over_orders(N_ORDERS).numpy().T
        # A missing value where no fitted row had any has no closed form.
        surprises = np.where(surprises > 0, surprises, conditional)
        drawable = np.array([column.labels.has_values for column in codec.columns])
        unseen = cls(conditional, conditional, usual, surprises, closed, drawable)
        every = np.arange(table.n_rows)
        alone = [unseen.in_order(every, (j,))[:, j] for j in range(len(codec.columns))]
        return replace(unseen, marginal=np.column_stack(alone))

    def in_order(self, rows: Rows, order: Group) -> FloatArray:
        """Surprises of some rows in one order, ``(n_rows, n_columns)``."""
        closed, own = self.in_closed_form, torch.tensor(rows)
        some = Surprises(closed.components, closed.columns, closed.labels[:, own], closed.y[:, own])
        with torch.inference_mode():
            return some.in_order(order).numpy().T

    def of_one(self, row: int, j: int) -> tuple[float, float]:
        """Conditional and marginal surprise of a cell."""
        return float(self.conditional[row, j]), float(self.marginal[row, j])

    def of_group(self, row: int, group: Group) -> tuple[float, float]:
        """Conditional and marginal surprise of cells, seen one after the other."""
        rest = tuple(set(range(self.conditional.shape[1])) - {*group})
        rows = np.array([row])
        return tuple(  # type: ignore[return-value]
            float(self.in_order(rows, order)[0, list(group)].sum())
            for order in ((*rest, *group), group)
        )


def _find_strange(
    replacements: Replacements, table: StoredTable, scores: FloatArray, cells: _Cells
) -> tuple[Mask, FloatArray]:
    """Find the fewest cells of each row without which it is usual.

    Returns
    -------
    strange : ndarray of bool, shape (n_rows, n_columns)
        No cell of an unremarkable row.
    regained : ndarray of shape (n_rows,)
        Score of each row without them.
    """
    strange, regained = np.zeros(cells.conditional.shape, dtype=bool), scores.copy()
    least = replacements.detector.calibration.least_score(UNREMARKABLE)
    candidates = [
        (row, group) for row in np.flatnonzero(scores < least) for group in _candidates(cells, row)
    ]
    if not candidates:
        return strange, regained
    rows = np.array([row for row, _ in candidates])
    known = np.ones((len(rows), strange.shape[1]), dtype=bool)
    for mask, (_, group) in zip(known, candidates, strict=True):
        mask[list(group)] = False
    without, _ = replacements.best(table.take(rows), known)
    for row in np.unique(rows):
        own = np.flatnonzero(rows == row)
        best = without[own].max()
        if best <= scores[row]:
            continue
        lacking = min((1 - REGAINED) * (best - scores[row]), LACKING)
        enough = own[without[own] >= best - lacking]
        size = (~known[enough]).sum(axis=1)
        fewest = enough[size == size.min()]
        surprise = np.where(known[fewest], 0.0, cells.conditional[row]).sum(axis=1)
        chosen = fewest[surprise.argmax()]
        strange[row], regained[row] = ~known[chosen], without[chosen]
    return strange, regained


def _candidates(cells: _Cells, row: int) -> Iterator[Group]:
    """Cells of a row that may be strange: single ones, and sets of the most surprising."""
    surprises, conditional = cells.surprises[row], cells.conditional[row]
    both = surprises / surprises.max() + conditional / max(conditional.max(), math.ulp(0.0))
    can_be = np.flatnonzero(cells.drawable)
    for j in can_be[np.argsort(-both[can_be], kind="stable")][:N_SINGLE]:
        yield (int(j),)
    order = can_be[np.argsort(-surprises[can_be], kind="stable")].tolist()
    size = 2
    while size <= len(order):
        yield tuple(order[:size])
        size += 1 + size // (2 * GROWTH)


def _groups_of(cells: _Cells, row: int, strange: Mask) -> list[Group]:
    """Divide the strange cells of a row into groups that vouch for each other."""
    found = np.flatnonzero(strange)
    found = found[np.argsort(-cells.surprises[row, found], kind="stable")]
    if not 2 <= len(found) <= MOST_SPLIT:
        return [tuple(found.tolist())] if len(found) else []
    core, rows = tuple(np.flatnonzero(~strange).tolist()), np.array([row])
    number = np.arange(len(found))
    for i, j in enumerate(found.tolist()):
        for k, other in enumerate(found.tolist()[:i]):
            alone = _last_surprise(cells, rows, (*core, j))
            after = _last_surprise(cells, rows, (*core, other, j))
            if after < VOUCHED * alone:
                number[number == number[i]] = number[k]
    return [tuple(found[number == n].tolist()) for n in dict.fromkeys(number.tolist())]


def _last_surprise(cells: _Cells, rows: Rows, order: Group) -> float:
    """Surprise of the last cell in an order."""
    return float(cells.in_order(rows, order)[0, order[-1]])


def _divide(
    replacements: Replacements,
    table: StoredTable,
    scores: FloatArray,
    regained: FloatArray,
    groups: list[list[Group]],
) -> list[list[float]]:
    """Divide what each row regains among its groups, by what each adds first and last."""
    several = [(row, group) for row, own in enumerate(groups) if len(own) > 1 for group in own]
    gains: dict[tuple[int, Group], float] = {}
    if several:
        rows = np.array([row for row, _ in several])
        alone = np.ones((len(rows), len(table.columns)), dtype=bool)
        others = alone.copy()
        for i, (row, group) in enumerate(several):
            alone[i, list(group)] = False
            others[i, [j for own in groups[row] for j in own if own != group]] = False
        both = table.take(np.concatenate((rows, rows)))
        without, _ = replacements.best(both, np.concatenate((alone, others)))
        first = without[: len(rows)] - scores[rows]
        last = regained[rows] - without[len(rows) :]
        gains = dict(zip(several, np.maximum(first + last, 0.0).tolist(), strict=True))
    parts = []
    for row, own in enumerate(groups):
        each = np.array([gains.get((row, group), 1.0) for group in own])
        each = each / each.sum() if each.sum() > 0 else np.ones(len(own)) / max(1, len(own))
        has_others = sum(map(len, own)) < len(table.columns)
        whole = scores[row] - has_others * regained[row]
        parts.append((whole * each).tolist())
    return parts


def _share_rest(rest: float, strange: Mask, surprises: FloatArray) -> FloatArray:
    """Share what a row's score still lacks among its other cells, by their surprises."""
    weight = np.where(strange, 0.0, surprises)
    weight = weight if weight.sum() > 0 else (~strange).astype(np.float64)
    return rest * weight / max(weight.sum(), 1e-300)


def _usual_of_groups(
    replacements: Replacements, table: StoredTable, strange: Mask, groups: list[list[Group]]
) -> dict[tuple[int, Group], str]:
    """Usual cells of the groups of rows with several strange cells, given all other cells."""
    rows = np.flatnonzero(strange.sum(axis=1) > 1)
    told: dict[tuple[int, Group], str] = {}
    if not len(rows):
        return told
    drawn = replacements.draw(table.take(rows), ~strange[rows], RANGE_DRAWS, RANGE_CHOSEN)
    for place, row in enumerate(rows.tolist()):
        for group in groups[row]:
            own = [cells_of(drawn.columns[j], place, RANGE_CHOSEN) for j in group]
            told[row, group] = ", ".join(map(usual_words, own))
    return told
