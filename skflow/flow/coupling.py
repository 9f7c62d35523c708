"""The coupling layer: half of the columns bend, given the other half."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from skflow.flow import rational_quadratic
from skflow.flow.bijection import Bijection, split_absent
from skflow.flow.conditioner import Conditioner
from skflow.flow.context import Context
from skflow.flow.rational_quadratic import Knots

MIN_BIN = 1e-3
MIN_DERIVATIVE = 1e-3
# softplus(_RAW_ONE) + MIN_DERIVATIVE = 1: raw parameters of 0 give the identity.
_RAW_ONE = math.log(math.expm1(1 - MIN_DERIVATIVE))


Spline = Callable[[Tensor, Knots], tuple[Tensor, Tensor]]


class Coupling(Bijection):
    r"""Rational-quadratic coupling layer, the identity outside ``[-bound, bound]``.

    With columns split into :math:`(a, b)`, maps :math:`(a, b)` to
    :math:`(a, g(b; \theta(a)))`, where :math:`g` is a monotone spline per entry
    of :math:`b` and :math:`\theta` the conditioner, which reads the labels as well.
    Its Jacobian is triangular, so the log-determinant is the sum of the splines'
    log-derivatives (Durkan et al., 2019, arXiv:1906.04032, section 3).

    Parameters
    ----------
    n_columns : int
        The first ``n_columns // 2`` are read, the others bend.
    n_features : int
        Features of the context.
    n_bins : int
        Bins of each spline.
    bound : float
        Half-width of the interval in which the splines bend.
    hidden_units, n_blocks, dropout, generator
        Of the :class:`~skflow.flow.conditioner.Conditioner`.
    """

    def __init__(
        self,
        n_columns: int,
        *,
        n_features: int = 0,
        n_bins: int,
        bound: float,
        hidden_units: int,
        n_blocks: int,
        dropout: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.n_read = n_columns // 2
        self.n_bins = n_bins
        self.bound = bound
        self.conditioner = Conditioner(
            self.n_read,
            (3 * n_bins - 1) * (n_columns - self.n_read),
            n_features=n_features,
            hidden_units=hidden_units,
            n_blocks=n_blocks,
            dropout=dropout,
            bound=bound,
            generator=generator,
        )

    def forward_and_log_det(
        self, x: Tensor, context: Context | None = None
    ) -> tuple[Tensor, Tensor]:
        """Bend the second half of the columns given the first."""
        return self._bend(rational_quadratic.forward_and_log_derivative, x, context)

    def inverse_and_log_det(
        self, z: Tensor, context: Context | None = None
    ) -> tuple[Tensor, Tensor]:
        """Unbend the second half of the columns given the first."""
        return self._bend(rational_quadratic.inverse_and_log_derivative, z, context)

    def _bend(
        self, spline: Spline, columns: Tensor, context: Context | None
    ) -> tuple[Tensor, Tensor]:
        read, values = columns[: self.n_read], columns[self.n_read :]
        knots = self._knots(split_absent(read)[0], context)
        # Absent and outer entries are kept from the spline, not only masked after it:
        # they would send NaN gradients through the unused branch.
        inside = values.abs() < self.bound
        bent, log_derivative = spline(torch.where(inside, values, 0.0), knots)
        bent = torch.where(inside, bent, values)
        log_derivative = torch.where(inside, log_derivative, 0.0)
        return torch.cat((read, bent)), log_derivative.sum(dim=0)

    def _knots(self, read: Tensor, context: Context | None) -> Knots:
        """Turn the conditioner's output into knots on ``[-bound, bound]``."""
        features = None if context is None else context.features
        raw = self.conditioner(read, features).view(3 * self.n_bins - 1, -1, read.shape[1])
        widths, heights, derivatives = raw.split((self.n_bins, self.n_bins, self.n_bins - 1))
        derivatives = functional.pad(derivatives, (0, 0, 0, 0, 1, 1))
        return Knots(
            x=self._edges(widths),
            y=self._edges(heights),
            derivative=functional.softplus(derivatives + _RAW_ONE) + MIN_DERIVATIVE,
        )

    def _edges(self, raw: Tensor) -> Tensor:
        share = MIN_BIN + (1 - MIN_BIN * self.n_bins) * torch.softmax(raw, dim=0)
        inner = self.bound * (2 * share[:-1].cumsum(dim=0) - 1)
        return functional.pad(
            functional.pad(inner, (0, 0, 0, 0, 1, 0), value=-self.bound),
            (0, 0, 0, 0, 0, 1),
            value=self.bound,
        )
