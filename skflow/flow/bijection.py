"""The contract that every invertible map of the flow keeps."""

from collections.abc import Iterable
from typing import cast

from torch import Tensor, nn

from skflow.flow.context import NO_CONTEXT, Context


class Bijection(nn.Module):
    r"""An invertible map between tables, with its log-determinant.

    Tables are ``(n_columns, n_rows)``; log-determinants are ``(n_rows,)``, in
    nats. For :math:`z = f(x; c)`, ``forward_and_log_det(x, context)`` returns
    :math:`z` and :math:`\log |\det \partial f / \partial x|`; ``inverse(z, context)`` returns
    :math:`x` alone, at which the density takes the forward map again.

    NaN marks a missing entry: it stays NaN, adds nothing to the log-determinant, and
    other columns read 0 in its place. For each pattern of missing entries the map is a
    bijection of the present ones.

    The context :math:`c` holds features of a row's labels and of its condition.
    """

    def forward_and_log_det(
        self, x: Tensor, context: Context = NO_CONTEXT
    ) -> tuple[Tensor, Tensor]:
        """Map ``x`` forward; return the result and the log-determinant."""
        raise NotImplementedError

    def inverse(self, z: Tensor, context: Context = NO_CONTEXT) -> Tensor:
        """Map ``z`` back."""
        raise NotImplementedError


class Chain(Bijection):
    """Composition of bijections, applied in the order of the list."""

    def __init__(self, bijections: Iterable[Bijection]) -> None:
        super().__init__()
        self.bijections = nn.ModuleList(bijections)

    def forward_and_log_det(
        self, x: Tensor, context: Context = NO_CONTEXT
    ) -> tuple[Tensor, Tensor]:
        """Apply every bijection, first to last."""
        total = x.new_zeros(x.shape[1])
        for bijection in cast(Iterable[Bijection], self.bijections):
            x, log_det = bijection.forward_and_log_det(x, context)
            total = total + log_det
        return x, total

    def inverse(self, z: Tensor, context: Context = NO_CONTEXT) -> Tensor:
        """Apply every inverse, last to first."""
        for bijection in reversed(cast(list[Bijection], self.bijections)):
            z = bijection.inverse(z, context)
        return z


def split_absent(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``x`` with 0 for its missing entries, and the mask of these."""
    absent = x.isnan()
    return x.masked_fill(absent, 0.0), absent
