r"""Monotone rational-quadratic splines: the one place for their formula.

Between two knots, with :math:`\xi = (x - x_k) / (x_{k+1} - x_k)`, slope
:math:`s = (y_{k+1} - y_k) / (x_{k+1} - x_k)` and knot derivatives
:math:`\delta_k, \delta_{k+1}`, the spline and its derivative are (Durkan et al.,
"Neural Spline Flows", 2019, arXiv:1906.04032, equations 4 and 5; Gregory and
Delbourgo, 1982)

.. math::

    y = y_k + \frac{(y_{k+1} - y_k) [s \xi^2 + \delta_k \xi (1 - \xi)]}
                   {s + (\delta_{k+1} + \delta_k - 2 s) \xi (1 - \xi)}, \qquad
    \frac{dy}{dx} = \frac{s^2 [\delta_{k+1} \xi^2 + 2 s \xi (1 - \xi)
                    + \delta_k (1 - \xi)^2]}
                    {[s + (\delta_{k+1} + \delta_k - 2 s) \xi (1 - \xi)]^2}.

The formula is elementwise, for one bin. The bin of an entry is selected from knots that
all rows share (:func:`select_bin`, for marginals) or from the raw parameters
:math:`(u, v, t)` that a conditioner returns for each entry (:class:`SplineFunction`, for
coupling layers). These become widths, heights and derivatives

.. math::

    w_k = 2B \, [m + (1 - Km) \, \mathrm{softmax}_k(u)], \quad
    h_k = 2B \, [m + (1 - Km) \, \mathrm{softmax}_k(v)], \quad
    \delta_k = m' + \mathrm{softplus}(t_k + c),

with :math:`c` such that 0 gives the identity on :math:`[-B, B]`; outside, the spline is
the identity (section 3.1 of the reference). Training spends its time here. Only the bin
of an entry is ever computed: after the softmax every array has the size of the table, not
of the table times the bins. The backward pass is written out for the same reason: the
loss of an entry depends on the raw widths through the left edge and the width of its bin
alone.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

MIN_BIN = 1e-3  # share of the interval
MIN_DERIVATIVE = 1e-3
# softplus(_RAW_ONE) + MIN_DERIVATIVE = 1: raw parameters of 0 give the identity.
_RAW_ONE = math.log(math.expm1(1 - MIN_DERIVATIVE))


class Knots(NamedTuple):
    """Knots of one spline per entry: strictly increasing ``x`` and ``y``, positive slopes.

    Bins first, ``(n_bins + 1, n_columns, n_rows or 1)``: sums over bins then run over
    contiguous memory.
    """

    x: Tensor
    y: Tensor
    derivative: Tensor


class Bin(NamedTuple):
    """The bin each entry falls into: lower corner, extent, and derivatives at its edges."""

    x: Tensor
    width: Tensor
    y: Tensor
    height: Tensor
    left: Tensor
    right: Tensor


def forward_and_log_derivative(x: Tensor, cell: Bin) -> tuple[Tensor, Tensor]:
    """Evaluate the spline at ``x`` within its bin; return ``y`` and ``log dy/dx``."""
    slope, position, mixed, bend = _shape(x, cell)
    numerator = slope * position.square() + cell.left * mixed
    y = cell.y + cell.height * numerator / (slope + bend * mixed)
    return y, _log_derivative(cell, slope, position, mixed)


def inverse_and_log_derivative(y: Tensor, cell: Bin) -> tuple[Tensor, Tensor]:
    r"""Invert the spline at ``y`` within its bin; return ``x`` and ``log dx/dy``.

    The quadratic :math:`a \xi^2 + b \xi + c = 0` (equations 6 to 8 of the reference)
    is solved by :math:`\xi = 2c / (-b - \sqrt{b^2 - 4ac})`, the root without
    cancellation. Rounding can push the discriminant below 0, where it is clamped.
    """
    slope = cell.height / cell.width
    offset = y - cell.y
    bend = offset * (cell.left + cell.right - 2 * slope)
    a = cell.height * (slope - cell.left) + bend
    b = cell.height * cell.left - bend
    c = -slope * offset
    discriminant = (b.square() - 4 * a * c).clamp_min(0)
    position = (2 * c / (-b - discriminant.sqrt())).clamp(0, 1)
    mixed = position * (1 - position)
    return cell.x + position * cell.width, -_log_derivative(cell, slope, position, mixed)


def backward_through_bin(x: Tensor, cell: Bin, of_y: Tensor, of_log: Tensor) -> tuple[Tensor, Bin]:
    r"""Gradients of a loss by ``x`` and by the bin.

    Parameters
    ----------
    x : Tensor
        Where :func:`forward_and_log_derivative` was evaluated.
    cell : Bin
    of_y, of_log : Tensor
        Gradients of the loss by ``y`` and by ``log dy/dx``.

    Returns
    -------
    of_x : Tensor
    of_cell : Bin
        Gradients by the fields of ``cell``.

    Notes
    -----
    With :math:`y = y_k + h r(\xi, s, \delta)`, the partial derivatives of
    :math:`r = n / d` and of :math:`\log (dy/dx) = 2 \log s + \log p - 2 \log d` by
    :math:`\xi, s, \delta_k, \delta_{k+1}` are taken first; :math:`\xi` and :math:`s`
    then pass theirs on to :math:`x` and the corners.
    """
    slope, position, mixed, bend = _shape(x, cell)
    rest = 1 - position
    square, rest_square = position.square(), rest.square()
    tilt = rest - position  # the derivative of mixed
    per_denominator = 1 / (slope + bend * mixed)
    ratio = (slope * square + cell.left * mixed) * per_denominator
    p = cell.right * square + 2 * slope * mixed + cell.left * rest_square
    of_log_p = of_log / p
    of_ratio = of_y * cell.height * per_denominator
    # The denominator occurs in both: its part is common to all derivatives below.
    of_denominator = -(of_ratio * ratio + 2 * of_log * per_denominator)
    of_position = (
        of_ratio * (2 * slope * position + cell.left * tilt)
        + of_denominator * bend * tilt
        + 2 * of_log_p * (cell.right * position + slope * tilt - cell.left * rest)
    )
    of_slope = (
        of_ratio * square
        + of_denominator * (1 - 2 * mixed)
        + 2 * of_log_p * mixed
        + 2 * of_log / slope
    )
    common = of_denominator * mixed
    of_left = of_ratio * mixed + common + of_log_p * rest_square
    of_right = common + of_log_p * square
    of_x = of_position / cell.width
    of_width = -(of_x * position + of_slope * slope / cell.width)
    of_height = of_y * ratio + of_slope / cell.width
    return of_x, Bin(-of_x, of_width, of_y, of_height, of_left, of_right)


def select_bin(values: Tensor, edges: Tensor, knots: Knots) -> Bin:
    """Return the bin that each of ``values`` falls into, by its place among ``edges``.

    ``edges`` are the x of the knots, or their y on the way back; ``values``,
    ``(n_columns, n_rows)``, must lie between the outer ones.
    """
    index = (values >= edges[1:-1]).sum(dim=0, keepdim=True)

    def gather(source: Tensor, shift: int) -> Tensor:
        expanded = source.expand(-1, *values.shape)
        return expanded.gather(0, index + shift).squeeze(0)

    x, right_x = gather(knots.x, 0), gather(knots.x, 1)
    y, right_y = gather(knots.y, 0), gather(knots.y, 1)
    left, right = gather(knots.derivative, 0), gather(knots.derivative, 1)
    return Bin(x, right_x - x, y, right_y - y, left, right)


def _shape(x: Tensor, cell: Bin) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Slope s, position xi in the bin, ``xi (1 - xi)``, and the change of slope in the bin."""
    slope = cell.height / cell.width
    position = (x - cell.x) / cell.width
    return slope, position, position * (1 - position), cell.left + cell.right - 2 * slope


def _log_derivative(cell: Bin, slope: Tensor, position: Tensor, mixed: Tensor) -> Tensor:
    numerator = (
        cell.right * position.square() + 2 * slope * mixed + cell.left * (1 - position).square()
    )
    denominator = slope + (cell.left + cell.right - 2 * slope) * mixed
    return torch.log(numerator * (slope / denominator).square())


def n_parameters(n_bins: int) -> int:
    """Raw parameters of one spline: widths, heights and inner derivatives."""
    return 3 * n_bins - 1


def inverse_conditional(y: Tensor, raw: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """Invert :class:`SplineFunction`, without gradients; return ``x`` and ``log dx/dy``."""
    with torch.no_grad():
        inside = y.abs() < bound
        within = torch.where(inside, y, 0.0)
        cell = _select_bin(within, raw, bound, axis=1).cell
        x, log_derivative = inverse_and_log_derivative(within, cell)
        return torch.where(inside, x, y), torch.where(inside, log_derivative, 0.0)


class _BinSelection(NamedTuple):
    """The bin of each entry, and what its gradients need.

    Attributes
    ----------
    cell : Bin
        Corner, extent and derivatives of the bin.
    bin_index : Tensor of int64, shape (1, n_columns, n_rows)
        Index of the bin.
    shares : Tensor of shape (2, n_bins, n_columns, n_rows)
        Widths and heights of all bins above their minimum, as shares of the interval.
    below : Tensor of shape (2, n_columns, n_rows)
        Sum of the shares of the bins before the selected one.
    share : Tensor of shape (2, n_columns, n_rows)
        Share of the selected bin.
    """

    cell: Bin
    bin_index: Tensor
    shares: Tensor
    below: Tensor
    share: Tensor


def _select_bin(values: Tensor, raw: Tensor, bound: float, axis: int) -> _BinSelection:
    """Select the bin of each value: by widths, ``axis`` 0, or by heights, ``axis`` 1."""
    n_bins = (len(raw) + 1) // 3
    # Widths and heights go through one softmax, and one cumulative sum.
    shares = torch.softmax(raw[: 2 * n_bins].view(2, n_bins, *values.shape), dim=1)
    shares *= 1 - n_bins * MIN_BIN
    ends = shares.cumsum(dim=1)
    minima = MIN_BIN * _bins(n_bins, values)[1:]
    position = values / (2 * bound) + 0.5  # within the interval, from 0 to 1
    # The index is the number of inner edges at or below the value.
    index = (position >= ends[axis, :-1] + minima).sum(dim=0, keepdim=True)
    both = index.expand(2, 1, *values.shape)
    share = shares.gather(1, both).squeeze(1)
    below = ends.gather(1, both).squeeze(1) - share
    corner = (2 * bound) * (below + MIN_BIN * index.to(below.dtype)) - bound
    extent = (2 * bound) * (share + MIN_BIN)
    # Derivatives at both edges of the bin; 1 at the ends of the interval.
    inner, outer = _edges(index, n_bins)
    chosen = raw[2 * n_bins :].gather(0, inner).masked_fill(outer, 0.0)
    left, right = functional.softplus(chosen + _RAW_ONE) + MIN_DERIVATIVE
    cell = Bin(corner[0], extent[0], corner[1], extent[1], left, right)
    return _BinSelection(cell, index, shares, below, share)


def _bins(n_bins: int, like: Tensor) -> Tensor:
    return torch.arange(n_bins, dtype=like.dtype, device=like.device)[:, None, None]


def _edges(index: Tensor, n_bins: int) -> tuple[Tensor, Tensor]:
    """Indices of each bin's two edges among the inner edges, and the mask of outer ones."""
    edges = torch.cat((index - 1, index))
    return edges.clamp(0, n_bins - 2), (edges < 0) | (edges == n_bins - 1)


class SplineFunction(torch.autograd.Function):
    """Spline of each entry, by raw parameters, with its gradients written out.

    ``SplineFunction.apply(x, raw, bound)`` returns ``y`` and ``log dy/dx``.

    Parameters
    ----------
    x : Tensor of shape (n_columns, n_rows)
        NaN stays NaN.
    raw : Tensor of shape (3 * n_bins - 1, n_columns, n_rows)
        Widths, heights and inner derivatives, before their constraints.
    bound : float
        Half-width of the interval in which the spline differs from the identity.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, raw: Tensor, bound: float) -> tuple[Tensor, Tensor]:
        """Evaluate the spline."""
        inside = x.abs() < bound
        within = torch.where(inside, x, 0.0)
        selected = _select_bin(within, raw, bound, axis=0)
        y, log_derivative = forward_and_log_derivative(within, selected.cell)
        ctx.bound = bound
        ctx.save_for_backward(inside, within, *selected.cell, *selected[1:])
        return torch.where(inside, y, x), torch.where(inside, log_derivative, 0.0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_y: Tensor, of_log: Tensor) -> tuple[Tensor, Tensor, None]:
        """Return gradients by ``x`` and ``raw``."""
        inside, within, *saved = ctx.saved_tensors
        selected = _BinSelection(Bin(*saved[:6]), *saved[6:])
        # Entries outside, missing ones among them, have no gradient by any parameter.
        of_y_inside = torch.where(inside, of_y, 0.0)
        of_log = torch.where(inside, of_log, 0.0)
        of_x, of_cell = backward_through_bin(within, selected.cell, of_y_inside, of_log)
        of_sizes = _backward_of_sizes(selected, of_cell, ctx.bound)
        of_raw = torch.cat((of_sizes, _backward_of_derivatives(selected, of_cell)))
        return torch.where(inside, of_x, of_y), of_raw, None


def _backward_of_sizes(selected: _BinSelection, of_cell: Bin, bound: float) -> Tensor:
    """Gradients by raw widths and heights, ``(2 * n_bins, n_columns, n_rows)``."""
    _, index, shares, below, share = selected
    n_bins = shares.shape[1]
    of_below = 2 * bound * torch.stack((of_cell.x, of_cell.y))
    of_share = 2 * bound * torch.stack((of_cell.width, of_cell.height))
    # Gradient of a softmax: what each bin receives, less the mean over bins.
    mean = (of_below * below + of_share * share) / (1 - n_bins * MIN_BIN)
    is_below = _bins(n_bins, share) < index
    gradient = torch.where(is_below, (of_below - mean)[:, None], -mean[:, None]) * shares
    gradient.scatter_add_(1, index.expand(2, 1, *share.shape[1:]), (of_share * share)[:, None])
    return gradient.flatten(0, 1)


def _backward_of_derivatives(selected: _BinSelection, of_cell: Bin) -> Tensor:
    """Gradients by raw derivatives, ``(n_bins - 1, n_columns, n_rows)``."""
    n_bins = selected.shares.shape[1]
    derivatives = torch.stack((selected.cell.left, selected.cell.right))
    # The slope of softplus, from its value.
    slopes = -torch.expm1(MIN_DERIVATIVE - derivatives)
    inner, outer = _edges(selected.bin_index, n_bins)
    gradient = (torch.stack((of_cell.left, of_cell.right)) * slopes).masked_fill(outer, 0.0)
    result = gradient.new_zeros(n_bins - 1, *gradient.shape[1:])
    return result.scatter_add_(0, inner, gradient)


def knots_of(raw: Tensor, bound: float) -> Knots:
    """Return the knots of splines by their raw parameters, as :class:`SplineFunction` has them.

    Parameters
    ----------
    raw : Tensor of shape (3 * n_bins - 1, n_columns, n_rows)
    bound : float
        Half-width of the interval in which the spline differs from the identity.
    """
    n_bins = (len(raw) + 1) // 3
    shares = torch.softmax(raw[: 2 * n_bins].view(2, n_bins, *raw.shape[1:]), dim=1)
    ends = ((1 - n_bins * MIN_BIN) * shares + MIN_BIN).cumsum(dim=1)
    x, y = (2 * bound) * functional.pad(ends, (0, 0, 0, 0, 1, 0)) - bound
    inner = functional.softplus(raw[2 * n_bins :] + _RAW_ONE) + MIN_DERIVATIVE
    return Knots(x, y, functional.pad(inner, (0, 0, 0, 0, 1, 1), value=1.0))
