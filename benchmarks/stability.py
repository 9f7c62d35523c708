"""Whether training diverges, at a third of, at and at three times the default learning rate.

    python -m benchmarks.stability --data DIR [--seeds 0 1 2] [--tables stock]
    python -m benchmarks.stability --fresh --data DIR
    python -m benchmarks.stability --page

FlowDensity runs with its defaults but for the rate. Training has diverged where it warns
that it went back to earlier weights. It can also go astray without that, so the deepest
fall of the held-out score below the best before it is kept as well; the weights that a fit
ends with are the best, not those of the fall.

What is measured is kept in ``results/stability.jsonl``, one fit a line, and not measured
twice, so the work can be stopped, resumed and shared out. Fits at another default rate than
today's are not shown. ``--fresh`` drops what there is of the tables before measuring them
again. ``--page`` writes the page of all there is; without ``--data`` nothing is measured.
"""

import argparse
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.common import report
from benchmarks.common.records import RESULTS, drop_records, measure_missing, read_records
from benchmarks.common.tables import load_tables, split
from skflow import FlowDensity
from skflow.clock import Clock
from skflow.exceptions import DivergenceWarning
from skflow.training.options import choose_options

FloatArray = NDArray[np.float64]

DEFAULT_RATE = choose_options(
    1000,
    max_iter="auto",
    clock=Clock(None),
    batch_size="auto",
    learning_rate="auto",
    weight_decay="auto",
    n_iter_no_change="auto",
    tol=0.0,
).learning_rate
FACTORS = {"a third": 1 / 3, "the default": 1.0, "three times": 3.0}
COMMAND = "python -m benchmarks.stability --data DIR --page"


def measure(tables: dict[str, FloatArray], table: str, seed: int, learning_rate: float) -> dict:
    """Fit one table at one rate; return what became of it."""
    n_rows, n_columns = tables[table].shape
    train, test = split(tables[table], seed)
    flow = FlowDensity(learning_rate=learning_rate, random_state=seed)
    start = time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        flow.fit(train)
    seconds = time.process_time() - start
    train_scores, test_scores = flow.score_samples(train), flow.score_samples(test)
    epochs = [flow.history_["train_score"], flow.history_["validation_score"]]
    return {
        "rows": n_rows,
        "columns": n_columns,
        "diverged": [str(w.message) for w in caught if w.category is DivergenceWarning],
        "finite_scores": bool(np.isfinite([*train_scores, *test_scores]).all()),
        "finite_epochs": bool(np.isfinite(epochs).all()),
        "deepest_fall": deepest_fall(flow.history_["validation_score"]),
        "nats": float(test_scores.mean()),
        "epochs": flow.n_iter_,
        "seconds": seconds,
    }


def deepest_fall(scores: list[float]) -> float:
    """Return how far scores fall below the best before them, in nats per row."""
    finite = np.array([score for score in scores if np.isfinite(score)])
    return float((np.maximum.accumulate(finite) - finite).max(initial=0.0))


def write_page(records: list[dict]) -> None:
    """Print and write the page of the fits at today's rates."""
    rates = {name: factor * DEFAULT_RATE for name, factor in FACTORS.items()}
    records = [record for record in records if record["learning_rate"] in rates.values()]
    if not records:
        raise SystemExit("No fit at today's rates has been measured; give --data.")
    tables: dict[str, list[dict]] = {}
    for record in records:
        tables.setdefault(record["table"], []).append(record)
    rows = [_row(table, fits, rates) for table, fits in tables.items()]
    # What went wrong comes first, then what is lost by another rate.
    rows.sort(key=lambda row: row[0])
    n_diverged = sum(bool(record["diverged"]) for record in records)
    n_finite = sum(record["finite_scores"] and record["finite_epochs"] for record in records)
    n_seeds = len({record["seed"] for record in records})
    lost = {
        name: np.array([gains[name] for _, gains, _ in rows if name in gains]) for name in FACTORS
    }
    report.write(
        "stability",
        COMMAND,
        f"Training diverged in {n_diverged} of {len(records)} fits, and the scores of all rows and "
        f"epochs are finite in {n_finite}. Learning rates a third of, equal to and three times the "
        f"default of {DEFAULT_RATE:g}; tables {len(tables)}, seeds {n_seeds}. Held-out nats per "
        "column are relative to the default rate of the same seed, means over seeds; over tables "
        f"they are {_span(lost['a third'])} at a third and {_span(lost['three times'])} at three "
        "times (median, lowest, highest). The deepest fall is that of an epoch's held-out score "
        "below the best before it, in nats per column, the worst seed's; the best weights are "
        "what a fit keeps.",
        (
            "table",
            "rows x columns",
            "fits",
            "diverged",
            "not finite",
            *(f"nats per column, {name}" for name in FACTORS if name != "the default"),
            *(f"deepest fall, {name}" for name in FACTORS),
        ),
        [row for _, _, row in rows],
        footer=report.footer_of(records, COMMAND),
    )


def _row(
    table: str, fits: list[dict], rates: dict[str, float]
) -> tuple[tuple[int, float], dict[str, float], list[str]]:
    """Return the order of a table, its gains by rate, and its row."""
    n_columns = fits[0]["columns"]
    nats = {(fit["learning_rate"], fit["seed"]): fit["nats"] for fit in fits}
    gains, falls = {}, {}
    for name, rate in rates.items():
        differences = [
            (score - nats[DEFAULT_RATE, seed]) / n_columns
            for (at, seed), score in nats.items()
            if at == rate and (DEFAULT_RATE, seed) in nats
        ]
        if differences and name != "the default":
            gains[name] = float(np.mean(differences))
        deepest = [fit["deepest_fall"] / n_columns for fit in fits if fit["learning_rate"] == rate]
        falls[name] = f"{max(deepest):.3f}" if deepest else "missing"
    n_diverged = sum(bool(fit["diverged"]) for fit in fits)
    n_infinite = sum(not (fit["finite_scores"] and fit["finite_epochs"]) for fit in fits)
    cells = [
        f"{gains[name]:+.3f}" if name in gains else "missing"
        for name in FACTORS
        if name != "the default"
    ]
    shape = f"{fits[0]['rows']:,} x {n_columns}"
    counts = [str(len(fits)), str(n_diverged), str(n_infinite)]
    order = (-n_diverged - n_infinite, min(gains.values(), default=0.0))
    return order, gains, [table, shape, *counts, *cells, *falls.values()]


def _span(values: FloatArray) -> str:
    if not len(values):
        return "missing"
    return f"{np.median(values):+.3f} ({values.min():+.3f} to {values.max():+.3f})"


def main() -> None:
    """Measure what ``--data`` allows and is not there yet; write the page with ``--page``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="holds reg/, uci_gp/ and density/")
    parser.add_argument("--results", type=Path, default=RESULTS / "stability.jsonl")
    parser.add_argument("--tables", nargs="+", help="all, the smallest first, if not given")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--fresh", action="store_true", help="measure again")
    parser.add_argument("--page", action="store_true", help="write the page of all there is")
    arguments = parser.parse_args()
    if arguments.data is not None:
        tables = load_tables(arguments.data)
        jobs = [
            {"table": table, "seed": seed, "learning_rate": factor * DEFAULT_RATE}
            for seed in arguments.seeds
            for table in arguments.tables or tables
            for factor in FACTORS.values()
        ]
        if arguments.fresh:
            drop_records(arguments.results, jobs)
        torch.set_num_threads(1)
        with threadpool_limits(1):
            measure_missing(
                arguments.results,
                jobs,
                partial(measure, tables),
                report.LIBRARIES,
                ("diverged", "finite_scores", "nats", "seconds"),
            )
    if arguments.page:
        write_page(read_records(arguments.results))


if __name__ == "__main__":
    main()
