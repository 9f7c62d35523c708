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

Everything here is elementwise and knows of one bin: which one an entry falls into is
found elsewhere, from given knots (:func:`select_bin`) or from a conditioner's output
(:mod:`skflow.flow.conditional_spline`).
"""

from typing import NamedTuple

import torch
from torch import Tensor


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


def backward(x: Tensor, cell: Bin, of_y: Tensor, of_log: Tensor) -> tuple[Tensor, Bin]:
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
    """Slope, position in the bin, position times the rest, and how far the bin bends."""
    slope = cell.height / cell.width
    position = (x - cell.x) / cell.width
    return slope, position, position * (1 - position), cell.left + cell.right - 2 * slope


def _log_derivative(cell: Bin, slope: Tensor, position: Tensor, mixed: Tensor) -> Tensor:
    numerator = (
        cell.right * position.square() + 2 * slope * mixed + cell.left * (1 - position).square()
    )
    denominator = slope + (cell.left + cell.right - 2 * slope) * mixed
    return torch.log(numerator * (slope / denominator).square())
