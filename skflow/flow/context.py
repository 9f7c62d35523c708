"""What the maps of values may read of a row's labels."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from skflow.flow.conditioner import ResidualBlock

FEATURE_SCALE = 0.1  # small: labels that say nothing of the values then stay quiet


class Context(NamedTuple):
    """A row's labels, as indices and as features.

    Attributes
    ----------
    codes : Tensor of int64, shape (n_labelled, n_rows)
        Indices into the vocabulary of all labels of all columns.
    features : Tensor of shape (n_features, n_rows)
        What conditioners read.
    """

    codes: Tensor
    features: Tensor


class Vocabulary(nn.Module):
    """Numbers the labels of all columns one after the other, "never seen" the last of each.

    Parameters
    ----------
    n_labels : sequence of int
        Known labels of each labelled column.
    """

    offsets: Tensor

    def __init__(self, n_labels: Sequence[int]) -> None:
        super().__init__()
        sizes = torch.tensor([*n_labels], dtype=torch.int64) + 1
        self.n_entries = sum(n_labels) + len(n_labels)
        self.register_buffer("offsets", sizes.cumsum(0) - sizes, persistent=False)

    def forward(self, labels: Tensor) -> Tensor:
        """Return the codes of ``labels``, ``(n_labelled, n_rows)``."""
        return labels + self.offsets[:, None]


class LabelFeatures(nn.Module):
    """Features of a row's labels: the sum of an embedding of each, and one residual block."""

    def __init__(
        self, n_entries: int, n_features: int, dropout: float, generator: torch.Generator | None
    ) -> None:
        super().__init__()
        self.weight = random_embedding(n_entries, n_features, generator, FEATURE_SCALE)
        self.block = ResidualBlock(n_features, dropout, generator)

    def forward(self, codes: Tensor) -> Tensor:
        """Return ``(n_features, n_rows)``."""
        return self.block(sum_embeddings(codes, self.weight))


def sum_embeddings(codes: Tensor, table: Tensor) -> Tensor:
    """Sum the rows of ``table`` that each row's codes name: ``(n_features, n_rows)``."""
    if not len(codes):
        return table.new_zeros(table.shape[1], codes.shape[1])
    return functional.embedding_bag(codes.T.contiguous(), table, mode="sum").T


def random_embedding(
    n_entries: int, n_features: int, generator: torch.Generator | None, scale: float
) -> nn.Parameter:
    """Return a table of normal draws; without a generator, one that takes no memory yet."""
    size, dtype = (n_entries, n_features), torch.float32
    if generator is None:
        return nn.Parameter(torch.empty(size, device="meta", dtype=dtype))
    return nn.Parameter(scale * torch.randn(size, generator=generator, dtype=dtype))
