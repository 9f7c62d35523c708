"""The joint model: log-density, latents, inverse and samples of whole rows."""

import math

import torch
from torch import Tensor, nn

from skflow.flow.bijection import Bijection, Chain
from skflow.flow.coupling import Coupling
from skflow.flow.marginals import Marginals
from skflow.flow.mixture import Mixture
from skflow.flow.point_mass import PointMass

LOG_2PI = math.log(2 * math.pi)


class Model(nn.Module):
    r"""Marginals, then coupling layers, then the mixture layer, then N(0, I).

    .. math:: \log p(x) = \log N(f(x); 0, I) + \log |\det \partial f / \partial x|

    Columns that were constant in training go around the flow, to a point mass.

    Parameters
    ----------
    varying : Tensor of bool, shape (n_columns,)
        The columns that go through the flow.
    marginals : Marginals
        Fixed once fitted; float64 always.
    couplings : Chain
        Permutations and coupling layers; trained.
    mixture : Mixture
        Trained, from where expectation maximisation left it.
    """

    varying: Tensor

    def __init__(
        self, varying: Tensor, marginals: Marginals, couplings: Chain, mixture: Mixture
    ) -> None:
        super().__init__()
        self.register_buffer("varying", varying)
        self.marginals = marginals
        self.couplings = couplings
        self.mixture = mixture
        self.point_mass = PointMass()

    @property
    def entries_per_row(self) -> int:
        """Size of the largest array that one row takes."""
        n_columns = max(1, self.marginals.x_knots.shape[1])
        splines = [len(self.marginals.x_knots)]
        splines += [3 * m.n_bins for m in self.couplings.modules() if isinstance(m, Coupling)]
        return n_columns * max(max(splines), self.mixture.intercept.shape[0])

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density of each row of ``x``, ``(n_columns, n_rows)``, in nats."""
        y, log_det = self.marginals.forward_and_log_det(x[self.varying])
        constants = self.point_mass.log_prob(x[~self.varying])
        return constants + log_det + self.log_prob_of_scores(y)

    def log_prob_of_scores(self, y: Tensor) -> Tensor:
        """Log-density of rows already sent through the marginals: what training sees."""
        y, log_det = self.couplings.forward_and_log_det(y)
        # The mixture's log-determinant and base density, without its map.
        return log_det + self.mixture.log_prob(y)

    def latents(self, x: Tensor) -> Tensor:
        """Send rows to independent standard normal variables."""
        z = torch.empty_like(x)
        z[self.varying] = self._flow().forward_and_log_det(x[self.varying])[0]
        z[~self.varying] = self.point_mass.latents(x[~self.varying])
        return z

    def inverse(self, z: Tensor) -> Tensor:
        """Send latents back to rows."""
        x = torch.empty_like(z)
        x[self.varying] = self._flow().inverse_and_log_det(z[self.varying])[0]
        x[~self.varying] = self.point_mass.inverse(z[~self.varying])
        return x

    def _flow(self) -> Bijection:
        return Chain([self.marginals, self.couplings, self.mixture])


def standard_normal_log_prob(z: Tensor) -> Tensor:
    """Log-density of N(0, I) per row of ``z``, ``(n_columns, n_rows)``, in nats."""
    return -(z.square().sum(dim=0) + LOG_2PI * z.shape[0]) / 2
