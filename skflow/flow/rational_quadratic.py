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
the identity (section 3.1 of the reference). Training spends its time here, much of it between
operations on small arrays. Only the bin of an entry is ever computed: after the exponentials
few arrays have the size of the table times the bins. The backward pass is written out for the
same reason: the loss of an entry depends on the raw widths through the left edge and the width of
its bin alone.
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
    curve = _Curve.at((x - cell.x) / cell.width, cell)
    return torch.addcmul(cell.y, cell.height, curve.ratio), curve.log_derivative()


def inverse_and_log_derivative(y: Tensor, cell: Bin) -> tuple[Tensor, Tensor]:
    """Invert the spline at ``y`` within its bin; return ``x`` and ``log dx/dy``."""
    position = _solve(y, cell)
    log_derivative = _Curve.at(position, cell).log_derivative()
    return torch.addcmul(cell.x, position, cell.width), -log_derivative


def _solve(y: Tensor, cell: Bin) -> Tensor:
    """Return the position within its bin at which the spline is ``y``."""
    inverse_slope = cell.width / cell.height
    share = ((y - cell.y) / cell.height).clamp_(0, 1)
    return _position(share, cell.left * inverse_slope, cell.right * inverse_slope)


def _position(share: Tensor, left: Tensor, right: Tensor) -> Tensor:
    r"""Return the position :math:`\xi` within a bin, by the share :math:`t` of its height.

    Derivatives at its edges are those over its slope. The quadratic
    :math:`a \xi^2 + b \xi + c = 0` (equations 6 to 8 of the reference), over the height times
    the slope, has :math:`a = 1 - b` and :math:`c = -t`, and its discriminant is
    :math:`b^2 - 4ac = (b - 2t)^2 + 4t(1 - t)`: no term is below 0. It is solved by
    :math:`\xi = 2t / (b + \sqrt{b^2 - 4ac})`, the root without cancellation.
    """
    b = torch.addcmul(left, (left + right).sub_(2), share, value=-1)
    rest = torch.addcmul(share, share, share, value=-1).mul_(4)
    distance = torch.sub(b, share, alpha=2)
    root = rest.addcmul_(distance, distance).sqrt_().add_(b)
    return (share / root).mul_(2).clamp_max_(1)


class _Curve(NamedTuple):
    r"""The spline at a position within a bin, by interpolation alone.

    With :math:`A = (1 - \xi) \delta_k + \xi s` and :math:`B = (1 - \xi) s + \xi \delta_{k+1}`,
    the denominator is :math:`d = \xi A + (1 - \xi) B`, the share of the height that the spline
    has climbed :math:`\xi A / d`, and :math:`dy/dx = (s / d)^2 [(1 - \xi) A + \xi B]`. All terms
    are positive: none cancel.

    Attributes
    ----------
    position, slope : Tensor
        :math:`\xi` and s.
    near, far : Tensor
        A and B.
    denominator, mixed : Tensor
        d, and the term in brackets.
    ratio : Tensor
        Share of the height.
    """

    position: Tensor
    slope: Tensor
    near: Tensor
    far: Tensor
    denominator: Tensor
    mixed: Tensor
    ratio: Tensor

    @classmethod
    def at(cls, position: Tensor, cell: Bin) -> "_Curve":
        slope = cell.height / cell.width
        near = torch.lerp(cell.left, slope, position)
        far = torch.lerp(slope, cell.right, position)
        denominator = torch.lerp(far, near, position)
        mixed = torch.lerp(near, far, position)
        return cls(position, slope, near, far, denominator, mixed, position * near / denominator)

    def log_derivative(self) -> Tensor:
        return torch.log((self.slope / self.denominator).square() * self.mixed)

    def backward(self, cell: Bin, of_y: Tensor, of_log: Tensor) -> tuple[Tensor, Bin]:
        """Gradients of a loss by ``x`` and the bin, from those by ``y`` and ``log dy/dx``."""
        of_mixed = of_log / self.mixed
        of_ratio = of_y * cell.height / self.denominator  # over d, as the next one is
        twice = of_log + of_log
        of_denominator = -torch.addcmul(twice / self.denominator, of_ratio, self.ratio)
        of_numerator = of_ratio + of_denominator
        of_near = torch.lerp(of_mixed, of_numerator, self.position)
        of_far = torch.lerp(of_denominator, of_mixed, self.position)
        of_right = self.position * of_far
        near_part = self.position * of_near
        of_slope = (near_part + of_far).sub_(of_right).addcdiv_(twice, self.slope)
        # The position moves the four interpolations, and the numerator of the ratio.
        of_position = self.near * of_ratio
        of_position.addcmul_(self.near - self.far, of_denominator - of_mixed)
        of_position.addcmul_(self.slope - cell.left, of_near)
        of_position.addcmul_(cell.right - self.slope, of_far)
        of_x = of_position / cell.width
        of_slope /= cell.width
        of_width = -torch.addcmul(of_x * self.position, of_slope, self.slope)
        of_height = torch.addcmul(of_slope, of_y, self.ratio)
        return of_x, Bin(-of_x, of_width, of_y, of_height, of_near - near_part, of_right)


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


def n_parameters(n_bins: int) -> int:
    """Raw parameters of one spline: widths, heights and inner derivatives."""
    return 3 * n_bins - 1


def inverse_conditional(y: Tensor, raw: Tensor, bound: float) -> Tensor:
    """Invert :class:`SplineFunction`, without gradients."""
    below_bound = math.nextafter(bound, 0.0)
    within = y.clamp(-below_bound, below_bound)
    cell = _select_bin(within, raw, bound, axis=1).cell
    x = torch.addcmul(cell.x, _solve(within, cell), cell.width)
    return torch.where(within == y, x, y)


class _BinSelection(NamedTuple):
    """The bin of each entry, and what its gradients need.

    Exponentials of raw sizes are all that is computed of every bin. Sums over the bins before it
    go through indicators, which are numbers; what belongs to the bin itself is gathered.

    Attributes
    ----------
    cell : Bin
        Corner, extent and derivatives of the bin.
    reached : Tensor of shape (n_bins + 1, n_columns, n_rows)
        1 for each edge at or below the entry, the outermost left one among them; 0 for others.
    exponentials : Tensor of shape (2, n_bins, n_columns, n_rows)
        Exponentials of raw widths and heights, up to a factor for each entry.
    below, selected : Tensor of shape (2, n_columns, n_rows)
        Sum of the exponentials of the bins before the selected one; that of the selected one.
    unit : Tensor of shape (2, n_columns, n_rows)
        Extent, above its minimum, per exponential.
    logits : Tensor of shape (2, n_columns, n_rows)
        Derivatives at the edges are their softplus, above a minimum.
    """

    cell: Bin
    reached: Tensor
    exponentials: Tensor
    below: Tensor
    selected: Tensor
    unit: Tensor
    logits: Tensor


def _select_bin(values: Tensor, raw: Tensor, bound: float, axis: int) -> _BinSelection:
    """Select the bin of each value: by widths, ``axis`` 0, or by heights, ``axis`` 1."""
    n_bins = (len(raw) + 1) // 3
    sizes, inner = raw[: 2 * n_bins].view(2, n_bins, *values.shape), raw[2 * n_bins :]
    exponentials = (sizes - sizes.amax(dim=1, keepdim=True)).exp_()
    total = exponentials.sum(dim=1) / (1 - n_bins * MIN_BIN)
    # Edges, and the value, in units in which all bins together have this total.
    edges = exponentials[axis, :-1] + MIN_BIN * total[axis]
    place = torch.add(total[axis] / 2, values * total[axis], alpha=1 / (2 * bound))
    reached = raw.new_empty(n_bins + 1, *values.shape)
    reached[0].fill_(1.0)
    reached[n_bins].fill_(0.0)
    torch.cumsum(edges, dim=0, out=reached[1:n_bins]).le_(place)
    n_before = reached[1:].sum(dim=0)
    below = (exponentials * reached[1:]).sum(dim=1)
    index = n_before.long().expand(total.shape)
    selected = exponentials.gather(1, index[:, None]).squeeze(1)
    unit, least = 2 * bound / total, 2 * bound * MIN_BIN
    corner = torch.addcmul(least * n_before - bound, below, unit)
    extent = (selected * unit).add_(least)
    # Derivatives at both edges of the bin; at the ends of the interval, raw 0, they are 1.
    edges = functional.pad(inner, (0, 0, 0, 0, 1, 1)).unfold(0, n_bins, 1)  # left, right ones
    logits = edges.gather(3, index[..., None]).squeeze(3).add_(_RAW_ONE)
    left, right = functional.softplus(logits).add_(MIN_DERIVATIVE)
    cell = Bin(corner[0], extent[0], corner[1], extent[1], left, right)
    return _BinSelection(cell, reached, exponentials, below, selected, unit, logits)


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
        cell = selected.cell
        curve = _Curve.at((within - cell.x) / cell.width, cell)
        of_x, of_cell = curve.backward(cell, of_y_inside, of_log)
        return torch.where(inside, of_x, of_y), _backward_of_raw(selected, of_cell), None


def _backward_of_raw(selected: _BinSelection, of_cell: Bin) -> Tensor:
    """Gradients by raw parameters, ``(3 * n_bins - 1, n_columns, n_rows)``."""
    _, reached, exponentials, below, own_size, unit, logits = selected
    own = reached[:-1] - reached[1:]  # 1 for the bin of the entry, 0 for others
    n_bins = len(own)
    gradient = own.new_empty(3 * n_bins - 1, *own.shape[1:])
    sizes, inner = gradient[: 2 * n_bins].view_as(exponentials), gradient[2 * n_bins :]
    # Gradient of a softmax: what each bin receives, less the mean over bins.
    of_below = torch.stack((of_cell.x, of_cell.y)).mul_(unit)
    of_own = torch.stack((of_cell.width, of_cell.height)).mul_(unit)
    sum_of_all = exponentials.sum(dim=1)
    mean = (of_below * below).addcmul_(of_own, own_size).div_(sum_of_all)
    torch.mul(reached[1:], of_below[:, None], out=sizes)
    sizes.addcmul_(own, of_own[:, None]).sub_(mean[:, None]).mul_(exponentials)
    # Those of softplus are sigmoids.
    of_logits = torch.stack((of_cell.left, of_cell.right)).mul_(logits.sigmoid())
    torch.mul(own[1:], of_logits[0], out=inner)
    inner.addcmul_(own[:-1], of_logits[1])
    return gradient


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
