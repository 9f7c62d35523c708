"""FlowImputer beside scikit-learn's imputers and miceforest on mixed tables.

    python -m pip install . miceforest lightgbm==4.5.0  # miceforest 6.0.5 fails with 4.7
    python -m benchmarks.imputation --data DIR [--tables mpg] [--seeds 0 1] [--methods Flow]
    python -m benchmarks.imputation --page

Cells of 300 complete rows are hidden: 20 % completely at random (MCAR), 30 % with a probability
that depends on another column (MAR), 30 % with one that depends on the cell itself (MNAR); other
cells for each seed. Each method is fitted to the rows with hidden cells and draws them 20 times; a
method that draws nothing gives its guess 20 times. Per hidden cell: the CRPS of a number in units
of the column's standard deviation, the log-loss of a category with its share among the draws,
smoothed by one draw; the root mean square error of the median; the energy distance of completed to
true rows, in thousandths, the mean over draws; and the share of true numbers within the draws' 5 %
and 95 % quantiles. Methods have their defaults and one thread; seconds are the processor's, of fit
and draws.

What is measured is kept in ``results/imputation.jsonl``, one result a line, and not measured twice.
Libraries that are not installed are left out. Without ``--data`` nothing is measured.
"""

import argparse
import time
import warnings
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

from benchmarks.common.mixed_tables import load_mixed
from benchmarks.common.records import add_arguments, drop_fresh, measure_missing, read_records
from benchmarks.pages import imputation
from benchmarks.peers.imputers import METHODS, N_DRAWS, Draws

FloatArray = NDArray[np.float64]

TABLES = (
    *("abalone", "adult", "california_housing", "diamonds"),
    *("mpg", "penguins", "titanic", "wage"),
)
MOST_ROWS = 300
MECHANISMS = {"MCAR": 0.2, "MAR": 0.3, "MNAR": 0.3}
MOST_LEVELS = 30  # more levels of a category are left out
LIBRARIES = ("skflow", "scikit-learn", "torch", "numpy", "pandas")
PEERS = ("miceforest",) if find_spec("miceforest") else ()
SHOWN = ("crps", "log_loss", "energy", "coverage", "seconds")


def complete(table: pd.DataFrame) -> pd.DataFrame:
    """Return numbers and categories of few levels, and the rows that have them all."""
    few_missing = table.loc[:, table.isna().mean() < 0.25].dropna(ignore_index=True)
    kept = {}
    for name, cells in few_missing.items():
        if pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells):
            kept[name] = cells.astype(float)
        elif 1 < cells.nunique() <= MOST_LEVELS:
            kept[name] = cells.astype(str)
    return pd.DataFrame(kept)


def hide(table: pd.DataFrame, mechanism: str, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which cells are hidden; one cell of each row is known at least."""
    share = MECHANISMS[mechanism]
    ranks = np.column_stack([cells.rank(pct=True) for _, cells in table.items()])
    if mechanism == "MAR":  # the next column decides
        ranks = np.roll(ranks, 1, axis=1)
    odds = np.full(table.shape, share) if mechanism == "MCAR" else 2 * share * ranks
    hidden = rng.random(table.shape) < odds
    if mechanism == "MAR":
        hidden[:, ::2] = False  # columns that decide are known
        hidden[:, 1::2] |= rng.random(hidden[:, 1::2].shape) < 0.02
    whole = hidden.all(axis=1)
    hidden[whole, rng.integers(table.shape[1], size=whole.sum())] = False
    return hidden


def evaluate(
    table: pd.DataFrame, hidden: NDArray[np.bool_], draws: Draws
) -> dict[str, float | None]:
    """Return the scores of draws of hidden cells, each a mean over columns; None without any."""
    scores: dict[str, list[float]] = {"crps": [], "log_loss": [], "rmse": [], "coverage": []}
    for j, (name, truth) in enumerate(table.items()):
        cells = hidden[:, j]
        if not cells.any():
            continue
        drawn = np.array([draw[name].to_numpy()[cells] for draw in draws])
        if truth.dtype == float:
            spread = float(truth.std()) or 1.0
            errors = (drawn.astype(float) - truth.to_numpy()[cells]) / spread
            differences = np.abs(errors[:, None] - errors[None]).sum(axis=(0, 1))
            unbiased = differences / (2 * N_DRAWS * (N_DRAWS - 1))
            scores["crps"].append(float((np.abs(errors).mean(axis=0) - unbiased).mean()))
            scores["rmse"].append(float(np.sqrt((np.median(errors, axis=0) ** 2).mean())))
            # The k-th of n draws is the quantile k / (n + 1): right draws then cover 90 %.
            low, high = np.quantile(errors, [0.05, 0.95], axis=0, method="weibull")
            scores["coverage"].append(float(((low <= 0) & (high >= 0)).mean()))
        else:
            hits = (drawn == truth.to_numpy()[cells]).sum(axis=0)
            share = (hits + 1 / truth.nunique()) / (N_DRAWS + 1)
            scores["log_loss"].append(float(-np.log(share).mean()))
    found = {
        name: round(float(np.mean(values)), 5) if values else None
        for name, values in scores.items()
    }
    energy = np.mean([energy_distance(table, draw) for draw in draws])
    return found | {"energy": round(1000 * float(energy), 3)}


def energy_distance(table: pd.DataFrame, other: pd.DataFrame) -> float:
    """Return the energy distance of rows: numbers in standard deviations, categories one-hot."""
    points = []
    for rows in (table, other):
        parts = [
            (rows[[name]].to_numpy(dtype=float) - cells.mean()) / (cells.std() or 1.0)
            if cells.dtype == float
            else (rows[[name]].to_numpy() == np.array(sorted(set(cells)), dtype=object)) * 2**-0.5
            for name, cells in table.items()
        ]
        points.append(np.hstack(parts).astype(float))
    between, own, its = (cdist(a, b).mean() for a, b in (points, points[:1] * 2, points[1:] * 2))
    return float(2 * between - own - its)


def measure(folder: Path, table: str, hidden: str, seed: int, method: str) -> dict:
    """Draw the hidden cells of a table with a method, and score the draws."""
    true = complete(load_mixed(folder, [table], MOST_ROWS)[table])
    cells = hide(true, hidden, np.random.default_rng(seed))
    start = time.process_time()
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        draws = METHODS[method][1](true.mask(cells), seed)
    seconds = round(time.process_time() - start, 1)
    n_rows, n_columns = true.shape
    shape = {"rows": n_rows, "columns": n_columns}
    return shape | evaluate(true, cells, draws) | {"seconds": seconds}


def main() -> None:
    """Measure what is missing, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder that holds mixed/")
    parser.add_argument("--tables", nargs="+", default=TABLES, choices=TABLES)
    add_arguments(parser, "imputation")
    arguments = parser.parse_args()
    chosen = [
        method
        for method, (library, _) in METHODS.items()
        if method.startswith(tuple(arguments.methods)) and find_spec(library)
    ]
    jobs = [
        {"table": table, "hidden": hidden, "seed": seed, "method": method}
        for seed, table, hidden, method in product(
            arguments.seeds, arguments.tables, MECHANISMS, chosen
        )
    ]
    drop_fresh(arguments, jobs)
    if arguments.data is not None:
        measure_missing(
            arguments.results,
            jobs,
            lambda **job: measure(arguments.data, **job),
            (*LIBRARIES, *PEERS),
            SHOWN,
        )
    if arguments.page:
        imputation.write(read_records(arguments.results), list(METHODS))


if __name__ == "__main__":
    main()
