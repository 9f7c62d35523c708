"""Draws of unknown operands of a constraint, and the choice among many of their completions."""

import itertools
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from skflow.conditioning.partial_rows import PartialRows
from skflow.conditioning.some_cells import SomeCells
from skflow.fitted.questions.questions import PartialTable, Questions, inference

FloatArray = NDArray[np.float64]
Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]

PROPOSED = 512  # draws of a row of all unknown operands but one
SPREAD = 0.1  # share of the choice that is even


class OperandProposal:
    """The closed form of some unknown operands of rows, given their known cells but one target.

    Parameters
    ----------
    questions : Questions
    partial : PartialTable
    target : int
        A known column that counts as unknown.
    operands : list of int
    """

    def __init__(
        self, questions: Questions, partial: PartialTable, target: int, operands: list[int]
    ) -> None:
        self.questions = questions
        self.partial = partial
        self.operands = list(operands)
        for k, (implied, own) in reversed(list(enumerate(questions.codec.implied.positions))):
            if implied in self.operands and k not in partial.decided:
                # Those that imply an operand, by another constraint, are drawn with it.
                unknown = [j for j in own if not partial.known[0, j]]
                self.operands += [j for j in unknown if j not in self.operands]
        self.known = partial.known & (np.arange(partial.known.shape[1]) != target)
        self.sampler = questions.make_sampler(len(partial.known) * PROPOSED)
        with inference():
            rows, self.log_volume = self._encode(partial, self.known)
            positions = zip(*(questions.codec.indices[k] for k in self.operands), strict=True)
            labels, values = (tuple(k for k in own if k is not None) for own in positions)
            self.cells = SomeCells(self.sampler, rows, labels, values)

    def _encode(self, partial: PartialTable, known: Mask) -> tuple[PartialRows, FloatArray]:
        return self.questions.encode(replace(partial, known=known), self.sampler)

    def draw(self, uniform: FloatArray, n_draws: int) -> PartialTable:
        """Draw the operands, so many times for each row, one after the other."""
        model, several = self.sampler.model, np.repeat(np.arange(len(uniform)), n_draws)
        with inference():
            shifts = torch.tensor(uniform).to(self.sampler.device)
            labels, y = (part.flatten(1).cpu() for part in self.cells.draw(shifts, n_draws))
            values = model.marginals.inverse(y.nan_to_num(0.0)).numpy()
        nothing = np.full(labels.T.shape, np.nan)
        decoded = self.questions.codec.decode(labels.numpy().T, nothing, values.T, on_grid=True)
        rows = self.partial.take(several)
        known, columns = rows.known.copy(), list(rows.table.columns)
        for k in self.operands:
            known[:, k], columns[k] = True, decoded[k]
        return replace(rows, table=replace(rows.table, columns=tuple(columns)), known=known)

    def log_density(self, row: Rows, completed: PartialTable) -> FloatArray:
        """Log-density of the operands of completed rows, in nats, in the table's own units."""
        known = self.known[row]
        known[:, self.operands] = True
        with inference():
            rows, log_volume = self._encode(completed, known)
            source = torch.tensor(row).to(self.sampler.device)
            log_prob = self.cells.log_prob(source, rows.labels, rows.y).cpu().numpy()
        return np.asarray(log_prob + log_volume - self.log_volume[row])


def thin(
    source: Rows, log_weight: FloatArray, uniform: FloatArray, n_chosen: int
) -> tuple[Rows, FloatArray]:
    """Choose entries of each source by their weights; all where they are few enough.

    Returns
    -------
    chosen : ndarray of intp
    log_share : ndarray of float64
        Log of how often each is chosen on average.
    """
    chosen, log_share = [], []
    for row, (start, end) in zip(*runs(source), strict=True):
        n_entries = end - start
        if n_entries <= n_chosen:
            chosen.append(np.arange(start, end))
            log_share.append(np.zeros(n_entries))
            continue
        weight = log_weight[start:end]
        even = np.full(n_entries, 1 / n_entries)
        share = even if weight.max() == -np.inf else SPREAD * even + (1 - SPREAD) * softmax(weight)
        places = (np.arange(n_chosen) + uniform[row]) / n_chosen
        own = np.searchsorted(share.cumsum(), places).clip(max=n_entries - 1)
        chosen.append(start + own)
        log_share.append(np.log(n_chosen * share[own]))
    nothing = np.zeros(0)
    return np.concatenate([nothing.astype(np.intp), *chosen]), np.concatenate([nothing, *log_share])


def runs(source: Rows) -> tuple[list[int], list[tuple[int, int]]]:
    """Return the values of an ascending array, and where each begins and ends."""
    values, starts = np.unique(source, return_index=True)
    return values.tolist(), list(itertools.pairwise([*starts.tolist(), len(source)]))
