r"""Weights in single precision, where their rounding changes nothing.

Which draws are chosen depends on the place of a few uniform numbers among the cumulative weights.
Single precision computes these to an error that grows with the sharpness of the density, in half
of the time. Where a uniform number lies farther than that from every cumulative weight, the
choice is that of double precision; the other rows are weighed again.
"""

import copy

import torch
from torch import Tensor

from skflow.conditioning.particles import Particles, places
from skflow.flow.conditional_flow import ConditionalFlow

# Error of a cumulative weight, per unit of sharpness: four times the largest that was seen.
ERROR = 1e-5
LEAST_SHARPNESS = 10.0  # below it, other errors than those of sharp columns are the largest
MOST_UNSURE = 0.3  # share of rows to be weighed again, from which single precision saves no time


class SinglePrecision:
    """A flow in single precision, and what its rounding may change.

    Parameters
    ----------
    flow : ConditionalFlow
        Its flow is one of at least one column.

    Attributes
    ----------
    flow : ConditionalFlow
        A copy in float32.
    error : float
        Bound of the error of cumulative weights, and of the relative error of an effective size.
    """

    def __init__(self, flow: ConditionalFlow) -> None:
        self.flow = copy.deepcopy(flow).float()
        self.error = ERROR * float(flow.mixture.sharpness().clamp_min(LEAST_SHARPNESS).max())

    def saves_time(self, n_draws: int, n_chosen: int) -> bool:
        """Return whether few rows are expected to be unsure."""
        return 2 * self.error * n_draws * n_chosen <= MOST_UNSURE

    def is_unsure(
        self, particles: Particles, uniform: Tensor, n_chosen: int, least: Tensor
    ) -> Tensor:
        """Return whether rounding may change what is chosen, or called reliable, ``(n_rows,)``.

        Parameters
        ----------
        particles : Particles
            Weighed in single precision.
        uniform : Tensor of shape (n_rows,)
            What draws are chosen by.
        n_chosen : int
        least : Tensor of shape (n_rows,)
            Effective size that is large enough.
        """
        log_chances = particles.log_chances()
        _, cumulative, at = places(log_chances, uniform, n_chosen, particles.is_exact)
        ends = torch.full_like(at[:, :1], torch.inf)
        edges = torch.cat((-ends, cumulative[:, :-1], ends), dim=1)
        index = torch.searchsorted(edges, at).clamp(1, len(edges[0]) - 1)
        far = torch.minimum(at - edges.gather(1, index - 1), edges.gather(1, index) - at)
        size = particles.effective_size()
        # A weight that is not finite is nowhere far enough.
        sure = (far >= self.error).all(dim=1) & ((size / least - 1).abs() >= self.error)
        return ~sure
