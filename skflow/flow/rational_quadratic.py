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

Knots are stored bins first, ``(n_bins + 1, n_columns, n_rows or 1)``: sums over
bins then run over contiguous memory.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Knots(NamedTuple):
    """Knots of one spline per entry: strictly increasing ``x`` and ``y``, positive slopes."""

    x: Tensor
    y: Tensor
    derivative: Tensor


class _Bin(NamedTuple):
    """The bin each entry falls into: corner, extent, slope and edge derivatives."""

    x: Tensor
    width: Tensor
    y: Tensor
    height: Tensor
    slope: Tensor
    left: Tensor
    right: Tensor


def forward_and_log_derivative(x: Tensor, knots: Knots) -> tuple[Tensor, Tensor]:
    """Evaluate the spline at ``x``, which must lie between the outer knots.

    Returns ``y`` and ``log dy/dx``, both of the shape of ``x``, ``(n_columns, n_rows)``.
    """
    cell = _select_bin(x, knots.x, knots)
    position = (x - cell.x) / cell.width
    mixed = position * (1 - position)
    numerator = cell.slope * position.square() + cell.left * mixed
    denominator = cell.slope + (cell.left + cell.right - 2 * cell.slope) * mixed
    return cell.y + cell.height * numerator / denominator, _log_derivative(cell, position)


def inverse_and_log_derivative(y: Tensor, knots: Knots) -> tuple[Tensor, Tensor]:
    r"""Invert the spline at ``y``, which must lie between the outer knots.

    Returns ``x`` and ``log dx/dy``. The quadratic
    :math:`a \xi^2 + b \xi + c = 0` (equations 6 to 8 of the reference) is solved
    by :math:`\xi = 2c / (-b - \sqrt{b^2 - 4ac})`, the root without cancellation.
    Rounding can push the discriminant below 0, where it is clamped.
    """
    cell = _select_bin(y, knots.y, knots)
    offset = y - cell.y
    bend = offset * (cell.left + cell.right - 2 * cell.slope)
    a = cell.height * (cell.slope - cell.left) + bend
    b = cell.height * cell.left - bend
    c = -cell.slope * offset
    discriminant = (b.square() - 4 * a * c).clamp_min(0)
    position = (2 * c / (-b - discriminant.sqrt())).clamp(0, 1)
    return cell.x + position * cell.width, -_log_derivative(cell, position)


def _log_derivative(cell: _Bin, position: Tensor) -> Tensor:
    mixed = position * (1 - position)
    numerator = (
        cell.right * position.square()
        + 2 * cell.slope * mixed
        + cell.left * (1 - position).square()
    )
    denominator = cell.slope + (cell.left + cell.right - 2 * cell.slope) * mixed
    return 2 * torch.log(cell.slope / denominator) + torch.log(numerator)


def _select_bin(values: Tensor, edges: Tensor, knots: Knots) -> _Bin:
    index = (values >= edges[1:-1]).sum(dim=0, keepdim=True)

    def gather(source: Tensor, shift: int) -> Tensor:
        expanded = source.expand(-1, *values.shape)
        return expanded.gather(0, index + shift).squeeze(0)

    x, right_x = gather(knots.x, 0), gather(knots.x, 1)
    y, right_y = gather(knots.y, 0), gather(knots.y, 1)
    width, height = right_x - x, right_y - y
    left, right = gather(knots.derivative, 0), gather(knots.derivative, 1)
    return _Bin(x, width, y, height, height / width, left, right)
