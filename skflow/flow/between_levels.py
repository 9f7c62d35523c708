r"""Conditions between two levels, read as points between them.

A condition of few numbers has a label for each of its levels. A number :math:`x` between two
neighbouring ones has the position :math:`k + s` with

.. math:: s = (x - x_k) / (x_{k+1} - x_k),

and all that the model reads of the condition lies as far on the way: its embeddings, its effects
and its value. So the answer is that of the level at a level, and moves with :math:`x`.

Probabilities, those of labels and of the mixture's components, are averages instead: a network may
give a third label or component most of the weight between two levels at which it has none. Columns
:math:`i` that are between levels, with shares in descending order :math:`s_{(1)} \ge s_{(2)} \ge
\dots`, have the probability

.. math:: p = \sum_{c \ge 0} (s_{(c)} - s_{(c+1)}) \, p_c, \qquad s_{(0)} = 1,

with :math:`p_c` where the first c of these columns are at the upper level and the others at the
lower one: linear in each simplex of Freudenthal's triangulation (Kuhn, "Some combinatorial lemmas
in topology", IBM Journal of Research and Development 4, 1960).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from skflow.rows import LevelValues


class Corner(NamedTuple):
    """Levels of each row, and their share in its probabilities.

    Attributes
    ----------
    share : Tensor of shape (n_rows,)
    labels : Tensor of int64, shape (n_labelled, n_rows)
    values : Tensor of shape (n_valued, n_rows)
    """

    share: Tensor
    labels: Tensor
    values: Tensor


class Corners(nn.Module):
    """Corners of the simplex that each condition lies in; see the module's text.

    Parameters
    ----------
    levels : sequence of LevelValues
    """

    def __init__(self, levels: Sequence[LevelValues]) -> None:
        super().__init__()
        self.columns = [(column.label, column.value) for column in levels]
        for i, column in enumerate(levels):
            values = torch.tensor(column.values, dtype=torch.float64)
            self.register_buffer(f"values_{i}", values, persistent=False)

    def forward(self, positions: Tensor, values: Tensor) -> list[Corner]:
        """Return the corners; none where all conditions are at levels.

        Parameters
        ----------
        positions : Tensor of shape (n_labelled, n_rows)
            Labels, or places between two of them.
        values : Tensor of shape (n_valued, n_rows)
        """
        if not positions.is_floating_point():
            return []
        below = positions.floor()
        shares = positions - below
        between = shares > 0
        n_between = int(between.sum(dim=0).amax()) if between.any() else 0
        if not n_between:
            return []
        descending, order = shares.sort(dim=0, descending=True, stable=True)
        rank = order.argsort(dim=0)
        edges = torch.cat((torch.ones_like(shares[:1]), descending, torch.zeros_like(shares[:1])))
        found = []
        for c in range(n_between + 1):
            labels = (below + (between & (rank < c))).long()
            own = values.clone()
            for i, (label, value) in enumerate(self.columns):
                levels = self.get_buffer(f"values_{i}")
                at_level = levels[labels[label].clamp_max(len(levels) - 1)]
                own[value] = torch.where(between[label], at_level, values[value])
            found.append(Corner(edges[c] - edges[c + 1], labels, own))
        return found
