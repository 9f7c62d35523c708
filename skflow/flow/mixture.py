r"""The mixture layer: a floored Gaussian mixture as the last bijection.

Component k says of column j, given the columns before it,

.. math::

    f_{kj}(y_j) = (1 - e_j) \, N(y_j; m_{kj}, s_{kj}^2) + e_j \, b(y_j), \qquad
    m_{kj} = c_{kj} + t_j + \sum_{i<j} A_{kji} \, (r(y_i) - t_i),

with :math:`b` a broad density (:mod:`skflow.flow.broad`) and :math:`r` a clamp to
the interval of the splines, then a rounding to 2^-20. The conditional density of
column j is :math:`p_j = \sum_k w_{kj} f_{kj}(y_j)` with weights
:math:`w_{kj} \propto \pi_k \prod_{i<j} f_{ki}(r(y_i))`: but for :math:`r`, the product
of all :math:`p_j` is the mixture :math:`\sum_k \pi_k \prod_j f_{kj}(y_j)`. The map sends
each column to the normal quantile of its conditional distribution function. The floor
:math:`e_j` keeps scores finite far out, lets a row that is strange in one column
pay for that column only, and bounds how far the map contracts, which is what an
exact inverse needs.

The labels of a row shift the logits of the weights, and the means by :math:`t`. A
column that is absent in a row adds no factor, and each component reads a value of its
own in its place.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from skflow.flow import broad, floored_components
from skflow.flow.bijection import Bijection, split_absent
from skflow.flow.context import Context, sum_embeddings
from skflow.flow.floored_components import LOG_SQRT_2PI, Components
from skflow.flow.normal import ndtr
from skflow.flow.reading import quantize_inputs
from skflow.flow.root import Entries, find_root

MIN_SCALE = 1e-4
MIN_FLOOR = 1e-3
START_FLOOR = 5e-3


class GaussianComponents(NamedTuple):
    """Weights ``(K,)``, means ``(K, d)`` and covariances ``(K, d, d)``."""

    weights: Tensor
    means: Tensor
    covariances: Tensor


class Mixture(Bijection):
    """Floored mixture of triangular Gaussian regressions; see the module's text.

    Parameters
    ----------
    components : GaussianComponents
        Where to start, usually found by expectation maximisation.
    bound : float
        Other columns are read clamped to ``[-bound, bound]``.
    label_effects : Tensor of shape (n_entries, n_components + n_columns), optional
        What each label adds to the logits of the weights and to the means.
    fills : bool
        Whether components read a value of their own, at first their mean, for a
        column that is absent. Otherwise it is read as 0.
    """

    def __init__(
        self,
        components: GaussianComponents,
        bound: float,
        label_effects: Tensor | None = None,
        *,
        fills: bool = False,
    ) -> None:
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
        self.filling = nn.Parameter(means.clone()) if fills else None
        self.label_effects = None if label_effects is None else nn.Parameter(label_effects)

    @classmethod
    def blank(
        cls,
        n_columns: int,
        n_components: int,
        bound: float,
        n_entries: int = 0,
        *,
        fills: bool = False,
    ) -> "Mixture":
        """A mixture of the right shape, to load a state into."""
        weights = torch.full((n_components,), 1 / n_components, dtype=torch.float64)
        means = torch.zeros(n_components, n_columns, dtype=torch.float64)
        identity = torch.eye(n_columns, dtype=torch.float64)
        covariances = identity.expand(n_components, -1, -1)
        components = GaussianComponents(weights, means, covariances)
        effects = means.new_zeros(n_entries, n_components + n_columns) if n_entries else None
        return cls(components, bound, effects, fills=fills)

    def sharpness(self) -> Tensor:
        r"""Square root of the mean precision of each column, ``(n_columns,)``.

        Component k has the precision matrix :math:`\sum_j a_{kj} a_{kj}^T / s_{kj}^2` with
        :math:`a_{kj} = e_j - A_{kj}`. Its diagonal is how sharply the log-density bends as
        one column moves and the others stay: large where a column is a narrow function of
        others, or others are of it.
        """
        with torch.no_grad():
            own = torch.eye(len(self.floor_logit)).to(self.coefficients)
            regressions = (own - self.coefficients.tril(-1)) / self._scale()[:, :, None]
            precisions = regressions.square().sum(dim=1)
            return (torch.softmax(self.log_weights, dim=0) @ precisions).sqrt()

    def log_prob(self, y: Tensor, context: Context | None = None) -> Tensor:
        """Log-density of each row of ``y``, ``(n_columns, n_rows)``, in nats."""
        y, absent = split_absent(y)
        reading = self._influence_of(context)
        if self.training:
            return self._log_prob_unrounded(y, absent, reading)
        weights, mean = self._condition(y, absent, reading)
        density = (weights * self._factors(y, mean)).sum(dim=0)
        return density.log().masked_fill(absent, 0.0).sum(dim=0)

    def residuals(self, y: Tensor, context: Context | None = None) -> "Residuals":
        """Standardised residuals of each column under each component; reads are not rounded."""
        y, absent = split_absent(y)
        reading = self._influence_of(context)
        mean = self._mean(y.clamp(-self.bound, self.bound), absent, reading.shift)
        return Residuals(
            ((y - mean) / self._scale()[:, :, None]).masked_fill(absent, 0.0),
            self.log_peaks(),
            (self._floor()[:, None].log() + broad.density(y).log()).masked_fill(absent, -torch.inf),
            reading.log_weights.expand(-1, y.shape[1]),
        )

    def log_peaks(self) -> Tensor:
        """Log of each factor's Gaussian part at its mean, ``(n_components, n_columns)``."""
        return torch.log1p(-self._floor()) - self._scale().log() - LOG_SQRT_2PI

    def _log_prob_unrounded(self, y: Tensor, absent: Tensor, reading: "_Influence") -> Tensor:
        """Log-density without rounded reads: the conditionals multiply to one sum."""
        residual = y.clamp(-self.bound, self.bound) - reading.shift
        coefficients = self.coefficients.tril(-1)
        if self.filling is not None:
            # What is read in an absent column's place, as one more regressor for each.
            residual = torch.cat((residual.masked_fill(absent, 0.0), absent.to(y.dtype)))
            coefficients = torch.cat((coefficients, coefficients * self.filling[:, None]), dim=2)
        log_prob = floored_components.log_prob(
            y - reading.shift,
            broad.density(y),
            residual,
            absent,
            Components(coefficients, self.intercept, self._scale(), self._floor()),
        )
        return torch.logsumexp(log_prob + reading.log_weights, dim=0)

    def forward_and_log_det(
        self, x: Tensor, context: Context | None = None
    ) -> tuple[Tensor, Tensor]:
        """Send each column to the normal quantile of its conditional distribution."""
        x, absent = split_absent(x)
        weights, mean = self._condition(x, absent, self._influence_of(context))
        scale, floor = self._scale()[:, :, None], self._floor()[:, None]
        z, log_derivative = _normal_score(x, weights, mean, scale, floor)
        return z.masked_fill(absent, torch.nan), log_derivative.masked_fill(absent, 0.0).sum(dim=0)

    def inverse_and_log_det(
        self, z: Tensor, context: Context | None = None
    ) -> tuple[Tensor, Tensor]:
        """Solve for one column after the other."""
        z, absent = split_absent(z)
        reading = self._influence_of(context)
        log_weights = reading.log_weights.expand(-1, z.shape[1])
        y, log_det = torch.zeros_like(z), z.new_zeros(z.shape[1])
        scales, floors = self._scale(), self._floor()
        for j in range(len(z)):
            mean = self._mean_of(j, quantize_inputs(y[:j], self.bound), absent[:j], reading.shift)
            scale, floor = scales[:, j, None], floors[j]
            weights = torch.softmax(log_weights, dim=0)
            solved = _solve_normal_score(z[j], weights, mean, scale, floor)
            log_derivative = _normal_score(solved, weights, mean, scale, floor)[1]
            y[j] = solved.masked_fill(absent[j], 0.0)
            log_det = log_det - log_derivative.masked_fill(absent[j], 0.0)
            factor = _floored_normal(quantize_inputs(y[j], self.bound), mean, scale, floor)
            log_weights = log_weights + factor.log().masked_fill(absent[j], 0.0)
        return y.masked_fill(absent, torch.nan), log_det

    def _condition(self, y: Tensor, absent: Tensor, reading: "_Influence") -> tuple[Tensor, Tensor]:
        """Weights and means ``(K, d, n)`` of each column given those before it."""
        read = quantize_inputs(y, self.bound)
        mean = self._mean(read, absent, reading.shift)
        log_factors = self._factors(read, mean).log().masked_fill(absent, 0.0)
        before = log_factors.cumsum(dim=1) - log_factors
        return torch.softmax(before + reading.log_weights[:, None], dim=0), mean

    def _mean(self, read: Tensor, absent: Tensor, shift: Tensor) -> Tensor:
        residual = self._residual(read, absent, shift)
        return (
            torch.matmul(self.coefficients.tril(-1), residual) + self.intercept[:, :, None] + shift
        )

    def _mean_of(self, j: int, read: Tensor, absent: Tensor, shift: Tensor) -> Tensor:
        """Column j of :meth:`_mean`, ``(K, n)``, from the columns before it."""
        residual = self._residual(read, absent, shift[:j])
        products = torch.matmul(self.coefficients[:, j, None, :j], residual)
        return self.intercept[:, j, None] + products.squeeze(1) + shift[j]

    def _residual(self, read: Tensor, absent: Tensor, shift: Tensor) -> Tensor:
        """What components regress on: the columns without what the labels say of them."""
        if self.filling is None:
            return read - shift
        return torch.where(absent, self.filling[:, : len(read), None], read - shift)

    def _influence_of(self, context: Context | None) -> "_Influence":
        log_weights = self.log_weights[:, None]
        if context is None or self.label_effects is None:
            no_shift = torch.zeros_like(self.intercept[0, :, None])
            return _Influence(torch.log_softmax(log_weights, dim=0), no_shift)
        effects = sum_embeddings(context.codes, self.label_effects)
        logits, shift = effects.split(self.intercept.shape)
        return _Influence(torch.log_softmax(log_weights + logits, dim=0), shift)

    def _factors(self, y: Tensor, mean: Tensor) -> Tensor:
        """Densities ``(K, d, n)`` of each column under each component."""
        return _floored_normal(y, mean, self._scale()[:, :, None], self._floor()[:, None])

    def _scale(self) -> Tensor:
        return self.log_scale.exp().clamp_min(MIN_SCALE)

    def _floor(self) -> Tensor:
        return MIN_FLOOR + (0.5 - MIN_FLOOR) * torch.sigmoid(self.floor_logit)


class Residuals(NamedTuple):
    r"""What a mixture says of rows, factor by factor.

    The factor of column j under component k is
    :math:`\exp(\text{log\_peaks}_{kj} - r_{kj}^2 / 2) + \exp(\text{log\_floors}_j)`.

    Attributes
    ----------
    standardised : Tensor of shape (n_components, n_columns, n_rows)
        The residuals r; 0 where a column is absent.
    log_peaks : Tensor of shape (n_components, n_columns)
        Log of each Gaussian part at its mean.
    log_floors : Tensor of shape (n_columns, n_rows)
        Log of the broad part; -inf where a column is absent, whose factor is 1.
    log_weights : Tensor of shape (n_components, n_rows)
    """

    standardised: Tensor
    log_peaks: Tensor
    log_floors: Tensor
    log_weights: Tensor

    def log_prob(self) -> Tensor:
        """Log-density of each row, in nats."""
        normal = torch.exp(self.log_peaks[:, :, None] - self.standardised.square() / 2)
        factors = (normal + self.log_floors.exp()).log()
        factors = factors.masked_fill(self.log_floors.isneginf(), 0.0)
        return torch.logsumexp(factors.sum(dim=1) + self.log_weights, dim=0)


class _Influence(NamedTuple):
    """What the context says: log-weights ``(K, n or 1)`` and a shift of the means ``(d, n)``."""

    log_weights: Tensor
    shift: Tensor


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

    def residual(y: Tensor, entries: Entries) -> tuple[Tensor, Tensor]:
        score, log_derivative = _normal_score(
            y, weights[:, entries], mean[:, entries], scale, floor
        )
        return score - z[entries], log_derivative.exp()

    rounding = torch.finfo(z.dtype).eps * (0.5 + z.abs())
    return find_root(residual, low, high, rounding, start=_normal_quantile(z, weights, mean, scale))


def _normal_quantile(z: Tensor, weights: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Quantile of the normal with the mixture's mean and variance: often near its own."""
    centre = (weights * mean).sum(dim=0)
    variance = (weights * ((mean - centre).square() + scale.square())).sum(dim=0)
    return centre + z * variance.sqrt()
