r"""Splines whose parameters a network gives: the step that coupling layers spend their time in.

Raw parameters :math:`(u, v, t)` of an entry become widths, heights and derivatives

.. math::

    w_k = 2B \, [m + (1 - Km) \, \mathrm{softmax}_k(u)], \quad
    h_k = 2B \, [m + (1 - Km) \, \mathrm{softmax}_k(v)], \quad
    \delta_k = m' + \mathrm{softplus}(t_k + c),

with :math:`c` such that 0 gives the identity on :math:`[-B, B]`; outside, the spline
is the identity (Durkan et al., 2019, arXiv:1906.04032, section 3.1).

Only the bin an entry falls into is ever made: everything after the softmax has the size
of the table, not of the table times the bins. The backward pass is written out for the
same reason: an entry's loss reaches the raw widths through the left edge and the width
of its bin alone.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from skflow.flow import rational_quadratic
from skflow.flow.rational_quadratic import Bin

MIN_BIN = 1e-3  # share of the interval
MIN_DERIVATIVE = 1e-3
# softplus(_RAW_ONE) + MIN_DERIVATIVE = 1: raw parameters of 0 give the identity.
_RAW_ONE = math.log(math.expm1(1 - MIN_DERIVATIVE))


def n_parameters(n_bins: int) -> int:
    """Raw parameters of one spline: widths, heights and inner derivatives."""
    return 3 * n_bins - 1


def forward_and_log_derivative(x: Tensor, raw: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """Bend ``x`` within ``[-bound, bound]``; return it and ``log dy/dx``.

    Parameters
    ----------
    x : Tensor of shape (n_columns, n_rows)
        NaN stays NaN.
    raw : Tensor of shape (3 * n_bins - 1, n_columns, n_rows)
        Widths, heights and inner derivatives, before their constraints.
    bound : float
    """
    y, log_derivative = _SplineFunction.apply(x, raw, bound)
    return y, log_derivative


def inverse_and_log_derivative(y: Tensor, raw: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """Undo :func:`forward_and_log_derivative`, without gradients; ``x`` and ``log dx/dy``."""
    with torch.no_grad():
        inside = y.abs() < bound
        within = torch.where(inside, y, 0.0)
        cell = _choose(within, raw, bound, axis=1).cell
        x, log_derivative = rational_quadratic.inverse_and_log_derivative(within, cell)
        return torch.where(inside, x, y), torch.where(inside, log_derivative, 0.0)


class _BinSelection(NamedTuple):
    """The bin of each entry, and what leads from it back to the raw parameters.

    Attributes
    ----------
    cell : Bin
    place : Tensor of int64, shape (1, n_columns, n_rows)
        Which bin.
    shares : Tensor of shape (2, n_bins, n_columns, n_rows)
        Of all widths and heights, above their minimum.
    below : Tensor of shape (2, n_columns, n_rows)
        Sum of the shares of the bins before it.
    share : Tensor of shape (2, n_columns, n_rows)
        Its own.
    """

    cell: Bin
    place: Tensor
    shares: Tensor
    below: Tensor
    share: Tensor


def _choose(values: Tensor, raw: Tensor, bound: float, axis: int) -> _BinSelection:
    """Find the bin of each value: by widths, ``axis`` 0, or by heights, ``axis`` 1."""
    n_bins = (len(raw) + 1) // 3
    shares = torch.softmax(raw[: 2 * n_bins].view(2, n_bins, *values.shape), dim=1)
    shares *= 1 - n_bins * MIN_BIN
    ends = shares.cumsum(dim=1)
    minima = MIN_BIN * _bins(n_bins, values)[1:]
    position = values / (2 * bound) + 0.5
    index = (position >= ends[axis, :-1] + minima).sum(dim=0, keepdim=True)
    both = index.expand(2, 1, *values.shape)
    share = shares.gather(1, both).squeeze(1)
    below = ends.gather(1, both).squeeze(1) - share
    corner = (2 * bound) * (below + MIN_BIN * index.to(below.dtype)) - bound
    extent = (2 * bound) * (share + MIN_BIN)
    left, right = _derivatives(raw[2 * n_bins :], index)
    cell = Bin(corner[0], extent[0], corner[1], extent[1], left, right)
    return _BinSelection(cell, index, shares, below, share)


def _bins(n_bins: int, like: Tensor) -> Tensor:
    return torch.arange(n_bins, dtype=like.dtype, device=like.device)[:, None, None]


def _edges(index: Tensor, n_bins: int) -> tuple[Tensor, Tensor]:
    """Of the two edges of each bin, their place among the inner ones, and which are outer."""
    edges = torch.cat((index - 1, index))
    return edges.clamp(0, n_bins - 2), (edges < 0) | (edges == n_bins - 1)


def _derivatives(raw: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives at the edges of each bin; 1 at the ends of the interval."""
    places, outer = _edges(index, len(raw) + 1)
    chosen = raw.gather(0, places).masked_fill(outer, 0.0)
    left, right = functional.softplus(chosen + _RAW_ONE) + MIN_DERIVATIVE
    return left, right


class _SplineFunction(torch.autograd.Function):
    """The forward map, with its gradients written out."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, raw: Tensor, bound: float) -> tuple[Tensor, Tensor]:
        inside = x.abs() < bound
        within = torch.where(inside, x, 0.0)
        choice = _choose(within, raw, bound, axis=0)
        y, log_derivative = rational_quadratic.forward_and_log_derivative(within, choice.cell)
        ctx.bound = bound
        ctx.save_for_backward(inside, within, *choice.cell, *choice[1:])
        return torch.where(inside, y, x), torch.where(inside, log_derivative, 0.0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_y: Tensor, of_log: Tensor) -> tuple[Tensor, Tensor, None]:
        inside, within, *saved = ctx.saved_tensors
        choice = _BinSelection(Bin(*saved[:6]), *saved[6:])
        # Entries outside, absent ones among them, reach no parameter.
        of_y_inside = torch.where(inside, of_y, 0.0)
        of_log = torch.where(inside, of_log, 0.0)
        of_x, of_cell = rational_quadratic.backward(within, choice.cell, of_y_inside, of_log)
        of_raw = torch.cat(
            (
                _backward_of_sizes(choice, of_cell, ctx.bound),
                _backward_of_derivatives(choice, of_cell),
            )
        )
        return torch.where(inside, of_x, of_y), of_raw, None


def _backward_of_sizes(choice: _BinSelection, of_cell: Bin, bound: float) -> Tensor:
    """Gradients by raw widths and heights, ``(2 * n_bins, n_columns, n_rows)``."""
    _, place, shares, below, share = choice
    n_bins = shares.shape[1]
    of_below = 2 * bound * torch.stack((of_cell.x, of_cell.y))
    of_share = 2 * bound * torch.stack((of_cell.width, of_cell.height))
    # The softmax takes from every bin what the chosen one and those below it are given.
    mean = (of_below * below + of_share * share) / (1 - n_bins * MIN_BIN)
    is_below = _bins(n_bins, share) < place
    gradient = torch.where(is_below, (of_below - mean)[:, None], -mean[:, None]) * shares
    gradient.scatter_add_(1, place.expand(2, 1, *share.shape[1:]), (of_share * share)[:, None])
    return gradient.flatten(0, 1)


def _backward_of_derivatives(choice: _BinSelection, of_cell: Bin) -> Tensor:
    """Gradients by raw derivatives, ``(n_bins - 1, n_columns, n_rows)``."""
    n_bins = choice.shares.shape[1]
    derivatives = torch.stack((choice.cell.left, choice.cell.right))
    # The slope of softplus, from its value.
    slopes = -torch.expm1(MIN_DERIVATIVE - derivatives)
    places, outer = _edges(choice.place, n_bins)
    gradient = (torch.stack((of_cell.left, of_cell.right)) * slopes).masked_fill(outer, 0.0)
    result = gradient.new_zeros(n_bins - 1, *gradient.shape[1:])
    return result.scatter_add_(0, places, gradient)
