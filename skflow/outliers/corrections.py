r"""Correction of a density along lines, from few points at which another one is evaluated.

Where columns are many, coupling layers cost whole rows while the mixture after them costs few
factors (:mod:`skflow.outliers.column_line`). Along the line of one column the logarithm of their
ratio is smooth, however narrow the density is. So the density is known at the nodes of the
mixture's, times a ratio that is interpolated between few points: in each cell by the cubic with
the slopes of the parabolas through three neighbouring points,

.. math:: m_i = \frac{h_i s_{i-1} + h_{i-1} s_i}{h_{i-1} + h_i},

with :math:`h_i` the width of cell i and :math:`s_i` its mean slope. In the middle of a cell the
cubic differs from a line by :math:`u_i = h_i |m_{i+1} - m_i| / 8`, and the ratio is taken to be as
uncertain. Points are added where this matters most for the log-share of values no likelier than
the row's own, until it hardly does.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from skflow.outliers.quadrature import Curve, Nodes, Rows, worst_places

FloatArray = NDArray[np.float64]

SHARES = ndtr(np.array([-4.2, -3, -2.2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2.2, 3, 4.2]))
INSIDE = 0.1  # of a cell's width, between a new point and its ends
TOLERANCE = 0.02  # error of a log-share
N_ADDED = 8  # points of a row at once
MOST_ROUNDS = 8
TINY = 1e-300


@dataclass(frozen=True)
class LogRatio:
    """Logarithm of a ratio of densities along lines, one line per row.

    Attributes
    ----------
    known : Curve
        Nodes at which the logarithm is known: it has the place of their log-density.
    """

    known: Curve

    @cached_property
    def _slopes(self) -> FloatArray:
        """Slopes at the nodes, ``(n_rows, n_nodes)``."""
        width = np.diff(self.known.nodes.places, axis=1)
        rise = np.diff(self.known.nodes.log_density, axis=1)
        slope = np.divide(rise, width, out=np.zeros_like(width), where=width > 0)
        before, after = width[:, :-1], width[:, 1:]  # padding has no width
        inner = before * slope[:, 1:] + after * slope[:, :-1]
        inner = np.divide(inner, before + after, out=slope[:, :-1].copy(), where=after > 0)
        return np.column_stack((slope[:, :1], inner, slope[:, -1:]))

    def __call__(self, rows: Rows, places: FloatArray) -> FloatArray:
        """Interpolate for rows, by index; beyond the outermost nodes the nearest counts."""
        x, y = self.known.nodes.places, self.known.nodes.log_density
        places = places.clip(x[rows, 0], x[rows, -1])
        cell = ((x[rows] <= places[:, None]).sum(axis=1) - 1).clip(0, x.shape[1] - 2)
        low, width = x[rows, cell], x[rows, cell + 1] - x[rows, cell]
        t = np.divide(places - low, width, out=np.zeros_like(places), where=width > 0)
        first, rise = y[rows, cell], y[rows, cell + 1] - y[rows, cell]
        starts, ends = (self._slopes[rows, cell + end] * width - rise for end in (0, 1))
        return first + t * rise + t * (1 - t) * ((1 - t) * starts - t * ends)

    def multiply(self, curve: Curve) -> Curve:
        """Multiply the density of a curve by the ratio."""
        places = curve.nodes.places
        rows = np.repeat(np.arange(len(places)), places.shape[1])
        added = self(rows, places.ravel()).reshape(places.shape)
        return replace(curve, nodes=curve.nodes.raised(added))

    def take(self, rows: Rows) -> "LogRatio":
        """Return the ratio of some of the rows."""
        return LogRatio(self.known.take(rows))

    def errors(self, product: Curve, level: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Estimate what each cell adds to the error of a log-share.

        The share is that of values with a height of at most ``level``. Of mass in a cell, as much
        is uncertain as the ratio is, and all that is so near to the level.

        Parameters
        ----------
        product : Curve
            The density times the ratio.
        level : ndarray of shape (n_rows,)

        Returns
        -------
        errors : ndarray of shape (n_rows, n_nodes - 1)
        places : ndarray of shape (n_rows, n_nodes - 1)
            The middle of what is uncertain.
        """
        x = self.known.nodes.places
        width = np.diff(x, axis=1)
        uncertain = np.abs(np.diff(self._slopes, axis=1)) * width / 8
        least = np.full(width.shape, INSIDE)
        if self.known.step:  # a new point is another grid point than the ends
            n_steps = np.abs(np.rint(np.diff(self.known.nodes.steps, axis=1)))
            uncertain = np.where(n_steps <= 1, 0.0, uncertain)
            least = np.maximum(least, 1 / np.maximum(n_steps, 2))
        nodes = product.nodes
        middle = (nodes.places[:, 1:] + nodes.places[:, :-1]) / 2
        cell = (x[:, None] <= middle[:, :, None]).sum(axis=2) - 1
        is_inside = (cell >= 0) & (cell < width.shape[1])
        cell = cell.clip(0, width.shape[1] - 1)
        by = np.where(is_inside, np.take_along_axis(uncertain, cell, 1), 0.0)
        above = nodes.heights - level[:, None]
        low = np.minimum(above[:, 1:], above[:, :-1])
        high = np.maximum(above[:, 1:], above[:, :-1])
        near = (np.minimum(high, by) - np.maximum(low, -by)).clip(0, 2 * by)
        near = np.where(by > 0, near / np.maximum(high - low, near).clip(TINY), 0.0)
        total = product.log_mass()
        below = np.exp(product.log_mass_below(level) - total)[:, None].clip(TINY)
        mass = np.exp(product.log_masses() - total[:, None])
        mass = mass * (by * np.where(low < 0, 1 / below, 1.0) + near / below)
        errors, moments, lines = np.zeros_like(width), np.zeros_like(width), np.arange(len(x))
        np.add.at(errors, (lines[:, None], cell), mass)
        np.add.at(moments, (lines[:, None], cell), mass * middle)
        share = (moments / errors.clip(TINY) - x[:, :-1]) / np.where(width > 0, width, 1.0)
        places: FloatArray = x[:, :-1] + share.clip(least, 1 - least) * width
        return errors, places


def interpolate_ratio(
    curve: Curve,
    level: FloatArray,
    own: FloatArray,
    evaluate: Callable[[Rows, FloatArray], Nodes],
) -> tuple[LogRatio, Rows]:
    """Interpolate a log-ratio between points, more of them in rows that need more.

    Parameters
    ----------
    curve : Curve
        The density of the denominator. Its integrals have converged.
    level, own : ndarray of shape (n_rows,)
        Height of the curve at the rows' own values, and their z-coordinates.
    evaluate : callable
        Nodes with the log-ratio of rows, by index, at places.

    Returns
    -------
    ratio : LogRatio
    rows : ndarray of intp
        Rows in which it is still uncertain.
    """
    rows = np.arange(len(own))
    places = np.column_stack([own, *(curve.quantile(share) for share in SHARES)])
    known = evaluate(np.repeat(rows, places.shape[1]), places.ravel())
    nodes = Nodes(*(part.reshape(places.shape) for part in known))
    ratio = LogRatio(Curve.through(nodes, step=curve.step))
    for _ in range(MOST_ROUNDS):
        active = ratio.take(rows)
        raised = level[rows] + ratio(rows, own[rows])
        errors, places = active.errors(active.multiply(curve.take(rows)), raised)
        is_open = errors.sum(axis=1) > TOLERANCE
        rows = rows[is_open]
        if not len(rows):
            break
        row, at = worst_places(errors[is_open], places[is_open], N_ADDED, TOLERANCE)
        ratio = LogRatio(ratio.known.with_nodes(rows[row], evaluate(rows[row], at)))
    return ratio, rows
