"""The coupling layer: a spline per entry, whose parameters depend on earlier columns."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from skflow.flow.bijection import Bijection, split_absent
from skflow.flow.conditioner import Conditioner, IncrementalNetwork
from skflow.flow.context import NO_CONTEXT, Context
from skflow.flow.rational_quadratic import SplineFunction, inverse_conditional, n_parameters

ENTRIES_AT_ONCE = 8192  # per group, in the inverse on a CPU: more exceed its caches
MOST_GROUPS = 16  # the inverse undoes one after the other


class Coupling(Bijection):
    r"""Rational-quadratic coupling layer, the identity outside ``[-bound, bound]``.

    With columns cut into groups :math:`(x_1, \dots, x_G)`, in their order or, where the
    layer runs ``backwards``, from the last to the first,

    .. math:: x_g \mapsto g(x_g; \theta_g(x_1, \dots, x_{g - 1})),

    where :math:`g` is a monotone spline per entry. The conditioner :math:`\theta`, one
    network for all groups, takes the features of the context as well. The Jacobian is
    triangular, so the log-determinant is the sum of the splines' log-derivatives (Durkan
    et al., 2019, arXiv:1906.04032, section 3). Two groups are the classic coupling, as
    many as columns the autoregressive layer (Papamakarios et al., 2017,
    arXiv:1705.07057): the more groups, the more columns each depends on. The forward map
    transforms all groups at once, the inverse one after the other.

    Parameters
    ----------
    n_columns : int
    n_groups : int, optional
        By default as many as columns, :data:`MOST_GROUPS` at most.
    backwards : bool
        Whether the last group comes first.
    n_features : int
        Features of the context.
    n_bins : int
        Bins of each spline.
    bound : float
        Half-width of the interval outside which the splines are the identity.
    hidden_units, n_blocks, dropout, generator
        See :class:`~skflow.flow.conditioner.Conditioner`.
    """

    def __init__(
        self,
        n_columns: int,
        *,
        n_groups: int | None = None,
        backwards: bool = False,
        n_features: int = 0,
        n_bins: int,
        bound: float,
        hidden_units: int,
        n_blocks: int,
        dropout: float,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        self.n_bins = n_bins
        self.bound = bound
        n_groups = min(n_columns, n_groups or MOST_GROUPS)
        starts = [g * n_columns // n_groups for g in range(n_groups + 1)]
        groups = [slice(*edges) for edges in pairwise(starts)]
        self.groups = groups[::-1] if backwards else groups
        group_of = torch.empty(n_columns, dtype=torch.int64)
        for g, columns in enumerate(self.groups):
            group_of[columns] = g
        self.conditioner = Conditioner(
            group_of,
            n_groups,
            n_parameters(n_bins),
            n_features=n_features,
            hidden_units=hidden_units,
            n_blocks=n_blocks,
            dropout=dropout,
            bound=bound,
            generator=generator,
        )

    def forward_and_log_det(
        self, x: Tensor, context: Context = NO_CONTEXT
    ) -> tuple[Tensor, Tensor]:
        """Transform all groups at once."""
        filled, _ = split_absent(x)
        raw = self.conditioner(filled, context.features, quantize=context.quantize)
        y, log_derivative = SplineFunction.apply(x, raw, self.bound)
        return y, log_derivative.sum(dim=0)

    @torch.no_grad()
    def inverse(self, z: Tensor, context: Context = NO_CONTEXT) -> Tensor:
        """Undo one group after the other."""
        n_blocks = 1
        if z.device.type == "cpu":
            most = max(1, ENTRIES_AT_ONCE // max(self.conditioner.group_sizes))
            n_blocks = max(1, -(-z.shape[1] // most))
        features: Sequence[Tensor | None] = [None] * n_blocks
        if context.features is not None:
            features = context.features.tensor_split(n_blocks, dim=1)
        x, network = torch.empty_like(z), IncrementalNetwork(self.conditioner)
        of_blocks = zip(x.tensor_split(n_blocks, 1), z.tensor_split(n_blocks, 1), strict=True)
        for (x_block, z_block), features_block in zip(of_blocks, features, strict=True):
            parameters = network.by_group(x_block, self.groups, features_block)
            for columns, raw in zip(self.groups, parameters, strict=True):
                x_block[columns] = inverse_conditional(z_block[columns], raw, self.bound)
        return x
