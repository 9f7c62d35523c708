"""Model selection: searches in several processes, what a search gains, limits of time.

    python -m benchmarks.selection [--data DIR] [--parts workers gain limits]

* ``workers``: GridSearchCV and HalvingGridSearchCV with ``n_jobs`` 1 and 2, in turn: wall
  seconds, processor seconds, and the threads that torch and BLAS use inside the workers.
  Oversubscribed are workers that together use more threads than there are cores.
* ``gain``: the best of a grid around the defaults on held-out rows, beside the defaults:
  nats per column on rows that took no part, and the seconds of the search.
* ``limits``: how far ``fit`` goes beyond ``max_time``, in epochs.

With ``--data`` the tables are airfoil (1,503 x 6) and kin8nm (8,192 x 9), without it made
ones of the same sizes. Each part writes a page of its own. Set no ``OMP_NUM_THREADS`` for
``workers``: what happens without it is the question. Fits of ``gain`` and ``limits`` use
one thread.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    ParameterGrid,
    ParameterSampler,
    ShuffleSplit,
)
from threadpoolctl import threadpool_info, threadpool_limits
from torch.nn.modules.module import register_module_forward_pre_hook

from benchmarks.common import report
from benchmarks.common.records import read_records
from benchmarks.common.tables import load_tables, make_table, split
from skflow import FlowDensity

FloatArray = NDArray[np.float64]

TABLES = {"airfoil": (1503, 6), "kin8nm": (8192, 9)}
JOBS = (1, 2)
WATCHED = {"n_layers": [2, 4], "dropout": [0.0, 0.2]}
AROUND_DEFAULTS = {
    "n_layers": [2, 8],
    "hidden_units": [32, 128],
    "n_components": [8, 64],
    "dropout": [0.0, 0.2],
}


class ThreadNote:
    """The most threads that torch was set to while modules computed."""

    def __init__(self) -> None:
        self.threads = 0

    def __enter__(self) -> Self:
        self.hook = register_module_forward_pre_hook(self._note)
        return self

    def __exit__(self, *error: object) -> None:
        self.hook.remove()

    def _note(self, *call: object) -> None:
        self.threads = max(self.threads, torch.get_num_threads())


class WatchedFlow(FlowDensity):
    """FlowDensity that notes threads and processor seconds of its fit."""

    def fit(self, X: Any, y: Any = None, *, X_val: Any = None) -> Self:
        """Fit, and take notes."""
        start = time.process_time()
        with ThreadNote() as note:
            super().fit(X, y, X_val=X_val)
        self.note_ = {"threads": note.threads, "processor": time.process_time() - start}
        return self


def watched_score(path: Path, flow: WatchedFlow, X: FloatArray, y: Any = None) -> float:
    """Score, and write to ``path`` what was seen in this process."""
    with ThreadNote() as note:
        score = flow.score(X)
    pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    seen = {
        **flow.note_,
        "scoring_threads": note.threads,
        "blas_threads": max(pools, default=1),
        "process": os.getpid(),
    }
    with path.open("a") as lines:
        lines.write(json.dumps(seen) + "\n")
    return score


def measure_workers(tables: dict[str, FloatArray], arguments: argparse.Namespace) -> None:
    """Run both searches in one process and in two."""
    cores = os.cpu_count() or 1
    rows, most = [], 0
    for name, search in product(tables, ("GridSearchCV", "HalvingGridSearchCV")):
        X, _ = split(tables[name], 0)
        runs: dict[int, list[dict]] = {n_jobs: [] for n_jobs in JOBS}
        for _ in range(arguments.repeats):
            for n_jobs in JOBS:
                runs[n_jobs].append(run_search(search, X, n_jobs, arguments.max_iter))
        ratio = np.median([b["wall"] / a["wall"] for a, b in zip(*runs.values(), strict=True)])
        scores = [run["scores"] for n_jobs in JOBS for run in runs[n_jobs]]
        alike = all(np.array_equal(score, scores[0]) for score in scores)
        for n_jobs, measured in runs.items():
            wall, processor = (
                np.median([run[key] for run in measured]) for key in ("wall", "processor")
            )
            workers, threads, scoring, blas = (
                max(run[key] for run in measured)
                for key in ("workers", "threads", "scoring_threads", "blas_threads")
            )
            if n_jobs > 1:
                most = max(most, workers * max(threads, scoring, blas))
            cells = [f"{wall:,.1f}", "1" if n_jobs == 1 else f"{ratio:.2f}", f"{processor:,.1f}"]
            seen = [str(number) for number in (workers, threads, scoring, blas)]
            rows.append([name, search, str(n_jobs), *cells, *seen, "yes" if alike else "no"])
            print(*rows[-1], sep="  ", flush=True)
    report.write(
        "selection_workers",
        report.command(DIR=arguments.data),
        f"Searches of {len(ParameterGrid(WATCHED))} candidates in 3 folds, {arguments.max_iter} "
        "epochs at most (halving: from a quarter of them on), without the last fit to all rows. "
        f"Workers that run already take at most {most} threads of torch or BLAS together, on "
        f"{cores} cores. Seconds are medians over runs in turn, {arguments.repeats} each, the "
        "processor's those of all fits; ratios are taken run by run.",
        (
            "table",
            "search",
            "n_jobs",
            "wall seconds",
            "ratio",
            "processor seconds",
            "processes",
            "torch threads in fit",
            "in scoring",
            "BLAS threads",
            "same scores, bit by bit",
        ),
        rows,
    )


def run_search(search: str, X: FloatArray, n_jobs: int, max_iter: int) -> dict:
    """Return the seconds of one search, its scores, and what its workers saw."""
    with tempfile.TemporaryDirectory() as folder:
        warm_up = Path(folder) / "warm_up.jsonl"
        _search(search, n_jobs, 4, warm_up).fit(X[:200])  # starts the workers
        path = Path(folder) / "seen.jsonl"
        start = time.perf_counter()
        found = _search(search, n_jobs, max_iter, path).fit(X)
        wall = time.perf_counter() - start
        seen = read_records(path)
    highest = {
        key: max(note[key] for note in seen)
        for key in ("threads", "scoring_threads", "blas_threads")
    }
    return highest | {
        "wall": wall,
        "processor": sum(note["processor"] for note in seen),
        "workers": len({note["process"] for note in seen}),
        "scores": found.cv_results_["mean_test_score"],
    }


def _search(search: str, n_jobs: int, max_iter: int, path: Path) -> GridSearchCV:
    options: dict[str, Any] = {
        "scoring": partial(watched_score, path),
        "cv": 3,
        "refit": False,
        "n_jobs": n_jobs,
        "error_score": "raise",
    }
    if search == "GridSearchCV":
        return GridSearchCV(WatchedFlow(max_iter=max_iter, random_state=0), WATCHED, **options)
    return HalvingGridSearchCV(
        WatchedFlow(random_state=0),
        WATCHED,
        resource="max_iter",
        min_resources=max(1, max_iter // 4),
        max_resources=max_iter,
        factor=2,
        return_train_score=False,
        random_state=0,
        **options,
    )


def measure_gain(tables: dict[str, FloatArray], arguments: argparse.Namespace) -> None:
    """Compare the best of a grid with the defaults."""
    grid = list(ParameterGrid(AROUND_DEFAULTS))
    if arguments.candidates < len(grid):
        grid = list(ParameterSampler(AROUND_DEFAULTS, arguments.candidates, random_state=0))
    rows = []
    for name, seed in product(tables, arguments.seeds):
        rows.append([name, str(seed), *compare(*split(tables[name], seed), seed, grid)])
        print(*rows[-1], sep="  ", flush=True)
    report.write(
        "selection_gain",
        report.command(DIR=arguments.data),
        f"{len(grid)} candidates of the grid {_describe(AROUND_DEFAULTS)} beside the defaults. "
        "All are fitted to four fifths of the training rows and the search chooses on the other "
        "fifth, the defaults not excluded; gains over the defaults, in nats per column, are on "
        "test rows that took no part. No search could gain more than the candidate that is best "
        "on the test rows themselves, which is a little too good by chance.",
        (
            "table",
            "seed",
            "nats per row, defaults",
            "chosen",
            "its gain per column",
            "gain of the best on the test rows",
            "candidates above the defaults",
            "seconds, defaults",
            "seconds, search",
            "ratio",
        ),
        rows,
    )


def compare(train: FloatArray, test: FloatArray, seed: int, grid: list[dict]) -> list[str]:
    """Search on held-out rows of ``train``; compare on ``test``."""

    def score(flow: FlowDensity, X: FloatArray, y: Any = None) -> dict[str, float]:
        return {"held_out": flow.score(X), "test": flow.score(test)}

    search = GridSearchCV(
        FlowDensity(random_state=seed),
        [{}, *({name: [value] for name, value in candidate.items()} for candidate in grid)],
        scoring=score,
        refit=False,
        cv=ShuffleSplit(1, test_size=0.2, random_state=seed),
        error_score="raise",
    ).fit(train)
    results = search.cv_results_
    seconds = results["mean_fit_time"]
    best = int(np.argmax(results["mean_test_held_out"]))
    nats = results["mean_test_test"]
    gains = (nats - nats[0]) / train.shape[1]
    return [
        f"{nats[0]:.3f}",
        _describe(results["params"][best]) or "the defaults",
        f"{gains[best]:+.4f}",
        f"{gains.max():+.4f}",
        f"{(gains > 0).sum()} of {len(grid)}",
        f"{seconds[0]:,.1f}",
        f"{seconds.sum():,.1f}",
        f"{seconds.sum() / seconds[0]:.1f}",
    ]


def _describe(parameters: dict) -> str:
    return ", ".join(f"{name} {_values(value)}" for name, value in parameters.items())


def _values(value: Any) -> str:
    return " or ".join(map(str, value)) if isinstance(value, Iterable) else str(value)


def measure_limits(tables: dict[str, FloatArray], arguments: argparse.Namespace) -> None:
    """Fit under limits of time, with nothing else to end training."""
    for table in tables.values():
        FlowDensity(max_iter=1, random_state=0).fit(table[:200])  # the first fit takes longer
    rows, over = [], []
    for name, limit in product(tables, arguments.limits):
        X, _ = split(tables[name], 0)
        runs = [measure_limit(X, limit, seed) for seed in range(arguments.repeats)]
        beyond = [run["beyond"] for run in runs]
        over += beyond
        rows.append(
            [
                name,
                f"{limit:g}",
                *(f"{np.median([run[key] for run in runs]):.2f}" for key in ("seconds", "before")),
                f"{np.median([run['epochs'] for run in runs]):.0f}",
                f"{np.median([run['epoch'] for run in runs]):.3f}",
                f"{np.median(beyond):.1f}",
                f"{max(beyond):.1f}",
            ]
        )
        print(*rows[-1], sep="  ", flush=True)
    report.write(
        "selection_limits",
        report.command(DIR=arguments.data),
        f"Of {len(over)} fits with nothing but max_time to end them, {sum(x <= 1 for x in over)} "
        "go at most one epoch beyond it. Seconds beyond the limit are divided by the median "
        f"seconds of an epoch; medians and the most of {arguments.repeats} fits. Before training "
        "come the encoding and the initialization, and one epoch is always trained.",
        (
            "table",
            "max_time",
            "seconds",
            "before and after training",
            "epochs",
            "seconds per epoch",
            "epochs beyond",
            "at most",
        ),
        rows,
    )


def measure_limit(X: FloatArray, limit: float, seed: int) -> dict[str, float]:
    """Return seconds of one fit, and how far it goes beyond its limit."""
    endless = 1_000_000
    flow = FlowDensity(
        max_time=limit, max_iter=endless, n_iter_no_change=endless, random_state=seed
    )
    start = time.perf_counter()
    flow.fit(X)
    seconds = time.perf_counter() - start
    epochs = flow.history_["seconds"]
    epoch = float(np.median(epochs))
    return {
        "seconds": seconds,
        "before": seconds - sum(epochs),
        "epochs": flow.n_iter_,
        "epoch": epoch,
        "beyond": (seconds - limit) / epoch,
    }


def choose_tables(data: Path | None, names: list[str]) -> dict[str, FloatArray]:
    """Return the tables of ``data``, or made ones of the same sizes."""
    if data is None:
        return {f"made {n} x {d}": make_table(n, d) for n, d in (TABLES[name] for name in names)}
    tables = load_tables(data)
    return {name: tables[name] for name in names}


def main() -> None:
    """Measure, print and write the results of each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="holds reg/, uci_gp/ and density/")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--parts", nargs="+", choices=("workers", "gain", "limits"))
    parser.add_argument("--repeats", type=int, default=3, help="of workers and limits")
    parser.add_argument("--max-iter", type=int, default=20, help="of workers")
    parser.add_argument("--candidates", type=int, default=16, help="of gain")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="of gain")
    parser.add_argument("--limits", nargs="+", type=float, default=[1, 3, 10, 30])
    arguments = parser.parse_args()
    tables = choose_tables(arguments.data, arguments.tables)
    parts = arguments.parts or ["workers", "gain", "limits"]
    if "workers" in parts:
        measure_workers(tables, arguments)
    torch.set_num_threads(1)
    with threadpool_limits(1):
        if "gain" in parts:
            measure_gain(tables, arguments)
        if "limits" in parts:
            measure_limits(tables, arguments)


if __name__ == "__main__":
    main()
