"""Fits to Parquet files beside fits to the same rows in memory: held-out density.

    python -m benchmarks.large_tables --data DIR [--table waves] [--rows 20000] [--seeds 5]
    python -m benchmarks.large_tables --data DIR --rows 2000000 --windows 2 --sizes 1 32 4

``cover`` is the forest cover table of ADBench; ``waves`` is drawn, and smooth, so that seeds agree
on it. The files hold the rows in random order or sorted by a column; the limit beyond which files
are not read into memory is set to 0. In windows, an epoch is a share of the rows, a fourth by
default, and there are as many more; the moving average of the weights spans six windows instead of
six epochs, and in one of the ways a fit in memory has an average as short. Two windows are the
library's own of 2 million rows. Peaks of memory are those of ``benchmarks.memory``.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
from threadpoolctl import threadpool_limits

from benchmarks.common import report
from skflow import FlowDensity
from skflow.estimators import training_rows
from skflow.fitted import dataset_rows, settings
from skflow.training.options import TrainingOptions, choose_options

COVER = "adbench/10_cover.npz"
MOST_SCORED = 100_000
N_FILES = 5
SHORT = "in memory, average as in windows"
WAYS = (
    "in memory",
    SHORT,
    "files",
    "sorted files",
    "files, in windows",
    "sorted files, in windows",
)


def fit_files(frame: pd.DataFrame, density: FlowDensity, window_rows: int) -> None:
    """Write rows to files, and fit a density to these."""
    training_rows.MOST_BYTES_IN_MEMORY = 0
    dataset_rows.WINDOW_ROWS = window_rows
    with tempfile.TemporaryDirectory() as folder:
        for k, rows in enumerate(np.array_split(np.arange(len(frame)), N_FILES)):
            frame.iloc[rows].to_parquet(Path(folder) / f"{k}.parquet")
        density.fit(ds.dataset(folder))


def average_over(share: float) -> None:
    """Let fits average their weights over a share of the epochs that they otherwise do."""

    def choose(*args: Any, **kwargs: Any) -> TrainingOptions:
        options = choose_options(*args, **kwargs)
        return replace(options, averaged_epochs=share * options.averaged_epochs)

    settings.choose_options = choose


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
    parser.add_argument("--windows", type=int, default=4)
    sizes = ("n_layers", "hidden_units", "n_components")
    parser.add_argument("--sizes", type=int, nargs=3, default=(2, 64, 8), metavar=sizes)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    arguments = parser.parse_args()
    frame = read(arguments.table, arguments.data, arguments.rows)
    train, test = frame[: arguments.rows], frame[arguments.rows :][:MOST_SCORED]
    in_order = train.sort_values("x0", ignore_index=True)
    model = dict(zip(sizes, arguments.sizes, strict=True))
    scores: dict[str, list[float]] = {way: [] for way in arguments.ways}
    seconds = dict.fromkeys(arguments.ways, 0.0)
    for seed in range(arguments.seeds):
        for way in arguments.ways:
            table = in_order if way.startswith("sorted") else train
            n_windows = arguments.windows if way.endswith("windows") else 1
            n_epochs = arguments.max_iter * n_windows
            density = FlowDensity(max_iter=n_epochs, **model, random_state=seed)
            average_over(1 / arguments.windows if way == SHORT else 1)
            start = time.process_time()
            with threadpool_limits(1):
                if way.startswith("in memory"):
                    density.fit(table)
                else:
                    fit_files(table, density, arguments.rows // n_windows)
                seconds[way] += time.process_time() - start
                scores[way].append(density.score(test))
            print(seed, way, f"{scores[way][-1]:.4f}", f"{seconds[way]:.0f}", flush=True)
    first = np.array(scores[arguments.ways[0]])
    rows = []
    for way, found in scores.items():
        gain = np.mean(found) - first.mean()
        error = np.sqrt((np.var(found, ddof=1) + first.var(ddof=1)) / len(found))
        compared = "" if way == arguments.ways[0] else f"{gain:+.4f} ± {error:.4f}"
        spread = f"{np.std(found, ddof=1):.4f}"
        mean_seconds = f"{seconds[way] / len(found):.0f}"
        rows.append([way, f"{np.mean(found):.4f}", spread, compared, mean_seconds])
    report.write(
        f"large_tables_{arguments.table}_{arguments.rows}",
        report.command(DIR=arguments.data),
        f"{arguments.table}: {len(train):,} rows to fit, {len(test):,} others to score, "
        f"{train.shape[1]} columns; {arguments.max_iter} epochs of all rows, {arguments.seeds} "
        "seeds; {n_layers} layers of {hidden_units} hidden units, {n_components} components; "
        "{} windows.".format(arguments.windows, **model),
        ("rows", "nats per row", "deviation of seeds", "difference", "seconds of one core"),
        rows,
    )


if __name__ == "__main__":
    main()
