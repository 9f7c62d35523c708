r"""Floored normal mixtures of one column, one for each row.

.. math::

    p(y) = (1 - e) \sum_k w_k \, N(y; m_k, s_k^2) + e \, b(y), \qquad
    t_k = (y - m_k) / s_k = a_k (y - t) + o_k,

with the broad density :math:`b` of :mod:`skflow.flow.heavy_tails`: the conditional density
of a column in the mixture layer (:mod:`skflow.flow.mixture`), given the columns before it.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from skflow.flow.floored_components import LOG_SQRT_2PI
from skflow.flow.heavy_tails import (
    broad_density,
    broad_draw,
    broad_quantile_bracket,
    broad_slope,
    broad_tails,
    ndtr,
)
from skflow.flow.root import Entries, find_root

MERGED_REACH = 2.0  # standard deviations of the mixture, on either side, that bins divide

# From a residual of 1e-6 a step of third order leaves 1e-18; single precision comes that near.
NEAR = 4e-6
NEAR_SINGLE, TOLERANCE_SINGLE = 3e-3, 1e-6
FARTHEST_SINGLE = 8.0  # latents beyond: tails are too small for single precision


class UnivariateMixture(NamedTuple):
    """Mixtures of K components; their methods take a number of each row, ``(n_rows,)``.

    Attributes
    ----------
    weights : Tensor of shape (K, n_rows)
    total : Tensor of shape (n_rows,)
        Sum of the weights, which are divided by it.
    offset : Tensor of shape (K, n_rows)
        Standardised value of each component where ``y`` is the shift.
    precision : Tensor of shape (K, n_rows) or (K, 1)
        Inverse of the scale of each component.
    shift : Tensor of shape (n_rows,) or (1,)
    floor : Tensor of shape ()
        Share of the broad density.
    """

    weights: Tensor
    total: Tensor
    offset: Tensor
    precision: Tensor
    shift: Tensor
    floor: Tensor

    def of_rows(self, rows: Entries) -> "UnivariateMixture":
        """Return the mixtures of some rows."""
        if isinstance(rows, slice):
            return self
        return self._replace(
            weights=self.weights.index_select(1, rows),
            total=self.total[rows],
            offset=self.offset.index_select(1, rows),
            precision=self.precision.index_select(1, rows)
            if self.has_precisions
            else self.precision,
            shift=self.shift if len(self.shift) == 1 else self.shift[rows],
        )

    def repeat(self, n_values: int) -> "UnivariateMixture":
        """Return the mixtures of rows that are repeated, for several values of each."""
        return self._replace(
            weights=self.weights.repeat(1, n_values),
            total=self.total.repeat(n_values),
            offset=self.offset.repeat(1, n_values),
            precision=self.precision.repeat(1, n_values) if self.has_precisions else self.precision,
            shift=self.shift if len(self.shift) == 1 else self.shift.repeat(n_values),
        )

    @property
    def has_precisions(self) -> bool:
        """Whether each row has precisions of its own."""
        return self.precision.shape[1] > 1

    @property
    def means(self) -> Tensor:
        """Mean of each component, ``(K, n_rows)``."""
        return self.shift - self.offset / self.precision

    def merge(self, n_bins: int) -> tuple[Tensor, Tensor, Tensor]:
        """Merge components with neighbouring means; the broad part is left out.

        Means and variances of the components in a bin are kept: the integral of a function changes
        with its third derivative only.

        Returns
        -------
        weights, means, scales : Tensor of shape (n_bins, n_rows)
            The weights add up to 1; the components themselves where they are as few.
        """
        weights, means, variance = self.weights / self.total, self.means, self.precision.pow(-2)
        if len(weights) <= n_bins:
            return weights, means, variance.sqrt().expand_as(means)
        centre = (weights * means).sum(dim=0)
        away = means - centre
        second = weights * (away.square() + variance)
        spread = second.sum(dim=0).sqrt()
        place = away * (n_bins / (2 * MERGED_REACH) / spread) + n_bins / 2
        place = place.clamp(0, n_bins - 1).long()
        none = means.new_zeros(n_bins, means.shape[1])
        mass, first, second = (
            none.scatter_add(0, place, part) for part in (weights, weights * away, second)
        )
        mean = first / mass.clamp_min(torch.finfo(mass.dtype).tiny)
        scale = (second / mass.clamp_min(torch.finfo(mass.dtype).tiny) - mean.square()).clamp_min(0)
        return mass, centre + mean, scale.sqrt()

    def factors(self, y: Tensor) -> Tensor:
        """Density of each component with its floor, ``(K, n_rows)``: never 0."""
        return self._normal(self._standardise(y)) + self.floor * broad_density(y)

    def density(self, y: Tensor) -> Tensor:
        """Density of the mixture, ``(n_rows,)``."""
        return self._mean(self._normal(self._standardise(y))) + self.floor * broad_density(y)

    def draw(self, z: Tensor, u: Tensor) -> Tensor:
        """Turn a standard normal and a uniform variable into a draw, ``(n_rows,)``.

        The uniform variable chooses the component, or the broad part.
        """
        share = u / (1 - self.floor)
        cumulative = self.weights.T.contiguous().cumsum(dim=1)
        chosen = torch.searchsorted(cumulative, (share * cumulative[:, -1])[:, None], right=True)
        chosen = chosen.T.clamp_max(len(self.weights) - 1)
        precisions = self.precision.expand_as(self.offset)
        offset, precision = self.offset.gather(0, chosen)[0], precisions.gather(0, chosen)[0]
        normal = self.shift + (z - offset) / precision
        broad = broad_draw(z, (u - (1 - self.floor)) / self.floor)
        return torch.where(share < 1, normal, broad)

    def normal_score(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """``ndtri(F(y))`` and its log-derivative, F the distribution function.

        Both tails are summed from terms of one sign; the smaller one is inverted, so
        no digit is lost far out.
        """
        standardised = self._standardise(y)
        broad_lower, broad_upper = broad_tails(y)
        lower = (1 - self.floor) * self._mean(ndtr(standardised)) + self.floor * broad_lower
        upper = (1 - self.floor) * self._mean(ndtr(-standardised)) + self.floor * broad_upper
        tail = torch.special.ndtri(torch.minimum(lower, upper))
        score = torch.where(lower < upper, tail, -tail)
        density = self._mean(self._normal(standardised)) + self.floor * broad_density(y)
        return score, density.log() + score.square() / 2 + LOG_SQRT_2PI

    def quantile(self, z: Tensor) -> Tensor:
        """Invert :meth:`normal_score` by a bracketed search for the root.

        The search begins in single precision, which takes a third of the time.
        """
        single = UnivariateMixture(*(part.float() for part in self))
        # The quantile of the normal with the mixture's mean and variance is often near its own.
        means = single.means
        centre = single._mean(means)
        variance = single._mean((means - centre).square() + single.precision.pow(-2))
        near = z.clamp(-FARTHEST_SINGLE, FARTHEST_SINGLE).float()
        tolerance = torch.full_like(near, TOLERANCE_SINGLE)
        start = centre + near * variance.sqrt()
        start = single._search(near, start, tolerance, NEAR_SINGLE)
        rounding = torch.finfo(z.dtype).eps * (0.5 + z.abs())
        return self._search(z, start.to(z.dtype), rounding, NEAR)

    def _search(self, z: Tensor, start: Tensor, tolerance: Tensor, near: float) -> Tensor:
        # A mixture's quantile lies between the quantiles of its parts.
        low, high = broad_quantile_bracket(ndtr(z), ndtr(-z))
        parts = (z - self.offset) / self.precision
        low = torch.minimum(self.shift + parts.amin(dim=0), low)
        high = torch.maximum(self.shift + parts.amax(dim=0), high)

        def residual(y: Tensor, entries: Entries) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            return self.of_rows(entries)._residual(y, z[entries])

        return find_root(residual, low, high, tolerance, start, near)

    def _residual(self, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Normal score less ``z``, two derivatives, and a bound of the third one's magnitude.

        The tail on the side of ``z`` is a sum of terms of one sign; at the root it is the smaller
        one. The second derivative of the broad density is at most twice the density.
        """
        side = torch.where(z < 0, 1.0, -1.0).to(z.dtype)
        standardised = self._standardise(y)
        normal = self.weights * self._normal(standardised)
        density = normal.sum(dim=0) / self.total + self.floor * broad_density(y)
        steep = normal * standardised * self.precision
        slope = self.floor * broad_slope(y) - steep.sum(dim=0) / self.total
        bent = steep * standardised * self.precision - normal * self.precision.square()
        broad = torch.where(z < 0, *broad_tails(y))
        tail = self._mean(torch.erfc(standardised * (-math.sqrt(0.5) * side))) / 2
        tail = (1 - self.floor) * tail + self.floor * broad
        most = 1 - torch.finfo(z.dtype).eps
        score = side * torch.special.ndtri(tail.clamp_max(most))
        first = density * torch.exp(score.square() / 2 + LOG_SQRT_2PI)
        ratio = slope / density
        second = first * (ratio + score * first)
        change = bent.sum(dim=0) / self.total / density - ratio.square()
        third = second * (ratio + score * first)
        third = third + first * (change + first.square() + score * second)
        return score - z, first, second, third.abs() + 2 * first

    def _mean(self, of_components: Tensor) -> Tensor:
        return (self.weights * of_components).sum(dim=0) / self.total

    def _standardise(self, y: Tensor) -> Tensor:
        return torch.addcmul(self.offset, self.precision, y - self.shift)

    def _normal(self, standardised: Tensor) -> Tensor:
        """``(1 - e) N(y; m, s^2)`` of each component."""
        log_peak = torch.log1p(-self.floor) + self.precision.log() - LOG_SQRT_2PI
        return torch.addcmul(log_peak, standardised, standardised, value=-0.5).exp_()


class ComponentWeights:
    r"""Weights of components given columns that are read one after the other.

    .. math:: w_k \propto \pi_k \prod_i f_{ki}.

    The factors are multiplied; a logarithm is taken of the products of a few columns only.
    Of so few, clamped as they are, no product over- or underflows, and the weight of a
    component that seemed impossible can come back, however many columns there are.

    Parameters
    ----------
    log_weights : Tensor of shape (K, n_rows)
        Logarithms of :math:`\pi_k`.
    """

    def __init__(self, log_weights: Tensor) -> None:
        self.log_weights = log_weights
        self.start = torch.softmax(log_weights, dim=0)
        self.product: Tensor | None = None
        self.n_factors = 0
        self.most_factors = 16 if log_weights.dtype == torch.float64 else 4

    @property
    def current(self) -> Tensor:
        """Weights up to a factor of each row, ``(K, n_rows)``."""
        return self.start if self.product is None else self.start * self.product

    def multiply(self, factors: Tensor) -> None:
        """Multiply by the factors of a column, ``(K, n_rows)``."""
        self.product = factors if self.product is None else self.product * factors
        self.n_factors += 1
        if self.n_factors % self.most_factors == 0:
            self.log_weights = self.log_weights + self.product.log()
            self.start, self.product = torch.softmax(self.log_weights, dim=0), None
