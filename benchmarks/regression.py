"""FlowRegressor beside other probabilistic regressors on the UCI tables.

    python -m benchmarks.regression --data DIR [--tables energy] [--splits 0 1] [--methods Flow]
    python -m benchmarks.regression --page

The protocol is that of Hernandez-Lobato and Adams (2015) and Gal and Ghahramani (2016): random
splits of 90 and 10 per cent, the same as theirs, and scores in units of y: negative
log-likelihood (NLL), CRPS, RMSE, QICE (mean error of the shares of ten intervals of equal
predicted probability) and the coverage of 90 % intervals. Methods have their defaults and one
thread; seconds are the processor's, of fit and prediction.

CRPS is twice the mean pinball loss of 200 quantiles, the same for all methods. The page has the
best figure that is published and, where y lies on a grid, the least NLL that a density can have:
the probability of a grid point is at most 1, so NLL is at least log(step). A density that is lower
has spikes at the grid's points.

What is measured is kept in ``results/regression.jsonl``, one result a line, and not measured twice.
Libraries that are not installed are left out. Without ``--data`` nothing is measured.
"""

import argparse
import time
import warnings
from itertools import product
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.common.records import add_arguments, drop_fresh, measure_missing, read_records
from benchmarks.pages import regression
from benchmarks.peers.regressors import METHODS, crps_of_quantiles, is_installed
from skflow.metrics import coverage_error

TABLES = ("energy", "bostonHousing", "concrete", "wine-quality-red", "power-plant", "kin8nm")
LIBRARIES = ("skflow", "scikit-learn", "torch", "numpy")
SHOWN = ("nll", "crps", "rmse", "coverage", "seconds")

# Best published NLL, and the least that is possible where y lies on a grid: log(step).
PUBLISHED = {
    "energy": (0.53, "WGBoost, Matsubara 2024"),
    "bostonHousing": (2.32, "CARD, Han et al. 2022"),
    "concrete": (2.75, "PGBM, in Wielopolski and Zieba 2022"),
    "wine-quality-red": (0.87, "CARD, Han et al. 2022"),
    "power-plant": (2.60, "WGBoost, Matsubara 2024"),
    "kin8nm": (-1.31, "CARD, Han et al. 2022"),
}
LIMITS = {
    "energy": np.log(0.01),
    "bostonHousing": np.log(0.1),
    "concrete": np.log(0.01),
    "wine-quality-red": 0.0,
    "power-plant": np.log(0.01),
}


def measure(folder: Path, table: str, split: int, method: str) -> dict:
    """Fit a method to the training rows of a split, and score its test rows."""
    with np.load(folder / "reg" / f"{table}.npz") as data:
        X, y = data["X"].astype(float), data["y"].astype(float).ravel()
        is_test = data["split"][split] == 1
    start = time.process_time()
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predicted = METHODS[method][1](X[~is_test], y[~is_test], X[is_test], y[is_test], split)
    seconds, truth = time.process_time() - start, y[is_test]
    low, high = predicted.interval.T
    log_density = predicted.log_density
    return {
        "nll": None if log_density is None else round(-float(np.mean(log_density)), 4),
        "crps": round(crps_of_quantiles(predicted.quantiles, truth), 5),
        "rmse": round(float(np.sqrt(np.mean((predicted.mean - truth) ** 2))), 5),
        "qice": round(coverage_error(predicted.pit), 4),
        "coverage": round(float(np.mean((low <= truth) & (truth <= high))), 4),
        "width": round(float(np.mean(high - low)), 5),
        "seconds": round(seconds, 1),
    }


def main() -> None:
    """Measure what is missing, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with reg/*.npz")
    parser.add_argument("--tables", nargs="+", default=TABLES, choices=TABLES)
    parser.add_argument("--splits", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    add_arguments(parser, "regression")
    arguments = parser.parse_args()
    chosen = [m for m in METHODS if m.startswith(tuple(arguments.methods)) and is_installed(m)]
    jobs = [
        {"table": table, "split": split, "method": method}
        for split, table, method in product(arguments.splits, arguments.tables, chosen)
    ]
    drop_fresh(arguments, jobs)
    if arguments.data is not None:
        measure_missing(
            arguments.results,
            jobs,
            lambda table, split, method: measure(arguments.data, table, split, method),
            LIBRARIES,
            SHOWN,
        )
    if arguments.page:
        regression.write(read_records(arguments.results), PUBLISHED, LIMITS, list(METHODS))


if __name__ == "__main__":
    main()
