"""Gaussian mixture and kernel density, their settings chosen on held-out rows.

Columns are standardised, and the Jacobian is put back.
"""

import time

import numpy as np
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

FloatArray = NDArray[np.float64]

COMPONENTS = (1, 2, 3, 5, 8, 12, 20, 30, 50)
COVARIANCES = ("full", "tied", "diag", "spherical")
BANDWIDTHS = np.geomspace(0.02, 1.0, 14)


def measure_mixture(train: FloatArray, test: FloatArray, seed: int) -> dict:
    """Measure a Gaussian mixture; components and covariance chosen on held-out rows."""
    grid = [
        GaussianMixture(k, covariance_type=covariance, random_state=seed)
        for k in COMPONENTS
        for covariance in COVARIANCES
        if 5 * k <= len(train)
    ]
    return _measure_best(grid, ("n_components", "covariance_type"), train, test)


def measure_kernel(train: FloatArray, test: FloatArray, seed: int) -> dict:
    """Measure a Gaussian kernel density; bandwidth chosen on held-out rows."""
    grid = [KernelDensity(bandwidth=float(h)) for h in BANDWIDTHS]
    return _measure_best(grid, ("bandwidth",), train, test)


def _measure_best(
    grid: list, parameters: tuple[str, ...], train: FloatArray, test: FloatArray
) -> dict:
    began = time.process_time()
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    train, test = (train - mean) / deviation, (test - mean) / deviation
    n_held_out = len(train) // 10
    scores = []
    for model in grid:
        try:
            model.fit(train[n_held_out:])
            scores.append(model.score_samples(train[:n_held_out]).mean())
        except ValueError:  # a component of the mixture collapsed
            scores.append(-np.inf)
    best = grid[int(np.argmax(scores))]
    start = time.process_time()
    best.fit(train)
    ended = time.process_time()
    return {
        "nats": float(best.score_samples(test).mean() - np.log(deviation).sum()),
        "seconds": ended - start,
        "seconds_in_all": ended - began,
        **{name: best.get_params()[name] for name in parameters},
    }
