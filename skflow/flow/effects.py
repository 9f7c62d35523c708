"""Effects of a context: on the mixture, whose logits and means they add to, and on labels."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from skflow.flow.batch import Batch
from skflow.flow.context import Context, Vocabulary, sum_embeddings


class ContextEffect(NamedTuple):
    """Sum of all effects on a mixture.

    Attributes
    ----------
    log_weights : Tensor of shape (K, n or 1)
    shift : Tensor of shape (d, n or 1)
        Addition to the means.
    between : Tensor of shape (K, n), optional
        Log-weights given the condition too, where it is between levels; NaN in other rows.
    """

    log_weights: Tensor
    shift: Tensor
    between: Tensor | None = None

    def or_between(self, log_weights: Tensor) -> Tensor:
        """Return log-weights given the condition, those between levels where it is there."""
        if self.between is None:
            return log_weights
        return torch.where(self.between.isnan(), log_weights, self.between)


class LabelEffects(nn.Module):
    """Effect of each label on logits and means: one row of a table, summed over labels.

    Parameters
    ----------
    table : Tensor of shape (n_entries, n_components + n_columns)
        Effects of the vocabulary's entries, as the initialization fits them.
    """

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table)

    def forward(self, context: Context) -> Tensor:
        """Return ``(n_components + n_columns, n_rows)``."""
        assert context.codes is not None
        return sum_embeddings(context.codes, self.table)


class ConditionEffects(nn.Module):
    """Effect of a condition on logits and means: a linear map of its features, at first 0.

    Parameters
    ----------
    n_features : int
    n_components, n_columns : int
        Logits and means that it adds to.
    n_given : int
        Means of the mixture's leading columns, which stay as they are.
    """

    def __init__(
        self, n_features: int, n_components: int, n_columns: int, n_given: int = 0
    ) -> None:
        super().__init__()
        n_effects = n_components + n_columns
        self.weight = nn.Parameter(torch.zeros(n_effects, n_features, dtype=torch.float64))
        self.sizes = (n_components, n_columns)
        self.n_given = n_given

    def forward(self, context: Context) -> Tensor:
        """Return ``(n_components + n_given + n_columns, n_rows)``."""
        assert context.given is not None
        effects = self.weight @ context.given
        if not self.n_given:
            return effects
        on_logits, on_means = effects.split(self.sizes)
        nothing = effects.new_zeros(self.n_given, effects.shape[1])
        return torch.cat((on_logits, nothing, on_means))


class ConditionStart(NamedTuple):
    """Coefficients of :class:`ConditionLogits`.

    Attributes
    ----------
    of_values : Tensor of float64, shape (n_logits, 2 * n_values + 1)
        Coefficients of values, of indicators of missing ones, and of 1.
    of_labels : Tensor of float64, shape (n_entries, n_logits)
        Effects of each label of the condition, in its vocabulary.
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
    r"""Logits of labels that are linear in the condition of a row.

    .. math:: a_{jk} = \beta_{jk} + W_{jk} \, [\mathrm{clamp}(y); m] + \sum_i E_{jk, l_i},

    with the gaussianized values :math:`y` of the condition, 0 in place of missing ones, the
    indicator :math:`m` of these, and the labels :math:`l` of the condition: a multinomial logistic
    regression, which the initialization fits and training leaves as it is. They are of all known
    labels of all columns, one column after the other.

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
