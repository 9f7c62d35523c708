r"""Marginals: monotone maps of each column to about N(0, 1) (gaussianization).

They are fitted by :mod:`skflow.initialization.marginals`.

A column is sent through a rational-quadratic spline. Beyond the outer knots the map grows
logarithmically,

.. math:: y = y_m + s \log(1 + \delta (x - x_m) / s),

so that :math:`y^2` stays finite out to 1e300; the smaller ``s``, the heavier the tail. A
bound of a column is a knot that is sent to 8, unless the tail goes as far on its own:
values beyond it keep an image, so that they come back, but nearly no probability.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skflow.flow import rational_quadratic
from skflow.flow.bijection import Bijection, split_absent
from skflow.flow.context import NO_CONTEXT, Context
from skflow.flow.rational_quadratic import Knots

FloatArray = NDArray[np.float64]

SLACK = 1.5  # of scores, beyond the last of the quantiles
# The same for encoded values, where they are logarithms; others have a range of 2 at most.
MOST_BEYOND = math.log(100)
LARGEST = float(np.finfo(np.float64).max)
SMALLEST = float(np.finfo(np.float64).tiny)


class ColumnMap(NamedTuple):
    """Parameters of one column's map."""

    x: FloatArray
    y: FloatArray
    derivative: FloatArray
    lower_tail: float
    upper_tail: float


class Marginals(Bijection):
    """Monotone map of each column on its own; see the module's text for the formula.

    Buffers are float64 and stay so: far values and exact inverses need it.
    """

    x_knots: Tensor
    y_knots: Tensor
    derivatives: Tensor
    lower_tail: Tensor
    upper_tail: Tensor

    def __init__(self, columns: list[ColumnMap]) -> None:
        super().__init__()

        def stack(name: str, n_rows: int) -> Tensor:
            rows = [getattr(column, name) for column in columns]
            matrix = np.array(rows, dtype=np.float64).reshape(len(columns), n_rows)
            return torch.tensor(matrix.T[:, :, None].copy())

        n_knots = len(columns[0].x) if columns else 2
        self.register_buffer("x_knots", stack("x", n_knots))
        self.register_buffer("y_knots", stack("y", n_knots))
        self.register_buffer("derivatives", stack("derivative", n_knots))
        self.register_buffer("lower_tail", stack("lower_tail", 1)[0])
        self.register_buffer("upper_tail", stack("upper_tail", 1)[0])

    @classmethod
    def blank(cls, n_columns: int, n_knots: int) -> "Marginals":
        """Return maps of the given sizes, to load a state into."""
        maps = cls([])
        n_knots = n_knots if n_columns else len(maps.x_knots)
        knots = torch.ones(n_knots, n_columns, 1, dtype=torch.float64)
        maps.x_knots, maps.y_knots, maps.derivatives = knots, knots.clone(), knots.clone()
        maps.lower_tail, maps.upper_tail = knots[0].clone(), knots[0].clone()
        return maps

    def of_columns(self, columns: list[int]) -> "Marginals":
        """Return the maps of some of the columns."""
        part = Marginals.blank(len(columns), len(self.x_knots))
        part.load_state_dict({name: t[..., columns, :] for name, t in self.state_dict().items()})
        return part

    def is_within_reach(self, x: Tensor) -> Tensor:
        """Mask of rows whose values lie no farther out than those of fitted rows may.

        Missing values count as within reach.
        """
        y, _ = self.forward_and_log_det(x)
        low, high = self.reach()
        return ((y > low) & (y < high) | y.isnan()).all(dim=0)

    def reach(self) -> tuple[Tensor, Tensor]:
        """Ends of what fitted rows make likely, as normal scores, ``(n_columns, 1)`` each.

        They are no farther out than ``MOST_BEYOND``: the unit of scores is half of the distance of
        two modes far apart, as of logarithms of the sizes of negative and of positive numbers.
        """
        below, _ = self.forward_and_log_det(self.x_knots[1] - MOST_BEYOND)
        above, _ = self.forward_and_log_det(self.x_knots[-2] + MOST_BEYOND)
        low, high = self.y_knots[1] - SLACK, self.y_knots[-2] + SLACK
        return torch.maximum(low, below), torch.minimum(high, above)

    def forward_and_log_det(
        self, x: Tensor, context: Context = NO_CONTEXT
    ) -> tuple[Tensor, Tensor]:
        """Map original values to about N(0, 1)."""
        x, absent = split_absent(x)
        knots = Knots(self.x_knots, self.y_knots, self.derivatives)
        inside = x.clamp(knots.x[0], knots.x[-1])
        cell = rational_quadratic.select_bin(inside, knots.x, knots)
        y, log_derivative = rational_quadratic.forward_and_log_derivative(inside, cell)
        y_above, log_above = _log_tail(x - knots.x[-1], knots.derivative[-1], self.upper_tail)
        y_below, log_below = _log_tail(knots.x[0] - x, knots.derivative[0], self.lower_tail)
        above, below = x > knots.x[-1], x < knots.x[0]
        y = torch.where(above, knots.y[-1] + y_above, y)
        y = torch.where(below, knots.y[0] - y_below, y)
        log_derivative = torch.where(above, log_above, log_derivative)
        log_derivative = torch.where(below, log_below, log_derivative)
        return y.masked_fill(absent, torch.nan), log_derivative.masked_fill(absent, 0.0).sum(dim=0)

    def inverse(self, z: Tensor, context: Context = NO_CONTEXT) -> Tensor:
        """Map back to original values."""
        return self.inverse_and_log_det(z)[0]

    def inverse_and_log_det(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Map back to original values; return the log-determinant of the inverse as well."""
        z, absent = split_absent(z)
        knots = Knots(self.x_knots, self.y_knots, self.derivatives)
        inside = z.clamp(knots.y[0], knots.y[-1])
        cell = rational_quadratic.select_bin(inside, knots.y, knots)
        x, log_derivative = rational_quadratic.inverse_and_log_derivative(inside, cell)
        x_above, log_above = _exp_tail(z - knots.y[-1], knots.derivative[-1], self.upper_tail)
        x_below, log_below = _exp_tail(knots.y[0] - z, knots.derivative[0], self.lower_tail)
        above, below = z > knots.y[-1], z < knots.y[0]
        x = torch.where(above, knots.x[-1] + x_above, x)
        x = torch.where(below, knots.x[0] - x_below, x).clamp(-LARGEST, LARGEST)
        log_derivative = torch.where(above, log_above, log_derivative)
        log_derivative = torch.where(below, log_below, log_derivative)
        return x.masked_fill(absent, torch.nan), log_derivative.masked_fill(absent, 0.0).sum(dim=0)


def _log_tail(distance: Tensor, derivative: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """``s log(1 + derivative * distance / s)`` and the log of its derivative."""
    distance = distance.clamp_min(0)
    rate = derivative / scale
    product = distance * rate
    far = distance.clamp_min(SMALLEST).log() + rate.log()  # at 0 its gradient counts for nothing
    log1p = torch.where(product < 1e150, torch.log1p(product), far)
    return scale * log1p, derivative.log() - log1p


def _exp_tail(rise: Tensor, derivative: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Inverse of :func:`_log_tail`, and the log of the inverse's derivative."""
    exponent = rise.clamp_min(0) / scale
    rate = derivative / scale
    far = torch.exp((exponent - rate.log()).clamp_max(math.log(LARGEST)))
    distance = torch.where(exponent < 300, torch.expm1(exponent.clamp_max(300)) / rate, far)
    return distance.clamp_max(LARGEST), exponent - derivative.log()
