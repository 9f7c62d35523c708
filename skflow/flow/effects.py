"""Effects of a context on the mixture: additions to the logits of its weights and to its means."""

import torch
from torch import Tensor, nn

from skflow.flow.context import Context, sum_embeddings


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
