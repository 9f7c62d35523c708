"""Student's t with 2 degrees of freedom: heavy tails, everything in closed form."""

import torch
from torch import Tensor


def density(t: Tensor) -> Tensor:
    r"""Density :math:`(2 + t^2)^{-3/2}`."""
    return (2 + t.square()).pow(-1.5)


def tails(t: Tensor) -> tuple[Tensor, Tensor]:
    """Lower and upper tail probabilities, each without cancellation."""
    size = t.abs()
    root = torch.sqrt(2 + size.square())
    small = 1 / (root * (root + size))
    return torch.where(t < 0, small, 1 - small), torch.where(t < 0, 1 - small, small)


def quantile(lower: Tensor, upper: Tensor) -> Tensor:
    """Where the lower tail is ``lower`` and the upper tail ``upper = 1 - lower``."""
    return (lower - upper) / torch.sqrt(2 * lower * upper)
