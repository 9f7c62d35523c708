"""The start of a model of labels: a tree of columns, each given one or several before it."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from skflow.flow.effects import ConditionStart

JOINT = -2  # parent of a column that has a joint parent
JointParent = tuple[tuple[int, int, int], ...]
JointParents = tuple[JointParent, ...]


class LabelStart(NamedTuple):
    """Starting values of the probabilities: a tree of columns.

    Attributes
    ----------
    parents : list of int
        The earlier column that each column depends on; -1 for none, -2 for its joint parent.
    log_frequencies : list of Tensor
        Smoothed marginal log-frequencies, ``(n_labels,)`` per column.
    log_tables : list of Tensor
        Log-probabilities given each label of the parent, the novel label last,
        ``(n_parent_labels + 1, n_labels)`` per column; one row without a parent, two given a joint
        one.
    floor : float
        Share of the frequencies in each probability.
    n_groups : int
        Groups of neighbouring columns that share a hidden state, at most one for each column.
    given : ConditionStart, optional
        Effects of a condition on the logits; None: there are none.
    joint_parents : tuple of tuples of (int, int, int)
        The joint parent of each column: earlier columns, each with the first and the end of some of
        its labels. It says whether one of these columns has one of these labels.
    """

    parents: list[int]
    log_frequencies: list[Tensor]
    log_tables: list[Tensor]
    floor: float
    n_groups: int
    given: ConditionStart | None = None
    joint_parents: JointParents = ()


def blank_start(
    n_labels: Sequence[int], parents: list[int], n_groups: int, joint_parents: JointParents = ()
) -> LabelStart:
    """Return a start of the given sizes, to load a state into; its numbers take no memory."""
    n_rows = [rows_of_table(n_labels, parent) for parent in parents]
    empty = partial(torch.empty, dtype=torch.float64, device="meta")
    tables = [empty(*sizes) for sizes in zip(n_rows, n_labels, strict=True)]
    frequencies = [empty(size) for size in n_labels]
    return LabelStart(parents, frequencies, tables, 0.01, n_groups, joint_parents=joint_parents)


def rows_of_table(n_labels: Sequence[int], parent: int) -> int:
    """Return the rows of the table of a column: one for each label of its parent, novel or not."""
    return n_labels[parent] + 1 if parent >= 0 else 2 if parent == JOINT else 1


def joint_labels(labels: Tensor, joint_parent: JointParent) -> Tensor:
    """Return 1 where one of the columns of a joint parent has one of its labels, else 0."""
    found = torch.zeros_like(labels[0], dtype=torch.bool)
    for column, first, end in joint_parent:
        found |= (labels[column] >= first) & (labels[column] < end)
    return found.to(labels.dtype)
