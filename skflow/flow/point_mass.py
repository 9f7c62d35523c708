"""Columns of one value: an atom, and a heavy-tailed density for anything else."""

import math

import torch
from torch import Tensor, nn

from skflow.flow import student
from skflow.flow.normal import ndtr

RARE = 1e-9


class PointMass(nn.Module):
    """Density of columns that were constant in training, encoded as 0 there.

    The constant has probability ``1 - RARE``; any other value has density
    ``RARE * t(w)``, t of 2 degrees of freedom: finite, falling outward, and
    reversible. There is nothing to fit.
    """

    def log_prob(self, w: Tensor) -> Tensor:
        """Log-probability (of the constant) or log-density, summed over columns, in nats."""
        rare = math.log(RARE) + student.density(w).log()
        return torch.where(w == 0, math.log1p(-RARE), rare).sum(dim=0)

    def latents(self, w: Tensor) -> Tensor:
        """Normal quantile of the distribution function; 0 in the middle of the atom."""
        lower, upper = student.tails(w)
        score = torch.special.ndtri(RARE * torch.minimum(lower, upper))
        return torch.where(w == 0, 0.0, torch.where(w < 0, score, -score))

    def inverse(self, z: Tensor) -> Tensor:
        """Undo :meth:`latents`; every latent within the atom is the constant."""
        tail = ndtr(-z.abs()) / RARE
        clipped = tail.clamp(torch.finfo(z.dtype).tiny, 0.5)
        size = student.quantile(1 - clipped, clipped)
        return torch.where(tail >= 0.5, 0.0, torch.sign(z) * size)
