r"""The mixture layer: a floored Gaussian mixture as the last bijection.

Component k says of column j, given the columns before it,

.. math::

    f_{kj}(y_j) = (1 - e_j) \, N(y_j; m_{kj}, s_{kj}^2) + e_j \, t(y_j), \qquad
    m_{kj} = c_{kj} + \sum_{i<j} A_{kji} \, \mathrm{clamp}(y_i),

with :math:`t` a broad Student density (2 degrees of freedom). The density is
:math:`p(y) = \sum_k \pi_k \prod_j f_{kj}(y_j)`, and the map sends each column to
the normal quantile of its conditional distribution function. The floor
:math:`e_j` keeps scores finite far out, lets a row that is strange in one column
pay for that column only, and bounds how far the map contracts, which is what an
exact inverse needs.
"""

import math

import torch
from torch import Tensor, nn

from skflow.flow import student
from skflow.flow.bijection import Bijection
from skflow.flow.expectation_maximization import GaussianComponents
from skflow.flow.root import find_root

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
BROAD_SCALE = 1.5
MIN_SCALE = 1e-4
MIN_FLOOR = 1e-3
START_FLOOR = 5e-3


class Mixture(Bijection):
    """Floored mixture of triangular Gaussian regressions; see the module's text.

    Parameters
    ----------
    components : GaussianComponents
        Where to start, usually found by expectation maximisation.
    bound : float
        Other columns are read clamped to ``[-bound, bound]``.
    """

    def __init__(self, components: GaussianComponents, bound: float) -> None:
        super().__init__()
        weights, means, covariances = components
        identity = torch.eye(means.shape[1], dtype=means.dtype, device=means.device)
        factor = torch.linalg.cholesky(covariances + MIN_SCALE**2 * identity)
        whitening = torch.linalg.solve_triangular(factor, identity, upper=False)
        scale = factor.diagonal(dim1=1, dim2=2)
        coefficients = -(whitening * scale[:, :, None]).tril(-1)
        intercept = means - (coefficients @ means[:, :, None]).squeeze(2)
        floor = torch.full_like(means[0], START_FLOOR - MIN_FLOOR)
        self.bound = bound
        self.log_weights = nn.Parameter(weights.log())
        self.intercept = nn.Parameter(intercept)
        self.coefficients = nn.Parameter(coefficients)
        self.log_scale = nn.Parameter(scale.log())
        self.floor_logit = nn.Parameter(torch.logit(floor))

    @classmethod
    def blank(cls, n_columns: int, n_components: int, bound: float) -> "Mixture":
        """A mixture of the right shape, to load a state into."""
        weights = torch.full((n_components,), 1 / n_components, dtype=torch.float64)
        means = torch.zeros(n_components, n_columns, dtype=torch.float64)
        identity = torch.eye(n_columns, dtype=torch.float64)
        covariances = identity.expand(n_components, -1, -1)
        return cls(GaussianComponents(weights, means, covariances), bound)

    def log_prob(self, y: Tensor) -> Tensor:
        """Log-density of each row of ``y``, ``(n_columns, n_rows)``, in nats."""
        log_factors = self._factors(y, *self._moments(y)).log()
        log_joint = log_factors.sum(dim=1) + self._log_weights()
        return torch.logsumexp(log_joint, dim=0)

    def forward_and_log_det(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Send each column to the normal quantile of its conditional distribution."""
        mean, scale = self._moments(x)
        log_factors = self._factors(x, mean, scale).log()
        before = log_factors.cumsum(dim=1) - log_factors
        weights = torch.softmax(before + self._log_weights()[:, :, None], dim=0)
        z, log_derivative = _normal_score(x, weights, mean, scale, self._floor()[:, None])
        return z, log_derivative.sum(dim=0)

    def inverse_and_log_det(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Solve for one column after the other."""
        n_columns, n_rows = z.shape
        log_weights = self._log_weights().expand(-1, n_rows)
        y = torch.empty_like(z)
        log_det = z.new_zeros(n_rows)
        coefficients = self.coefficients.tril(-1)
        scales = self._scale()
        floors = self._floor()
        for j in range(n_columns):
            read = y[:j].clamp(-self.bound, self.bound)
            mean = self.intercept[:, j, None] + coefficients[:, j, :j] @ read
            scale, floor = scales[:, j, None], floors[j]
            weights = torch.softmax(log_weights, dim=0)
            y[j] = _solve_normal_score(z[j], weights, mean, scale, floor)
            log_det = log_det - _normal_score(y[j], weights, mean, scale, floor)[1]
            log_weights = log_weights + _floored_normal(y[j], mean, scale, floor).log()
        return y, log_det

    def _log_weights(self) -> Tensor:
        return torch.log_softmax(self.log_weights, dim=0)[:, None]

    def _scale(self) -> Tensor:
        return self.log_scale.exp().clamp_min(MIN_SCALE)

    def _floor(self) -> Tensor:
        return MIN_FLOOR + (0.5 - MIN_FLOOR) * torch.sigmoid(self.floor_logit)

    def _moments(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Conditional means ``(K, d, n)`` and scales ``(K, d, 1)``."""
        read = y.clamp(-self.bound, self.bound)
        mean = torch.matmul(self.coefficients.tril(-1), read)
        return mean + self.intercept[:, :, None], self._scale()[:, :, None]

    def _factors(self, y: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
        return _floored_normal(y, mean, scale, self._floor()[:, None])


def _floored_normal(y: Tensor, mean: Tensor, scale: Tensor, floor: Tensor) -> Tensor:
    """``(1 - e) N(y; mean, scale^2) + e t(y)``: never 0, so its log is finite."""
    standardised = (y - mean) / scale
    normal = torch.exp(-standardised.square() / 2 - LOG_SQRT_2PI) / scale
    return (1 - floor) * normal + floor * student.density(y / BROAD_SCALE) / BROAD_SCALE


def _normal_score(
    y: Tensor, weights: Tensor, mean: Tensor, scale: Tensor, floor: Tensor
) -> tuple[Tensor, Tensor]:
    """``ndtri(F(y))`` and its log-derivative, F the floored mixture over dimension 0.

    Both tails are summed from terms of one sign; the smaller one is inverted, so
    no digit is lost far out.
    """
    standardised = (y - mean) / scale
    broad_lower, broad_upper = student.tails(y / BROAD_SCALE)
    lower = (weights * torch.special.ndtr(standardised)).sum(dim=0)
    upper = (weights * torch.special.ndtr(-standardised)).sum(dim=0)
    lower = (1 - floor) * lower + floor * broad_lower
    upper = (1 - floor) * upper + floor * broad_upper
    tail = torch.special.ndtri(torch.minimum(lower, upper))
    score = torch.where(lower < upper, tail, -tail)
    density = (weights * _floored_normal(y, mean, scale, floor)).sum(dim=0)
    return score, density.log() + score.square() / 2 + LOG_SQRT_2PI


def _solve_normal_score(
    z: Tensor, weights: Tensor, mean: Tensor, scale: Tensor, floor: Tensor
) -> Tensor:
    """Invert :func:`_normal_score` by a bracketed search for the root."""
    # A mixture's quantile lies between the quantiles of its parts.
    lower, upper = torch.special.ndtr(z), torch.special.ndtr(-z)
    broad = BROAD_SCALE * student.quantile(lower, upper)
    parts = mean + scale * z
    low = torch.minimum(parts.amin(dim=0), broad)
    high = torch.maximum(parts.amax(dim=0), broad)

    def residual(y: Tensor) -> tuple[Tensor, Tensor]:
        score, log_derivative = _normal_score(y, weights, mean, scale, floor)
        return score - z, log_derivative.exp()

    rounding = torch.finfo(z.dtype).eps * (0.5 + z.abs())
    return find_root(residual, low, high, rounding)
