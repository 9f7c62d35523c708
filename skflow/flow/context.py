r"""Context of a row's values: its labels, its condition, and features of both.

A context encoder turns labels :math:`l` and gaussianized values :math:`y` into features

.. math::

    h = \sum_j E_{j, l_j} + W \, [\mathrm{clamp}(y); m] + b, \qquad
    \text{features} = h + W_2 \, \mathrm{relu}(W_1 \, \mathrm{relu}(h)),

with an embedding :math:`E_{j,k}` of each label, 0 in place of missing values and the
indicator :math:`m` of these. It serves a row's own labels, without values, and the
condition of a row, with both.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from skflow.flow.batch import Batch
from skflow.flow.conditioner import Linear, ResidualBlock

FEATURE_SCALE = 0.1  # small: labels that do not matter for the values add little noise


class Context(NamedTuple):
    """What maps of values read of a row besides its values.

    Attributes
    ----------
    codes : Tensor of int64, shape (n_labelled, n_rows), optional
        Labels of the row, then those of its condition, as indices into the vocabulary of all
        these columns; float64 where some lie between two labels.
    features : Tensor of shape (n_features, n_rows), optional
        Features of labels and condition that conditioners read.
    given : Tensor of shape (n_given_features, n_rows), optional
        Features of the condition that mixture effects read.
    condition : Tensor of shape (n_given_values, n_rows), optional
        Gaussianized values of the condition, the leading columns of the mixture.
    quantize : bool
        Whether columns are rounded where other columns read them, as an exact inverse
        needs; False has gradients and costs less.
    corners : tuple of Context
        Contexts at levels, where the condition lies between some; see
        :mod:`skflow.flow.between_levels`.
    share : Tensor of shape (n_rows,), optional
        Share of such a context in probabilities.
    """

    codes: Tensor | None = None
    features: Tensor | None = None
    given: Tensor | None = None
    condition: Tensor | None = None
    quantize: bool = True
    corners: tuple["Context", ...] = ()
    share: Tensor | None = None

    def take(self, rows: Tensor) -> "Context":
        """Return the context of some rows, by index."""

        def own(part: Tensor | None) -> Tensor | None:
            return None if part is None else part[..., rows]

        return Context(
            own(self.codes),
            own(self.features),
            own(self.given),
            own(self.condition),
            self.quantize,
            tuple(corner.take(rows) for corner in self.corners),
            own(self.share),
        )


NO_CONTEXT = Context()


class Vocabulary(nn.Module):
    """Numbering of the labels of all columns, one column after the other.

    The novel label of a column is its last.

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


class ContextEncoder(nn.Module):
    """Features of labels and values; see the module's text for the formula.

    Parameters
    ----------
    n_labels : sequence of int
        Known labels of each labelled column.
    n_values : int
        Number of columns of values.
    n_features : int
    dropout : float
        Rate inside the residual block.
    bound : float
        Values are clamped to ``[-bound, bound]``.
    generator : torch.Generator or None
        Source of the starting weights.
    """

    def __init__(
        self,
        n_labels: Sequence[int],
        n_values: int,
        n_features: int,
        *,
        dropout: float,
        bound: float,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        self.bound = bound
        self.vocabulary = Vocabulary(n_labels)
        n_entries = self.vocabulary.n_entries
        self.weight = random_embedding(n_entries, n_features, generator, FEATURE_SCALE)
        self.block = ResidualBlock(n_features, dropout, generator)
        self.value_layer = Linear(2 * n_values, n_features, generator) if n_values else None

    def encode(self, rows: Batch) -> Tensor:
        """Return features of labels and values, ``(n_features, n_rows)``."""
        return self(self.vocabulary(rows.labels), rows.y)

    def forward(self, codes: Tensor, y: Tensor | None = None) -> Tensor:
        """Return features of codes and gaussianized values, ``(n_features, n_rows)``."""
        h = sum_embeddings(codes, self.weight)
        if self.value_layer is not None and y is not None:
            missing = y.isnan()
            clamped = y.clamp(-self.bound, self.bound).masked_fill(missing, 0.0)
            h = h + self.value_layer(torch.cat((clamped, missing.to(y.dtype))))
        return self.block(h)


def sum_embeddings(codes: Tensor, table: Tensor) -> Tensor:
    """Sum the rows of ``table`` that each row's codes name: ``(n_features, n_rows)``.

    A code between two indices names a point on the line between their rows.
    """
    if not len(codes):
        return table.new_zeros(table.shape[1], codes.shape[1])
    if not codes.is_floating_point():
        return functional.embedding_bag(codes.T.contiguous(), table, mode="sum").T
    below = codes.floor()
    share = (codes - below).to(table)
    entries = torch.cat((below, codes.ceil())).long().T.contiguous()
    weights = torch.cat((1 - share, share)).T.contiguous()
    return functional.embedding_bag(entries, table, per_sample_weights=weights, mode="sum").T


def group_starts(n_columns: int, n_groups: int) -> list[int]:
    """Return the first column of each of some groups of neighbours, nearly equal in size."""
    return [-(-group * n_columns // n_groups) for group in range(n_groups)]


def sum_in_groups(codes: Tensor, table: Tensor, first: Sequence[int], offsets: Tensor) -> Tensor:
    """Sum the rows of ``table`` that codes name, by groups of columns.

    Parameters
    ----------
    codes : Tensor of int64, shape (n_columns, n_rows)
    table : Tensor of shape (n_entries, n_features)
    first : sequence of int
        First column of each group.
    offsets : Tensor of int64, shape (n_columns,)
        First entry of each column.

    Returns
    -------
    sums : Tensor of shape (n_groups, n_rows, n_features)
    """
    columns = pairwise([*first, len(codes)])
    entries = pairwise([*offsets[[*first]].tolist(), len(table)])
    sums = []
    for (begin, end), (low, high) in zip(columns, entries, strict=True):
        rows = table[low:high].index_select(0, (codes[begin:end] - low).flatten())
        sums.append(rows.view(end - begin, *codes.shape[1:], -1).sum(dim=0))
    return torch.stack(sums)


def random_embedding(
    n_entries: int, n_features: int, generator: torch.Generator | None, scale: float
) -> nn.Parameter:
    """Return a table of normal draws; without a generator, one that takes no memory yet."""
    size, dtype = (n_entries, n_features), torch.float32
    if generator is None:
        return nn.Parameter(torch.empty(size, device="meta", dtype=dtype))
    return nn.Parameter(scale * torch.randn(size, generator=generator, dtype=dtype))
