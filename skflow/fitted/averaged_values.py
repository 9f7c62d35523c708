r"""Average of several distributions of one value in each row: an ensemble of models.

Model m of the ensemble gives the value of a row the distribution function :math:`F_m`. Their
average, with the weights :math:`w_m` of the row,

.. math:: F(x) = \sum_m w_m F_m(x), \qquad p(x) = \sum_m w_m p_m(x),

is sharper than its members where these agree, and wider where they do not. It has closed forms
but for its inverse, a root between the least and the largest inverse of a member.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from skflow.flow.floored_components import LOG_SQRT_2PI
from skflow.flow.heavy_tails import ndtr
from skflow.flow.predicted_values import N_BINS, N_NODES, Nodes, PredictedValues
from skflow.flow.root import Entries, find_root

TOLERANCE = 1e-12  # of latents
NEAR = 1e-6  # error of latents that one more of Newton's steps squares


@dataclass(frozen=True)
class AveragedValues:
    """Average of distributions of one value in each row.

    Attributes
    ----------
    members : tuple of PredictedValues
    log_weights : Tensor of shape (n_members, n_rows)
        Logarithms of the weights, whose sum is 1 in each row.
    """

    members: tuple[PredictedValues, ...]
    log_weights: Tensor

    @property
    def entries_per_value(self) -> int:
        """Number of entries, for one value, of the largest intermediate array."""
        return max(member.entries_per_value for member in self.members)

    @property
    def entries_per_node(self) -> int:
        """Number of entries, for one node, of the largest intermediate array."""
        return max(member.entries_per_node for member in self.members)

    def take(self, rows: slice | Tensor) -> Self:
        """Return the distributions of some of the rows."""
        members = tuple(member.take(rows) for member in self.members)
        return replace(self, members=members, log_weights=self.log_weights[:, rows])

    def latents(self, x: Tensor) -> Tensor:
        """Latents of values, ``(n_values, n_rows)``."""
        return self._latents_and_log_prob(x)[0]

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-densities of values, ``(n_values, n_rows)``, in nats."""
        return self._latents_and_log_prob(x)[1]

    def inverse(self, z: Tensor) -> Tensor:
        """Values of latents, ``(n_values, n_rows)``."""
        return self._invert(z, PredictedValues.inverse)

    def inverse_within_reach(self, z: Tensor) -> Tensor:
        """Values of latents, moved to where a member has likely values."""
        return self._invert(z, PredictedValues.inverse_within_reach)

    def places(self, z: Tensor) -> Tensor:
        """Values of latents, each under one of the members in turn: no root is searched for.

        They lie where the average has its mass, and are ``(n_values, n_rows)``, in no order.
        """
        n_members = len(self.members)
        parts = [member.places(z[m::n_members]) for m, member in enumerate(self.members)]
        return torch.cat(parts)

    def nodes(self, n_nodes: int = N_NODES, n_bins: int = N_BINS) -> Nodes:
        """Nodes of all members: a smooth function has its mean there."""
        of_members = (member.nodes(n_nodes, n_bins) for member in self.members)
        values, weights = zip(*of_members, strict=True)
        shares = [own * share.exp() for own, share in zip(weights, self.log_weights, strict=True)]
        return Nodes(torch.cat(values), torch.cat(shares))

    def _latents_and_log_prob(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both tails are summed from terms of one sign; the smaller one is inverted."""
        of_members = [member.latents_and_log_prob(x) for member in self.members]
        latents, log_probs = (torch.stack(parts) for parts in zip(*of_members, strict=True))
        weights = self.log_weights.exp()[:, None]
        lower, upper = ((weights * ndtr(sign * latents)).sum(dim=0) for sign in (1, -1))
        tail = torch.special.ndtri(torch.minimum(lower, upper))
        log_prob = torch.logsumexp(self.log_weights[:, None] + log_probs, dim=0)
        return torch.where(lower < upper, tail, -tail), log_prob

    def _invert(self, z: Tensor, inverse: Callable[[PredictedValues, Tensor], Tensor]) -> Tensor:
        """Search between the inverses of the members for the root, from their mean on."""
        inverses = torch.stack([inverse(member, z) for member in self.members])
        start = (self.log_weights.exp()[:, None] * inverses).sum(dim=0)
        low, high = inverses.amin(dim=0), inverses.amax(dim=0)
        row_of = torch.arange(z.shape[1], device=z.device).expand(z.shape).reshape(-1)
        targets = z.reshape(-1)

        def residual(x: Tensor, entries: Entries) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            own = self.take(row_of[entries])
            latents, log_prob = (part[0] for part in own._latents_and_log_prob(x[None]))
            slope = torch.exp(log_prob + latents.square() / 2 + LOG_SQRT_2PI)
            flat = torch.zeros_like(slope)  # Newton's steps: derivatives of slopes are left out
            return latents - targets[entries], slope, flat, flat

        tolerance = TOLERANCE * (1 + targets.abs())
        ends = (low.reshape(-1), high.reshape(-1))
        root = find_root(residual, *ends, tolerance, start.reshape(-1), near=NEAR).view(z.shape)
        return torch.where(low < high, root, low)  # equal at the largest float64, whose sum is not
