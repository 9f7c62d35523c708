r"""Distribution of one value in each row, given the row's context.

A model of one column of values is, given the context :math:`c` of a row, an increasing map of
that value to a standard normal variable, :math:`z = f(x; c)`. So the distribution is in closed
form,

.. math::

    F(x \mid c) = \Phi(f(x; c)), \qquad F^{-1}(u \mid c) = f^{-1}(\Phi^{-1}(u); c),

and the network, which reads the context alone, runs once for each row, whatever the number of
places where the distribution is evaluated.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self, cast

import numpy as np
import torch
from numpy.polynomial.hermite_e import hermegauss
from torch import Tensor

from skflow.flow.coupling import Coupling
from skflow.flow.floored_components import LOG_SQRT_2PI
from skflow.flow.heavy_tails import broad_density, broad_tails
from skflow.flow.marginals import Marginals
from skflow.flow.model import Model, Rows
from skflow.flow.rational_quadratic import (
    Bin,
    Knots,
    forward_and_log_derivative,
    inverse_and_log_derivative,
    knots_of,
    select_bin,
)
from skflow.flow.univariate_mixture import UnivariateMixture

N_NODES = 5  # in each merged component of the mixture
N_BINS = 6  # that components are merged in
N_BROAD_NODES = 4  # under the floor of the mixture


class Nodes(NamedTuple):
    """Nodes of a quadrature: values and weights, each ``(n_nodes, n_rows)``."""

    values: Tensor
    weights: Tensor


@dataclass(frozen=True)
class PredictedValues:
    """Distribution of one value in each row; its parameters are computed once.

    Attributes
    ----------
    marginals : Marginals
        Map of the column of values.
    bound : float
        Half-width of the interval in which splines differ from the identity.
    knots : tuple of Knots
        Spline of each coupling layer, ``(n_bins + 1, 1, n_rows)``.
    mixture : UnivariateMixture
        Last layer.
    """

    marginals: Marginals
    bound: float
    knots: tuple[Knots, ...]
    mixture: UnivariateMixture

    @classmethod
    def of(cls, model: Model, labels: Tensor, given: Rows | None) -> Self:
        """Return the distribution of the only value of a model, for rows of conditions.

        Parameters
        ----------
        model : Model
            Model of one column of values.
        labels : Tensor of int64, shape (n_labelled, n_rows)
            Labels of the rows: those of rows that have a value.
        given : Rows, optional
            Condition of each row.
        """
        context, n_rows = model.context(labels, given), labels.shape[1]
        no_input = model.marginals.x_knots.new_zeros(1, n_rows)
        couplings = cast(list[Coupling], list(model.flow.couplings))
        knots = (knots_of(c.conditioner(no_input, context.features), c.bound) for c in couplings)
        mixture = model.flow.mixture.only_column(n_rows, context)
        return cls(model.marginals, model.flow.mixture.bound, (*knots,), mixture)

    @property
    def entries_per_value(self) -> int:
        """Number of entries, for one value, of the largest intermediate array."""
        return max(len(self.mixture.weights), self.entries_per_node)

    @property
    def entries_per_node(self) -> int:
        """Number of entries, for one node, of the largest intermediate array."""
        n_knots = [len(knots.x) for knots in self.knots]
        return max([len(self.marginals.x_knots), *n_knots])

    def take(self, rows: slice | Tensor) -> Self:
        """Return the distributions of some of the rows."""
        knots = tuple(Knots(*(part[..., rows] for part in each)) for each in self.knots)
        chosen = torch.arange(len(self.mixture.total), device=self.mixture.total.device)[rows]
        return replace(self, knots=knots, mixture=self.mixture.of_rows(chosen))

    @staticmethod
    def join(parts: Sequence["PredictedValues"]) -> "PredictedValues":
        """Return the distributions of all rows, in order, on the CPU."""
        first = parts[0]

        def along_rows(tensors: Sequence[Tensor]) -> Tensor:
            return torch.cat([tensor.cpu() for tensor in tensors], dim=-1)

        knots = tuple(
            Knots(*map(along_rows, zip(*layer, strict=True)))
            for layer in zip(*(part.knots for part in parts), strict=True)
        )
        mixture = UnivariateMixture(
            along_rows([part.mixture.weights for part in parts]),
            along_rows([part.mixture.total for part in parts]),
            along_rows([part.mixture.offset for part in parts]),
            first.mixture.precision.cpu(),
            along_rows([part.mixture.shift for part in parts]),
            first.mixture.floor.cpu(),
        )
        return PredictedValues(first.marginals.cpu(), first.bound, knots, mixture)

    def latents(self, x: Tensor) -> Tensor:
        """Latents of values, ``(n_values, n_rows)``."""
        return self.latents_and_log_prob(x)[0]

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-densities of values, ``(n_values, n_rows)``, in nats."""
        return self.latents_and_log_prob(x)[1]

    def inverse(self, z: Tensor) -> Tensor:
        """Values of latents, ``(n_values, n_rows)``."""
        return self._undo_layers(self._undo_mixture(z))

    def inverse_within_reach(self, z: Tensor) -> Tensor:
        """Values of latents, moved to where fitted values are likely."""
        return self._undo_layers(self._undo_mixture(z), within_reach=True)

    def places(self, z: Tensor) -> Tensor:
        """Values of latents, as places to evaluate the distribution at."""
        return self.inverse_within_reach(z)

    def nodes(self, n_nodes: int = N_NODES, n_bins: int = N_BINS) -> Nodes:
        """Nodes at which a smooth function has its mean, within reach of fitted values.

        Gauss-Hermite quadrature in each component of the mixture, before the layers are undone:
        no root is searched for. Components are merged in ``n_bins`` bins. The floor has nodes of
        its own.
        """
        weights, means, scales = self.mixture.merge(n_bins)
        at, share = (means.new_tensor(part) for part in hermegauss(n_nodes))
        y = (means[:, None] + at[:, None] * scales[:, None]).flatten(0, 1)
        share = share / share.sum() * (1 - self.mixture.floor)
        shares = (weights[:, None] * share[:, None]).flatten(0, 1)
        broad, of_broad = self._broad_nodes()
        y = torch.cat((y, broad.expand(-1, y.shape[1])))
        shares = torch.cat((shares, (self.mixture.floor * of_broad).expand(-1, y.shape[1])))
        return Nodes(self._undo_layers(y, within_reach=True), shares)

    def _broad_nodes(self) -> tuple[Tensor, Tensor]:
        """Gauss-Legendre nodes under the floor, and what lies beyond reach at its two ends."""
        low, high = (end[0] for end in self.marginals.reach())
        at, width = np.polynomial.legendre.leggauss(N_BROAD_NODES)
        inside = (low + high) / 2 + (high - low) / 2 * low.new_tensor(at)
        weights = broad_density(inside) * low.new_tensor(width) * (high - low) / 2
        ends = torch.cat((broad_tails(low)[0], broad_tails(high)[1]))
        weights = weights * (1 - ends.sum()) / weights.sum()
        return torch.cat((inside, low, high))[:, None], torch.cat((weights, ends))[:, None]

    def latents_and_log_prob(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Latents and log-densities of values, both ``(n_values, n_rows)``."""
        y, log_det = self.marginals.forward_and_log_det(x.reshape(1, -1))
        y, total = y.view(x.shape), log_det.view(x.shape)
        for knots in self.knots:
            y, log_derivative = _spline(y, knots, self.bound, knots.x, forward_and_log_derivative)
            total = total + log_derivative
        z, log_derivative = self.mixture.repeat(len(y)).normal_score(y.reshape(-1))
        z, total = z.view(y.shape), total + log_derivative.view(y.shape)
        return z, total - z.square() / 2 - LOG_SQRT_2PI

    def _undo_mixture(self, z: Tensor) -> Tensor:
        return self.mixture.repeat(len(z)).quantile(z.reshape(-1)).view(z.shape)

    def _undo_layers(self, y: Tensor, *, within_reach: bool = False) -> Tensor:
        for knots in reversed(self.knots):
            y, _ = _spline(y, knots, self.bound, knots.y, inverse_and_log_derivative)
        if within_reach:
            y = y.clamp(*self.marginals.reach())
        return self.marginals.inverse(y.reshape(1, -1)).view(y.shape)


def _spline(
    values: Tensor,
    knots: Knots,
    bound: float,
    edges: Tensor,
    function: Callable[[Tensor, Bin], tuple[Tensor, Tensor]],
) -> tuple[Tensor, Tensor]:
    """Apply a spline, or its inverse, which is the identity outside the bound."""
    inside = values.abs() < bound
    within = torch.where(inside, values, 0.0)
    mapped, log_derivative = function(within, select_bin(within, edges, knots))
    return torch.where(inside, mapped, values), torch.where(inside, log_derivative, 0.0)
