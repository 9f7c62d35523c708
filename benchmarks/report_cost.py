"""Seconds and size of a report on outliers, beside the methods whose answers it shows.

    python -m benchmarks.report_cost [--rows 100000] [--rounds 1]

A detector of 20 mixed columns reports on fresh rows, in which one cell of some rows comes from
another row. The methods are ``p_values`` of all rows and ``score_features`` of the flagged ones;
a report also draws rows and repairs the first 50. Targets: at most 1.5 times the seconds of the
methods, at most 10 MB. Report and methods run in turn, on one thread.
"""

import argparse
import time

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from benchmarks.common import report
from benchmarks.common.tables import make_table
from skflow import FlowOutlierDetector

N_COLUMNS = 20
N_FITTED = 10_000
SHARE_WRONG = 0.02
CONTAMINATIONS = (0.0005, "auto", 0.05)  # few flagged rows, the default, many


def draw(n_rows: int) -> pd.DataFrame:
    """Return dependent columns: numbers, some missing, prices, counts and categories."""
    table = make_table(n_rows, N_COLUMNS)
    columns = {f"number_{j}": table[:, j] for j in range(10)}
    columns |= {f"price_{j}": (20 + 5 * table[:, j]).round(2) for j in range(10, 13)}
    columns |= {f"count_{j}": np.exp(1 + table[:, j]).round() for j in range(13, 16)}
    names = np.array(["north", "east", "south", "west"])
    columns |= {
        f"region_{j}": names[np.digitize(table[:, j], (-0.5, 0, 0.5))] for j in range(16, 20)
    }
    missing = np.random.default_rng(1).random(n_rows) < 0.1
    return pd.DataFrame(columns).assign(number_0=lambda t: t["number_0"].mask(missing))


def spoil(table: pd.DataFrame) -> pd.DataFrame:
    """Put the cell of another row into one column of some rows."""
    rng = np.random.default_rng(2)
    wrong = table.copy()
    for row in np.flatnonzero(rng.random(len(table)) < SHARE_WRONG):
        j = rng.integers(N_COLUMNS)
        wrong.iat[row, j] = table.iat[rng.integers(len(table)), j]
    return wrong


def measure(
    detector: FlowOutlierDetector, X: pd.DataFrame, flagged: pd.DataFrame
) -> tuple[float, float, float]:
    """Return processor seconds of the methods and of the report, and its size in MB."""
    start = time.process_time()
    detector.p_values(X)
    detector.score_features(flagged)
    methods = time.process_time()
    page = detector.report(X)
    return methods - start, time.process_time() - methods, len(page.html.encode()) / 1e6


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    table = draw(N_FITTED + arguments.rows)
    fitted, fresh = table[:N_FITTED], spoil(table[N_FITTED:].reset_index(drop=True))
    rows, ratios, sizes = [], [], []
    for contamination in CONTAMINATIONS:
        detector = FlowOutlierDetector(contamination=contamination, random_state=0)
        with threadpool_limits(1):
            flagged = fresh[detector.fit(fitted).predict(fresh) == -1]
            runs = [measure(detector, fresh, flagged) for _ in range(arguments.rounds)]
        methods, seconds, size = np.median(runs, axis=0)
        ratios.append(np.median([run[1] / run[0] for run in runs]))
        sizes.append(size)
        rows.append(
            [
                f"{contamination}",
                f"{len(flagged):,}",
                f"{methods:,.0f}",
                f"{seconds:,.0f}",
                f"{ratios[-1]:.2f}",
                f"{size:.1f}",
            ]
        )
        print(*rows[-1], sep="  ", flush=True)
    report.write(
        "report_cost",
        report.command(),
        f"A report takes {ratios[1]:.2f} times the seconds of its methods where the detector has "
        f"its defaults, from {min(ratios):.2f} to {max(ratios):.2f} times in all, and at most "
        f"{max(sizes):.1f} MB (targets: at most 1.5 times, 10 MB). {arguments.rows:,} rows of "
        f"{N_COLUMNS} columns: numbers, prices, counts, categories, missing cells; "
        f"{SHARE_WRONG:.0%} of them have a cell of another row. Methods are p_values of all rows "
        f"and score_features of the flagged ones; a report shows at most 3,000 rows. Processor "
        f"seconds of one thread, in turn; rounds: {arguments.rounds}.",
        (
            "contamination",
            "flagged rows",
            "methods, seconds",
            "report, seconds",
            "ratio",
            "MB",
        ),
        rows,
    )


if __name__ == "__main__":
    main()
