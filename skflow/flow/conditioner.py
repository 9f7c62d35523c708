"""The networks that choose spline parameters."""

import math

import torch
from torch import Tensor, nn


class Linear(nn.Module):
    """Affine map of columns: ``(n_in, n_rows)`` to ``(n_out, n_rows)``.

    Weights are drawn from the given generator, never from torch's global one.
    """

    def __init__(self, n_in: int, n_out: int, generator: torch.Generator) -> None:
        super().__init__()
        bound = 1 / math.sqrt(max(n_in, 1))
        weight = torch.rand(n_out, n_in, generator=generator)
        self.weight = nn.Parameter(bound * (2 * weight - 1))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``weight @ x + bias``."""
        return torch.addmm(self.bias[:, None], self.weight, x)


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

    def __init__(self, width: int, dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        self.first = Linear(width, width, generator)
        self.second = Linear(width, width, generator)
        self.dropout = Dropout(dropout)

    def forward(self, h: Tensor) -> Tensor:
        """Add the block's correction to ``h``."""
        hidden = self.dropout(torch.relu(self.first(torch.relu(h))))
        return h + self.second(hidden)


class Conditioner(nn.Module):
    """Residual network from the columns that are read to spline parameters.

    It reads features of the labels as well. Values are clamped to
    ``[-bound, bound]``: a far one can then not saturate the network and so destroy
    the *other* columns on the way back. The last layer starts at zero: the coupling
    layer is then the identity.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        n_features: int,
        hidden_units: int,
        n_blocks: int,
        dropout: float,
        bound: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.bound = bound
        self.read = Linear(n_in + n_features, hidden_units, generator)
        self.blocks = nn.ModuleList(
            ResidualBlock(hidden_units, dropout, generator) for _ in range(n_blocks)
        )
        self.write = Linear(hidden_units, n_out, generator)
        nn.init.zeros_(self.write.weight)

    def forward(self, x: Tensor, features: Tensor | None = None) -> Tensor:
        """Return raw parameters, ``(n_out, n_rows)``."""
        clamped = x.clamp(-self.bound, self.bound)
        h = self.read(clamped if features is None else torch.cat((clamped, features)))
        for block in self.blocks:
            h = block(h)
        return self.write(torch.relu(h))
