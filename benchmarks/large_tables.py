"""Fits to Parquet files beside fits to the same rows in memory: held-out density.

    python -m benchmarks.large_tables --data DIR [--rows 200000] [--max-iter 12]

The files hold the forest cover table of ADBench, in random order or sorted by a column; the limit
beyond which files are not read into memory is set to 0. In windows, an epoch is a fourth of the
rows, and there are four times as many. Peaks of memory are those of
``pytest -m slow tests/fitted/test_dataset_memory.py``.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
from threadpoolctl import threadpool_limits

from benchmarks.common import report
from skflow import FlowDensity
from skflow.estimators import training_rows
from skflow.fitted import dataset_rows

TABLE = "adbench/10_cover.npz"
N_FILES = 5
N_WINDOWS = 4
SMALL = {"n_layers": 2, "hidden_units": 64, "n_components": 8}


def fit_files(frame: pd.DataFrame, density: FlowDensity, window_rows: int) -> None:
    """Write rows to files, and fit a density to these."""
    training_rows.MOST_BYTES_IN_MEMORY = 0
    dataset_rows.WINDOW_ROWS = window_rows
    with tempfile.TemporaryDirectory() as folder:
        for k, rows in enumerate(np.array_split(np.arange(len(frame)), N_FILES)):
            frame.iloc[rows].to_parquet(Path(folder) / f"{k}.parquet")
        density.fit(ds.dataset(folder))


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--max-iter", type=int, default=12)
    arguments = parser.parse_args()
    X = np.load(arguments.data / TABLE)["X"]
    frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])])
    frame = frame.sample(frac=1, random_state=0, ignore_index=True)
    train, test = frame[: arguments.rows], frame[arguments.rows :]
    in_order = train.sort_values("x0", ignore_index=True)
    whole = arguments.rows
    ways = {
        "in memory": (train, None),
        "files": (train, whole),
        "sorted files": (in_order, whole),
        "sorted files, in windows": (in_order, whole // N_WINDOWS),
    }
    rows, first = [], 0.0
    for way, (table, window_rows) in ways.items():
        n_epochs = arguments.max_iter * (N_WINDOWS if way.endswith("windows") else 1)
        density = FlowDensity(max_iter=n_epochs, **SMALL, random_state=0)
        start = time.process_time()
        with threadpool_limits(1):
            if window_rows is None:
                density.fit(table)
            else:
                fit_files(table, density, window_rows)
            seconds, score = time.process_time() - start, density.score(test)
        first = first or score
        rows.append([way, f"{score:.3f}", f"{score - first:+.3f}", f"{seconds:.0f}"])
        print(*rows[-1], sep="  ", flush=True)
    report.write(
        "large_tables",
        report.command(DIR=arguments.data),
        f"{TABLE}: {len(train):,} rows to fit, {len(test):,} others to score, "
        f"{train.shape[1]} columns; {arguments.max_iter} epochs of all rows; 2 layers of 64 hidden "
        "units, 8 components.",
        ("rows", "nats per row", "difference", "seconds of one core"),
        rows,
    )


if __name__ == "__main__":
    main()
