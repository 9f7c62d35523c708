"""The initial fit of labels: each column given one earlier column."""

from collections.abc import Sequence

import torch
from torch import Tensor

from skflow.flow.categorical import LabelStart

SMOOTHING = 0.5  # rows that each label is given beforehand
PRIOR_ROWS = 2.0  # rows of the column's own frequencies added to those given the parent
FLOOR_ROWS = 5.0  # rows that may break every rule of the others
LEAST_FLOOR, MOST_FLOOR = 2e-4, 1e-2
MARGIN = 5.0  # nats over all rows: the best of many candidates gains some by luck
MIN_FREQUENCY = 1e-5
MOST_ENTRIES = 1_000_000  # of one table
MOST_CANDIDATES = 64  # earlier columns that are tried, the nearest first


def fit_label_tree(
    labels: Tensor, n_labels: Sequence[int], weight: Tensor | None = None
) -> LabelStart:
    r"""Fit a tree of labelled columns, in their order (cf. Chow and Liu, 1968).

    The parent of a column is the earlier one that predicts it best,

    .. math:: P(k \mid l) = (n_{kl} + \nu f_k) / (n_l + \nu),

    by the log-probability of each row under the counts of all others; a column that
    none predicts better than its frequencies :math:`f` has no parent.

    Parameters
    ----------
    labels : Tensor of integers, shape (n_labelled, n_rows)
        ``n_labels[j]`` means "never seen".
    n_labels : sequence of int
        Known labels of each column.
    weight : Tensor of float64, shape (n_rows,), optional
        Counts are sums of weights: a row of weight 2 counts as two equal rows, each of which
        the other predicts. None weighs all rows alike.
    """
    parents, log_frequencies, log_tables = [], [], []
    for j, size in enumerate(n_labels):
        known = labels[j] < size
        own, counted = labels[j, known].long(), None if weight is None else weight[known]
        counts = _count(own, size, counted)
        frequency = _smoothed_frequencies(counts)
        parent, table = -1, frequency[None]
        best = _gain(counts[None], frequency)
        for i in reversed(range(max(0, j - MOST_CANDIDATES), j)):
            n_rows = n_labels[i] + 1
            if n_rows * size > MOST_ENTRIES or size < 2 or n_labels[i] < 2:
                continue
            pairs = labels[i, known].long() * size + own
            counts = _count(pairs, n_rows * size, counted).view(n_rows, size)
            gain = _gain(counts, frequency)
            if gain > best + MARGIN * (parent < 0):
                parent, table, best = i, _posterior_mean(counts, frequency), gain
        parents.append(parent)
        log_frequencies.append(frequency.log())
        log_tables.append(table.log())
    mass = labels.shape[1] if weight is None else float(weight.sum())
    floor = min(max(FLOOR_ROWS / mass, LEAST_FLOOR), MOST_FLOOR)
    return LabelStart(parents, log_frequencies, log_tables, floor)


def _smoothed_frequencies(counts: Tensor) -> Tensor:
    counts = counts + SMOOTHING
    frequency = (counts / counts.sum()).clamp_min(MIN_FREQUENCY)
    return frequency / frequency.sum()


def _count(labels: Tensor, size: int, weight: Tensor | None) -> Tensor:
    """Sum of weights of each label, ``(size,)``, one at least."""
    return torch.bincount(labels, weight, minlength=max(size, 1)).double()


def _posterior_mean(counts: Tensor, frequency: Tensor) -> Tensor:
    return (counts + PRIOR_ROWS * frequency) / (counts.sum(1, keepdim=True) + PRIOR_ROWS)


def _gain(counts: Tensor, frequency: Tensor) -> float:
    """Sum of each row's log-probability under the counts of all other rows, in nats."""
    others = (counts - 1).clamp_min(0) + PRIOR_ROWS * frequency
    totals = (counts.sum(1, keepdim=True) - 1).clamp_min(0) + PRIOR_ROWS
    return float((counts * (others / totals).log()).sum())
