"""What mixed columns cost: FlowDensity() on adult beside a numeric table of the same size.

    python -m benchmarks.mixed_cost --data DIR [--repeats 3]

Each fit runs in a process of its own, the two tables in turn; every row is then scored.
Targets: at most 3 times the numeric table's seconds to fit, 2 times to score.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import report
from benchmarks.common.alone import peak_memory, run_alone
from benchmarks.common.mixed_tables import load_mixed, number_or_auto
from benchmarks.common.tables import make_table
from skflow import FlowDensity

MIXED, NUMERIC = "adult", "numeric"


def measure(kind: str, data: Path, max_iter: int | str) -> list[float]:
    """Return seconds (wall, processor) to fit and to score, peak MiB, and epochs.

    Called in a process of its own, whose peak memory is that of one fit.
    """
    table = load_mixed(data, [MIXED])[MIXED]
    if kind == NUMERIC:
        table = make_table(*table.shape)
    flow = FlowDensity(random_state=0, max_iter=max_iter)
    start = _clocks()
    flow.fit(table)
    fitted = _clocks()
    peak = peak_memory() / 2**20
    flow.score_samples(table)
    scored = _clocks()
    return [*(fitted - start), *(scored - fitted), peak, flow.n_iter_]


def _clocks() -> NDArray[np.float64]:
    return np.array([time.perf_counter(), time.process_time()])


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds mixed/")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--max-iter", type=number_or_auto, default="auto", help="epochs at most, for a quick run"
    )
    arguments = parser.parse_args()
    runs: dict[str, list[list[float]]] = {MIXED: [], NUMERIC: []}
    for _ in range(arguments.repeats):
        for kind, measured in runs.items():
            run = run_alone(measure, kind, arguments.data, arguments.max_iter)
            if run is None:
                sys.exit(f"A fit of the {kind} table ran out of memory: nothing written.")
            measured.append(run)
            print(kind, *(f"{number:.1f}" for number in measured[-1]), flush=True)
    medians = {kind: np.median(measured, axis=0) for kind, measured in runs.items()}
    ratios = np.median(np.divide(runs[MIXED], runs[NUMERIC]), axis=0)
    rows = [[kind, *(f"{number:,.1f}" for number in cells)] for kind, cells in medians.items()]
    rows.append(["ratio", *(f"{ratio:.2f}" for ratio in ratios)])
    report.write(
        "mixed_cost",
        report.command(DIR=arguments.data),
        "The adult table, 32,561 rows of 6 integer and 9 text columns with missing values, "
        "beside as many rows of 15 dependent float columns. Seconds of wall and of processor "
        "time to fit and to score every row; medians of "
        f"{arguments.repeats} fresh processes, ratios taken pair "
        "by pair. Peak memory is the whole process's, libraries included.",
        (
            "table",
            "fit, wall",
            "fit, processor",
            "score, wall",
            "score, processor",
            "peak MiB",
            "epochs",
        ),
        rows,
    )


if __name__ == "__main__":
    main()
