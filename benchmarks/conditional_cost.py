"""Seconds of imputation and of predictions, 10,000 rows and 10 columns.

    python -m benchmarks.conditional_cost [--rounds 3]

Seven numbers, prices, counts and a category depend on each other. ``FlowImputer`` is fitted to
10,000 complete rows, and fills 10,000 others in which one number is unknown, or the prices, or
the category, or five random cells of each row. Targets: at most 10 s for one column, 60 s for
half of the cells. ``FlowRegressor`` predicts the first column; ``predict`` runs in turn with
``score_samples`` of all its fits, whose seconds it may take twice. And 1,000 rows of invoices are
drawn of which only a sum is known, its two operands and all other columns unknown. Fits are brief,
of as many components and layers as the defaults choose: seconds do not depend on how long they were
trained. Processor seconds on one thread.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from benchmarks.common import report
from benchmarks.common.tables import make_table
from skflow import FlowDensity, FlowImputer, FlowRegressor

N_ROWS = 10_000
N_COLUMNS = 10
N_DRAWN = 1_000
EPOCHS = 3
ONE_COLUMN, HALF, RATIO = 10, 60, 2  # targets


def draw() -> pd.DataFrame:
    """Return the rows that are fitted, then as many others."""
    table = make_table(2 * N_ROWS, N_COLUMNS)
    numbers = pd.DataFrame(table[:, :7], columns=[f"number_{j}" for j in range(7)])
    names = np.array(["north", "east", "south", "west"])
    return numbers.assign(
        price=(20 + 5 * table[:, 7]).round(2),
        count=np.exp(1 + table[:, 8]).round(),
        region=names[np.digitize(table[:, 9], (-0.5, 0, 0.5))],
    )


def invoices() -> pd.DataFrame:
    """Return the rows of the other table with a net price, a tax and their sum."""
    table = draw().iloc[:N_ROWS, 3:]
    net = table.pop("price").clip(lower=1)
    tax = (net * table["region"].map({"north": 0.07}).fillna(0.19)).round(2)
    return table.assign(net=net, tax=tax, total=(net + tax).round(2))


def seconds_of(call: Callable[[], object]) -> float:
    """Return the processor seconds of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    n_rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    table = draw()
    fitted, others = table[:N_ROWS], table[N_ROWS:].reset_index(drop=True)
    half = np.random.default_rng(0).random(others.shape).argsort(axis=1) < N_COLUMNS // 2
    unknown = {
        name: np.tile(others.columns == name, (N_ROWS, 1))
        for name in ("number_0", "price", "region")
    }
    unknown["five cells of each row"] = half
    brief = FlowDensity(max_iter=EPOCHS)
    with threadpool_limits(1):
        imputer = FlowImputer(brief, random_state=0).fit(fitted)
        rows, spent = [], {}
        for name, cells in unknown.items():
            partial = others.mask(cells)
            runs = [seconds_of(lambda X=partial: imputer.transform(X)) for _ in range(n_rounds)]
            spent[name] = float(np.median(runs))
            target = HALF if name not in others.columns else ONE_COLUMN
            rows.append(["FlowImputer.transform", name, f"{spent[name]:.1f}", f"{target}"])
        X, y = fitted.drop(columns="number_0"), fitted["number_0"]
        regressor = FlowRegressor(brief, random_state=0).fit(X, y)
        fits = [regressor.density_, *regressor.cross_fits_, *regressor.initial_fits_]
        X, both = others.drop(columns="number_0"), others[[*X.columns, "number_0"]]
        runs = [
            (
                seconds_of(lambda: regressor.predict(X)),
                seconds_of(lambda: [fit.score_samples(both) for fit in fits]),
            )
            for _ in range(n_rounds)
        ]
        sums = invoices()
        density = FlowDensity(max_iter=EPOCHS, random_state=0).fit(sums)
        known = sums[["total"]].head(N_DRAWN)
        density.sample_given(known.head(1), random_state=0)  # what is made once
        of_sums = [
            seconds_of(lambda: density.sample_given(known, random_state=0)) for _ in range(n_rounds)
        ]
    predict, score = np.median(runs, axis=0)
    ratio = float(np.median([run[0] / run[1] for run in runs]))
    rows.append(["FlowRegressor.predict", "number_0", f"{predict:.1f}", f"{RATIO * score:.1f}"])
    drawn = float(np.median(of_sums))
    rows.append(
        ["FlowDensity.sample_given", f"all but total, {N_DRAWN:,} rows", f"{drawn:.1f}", ""]
    )
    one_column = max(seconds for name, seconds in spent.items() if name in others.columns)
    report.write(
        "conditional_cost",
        report.command(),
        f"One unknown column of {N_ROWS:,} rows is filled in at most {one_column:.1f} s (target: "
        f"{ONE_COLUMN} s), half of all cells in {spent['five cells of each row']:.1f} s (target: "
        f"{HALF} s). predict takes {ratio:.2f} times the seconds of score_samples of the same "
        f"{len(fits)} fits (target: at most {RATIO}). {N_DRAWN:,} rows of which only a sum is "
        f"known are drawn in {drawn:.1f} s. Processor seconds, medians of {n_rounds} "
        "rounds, on one thread.",
        ("method", "unknown", "seconds", "at most"),
        rows,
    )


if __name__ == "__main__":
    main()
