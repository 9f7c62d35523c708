"""The coupling layer: half of the columns bend, given the other half."""

from collections.abc import Callable

import torch
from torch import Tensor

from skflow.flow import conditional_spline
from skflow.flow.bijection import Bijection, split_absent
from skflow.flow.conditioner import Conditioner
from skflow.flow.context import Context

Spline = Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]


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
            conditional_spline.n_parameters(n_bins) * (n_columns - self.n_read),
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
        return self._bend(conditional_spline.forward_and_log_derivative, x, context)

    def inverse_and_log_det(
        self, z: Tensor, context: Context | None = None
    ) -> tuple[Tensor, Tensor]:
        """Unbend the second half of the columns given the first."""
        return self._bend(conditional_spline.inverse_and_log_derivative, z, context)

    def _bend(
        self, spline: Spline, columns: Tensor, context: Context | None
    ) -> tuple[Tensor, Tensor]:
        read, values = columns[: self.n_read], columns[self.n_read :]
        features = None if context is None else context.features
        raw = self.conditioner(split_absent(read)[0], features)
        bent, log_derivative = spline(values, raw.view(-1, *values.shape), self.bound)
        return torch.cat((read, bent)), log_derivative.sum(dim=0)
