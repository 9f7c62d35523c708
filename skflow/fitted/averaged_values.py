r"""Average of several distributions of one value in each row: an ensemble of models.

Model m of the ensemble gives the value of a row the distribution function :math:`F_m`. Their
average, with the weights :math:`w_m` of the row,

.. math:: \bar F(x) = \sum_m w_m F_m(x), \qquad \bar p(x) = \sum_m w_m p_m(x),

is sharper than its members where these agree, and wider where they do not. The average of members
that are right is too wide [1]_: its latents :math:`\bar z = \Phi^{-1}(\bar F(x))` have a standard
deviation below 1. Divided by it, the spread s, they are standard normal:

.. math:: F(x) = \Phi(\bar z / s), \qquad
          p(x) = \frac{\varphi(\bar z / s)}{s \, \varphi(\bar z)} \, \bar p(x) .

There are closed forms but for the inverse, a root between the least and the largest inverse of a
member.

References
----------
.. [1] T. Gneiting, R. Ranjan, "Combining Predictive Distributions", Electronic Journal of
   Statistics 7, 2013, :arxiv:`1106.1638`; there the beta distribution takes the place of
   :math:`\Phi(\Phi^{-1}(\cdot) / s)`.
"""

import math
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
FARTHEST = 38.0  # latent; beyond, tails of a normal distribution are 0
NEAR = 1e-6  # error of latents that one more of Newton's steps squares


@dataclass(frozen=True)
class AveragedValues:
    """Average of distributions of one value in each row.

    Attributes
    ----------
    members : tuple of PredictedValues or AveragedValues
    log_weights : Tensor of shape (n_members, n_rows)
        Logarithms of the weights, whose sum is 1 in each row.
    spread : float, default=1
        Number that the latents of the average are divided by.
    """

    members: "tuple[PredictedValues | AveragedValues, ...]"
    log_weights: Tensor
    spread: float = 1.0

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
        return self.latents_and_log_prob(x)[0]

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-densities of values, ``(n_values, n_rows)``, in nats."""
        return self.latents_and_log_prob(x)[1]

    def inverse(self, z: Tensor) -> Tensor:
        """Values of latents, ``(n_values, n_rows)``."""
        return self._invert(z, lambda member, at: member.inverse(at))

    def inverse_within_reach(self, z: Tensor) -> Tensor:
        """Values of latents, moved to where a member has likely values."""
        return self._invert(z, lambda member, at: member.inverse_within_reach(at))

    def places(self, z: Tensor) -> Tensor:
        """Values of latents, each under one of the members in turn: no root is searched for.

        They lie where the average has its mass, and are ``(n_values, n_rows)``, in no order.
        """
        n_members, z = len(self.members), self.spread * z
        parts = [member.places(z[m::n_members]) for m, member in enumerate(self.members)]
        return torch.cat(parts)

    def nodes(self, n_nodes: int = N_NODES, n_bins: int = N_BINS) -> Nodes:
        """Nodes of all members: a smooth function has its mean there.

        They are a discrete distribution, whose distribution function is the average's at the ends
        of cells, one for each node; the spread changes the masses of the cells.
        """
        of_members = (member.nodes(n_nodes, n_bins) for member in self.members)
        values, weights = zip(*of_members, strict=True)
        shares = [own * share.exp() for own, share in zip(weights, self.log_weights, strict=True)]
        nodes = Nodes(torch.cat(values), torch.cat(shares))
        if self.spread == 1:
            return nodes
        ordered, order = nodes.values.sort(dim=0)
        up_to = nodes.weights.gather(0, order).cumsum(dim=0)[:-1].clamp(max=1)
        ends = ndtr(torch.special.ndtri(up_to) / self.spread)
        zero = ends.new_zeros(1, ends.shape[1])
        return Nodes(ordered, ends.diff(dim=0, prepend=zero, append=zero + 1))

    def latents_and_log_prob(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Latents and log-densities of values, both ``(n_values, n_rows)``.

        Both tails are summed from terms of one sign; the smaller one is inverted.
        """
        of_members = [member.latents_and_log_prob(x) for member in self.members]
        latents, log_probs = (torch.stack(parts) for parts in zip(*of_members, strict=True))
        weights = self.log_weights.exp()[:, None]
        lower, upper = ((weights * ndtr(sign * latents)).sum(dim=0) for sign in (1, -1))
        tail = torch.special.ndtri(torch.minimum(lower, upper))
        log_prob = torch.logsumexp(self.log_weights[:, None] + log_probs, dim=0)
        pooled = torch.where(lower < upper, tail, -tail)
        narrower = (1 - self.spread**-2) / 2 * pooled.clamp(-FARTHEST, FARTHEST).square()
        return pooled / self.spread, log_prob + narrower - math.log(self.spread)

    def _invert(
        self, z: Tensor, inverse: "Callable[[PredictedValues | AveragedValues, Tensor], Tensor]"
    ) -> Tensor:
        """Search between the inverses of the members for the root, from their mean on."""
        inverses = torch.stack([inverse(member, self.spread * z) for member in self.members])
        start = (self.log_weights.exp()[:, None] * inverses).sum(dim=0)
        low, high = inverses.amin(dim=0), inverses.amax(dim=0)
        row_of = torch.arange(z.shape[1], device=z.device).expand(z.shape).reshape(-1)
        targets = z.reshape(-1)

        def residual(x: Tensor, entries: Entries) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            own = self.take(row_of[entries])
            latents, log_prob = (part[0] for part in own.latents_and_log_prob(x[None]))
            slope = torch.exp(log_prob + latents.square() / 2 + LOG_SQRT_2PI)
            flat = torch.zeros_like(slope)  # Newton's steps: derivatives of slopes are left out
            return latents - targets[entries], slope, flat, flat

        tolerance = TOLERANCE * (1 + targets.abs())
        ends = (low.reshape(-1), high.reshape(-1))
        root = find_root(residual, *ends, tolerance, start.reshape(-1), near=NEAR).view(z.shape)
        return torch.where(low < high, root, low)  # equal at the largest float64, whose sum is not
