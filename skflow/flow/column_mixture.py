"""The mixture of one column in each row, evaluated at any number of places."""

from typing import NamedTuple, Self

from torch import Tensor

from skflow.flow.context import Context
from skflow.flow.mixture import (
    MIN_FLOOR,
    MIN_SCALE,
    Mixture,
    _normal_score,
    _solve_normal_score,
)


class ColumnMixture(NamedTuple):
    """Floored mixture of one column in each row.

    Attributes
    ----------
    weights, means : Tensor of shape (n_components, n_rows)
    scales : Tensor of shape (n_components, 1)
    floor : Tensor of shape ()
        Share of the broad density.
    """

    weights: Tensor
    means: Tensor
    scales: Tensor
    floor: Tensor

    @classmethod
    def of(cls, mixture: Mixture, n_rows: int, context: Context) -> Self:
        """Return the mixture of the only column that is mapped, given the context of rows."""
        weights, means = mixture.last_column(n_rows, context)
        scales = mixture.log_scale[:, -1, None].exp().clamp_min(MIN_SCALE)
        floor = MIN_FLOOR + (0.5 - MIN_FLOOR) * mixture.floor_logit[-1].sigmoid()
        return cls(weights, means, scales, floor)

    def normal_score(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Normal quantiles of values, ``(n_values, n_rows)``, and their log-derivatives."""
        weights, means = self._repeat(len(y))
        z, log_derivative = _normal_score(y.reshape(-1), weights, means, self.scales, self.floor)
        return z.view(y.shape), log_derivative.view(y.shape)

    def inverse(self, z: Tensor) -> Tensor:
        """Values of normal quantiles, ``(n_values, n_rows)``."""
        weights, means = self._repeat(len(z))
        y = _solve_normal_score(z.reshape(-1), weights, means, self.scales, self.floor)
        return y.view(z.shape)

    def _repeat(self, n_values: int) -> tuple[Tensor, Tensor]:
        return self.weights.repeat(1, n_values), self.means.repeat(1, n_values)
