"""Reordering of columns between coupling layers."""

import torch
from torch import Tensor

from skflow.flow.bijection import Bijection
from skflow.flow.context import Context


class Permutation(Bijection):
    """Column ``i`` of the result is column ``order[i]`` of the input.

    Unlike a learned rotation, a permutation is exact in floating point, so it
    costs nothing on the way back.
    """

    order: Tensor
    inverse_order: Tensor

    def __init__(self, order: Tensor) -> None:
        super().__init__()
        self.register_buffer("order", order)
        self.register_buffer("inverse_order", torch.argsort(order))

    def forward_and_log_det(
        self, x: Tensor, context: Context | None = None
    ) -> tuple[Tensor, Tensor]:
        """Reorder the columns; the log-determinant is 0."""
        return x[self.order], x.new_zeros(x.shape[1])

    def inverse_and_log_det(
        self, z: Tensor, context: Context | None = None
    ) -> tuple[Tensor, Tensor]:
        """Restore the order of the columns; the log-determinant is 0."""
        return z[self.inverse_order], z.new_zeros(z.shape[1])


def alternating_orders(n_columns: int, n_layers: int, generator: torch.Generator) -> list[Tensor]:
    """Column orders to apply before each coupling layer.

    A coupling layer changes the second half of its columns given the first.
    Layers come in pairs: the first of a pair sees a random order, the second
    sees the halves swapped, so that each pair changes every column once.
    """
    halves_swapped = torch.arange(n_columns).roll(n_columns // 2)
    return [
        torch.randperm(n_columns, generator=generator) if layer % 2 == 0 else halves_swapped
        for layer in range(n_layers)
    ]
