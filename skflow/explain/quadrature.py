r"""Integrals of densities that are known at nodes of a line, one line per row.

Between neighbouring nodes the logarithm of a density is taken to be linear: a cell of
width w, with a and b at its ends, holds the mass

.. math:: w \, (b - a) / (\log b - \log a).

Nodes are added where the mass is, since a density given other columns may be a thousand
times narrower than the column.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

FloatArray = NDArray[np.float64]
LogDensity = Callable[[FloatArray], FloatArray]  # at nodes (n_rows, n_nodes)

LEVEL = 1e-6  # difference of logarithms below which a cell is level
INSIDE = 0.02  # of a cell's width, between a new node and its ends


def log_cell_masses(nodes: FloatArray, log_density: FloatArray) -> FloatArray:
    """Log-mass of each cell between sorted nodes, ``(n_rows, n_nodes - 1)``."""
    with np.errstate(divide="ignore"):  # of nodes that coincide
        log_width = np.log(np.diff(nodes, axis=1))
    return log_width + _log_mean(log_density[:, :-1], log_density[:, 1:])


def refine(
    nodes: FloatArray, log_density: FloatArray, function: LogDensity, n_added: int
) -> tuple[FloatArray, FloatArray]:
    """Add nodes that cut the mass found so far into equal parts; all are sorted again."""
    cells = log_cell_masses(nodes, log_density)
    share = np.exp(cells - logsumexp(cells, axis=1, keepdims=True))
    cumulative = np.cumsum(share, axis=1)
    levels = (np.arange(n_added) + 0.5) / n_added
    rows = np.arange(len(nodes))[:, None]
    cell = (cumulative[:, None, :] < levels[:, None]).sum(axis=2).clip(max=share.shape[1] - 1)
    within = 1 - (cumulative[rows, cell] - levels) / share[rows, cell]
    low, high = nodes[rows, cell], nodes[rows, cell + 1]
    added = low + within.clip(INSIDE, 1 - INSIDE) * (high - low)
    nodes = np.concatenate((nodes, added), axis=1)
    log_density = np.concatenate((log_density, function(added)), axis=1)
    order = np.argsort(nodes, axis=1, kind="stable")
    return np.take_along_axis(nodes, order, 1), np.take_along_axis(log_density, order, 1)


def log_mass_below(
    nodes: FloatArray, log_density: FloatArray, height: FloatArray, level: FloatArray
) -> FloatArray:
    """Log-mass where ``height``, linear between nodes, is at most ``level``, ``(n_rows,)``.

    Parameters
    ----------
    nodes, log_density, height : ndarray of shape (n_rows, n_nodes)
        Sorted by nodes.
    level : ndarray of shape (n_rows,)
    """
    left, right = height[:, :-1], height[:, 1:]
    level = level[:, None]
    rise = np.where(right == left, 1.0, right - left)
    crossing = ((level - left) / rise).clip(0, 1)
    start = np.where((left > level) & (right <= level), crossing, 0.0)
    end = np.where((left <= level) & (right > level), crossing, 1.0)
    slope = np.diff(log_density, axis=1)
    mean = _log_mean(log_density[:, :-1] + start * slope, log_density[:, :-1] + end * slope)
    with np.errstate(divide="ignore"):
        width = np.log(np.diff(nodes, axis=1)) + np.log(end - start)
    below = (left <= level) | (right <= level)
    return logsumexp(np.where(below, width + mean, -np.inf), axis=1)


def quantile(nodes: FloatArray, log_density: FloatArray, share: float) -> FloatArray:
    """Return the point that this share of each row's mass lies below, ``(n_rows,)``."""
    cells = log_cell_masses(nodes, log_density)
    cumulative = np.cumsum(np.exp(cells - logsumexp(cells, axis=1, keepdims=True)), axis=1)
    cell = (cumulative < share).sum(axis=1).clip(max=cells.shape[1] - 1)
    rows = np.arange(len(nodes))
    before = np.where(cell > 0, cumulative[rows, cell - 1], 0.0)
    mass = (cumulative[rows, cell] - before).clip(np.finfo(np.float64).tiny)
    within = ((share - before) / mass).clip(0, 1)
    return nodes[rows, cell] + within * (nodes[rows, cell + 1] - nodes[rows, cell])


def _log_mean(left: FloatArray, right: FloatArray) -> FloatArray:
    """Log of the logarithmic mean of two positive numbers, from their logarithms."""
    step = np.abs(right - left)
    steep = np.maximum(step, LEVEL)
    of_steep = np.maximum(left, right) + np.log(-np.expm1(-steep) / steep)
    return np.where(step < LEVEL, (left + right) / 2, of_steep)
