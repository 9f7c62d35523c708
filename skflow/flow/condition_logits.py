r"""Logits of labels that are linear in the condition of a row.

.. math:: a_{jk} = \beta_{jk} + W_{jk} \, [\mathrm{clamp}(y); m] + \sum_i E_{jk, l_i},

with the gaussianized values :math:`y` of the condition, 0 in place of missing ones, the indicator
:math:`m` of these, and the labels :math:`l` of the condition: a multinomial logistic regression,
which the initialization fits and training leaves as it is.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from skflow.flow.batch import Batch
from skflow.flow.context import Vocabulary, sum_embeddings


class ConditionStart(NamedTuple):
    """Coefficients of the logits.

    Attributes
    ----------
    of_values : Tensor of float64, shape (n_logits, 2 * n_values + 1)
        Of values, of indicators of missing ones, and of 1.
    of_labels : Tensor of float64, shape (n_entries, n_logits)
        Of each label of the condition, in its vocabulary.
    """

    of_values: Tensor
    of_labels: Tensor

    @classmethod
    def none(cls, n_logits: int, n_labels: tuple[int, ...], n_values: int) -> "ConditionStart":
        """Return coefficients of 0: conditions have no effect."""
        n_entries = sum(n_labels) + len(n_labels)
        zeros = torch.zeros(n_logits, 2 * n_values + 1, dtype=torch.float64)
        return cls(zeros, zeros.new_zeros(n_entries, n_logits))


class ConditionLogits(nn.Module):
    """Logits of all known labels of all columns, one column after the other.

    Parameters
    ----------
    start : ConditionStart
    n_labels : tuple of int
        Known labels of each labelled column of the condition.
    bound : float
        Values are clamped to ``[-bound, bound]``.
    """

    of_values: Tensor
    of_labels: Tensor

    def __init__(self, start: ConditionStart, n_labels: tuple[int, ...], bound: float) -> None:
        super().__init__()
        self.vocabulary = Vocabulary(n_labels)
        self.bound = bound
        self.register_buffer("of_values", start.of_values)
        self.register_buffer("of_labels", start.of_labels)

    def forward(self, given: Batch) -> Tensor:
        """Return ``(n_logits, n_rows)``."""
        on_values = self.of_values @ condition_inputs(given.y, self.bound)
        return on_values + sum_embeddings(self.vocabulary(given.labels), self.of_labels)


def condition_inputs(y: Tensor, bound: float) -> Tensor:
    """Return clamped values, indicators of missing ones, and 1: ``(2 * n_values + 1, n_rows)``."""
    missing = y.isnan()
    clamped = y.clamp(-bound, bound).masked_fill(missing, 0.0)
    return torch.cat((clamped, missing.to(y.dtype), y.new_ones(1, y.shape[1])))
