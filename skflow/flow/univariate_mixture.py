r"""Floored normal mixtures of one column, one for each row.

.. math::

    p(y) = (1 - e) \sum_k w_k \, N(y; m_k, s_k^2) + e \, b(y), \qquad
    t_k = (y - m_k) / s_k = a_k (y - t) + o_k,

with the broad density :math:`b` of :mod:`skflow.flow.heavy_tails`: the conditional density
of a column in the mixture layer (:mod:`skflow.flow.mixture`), given the columns before it.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from skflow.flow.floored_components import LOG_SQRT_2PI
from skflow.flow.heavy_tails import (
    broad_density,
    broad_draw,
    broad_quantile_bracket,
    broad_tails,
    ndtr,
)
from skflow.flow.root import Entries, find_root


class UnivariateMixture(NamedTuple):
    """Mixtures of K components; their methods take a number of each row, ``(n_rows,)``.

    Attributes
    ----------
    weights : Tensor of shape (K, n_rows)
        They sum to 1.
    offset : Tensor of shape (K, n_rows)
        Standardised value of each component where ``y`` is the shift.
    precision : Tensor of shape (K, 1)
        Inverse of the scale of each component.
    shift : Tensor of shape (n_rows,) or (1,)
    floor : Tensor of shape ()
        Share of the broad density.
    """

    weights: Tensor
    offset: Tensor
    precision: Tensor
    shift: Tensor
    floor: Tensor

    def of_rows(self, rows: Entries) -> "UnivariateMixture":
        """Return the mixtures of some rows."""
        shift = self.shift if len(self.shift) == 1 else self.shift[rows]
        return self._replace(
            weights=self.weights[:, rows], offset=self.offset[:, rows], shift=shift
        )

    def repeat(self, n_values: int) -> "UnivariateMixture":
        """Return the mixtures of rows that are repeated, for several values of each."""
        shift = self.shift if len(self.shift) == 1 else self.shift.repeat(n_values)
        weights, offset = self.weights.repeat(1, n_values), self.offset.repeat(1, n_values)
        return self._replace(weights=weights, offset=offset, shift=shift)

    @property
    def means(self) -> Tensor:
        """Mean of each component, ``(K, n_rows)``."""
        return self.shift - self.offset / self.precision

    def factors(self, y: Tensor) -> Tensor:
        """Density of each component with its floor, ``(K, n_rows)``: never 0."""
        return self._normal(self._standardise(y)) + self.floor * broad_density(y)

    def density(self, y: Tensor) -> Tensor:
        """Density of the mixture, ``(n_rows,)``."""
        normal = (self.weights * self._normal(self._standardise(y))).sum(dim=0)
        return normal + self.floor * broad_density(y)

    def draw(self, z: Tensor, u: Tensor) -> Tensor:
        """Turn a standard normal and a uniform variable into a draw, ``(n_rows,)``.

        The uniform variable chooses the component, or the broad part.
        """
        share = u / (1 - self.floor)
        cumulative = self.weights.T.contiguous().cumsum(dim=1)
        chosen = torch.searchsorted(cumulative, (share * cumulative[:, -1])[:, None], right=True)
        chosen = chosen.T.clamp_max(len(self.weights) - 1)
        offset, precision = self.offset.gather(0, chosen)[0], self.precision[chosen[0], 0]
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
        lower = (self.weights * ndtr(standardised)).sum(dim=0)
        upper = (self.weights * ndtr(-standardised)).sum(dim=0)
        lower = (1 - self.floor) * lower + self.floor * broad_lower
        upper = (1 - self.floor) * upper + self.floor * broad_upper
        tail = torch.special.ndtri(torch.minimum(lower, upper))
        score = torch.where(lower < upper, tail, -tail)
        normal = (self.weights * self._normal(standardised)).sum(dim=0)
        density = normal + self.floor * broad_density(y)
        return score, density.log() + score.square() / 2 + LOG_SQRT_2PI

    def quantile(self, z: Tensor) -> Tensor:
        """Invert :meth:`normal_score` by a bracketed search for the root."""
        # A mixture's quantile lies between the quantiles of its parts.
        low, high = broad_quantile_bracket(ndtr(z), ndtr(-z))
        parts = self.shift + (z - self.offset) / self.precision
        low = torch.minimum(parts.amin(dim=0), low)
        high = torch.maximum(parts.amax(dim=0), high)

        def residual(y: Tensor, entries: Entries) -> tuple[Tensor, Tensor]:
            score, log_derivative = self.of_rows(entries).normal_score(y)
            return score - z[entries], log_derivative.exp()

        rounding = torch.finfo(z.dtype).eps * (0.5 + z.abs())
        return find_root(residual, low, high, rounding, start=self._normal_quantile(z))

    def _normal_quantile(self, z: Tensor) -> Tensor:
        """Quantile of the normal with the mixture's mean and variance: often near its own."""
        means = self.means
        centre = (self.weights * means).sum(dim=0)
        scatter = (means - centre).square() + 1 / self.precision.square()
        return centre + z * (self.weights * scatter).sum(dim=0).sqrt()

    def _standardise(self, y: Tensor) -> Tensor:
        return torch.addcmul(self.offset, self.precision, y - self.shift)

    def _normal(self, standardised: Tensor) -> Tensor:
        """``(1 - e) N(y; m, s^2)`` of each component."""
        log_peak = torch.log1p(-self.floor) + self.precision.log() - LOG_SQRT_2PI
        return torch.addcmul(log_peak, standardised, standardised, value=-0.5).exp()
