"""The networks that choose spline parameters."""

import torch
from torch import Tensor, nn

from skflow.flow.reading import quantize_inputs


class Linear(nn.Module):
    """Affine map of columns: ``(n_in, n_rows)`` to ``(n_out, n_rows)``.

    Weights are drawn from the given generator, never from torch's global one; without one
    they take no memory until a state is loaded. Where a mask, ``(n_out, n_in)``, is 0, an
    output does not see an input.
    """

    mask: Tensor | None

    def __init__(
        self, n_in: int, n_out: int, generator: torch.Generator | None, mask: Tensor | None = None
    ) -> None:
        super().__init__()
        mask = None if mask is None else mask.to(torch.float32)
        if generator is None:
            weight = torch.empty(n_out, n_in, device="meta", dtype=torch.float32)
        else:
            whole = torch.tensor(n_in, dtype=torch.float32)
            n_seen = whole if mask is None else mask.sum(dim=1, keepdim=True)
            weight = 2 * torch.rand(n_out, n_in, generator=generator, dtype=torch.float32) - 1
            weight = weight / n_seen.clamp_min(1).sqrt()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(n_out, dtype=torch.float32))
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``weight @ x + bias``."""
        return torch.addmm(self.bias[:, None], self.seen_weight(), x)

    def seen_weight(self) -> Tensor:
        """Return the weight, 0 where masked."""
        return self.weight if self.mask is None else self.weight * self.mask


class Dropout(nn.Module):
    """Inverted dropout whose mask comes from the training's own generator."""

    generator: torch.Generator | None = None

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Zero entries at the given rate while training, scale up the others."""
        if not self.training or self.rate == 0:
            return x
        keep = torch.empty_like(x).bernoulli_(1 - self.rate, generator=self.generator)
        return x * keep / (1 - self.rate)


class ResidualBlock(nn.Module):
    """``h + W2 dropout(relu(W1 relu(h)))`` (He et al., 2016, pre-activation)."""

    def __init__(
        self,
        width: int,
        dropout: float,
        generator: torch.Generator | None,
        mask: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.first = Linear(width, width, generator, mask)
        self.second = Linear(width, width, generator, mask)
        self.dropout = Dropout(dropout)

    def forward(self, h: Tensor) -> Tensor:
        """Add the block's correction to ``h``."""
        hidden = self.dropout(self.first(torch.relu(h)).relu_())
        return h + self.second(hidden)


class Conditioner(nn.Module):
    r"""Masked residual network from columns to the spline parameters of later columns.

    A column of group g is told of the groups before g only. Each hidden unit has a
    degree m: it sees groups below m, and is seen by units of at least its degree and by
    the parameters of groups from m on (Germain et al., "MADE", 2015, arXiv:1502.03509,
    section 3). Features of the labels are seen by all.

    Columns are read clamped and rounded (:mod:`skflow.flow.reading`). The last layer
    starts at zero: the coupling layer is then the identity.

    Parameters
    ----------
    groups : Tensor of int64, shape (n_columns,)
        The group of each column, from 0.
    n_groups : int
    n_parameters : int
        Of each column.
    n_features : int
        Features of the labels.
    hidden_units, n_blocks : int
        Width, and residual blocks.
    dropout, generator
        Of the residual blocks, and of all starting weights.
    bound : float
    """

    def __init__(
        self,
        groups: Tensor,
        n_groups: int,
        n_parameters: int,
        *,
        n_features: int,
        hidden_units: int,
        n_blocks: int,
        dropout: float,
        bound: float,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        self.n_parameters = n_parameters
        self.bound = bound
        degrees = _spread_degrees(hidden_units, n_groups - 1, has_features=n_features > 0)
        inputs = torch.cat((groups + 1, groups.new_zeros(n_features)))
        outputs = groups.repeat(n_parameters)
        self.read = Linear(
            len(inputs), hidden_units, generator, degrees[:, None] >= inputs[None, :]
        )
        mask = degrees[:, None] >= degrees[None, :]
        self.blocks = nn.ModuleList(
            ResidualBlock(hidden_units, dropout, generator, mask) for _ in range(n_blocks)
        )
        self.write = Linear(
            hidden_units, len(outputs), generator, outputs[:, None] >= degrees[None, :]
        )
        nn.init.zeros_(self.write.weight)

    def forward(
        self, x: Tensor, features: Tensor | None = None, columns: slice = slice(None)
    ) -> Tensor:
        """Return raw parameters of some columns, ``(n_parameters, n_chosen, n_rows)``."""
        # Rounding has no gradient: training reads the columns as they are.
        read = x.clamp(-self.bound, self.bound) if self.training else quantize_inputs(x, self.bound)
        h = self.read(read if features is None else torch.cat((read, features)))
        for block in self.blocks:
            h = block(h)
        weight, bias = self._chosen(columns)
        raw = torch.addmm(bias[:, None], weight, torch.relu(h))
        return raw.view(self.n_parameters, -1, x.shape[1])

    def _chosen(self, columns: slice) -> tuple[Tensor, Tensor]:
        """The part of the last layer that writes the parameters of some columns."""
        weight, bias = self.write.seen_weight(), self.write.bias
        if columns == slice(None):
            return weight, bias
        shape = (self.n_parameters, -1)
        by_column = weight.view(*shape, weight.shape[1])[:, columns]
        return by_column.flatten(0, 1), bias.view(shape)[:, columns].flatten()


def _spread_degrees(hidden_units: int, last_group: int, *, has_features: bool) -> Tensor:
    """Degrees of the hidden units: as many of each, 0 where there are features to read."""
    lowest = 0 if has_features or last_group == 0 else 1
    return lowest + torch.arange(hidden_units) % (last_group - lowest + 1)
