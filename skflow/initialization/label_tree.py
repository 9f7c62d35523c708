"""The initial fit of labels: each column given one earlier column."""

from collections.abc import Sequence

import torch
from torch import Tensor

from skflow.flow.label_start import JOINT, JointParents, LabelStart, joint_labels

SMOOTHING = 0.5  # rows that each label is given beforehand
PRIOR_ROWS = 2.0  # rows of the column's own frequencies added to those given the parent
FLOOR_ROWS = 5.0  # rows that may break every rule of the others
LEAST_FLOOR, MOST_FLOOR = 2e-4, 1e-2
MARGIN = 5.0  # nats over all rows: the best of many candidates gains some by luck
MIN_FREQUENCY = 1e-5
MOST_ENTRIES = 1_000_000  # of one table
MOST_CANDIDATES = 64  # earlier columns that are all tried
MOST_APART = 128  # columns of which each is a group of the network
N_GROUPS = 32  # where columns are more
SCREENED_CANDIDATES = 8  # where columns are more: those that share most information
SCREENED_LABELS = 16  # in each column; further ones share an entry
SCREENED_COLUMNS = 64  # at once
SCREENED_CELLS = 2**24  # in the sample of rows that information is counted in


def fit_label_tree(
    labels: Tensor,
    n_labels: Sequence[int],
    weight: Tensor | None = None,
    joint_parents: JointParents = (),
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
        the other predicts. None gives all rows the same weight.
    joint_parents : tuple, default=()
        Joint parents that columns may have, one for each column; see
        :class:`~skflow.flow.label_start.LabelStart`.
    """
    parents, log_frequencies, log_tables = [], [], []
    candidates = _candidates(labels, n_labels)
    for j, size in enumerate(n_labels):
        known = labels[j] < size
        own, counted = labels[j, known].long(), None if weight is None else weight[known]
        counts = _count(own, size, counted)
        frequency = _smoothed_frequencies(counts)
        parent, table = -1, frequency[None]
        best = _gain(counts[None], frequency)
        for i in candidates[j]:
            n_rows = n_labels[i] + 1
            if n_rows * size > MOST_ENTRIES or size < 2 or n_labels[i] < 2:
                continue
            pairs = labels[i, known].long() * size + own
            counts = _count(pairs, n_rows * size, counted).view(n_rows, size)
            gain = _gain(counts, frequency)
            if gain > best + MARGIN * (parent < 0):
                parent, table, best = i, _posterior_mean(counts, frequency), gain
        if joint_parents and joint_parents[j]:
            joint = joint_labels(labels[:, known], joint_parents[j]).long()
            counts = _count(joint * size + own, 2 * size, counted).view(2, size)
            if _gain(counts, frequency) > best + MARGIN * (parent < 0):
                parent, table = JOINT, _posterior_mean(counts, frequency)
        parents.append(parent)
        log_frequencies.append(frequency.log())
        log_tables.append(table.log())
    mass = labels.shape[1] if weight is None else float(weight.sum())
    floor = min(max(FLOOR_ROWS / mass, LEAST_FLOOR), MOST_FLOOR)
    n_groups = len(parents) if len(parents) <= MOST_APART else N_GROUPS
    start = LabelStart(parents, log_frequencies, log_tables, floor, n_groups)
    return start._replace(joint_parents=joint_parents)


def _candidates(labels: Tensor, n_labels: Sequence[int]) -> list[list[int]]:
    r"""Return the earlier columns that may be the parent of each column, the nearest first.

    Where columns are many, these are the ones with the largest mutual information, counted for all
    pairs by one product of indicators:

    .. math:: n I_{ij} = \sum_{kl} n_{kl} \log n_{kl} - \sum_k n_k \log n_k
        - \sum_l n_l \log n_l + n \log n.
    """
    n_columns = len(n_labels)
    nearest = [[*reversed(range(j))] for j in range(n_columns)]
    if n_columns <= MOST_CANDIDATES + 1:
        return nearest
    sizes = torch.tensor([*n_labels]).add(1).clamp_max(SCREENED_LABELS)
    ends = sizes.cumsum(0)
    n_entries = int(ends[-1])
    every = -(-labels.shape[1] * n_entries // SCREENED_CELLS)
    codes = labels[:, ::every].long().remainder(sizes[:, None]) + (ends - sizes)[:, None]
    indicators = torch.zeros(n_entries, codes.shape[1]).scatter_(0, codes, 1.0)
    column = torch.repeat_interleave(torch.arange(n_columns), sizes)
    of_one = indicators.sum(dim=1)
    own = torch.zeros(n_columns).index_add_(0, column, torch.xlogy(of_one, of_one))
    for block in torch.arange(MOST_CANDIDATES + 1, n_columns).split(SCREENED_COLUMNS):
        first, end = int((ends - sizes)[block[0]]), int(ends[block[-1]])
        counts = indicators[:end] @ indicators[first:end].T
        joint = torch.zeros(n_columns, end - first)
        joint.index_add_(0, column[:end], torch.xlogy(counts, counts))
        shared = -own[:, None].repeat(1, n_columns)
        shared.index_add_(1, column[first:end], joint)
        for j in block.tolist():
            best = shared[:j, j].topk(SCREENED_CANDIDATES).indices
            nearest[j] = sorted(best.tolist(), reverse=True)
    return nearest


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
