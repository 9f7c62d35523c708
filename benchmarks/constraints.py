"""Constraints between columns: found, not invented, and kept by sampled rows.

    python -m benchmarks.constraints --data DIR [--jobs 2]

Tables of 3,000 rows have one constraint of a known kind among independent columns; of its cells 2 %
are wrong and 2 % missing. Real tables, of those in DIR/mixed that have constraints, are fitted as
they are. Rows are sampled by FlowDensity with its defaults, and without constraints and layers. 20
tables of independent columns have none.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from benchmarks.common import report
from benchmarks.common.mixed_tables import load_mixed
from benchmarks.planted.constrained import MAKERS, make
from benchmarks.planted.independent import independent
from skflow import FlowDensity
from skflow.table.constraints.constraint import Constraint
from skflow.table.constraints.implied_cells import ImpliedCells
from skflow.table.frames import Container

DRAWN = 20_000
N_INDEPENDENT = 20
MOST_ROWS = 10_000
REAL = ("adult", "nycflights_sample", "taxis", "telco_churn", "titanic")


def kept(constraint: Constraint, table: pd.DataFrame) -> float:
    """Return the share of rows that keep a constraint, of those with all of its cells."""
    rows = table.dropna(subset=[constraint.target, *constraint.operands])
    columns = Container.fit(rows, list(rows.columns)).read(rows).columns
    return float(ImpliedCells([constraint], columns).are_kept(0, columns).mean())


def compare(name: str, table: pd.DataFrame, expected: str | None = None) -> list[list[str]]:
    """Return a row of the results for each constraint of a table."""
    flow = FlowDensity(random_state=0).fit(table)
    found = flow.schema_.constraints
    if expected is not None and [*map(str, found)] != [expected]:
        print(name, "expected", expected, "found", *map(str, found))
    other = FlowDensity(n_layers=0, random_state=0, constraints=None).fit(table)
    drawn = [each.sample(DRAWN, random_state=0) for each in (flow, other)] if found else []
    shares = [[kept(each, rows) for rows in (table, *drawn)] for each in found]
    return [
        [name, str(each), *(f"{100 * share:.1f} %" for share in own)]
        for each, own in zip(found, shares, strict=True)
    ]


def differences(rows: Sequence[Sequence[str]], place: int) -> np.ndarray:
    """Return how many points of rows fewer keep each constraint among sampled ones."""
    return np.array([float(row[2][:-2]) - float(row[place][:-2]) for row in rows])


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds mixed/")
    parser.add_argument("--jobs", type=int, default=1, help="tables at once")
    arguments = parser.parse_args()
    tables = [(maker.__name__.replace("_", " "), *make(maker)) for maker in MAKERS]
    tables += load_mixed(arguments.data, REAL, most_rows=MOST_ROWS).items()
    results = Parallel(arguments.jobs)(delayed(compare)(*table) for table in tables)
    invented = [
        str(each)
        for seed in range(N_INDEPENDENT)
        for each in FlowDensity(n_layers=0, n_components=1, random_state=0)
        .fit(independent(seed))
        .schema_.constraints
    ]
    rows = [row for own in results for row in own]
    n_found = sum(map(bool, results[: len(MAKERS)]))
    report.write(
        "constraints",
        report.command(DIR=arguments.data),
        f"Of {len(MAKERS)} made tables with one constraint, {n_found} have it found; "
        f"on {N_INDEPENDENT} tables of independent columns {len(invented)} are invented. Rows "
        f"that keep a constraint, of those with all of its cells: {DRAWN:,} sampled ones differ "
        f"from the fitted ones by {np.abs(differences(rows, 3)).max():.1f} points at most; "
        f"without the search, {np.median(differences(rows, 4)):.0f} points fewer keep it in the "
        "median.",
        ("table", "constraint", "fitted rows", "sampled rows", "without the search"),
        rows,
    )


if __name__ == "__main__":
    main()
