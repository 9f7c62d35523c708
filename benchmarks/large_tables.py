"""Fits to Parquet files beside fits to the same rows in memory: held-out density.

    python -m benchmarks.large_tables --data DIR [--table waves] [--rows 20000] [--seeds 5]

``cover`` is the forest cover table of ADBench; ``waves`` is drawn, and smooth, so that seeds agree
on it. The files hold the rows in random order or sorted by a column; the limit beyond which files
are not read into memory is set to 0. In windows, an epoch is a fourth of the rows, and there are
four times as many. Peaks of memory are those of
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

COVER = "adbench/10_cover.npz"
MOST_SCORED = 100_000
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


def read(table: str, data: Path, n_rows: int) -> pd.DataFrame:
    """Return rows in random order: ``n_rows`` to fit to, and others to score."""
    if table == "cover":
        X = np.load(data / COVER)["X"]
    else:
        rng = np.random.default_rng(0)
        factor = rng.normal(size=(2 * n_rows, 1))
        X = np.sin(factor * np.arange(1, 7)) + rng.normal(size=(2 * n_rows, 6)) / 3
    frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])])
    return frame.sample(frac=1, random_state=0, ignore_index=True)


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--table", choices=("waves", "cover"), default="waves")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--max-iter", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    frame = read(arguments.table, arguments.data, arguments.rows)
    train, test = frame[: arguments.rows], frame[arguments.rows :][:MOST_SCORED]
    in_order = train.sort_values("x0", ignore_index=True)
    whole = arguments.rows
    ways = {
        "in memory": (train, None),
        "files": (train, whole),
        "sorted files": (in_order, whole),
        "sorted files, in windows": (in_order, whole // N_WINDOWS),
    }
    scores: dict[str, list[float]] = {way: [] for way in ways}
    seconds = dict.fromkeys(ways, 0.0)
    for seed in range(arguments.seeds):
        for way, (table, window_rows) in ways.items():
            n_epochs = arguments.max_iter * (N_WINDOWS if way.endswith("windows") else 1)
            density = FlowDensity(max_iter=n_epochs, **SMALL, random_state=seed)
            start = time.process_time()
            with threadpool_limits(1):
                if window_rows is None:
                    density.fit(table)
                else:
                    fit_files(table, density, window_rows)
                seconds[way] += time.process_time() - start
                scores[way].append(density.score(test))
            print(seed, way, f"{scores[way][-1]:.4f}", f"{seconds[way]:.0f}", flush=True)
    first = np.array(scores["in memory"])
    rows = []
    for way, found in scores.items():
        gain = np.mean(found) - first.mean()
        error = np.sqrt((np.var(found, ddof=1) + first.var(ddof=1)) / len(found))
        compared = "" if way == "in memory" else f"{gain:+.4f} ± {error:.4f}"
        spread = f"{np.std(found, ddof=1):.4f}"
        mean_seconds = f"{seconds[way] / len(found):.0f}"
        rows.append([way, f"{np.mean(found):.4f}", spread, compared, mean_seconds])
    report.write(
        f"large_tables_{arguments.table}",
        report.command(DIR=arguments.data),
        f"{arguments.table}: {len(train):,} rows to fit, {len(test):,} others to score, "
        f"{train.shape[1]} columns; {arguments.max_iter} epochs of all rows, {arguments.seeds} "
        "seeds; 2 layers of 64 hidden units, 8 components.",
        ("rows", "nats per row", "deviation of seeds", "difference", "seconds of one core"),
        rows,
    )


if __name__ == "__main__":
    main()
