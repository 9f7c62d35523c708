r"""The broad density under the mixture layer: logistic, with a trace of heavier tails.

.. math:: b(y) = (1 - \eta) \, \mathrm{logistic}(y) + \eta \, t_2(y).

The logistic spreads the floor over wherever rows lie. Student's t of 2 degrees of
freedom, a millionth of it, is there for numbers alone: its tails never underflow,
so scores and latents stay finite out to 1e300. More of it would be felt: where the
marginals' logarithmic tails are undone, its draws become absurdly large.
"""

import torch
from torch import Tensor

from skflow.flow import student

HEAVY = 1e-6


def density(y: Tensor) -> Tensor:
    """Density at ``y``."""
    logistic = torch.sigmoid(y) * torch.sigmoid(-y)
    return (1 - HEAVY) * logistic + HEAVY * student.density(y)


def tails(y: Tensor) -> tuple[Tensor, Tensor]:
    """Lower and upper tail probabilities, each without cancellation."""
    lower, upper = student.tails(y)
    return (
        (1 - HEAVY) * torch.sigmoid(y) + HEAVY * lower,
        (1 - HEAVY) * torch.sigmoid(-y) + HEAVY * upper,
    )


def quantile_bracket(lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """Two values between which the tails reach ``lower`` and ``upper``."""
    logistic = lower.log() - upper.log()
    heavy = student.quantile(lower, upper)
    return torch.minimum(logistic, heavy), torch.maximum(logistic, heavy)
