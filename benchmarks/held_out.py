"""Held-out nats per row of the defaults, beside GaussianMixture and KernelDensity.

    python benchmarks/held_out.py --data DIR [--seeds 3]

Every method gets the same rows. The peers see standardised columns (the Jacobian is
put back), choose their settings on a tenth of the training rows, as FlowDensity
does, and are then fitted once more to all of them, which FlowDensity is not.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import report
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity
from tables import load_tables, split

from skflow import FlowDensity

FloatArray = NDArray[np.float64]
COMPONENTS = (1, 2, 3, 5, 8, 12, 20, 30, 50)
COVARIANCES = ("full", "tied", "diag", "spherical")
BANDWIDTHS = np.geomspace(0.02, 1.0, 14)


def score_flow(train: FloatArray, test: FloatArray, seed: int) -> float:
    """Score the defaults."""
    return FlowDensity(random_state=seed).fit(train).score(test)


def score_mixture(train: FloatArray, test: FloatArray, seed: int) -> float:
    """Score a Gaussian mixture; components and covariance chosen on held-out rows."""
    grid = [
        GaussianMixture(k, covariance_type=covariance, random_state=seed)
        for k in COMPONENTS
        for covariance in COVARIANCES
        if 5 * k <= len(train)
    ]
    return _score_best(grid, train, test)


def score_kernel(train: FloatArray, test: FloatArray, seed: int) -> float:
    """Score a Gaussian kernel density; bandwidth chosen on held-out rows."""
    return _score_best([KernelDensity(bandwidth=h) for h in BANDWIDTHS], train, test)


def _score_best(grid: list, train: FloatArray, test: FloatArray) -> float:
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
    best = grid[int(np.argmax(scores))].fit(train)
    return float(best.score_samples(test).mean() - np.log(deviation).sum())


METHODS: dict[str, Callable[[FloatArray, FloatArray, int], float]] = {
    "FlowDensity": score_flow,
    "GaussianMixture": score_mixture,
    "KernelDensity": score_kernel,
}


def main() -> None:
    """Measure every table, print and write the results, losses first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    tables = load_tables(arguments.data)
    results = []
    for name, table in tables.items():
        scores = {method: [] for method in METHODS}
        seconds = {method: [] for method in METHODS}
        for seed in range(arguments.seeds):
            train, test = split(table, seed)
            for method, score in METHODS.items():
                start = time.perf_counter()
                scores[method].append(score(train, test, seed))
                seconds[method].append(time.perf_counter() - start)
        results.append(_summarise(name, table, scores, seconds))
        print(*results[-1][1], sep="  ", flush=True)
    results.sort(key=lambda result: result[0])
    margins = np.array([margin for margin, _ in results])
    report.write(
        "held_out",
        f"python benchmarks/held_out.py --data DIR --seeds {arguments.seeds}",
        f"FlowDensity() is above both peers on {(margins > 0).sum()} of {len(margins)} tables; "
        f"its lowest margin over the better peer is {margins.min():+.3f} nats per column, "
        f"the median {np.median(margins):+.3f}.",
        ("table", "rows x columns", *METHODS, "margin per column", "seconds"),
        [row for _, row in results],
    )


def _summarise(
    name: str, table: FloatArray, scores: dict[str, list], seconds: dict[str, list]
) -> tuple[float, list[str]]:
    flow, *peers = (np.array(scores[method]) for method in METHODS)
    margins = (flow - np.max(peers, axis=0)) / table.shape[1]
    cells = [f"{np.mean(scores[m]):.2f} ± {np.std(scores[m]):.2f}" for m in METHODS]
    times = " / ".join(f"{np.median(seconds[m]):.1f}" for m in METHODS)
    spread = f"{margins.mean():+.3f} ({margins.min():+.3f} to {margins.max():+.3f})"
    shape = f"{table.shape[0]} x {table.shape[1]}"
    return float(margins.mean()), [name, shape, *cells, spread, times]


if __name__ == "__main__":
    main()
