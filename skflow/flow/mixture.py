r"""The mixture layer: a floored Gaussian mixture as the last bijection.

Component k says of column j, given the columns before it,

.. math::

    f_{kj}(y_j) = (1 - e_j) \, N(y_j; m_{kj}, s_{kj}^2) + e_j \, b(y_j), \qquad
    m_{kj} = c_{kj} + \sum_{i<j} A_{kji} \, r(y_i),

with :math:`b` a broad density (:mod:`skflow.flow.broad`) and :math:`r` a clamp to
the interval of the splines, then a rounding to 2^-20. The conditional density of
column j is :math:`p_j = \sum_k w_{kj} f_{kj}(y_j)` with weights
:math:`w_{kj} \propto \pi_k \prod_{i<j} f_{ki}(r(y_i))`: but for :math:`r`, the product
of all :math:`p_j` is the mixture :math:`\sum_k \pi_k \prod_j f_{kj}(y_j)`. The map sends
each column to the normal quantile of its conditional distribution function. The floor
:math:`e_j` keeps scores finite far out, lets a row that is strange in one column
pay for that column only, and bounds how far the map contracts, which is what an
exact inverse needs.
"""

import math

import torch
from torch import Tensor, nn

from skflow.flow import broad
from skflow.flow.bijection import Bijection
from skflow.flow.expectation_maximization import GaussianComponents
from skflow.flow.normal import ndtr
from skflow.flow.root import find_root

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
MIN_SCALE = 1e-4
MIN_FLOOR = 1e-3
START_FLOOR = 5e-3
READ_STEP = 2.0**-20


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
        if self.training:
            return self._log_prob_unrounded(y)
        weights, mean = self._condition(y)
        factors = self._factors(y, mean)
        return (weights * factors).sum(dim=0).log().sum(dim=0)

    def _log_prob_unrounded(self, y: Tensor) -> Tensor:
        """Log-density without rounded reads: the conditionals multiply to one sum."""
        mean = self._mean(y.clamp(-self.bound, self.bound))
        factors = self._factors(y, mean)
        return torch.logsumexp(factors.log().sum(dim=1) + self._log_weights(), dim=0)

    def forward_and_log_det(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Send each column to the normal quantile of its conditional distribution."""
        weights, mean = self._condition(x)
        scale, floor = self._scale()[:, :, None], self._floor()[:, None]
        z, log_derivative = _normal_score(x, weights, mean, scale, floor)
        return z, log_derivative.sum(dim=0)

    def inverse_and_log_det(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Solve for one column after the other."""
        n_columns, n_rows = z.shape
        log_weights = self._log_weights().expand(-1, n_rows)
        y, read = torch.empty_like(z), torch.empty_like(z)
        log_det = z.new_zeros(n_rows)
        coefficients = self.coefficients.tril(-1)
        scales, floors = self._scale(), self._floor()
        for j in range(n_columns):
            mean = self.intercept[:, j, None] + coefficients[:, j, :j] @ read[:j]
            scale, floor = scales[:, j, None], floors[j]
            weights = torch.softmax(log_weights, dim=0)
            y[j] = _solve_normal_score(z[j], weights, mean, scale, floor)
            log_det = log_det - _normal_score(y[j], weights, mean, scale, floor)[1]
            read[j] = self._read(y[j])
            log_weights = log_weights + _floored_normal(read[j], mean, scale, floor).log()
        return y, log_det

    def _condition(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Weights and means ``(K, d, n)`` of each column given those before it."""
        read = self._read(y)
        mean = self._mean(read)
        log_factors = self._factors(read, mean).log()
        before = log_factors.cumsum(dim=1) - log_factors
        return torch.softmax(before + self._log_weights()[:, :, None], dim=0), mean

    def _read(self, y: Tensor) -> Tensor:
        """What other columns see of a column: clamped, and rounded to a grid.

        Between narrow modes the map is flat: a column comes back with some 1e-13 of
        error there, and the weights of the components turn so fast that the next
        column would inherit it ten thousandfold. Rounded, both directions read the
        same.
        """
        return torch.round(y.clamp(-self.bound, self.bound) / READ_STEP) * READ_STEP

    def _mean(self, read: Tensor) -> Tensor:
        return torch.matmul(self.coefficients.tril(-1), read) + self.intercept[:, :, None]

    def _factors(self, y: Tensor, mean: Tensor) -> Tensor:
        """Densities ``(K, d, n)`` of each column under each component."""
        return _floored_normal(y, mean, self._scale()[:, :, None], self._floor()[:, None])

    def _log_weights(self) -> Tensor:
        return torch.log_softmax(self.log_weights, dim=0)[:, None]

    def _scale(self) -> Tensor:
        return self.log_scale.exp().clamp_min(MIN_SCALE)

    def _floor(self) -> Tensor:
        return MIN_FLOOR + (0.5 - MIN_FLOOR) * torch.sigmoid(self.floor_logit)


def _floored_normal(y: Tensor, mean: Tensor, scale: Tensor, floor: Tensor) -> Tensor:
    """``(1 - e) N(y; mean, scale^2) + e b(y)``: never 0, so its log is finite."""
    standardised = (y - mean) / scale
    normal = torch.exp(-standardised.square() / 2 - LOG_SQRT_2PI) / scale
    return (1 - floor) * normal + floor * broad.density(y)


def _normal_score(
    y: Tensor, weights: Tensor, mean: Tensor, scale: Tensor, floor: Tensor
) -> tuple[Tensor, Tensor]:
    """``ndtri(F(y))`` and its log-derivative, F the floored mixture over dimension 0.

    Both tails are summed from terms of one sign; the smaller one is inverted, so
    no digit is lost far out.
    """
    standardised = (y - mean) / scale
    broad_lower, broad_upper = broad.tails(y)
    lower = (weights * ndtr(standardised)).sum(dim=0)
    upper = (weights * ndtr(-standardised)).sum(dim=0)
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
    lower, upper = ndtr(z), ndtr(-z)
    low, high = broad.quantile_bracket(lower, upper)
    parts = mean + scale * z
    low = torch.minimum(parts.amin(dim=0), low)
    high = torch.maximum(parts.amax(dim=0), high)

    def residual(y: Tensor) -> tuple[Tensor, Tensor]:
        score, log_derivative = _normal_score(y, weights, mean, scale, floor)
        return score - z, log_derivative.exp()

    rounding = torch.finfo(z.dtype).eps * (0.5 + z.abs())
    return find_root(residual, low, high, rounding)
