"""Reasons of rows: how unlikely each cell is given the others, and what is usual there."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from skflow.fitted.detector import Detector
from skflow.fitted.reasons.words import ROUGH
from skflow.fitted.repair import repair
from skflow.outliers.conditionals import Conditional, conditionals
from skflow.outliers.joint_density import JointDensity
from skflow.report.text import spell_cells, spell_list, spell_share
from skflow.table.codec import TableCodec
from skflow.table.number_codecs import ValueCodec
from skflow.table.storage import StoredColumn, StoredTable
from skflow.torch_state import usual_torch

FloatArray = NDArray[np.float64]

SHARES = (0.05, 0.95)  # of the draws of a number below the ends of its usual range
NAMED = 0.9  # share of the draws of a label that the usual ones cover
MOST_NAMED = 3
SURE = 0.995  # share of the draws of a label that is named without it
MOST_REPAIRED = 50  # rows, a page of the table; a repair costs as much as the reasons of ten rows


@dataclass(frozen=True)
class Reasons:
    """Reasons and repairs of some rows.

    Attributes
    ----------
    log_probs : ndarray of shape (n_rows, n_columns)
        As of :meth:`FlowOutlierDetector.score_features`.
    usual : list of lists of str
        For each column, the usual cells of each row, given its others.
    repaired : StoredTable
        Repairs of the first rows.
    is_whole : ndarray of bool, shape (repaired.n_rows,)
        Rows that were replaced as a whole.
    """

    log_probs: FloatArray
    usual: list[list[str]]
    repaired: StoredTable
    is_whole: NDArray[np.bool_]

    @classmethod
    def find(
        cls, detector: Detector, table: StoredTable, device: str | torch.device, verbose: int
    ) -> Self:
        """Find the reasons of all rows, and repair the first."""
        log_probs, usual = explain(detector, table, device, verbose)
        first = table.take(slice(0, MOST_REPAIRED))
        repaired, whole = repair(detector, first, device, verbose)
        is_whole = np.zeros(first.n_rows, dtype=bool)
        is_whole[whole] = True
        return cls(log_probs, usual, repaired, is_whole)


@usual_torch()
def explain(
    detector: Detector, table: StoredTable, device: str | torch.device, verbose: int = 0
) -> tuple[FloatArray, list[list[str]]]:
    """Conditional log tail probability of each cell, and what is usual given the others.

    Both come from one conditional distribution, which takes the time.
    """
    codec = detector.density.codec
    n_columns = len(codec.columns)
    joint = JointDensity(detector.density.model, device, table.n_rows * n_columns)
    log_probs = np.empty((table.n_rows, n_columns))
    usual: list[list[str]] = [[] for _ in range(n_columns)]
    for rows, j, given in conditionals(codec, joint, table, "reasons", verbose):
        log_probs[rows, j] = given.tail_log_prob()
        usual[j] += spell_usual(codec, given, j, table.take(rows))
    return log_probs, usual


def spell_usual(codec: TableCodec, given: Conditional, j: int, rows: StoredTable) -> list[str]:
    """Usual cells of a column of rows in words: a range of numbers, or the likeliest labels."""
    column = codec.columns[j]
    labels = column.labels
    log_probs = given.event_log_probs()
    order = np.argsort(-log_probs, axis=1, kind="stable")[:, :MOST_NAMED]
    probs = np.exp(np.take_along_axis(log_probs, order, axis=1))
    nothing, no_value = np.full(labels.n_labels, np.nan), np.zeros(labels.n_labels)
    known = column.decode(np.arange(labels.n_labels), nothing, no_value, on_grid=True)
    names = np.array(spell_cells(known, ROUGH), dtype=object)[order]
    quantiles, k = given.quantiles(SHARES), codec.indices[j].value
    if quantiles is not None and k is not None:
        low, high = (
            spell_cells(within_support(codec.value_codecs[k], *ends), ROUGH)
            for ends in zip(quantiles[0].T, quantiles[1].T, strict=True)
        )
        ranges = [a if a == b else f"{a} to {b}" for a, b in zip(low, high, strict=True)]
        names = np.where(order == labels.value_labels.start, np.array(ranges)[:, None], names)
    for label in labels.implied:
        implied = np.full(rows.n_rows, label)
        cells = codec.decode_cells(j, implied, np.full(rows.n_rows, np.nan), rows)
        own = np.array(spell_cells(cells, ROUGH), dtype=object)
        names = np.where(order == label, own[:, None], names)
    return [
        spell_likeliest(of_row, shares)
        for of_row, shares in zip(names.tolist(), probs.tolist(), strict=True)
    ]


def within_support(
    column: ValueCodec, labels: NDArray[np.int64], encoded: FloatArray
) -> StoredColumn:
    """Return values, those beyond the support at its ends; draws would be reflected there."""
    cells = column.decode(labels, np.full(len(encoded), np.nan), encoded, on_grid=False)
    return replace(cells, values=cells.values.clip(*column.limits))


def spell_likeliest(names: list[str], probs: list[float]) -> str:
    """Return names, the likeliest first, until they cover most of the draws."""
    if probs[0] >= SURE:
        return names[0]
    n_named = 1 + int(np.searchsorted(np.cumsum(probs), NAMED))
    return spell_list(names[:n_named], [f"({spell_share(prob)})" for prob in probs[:n_named]])
