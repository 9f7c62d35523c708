r"""Distributions with heavy tails, and the normal's tail: functions accurate far out.

Student's t with 2 degrees of freedom has density :math:`t_2(y) = (2 + y^2)^{-3/2}` and
closed-form tails and quantiles. The *broad density* under the mixture layer is logistic
with a trace of it,

.. math:: b(y) = (1 - \eta) \, \mathrm{logistic}(y) + \eta \, t_2(y), \qquad \eta = 10^{-6}.

The logistic spreads the floor over the region of the rows. Student's part is there for
numerical reasons alone: its tails never underflow, so scores and latents stay finite out
to 1e300. A larger part would matter: where the marginals' logarithmic tails are undone,
its draws become absurdly large.
"""

import math

import torch
from torch import Tensor

HEAVY = 1e-6


def ndtr(x: Tensor) -> Tensor:
    """Normal distribution function with all digits of its lower tail.

    torch's own loses digits from -6 on and is 0 below -8.3.
    """
    return torch.erfc(-math.sqrt(0.5) * x) / 2


def student_density(t: Tensor) -> Tensor:
    r"""Density :math:`(2 + t^2)^{-3/2}` of Student's t."""
    return (2 + t.square()).pow(-1.5)


def student_tails(t: Tensor) -> tuple[Tensor, Tensor]:
    """Lower and upper tail probabilities of Student's t, each without cancellation."""
    size = t.abs()
    root = torch.sqrt(2 + size.square())
    small = 1 / (root * (root + size))
    return torch.where(t < 0, small, 1 - small), torch.where(t < 0, 1 - small, small)


def student_quantile(lower: Tensor, upper: Tensor) -> Tensor:
    """Quantile of Student's t: lower tail ``lower``, upper tail ``upper = 1 - lower``."""
    return (lower - upper) / torch.sqrt(2 * lower * upper)


def broad_density(y: Tensor) -> Tensor:
    """Broad density at ``y``."""
    logistic = torch.sigmoid(y) * torch.sigmoid(-y)
    return (1 - HEAVY) * logistic + HEAVY * student_density(y)


def broad_slope(y: Tensor) -> Tensor:
    """Derivative of the broad density at ``y``."""
    logistic = torch.sigmoid(y) * torch.sigmoid(-y) * torch.tanh(-y / 2)
    return (1 - HEAVY) * logistic - 3 * HEAVY * y * (2 + y.square()).pow(-2.5)


def broad_tails(y: Tensor) -> tuple[Tensor, Tensor]:
    """Lower and upper tail probabilities of the broad density, each without cancellation."""
    lower, upper = student_tails(y)
    return (
        (1 - HEAVY) * torch.sigmoid(y) + HEAVY * lower,
        (1 - HEAVY) * torch.sigmoid(-y) + HEAVY * upper,
    )


def broad_quantile_bracket(lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """Two values between which the tails of the broad density are ``lower`` and ``upper``."""
    logistic = lower.log() - upper.log()
    heavy = student_quantile(lower, upper)
    return torch.minimum(logistic, heavy), torch.maximum(logistic, heavy)


def broad_draw(z: Tensor, u: Tensor) -> Tensor:
    """Turn a standard normal and a uniform variable into a draw of the broad density."""
    lower, upper = ndtr(z), ndtr(-z)
    return torch.where(u < HEAVY, student_quantile(lower, upper), lower.log() - upper.log())
