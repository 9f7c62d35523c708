"""Reasons that add up: which cells make a row strange, alone or as a group.

First the cells are found without which a row is usual (:mod:`skflow.fitted.reasons.strange`).
Among them, cells that support each other are a group.

The score that a row regains when its strange cells are replaced is theirs. What it still lacks is
shared among its other cells in proportion to their surprise. So contributions sum to the score.
"""

from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from skflow.fitted.cells import in_fitted_dtypes
from skflow.fitted.detector import Detector
from skflow.fitted.reasons.replacements import Replacements, cells_of
from skflow.fitted.reasons.strange import CellSurprises, Found, Group, find_strange
from skflow.fitted.reasons.words import RANGE, cell_words, range_words, usual_words
from skflow.outliers.conditionals import conditionals
from skflow.outliers.joint_density import JointDensity
from skflow.table.storage import StoredTable
from skflow.torch_state import usual_torch

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]
Device = str | torch.device

REGAINED = 0.75  # share of the score that can be regained, from which a candidate suffices
LACKING = 3.0  # nats that it may lack, at most
SHARED = 0.3  # part of the lesser cost of two cells that is common where they support each other
NOISE = 1.0  # nats of a cost that may be due to the draws
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
    codec = detector.density.codec
    table = in_fitted_dtypes(codec.columns, table)
    cells = CellSurprises.measure(detector, table)
    replacements = Replacements(detector, device)
    scores = detector.score(table, device)
    found = find_strange(replacements, table, scores, cells, few_nats_below_most)
    groups = split(replacements, table, found, cells)
    parts = divide(replacements, table, scores, found, groups)
    conditional, usual = given_rest(detector, table, found.table, device, verbose)
    of_groups = usual_of_groups(replacements, table, found.strange, groups)
    words = [cell_words(column) for column in table.columns]
    reasons = []
    for row, (own, own_parts) in enumerate(zip(groups, parts, strict=True)):
        shares = share_rest(found.scores[row], found.strange[row], cells.over_orders[row])
        rest = np.flatnonzero(~found.strange[row]).tolist()
        lines = [*zip(own, own_parts, strict=True), *(((j,), float(shares[j])) for j in rest)]
        for group, part in sorted(lines, key=lambda line: line[1]):
            value = ", ".join(words[j][row] for j in group)
            if len(group) == 1:
                in_words = usual[group[0]][row]
                surprise, alone = conditional[row, group[0]], cells.alone[row, group[0]]
            else:
                in_words = of_groups[row, group]
                surprise, alone = cells.of_group(row, group, rest)
            reasons.append(Reason(row, group, value, in_words, part, float(surprise), float(alone)))
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


def few_nats_below_most(score: float, regained: FloatArray) -> float:
    """Score from which a candidate suffices: few nats below the most that can be regained."""
    most = float(regained.max())
    return most - min((1 - REGAINED) * (most - score), LACKING)


def split(
    replacements: Replacements, table: StoredTable, found: Found, cells: CellSurprises
) -> list[list[Group]]:
    """Divide the strange cells of each row into groups that support each other.

    Put back one at a time, cells that support each other cost as much as together: each is in
    accord with what is drawn in place of the other. The costs of unrelated cells add up.
    """
    strange = [np.flatnonzero(mask) for mask in found.strange]
    order = [own[np.argsort(-cells.over_orders[row, own])] for row, own in enumerate(strange)]
    several = [row for row, own in enumerate(order) if 2 <= len(own) <= MOST_SPLIT]
    put_back = [
        (row, part)
        for row in several
        for size in (1, 2)
        for part in combinations(order[row].tolist(), size)
    ]
    costs: dict[tuple[int, Group], float] = {}
    if put_back:
        rows = np.array([row for row, _ in put_back])
        known = ~found.strange[rows]
        for mask, (_, part) in zip(known, put_back, strict=True):
            mask[list(part)] = True
        lost = found.scores[rows] - replacements.best(table.take(rows), known)[0]
        costs = dict(zip(put_back, lost.tolist(), strict=True))
    groups = []
    for row, own in enumerate(order):
        number = {j: j if row in several else -1 for j in own.tolist()}
        for j, k in combinations(number if row in several else (), 2):
            each = costs[row, (j,)], costs[row, (k,)]
            overlap = sum(each) - costs[row, (j, k)]
            if overlap > max(SHARED * min(each), NOISE):
                number = {i: number[j] if n == number[k] else n for i, n in number.items()}
        groups.append(
            [tuple(j for j in number if number[j] == n) for n in dict.fromkeys(number.values())]
        )
    return groups


def divide(
    replacements: Replacements,
    table: StoredTable,
    scores: FloatArray,
    found: Found,
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
        last = found.scores[rows] - without[len(rows) :]
        gains = dict(zip(several, np.maximum(first + last, 0.0).tolist(), strict=True))
    parts = []
    for row, own in enumerate(groups):
        each = np.array([gains.get((row, group), 1.0) for group in own])
        each = each / each.sum() if each.sum() > 0 else np.ones(len(own)) / max(1, len(own))
        has_others = sum(map(len, own)) < len(table.columns)
        whole = scores[row] - has_others * found.scores[row]
        parts.append((whole * each).tolist())
    return parts


def share_rest(rest: float, strange: Mask, surprises: FloatArray) -> FloatArray:
    """Share what a row's score still lacks among its other cells, by their surprises."""
    weight = np.where(strange, 0.0, surprises)
    weight = weight if weight.sum() > 0 else (~strange).astype(np.float64)
    return rest * weight / max(weight.sum(), 1e-300)


def given_rest(
    detector: Detector, table: StoredTable, rest: StoredTable, device: Device, verbose: int
) -> tuple[FloatArray, list[list[str]]]:
    """Surprise of each cell of a table given ``rest``, and what is usual there, in words.

    ``rest`` holds the same rows without strange cells.
    """
    codec = detector.density.codec
    joint = JointDensity(detector.density.model, device, table.n_rows * len(codec.columns))
    surprises = np.empty((table.n_rows, len(codec.columns)))
    words: list[list[str]] = [[] for _ in codec.columns]
    for rows, j, given in conditionals(codec, joint, rest, "explain", verbose, table):
        surprises[rows, j] = -given.tail_log_prob()
        ends, probability = given.usual(*RANGE)
        others = rest.take(rows)
        low, high = (codec.decode_cells(j, own, at, others) for own, at in ends)
        words[j].extend(range_words(low, high, probability))
    for i, (_, operands) in enumerate(codec.implied.positions):
        is_kept, was_kept = (codec.implied.are_kept(i, t.columns) for t in (rest, table))
        for j in operands:  # where constraint i determines the operand
            own, cells = table.columns[j], rest.columns[j]
            for row in np.flatnonzero(is_kept & ~was_kept & (own.values != cells.values)):
                (words[j][row],) = cell_words(cells.take([row]))
    return surprises, words


def usual_of_groups(
    replacements: Replacements, table: StoredTable, strange: Mask, groups: list[list[Group]]
) -> dict[tuple[int, Group], str]:
    """Usual cells of the groups of rows with several strange cells, given all other cells."""
    rows = np.flatnonzero(strange.sum(axis=1) > 1)
    in_words: dict[tuple[int, Group], str] = {}
    if not len(rows):
        return in_words
    drawn = replacements.draw(table.take(rows), ~strange[rows], RANGE_DRAWS, RANGE_CHOSEN)
    for place, row in enumerate(rows.tolist()):
        for group in groups[row]:
            own = [cells_of(drawn.columns[j], place, RANGE_CHOSEN) for j in group]
            in_words[row, group] = ", ".join(map(usual_words, own))
    return in_words
