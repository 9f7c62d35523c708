r"""Spread of the latents of an average of fits, by rows that some of them hold out.

The latent of a held-out value, :math:`\bar z = \Phi^{-1}(\bar F(y \mid x))`, is standard normal if
the average :math:`\bar F` is right. It is too wide where the fits are right
(:mod:`skflow.fitted.averaged_values`), and less so where they fit their own rows too closely. The
spread s is the number by which latents are divided: held-out values are likeliest under
:math:`\Phi(\bar z / s)`. On a grid, these are probabilities of cells.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import ndtr, ndtri

from skflow.estimators.calibration import extrapolation

FloatArray = NDArray[np.float64]

NARROW = 1e-6  # probability of a cell that counts as a number
LEAST_PROBABILITY = 1e-15  # of either tail: no row counts as farther out
FARTHEST = 2.0  # logarithm of a spread
DEVIATION = 0.2  # of the prior of this logarithm, normal about 0


def spread_of_latents(masses: FloatArray, weight: FloatArray | None, n_averaged: int) -> float:
    """Spread of the average of N fits, by rows that M of them hold out.

    The logarithm of that of averages of M fits is extrapolated from that of single fits, linearly
    in 1 / M. A spread above 1 is none: it is that of rows which fits to fewer rows predict.

    Parameters
    ----------
    masses : ndarray of shape (n_fits, n_rows, 3)
        Probability of values up to y, of those below y, and of all values, by each of the M fits;
        NaN where y is a level.
    weight : ndarray of shape (n_rows,) or None
        Weights of the rows.
    n_averaged : int
        N, the number of fits in the average.

    Returns
    -------
    spread : float
        In (0, 1]; 1 where M is 1: there is nothing to extrapolate from.
    """
    n_fits, n_rows, _ = masses.shape
    if n_fits == 1:
        return 1.0
    is_value = ~np.isnan(masses[0, :, 0])
    masses, of_rows = masses[:, is_value], np.ones(n_rows) if weight is None else weight
    of_rows = of_rows[is_value]
    of_average = log_spread(masses.mean(axis=0), of_rows)
    of_one = log_spread(masses.reshape(-1, 3), np.tile(of_rows, n_fits))
    moved = of_average + extrapolation(n_fits, n_averaged) * (of_average - of_one)
    return math.exp(min(0.0, moved))


def log_spread(masses: FloatArray, weight: FloatArray) -> float:
    """Logarithm of the likeliest spread; ``masses`` are ``(n_rows, 3)``."""
    count = weight * weight.sum() / (weight**2).sum()
    up_to, below = masses[:, :2].T / masses[:, 2].clip(np.finfo(np.float64).tiny)
    ends = ndtri(np.stack((up_to, below)).clip(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY))
    is_cell, middle = up_to - below > NARROW, ends.mean(axis=0)

    def loss(log_spread: float) -> float:
        high, low = ndtr(ends / math.exp(log_spread))
        of_cells = np.log(np.maximum(high - low, LEAST_PROBABILITY))
        of_numbers = -((middle / math.exp(log_spread)) ** 2) / 2 - log_spread
        fit = (count * np.where(is_cell, of_cells, of_numbers)).sum()
        return float((log_spread / DEVIATION) ** 2 / 2 - fit)

    return float(minimize_scalar(loss, bounds=(-FARTHEST, FARTHEST), method="bounded").x)
