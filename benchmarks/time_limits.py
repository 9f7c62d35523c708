"""Processor seconds of fits under max_time: many columns, many rows.

    python -m benchmarks.time_limits [--data DIR] [--limits 5 10]

The clock of the fits counts processor seconds of one thread, so that other work on the machine
does not count. Target: at most a fifth or two seconds beyond the limit. With ``--data``, a folder
with adbench/, InternetAds is among the tables: 1,555 indicators.
"""

import argparse
import time
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.common import report
from skflow import FlowDensity, clock

SIZES = ((200, 4_000), (2_000, 1_000), (500_000, 5))
INTEGERS = ((200, 4_000), (1_000, 2_000))
INDICATORS = "17_InternetAds"


def draw(n_rows: int, n_columns: int) -> NDArray[np.float64]:
    """Return normal rows with 8 factors."""
    rng = np.random.default_rng(0)
    factors, loadings = rng.normal(size=(n_rows, 8)), rng.normal(size=(8, n_columns))
    return factors @ loadings + rng.normal(size=(n_rows, n_columns))


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--limits", nargs="+", type=float, default=[5.0, 10.0])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tables = {f"{n:,} x {d:,} numbers": draw(n, d) for n, d in SIZES}
    tables |= {f"{n:,} x {d:,} integers": np.rint(10 * draw(n, d)) for n, d in INTEGERS}
    if arguments.data is not None:
        arrays = np.load(arguments.data / "adbench" / f"{INDICATORS}.npz")
        tables["InternetAds"] = arrays["X"][arrays["y"] == 0].astype(np.float64)
    rows, late = [], []
    FlowDensity(max_iter=1).fit(draw(200, 3))  # the first fit takes longer
    processor = SimpleNamespace(monotonic=time.process_time)
    for (name, X), limit in product(tables.items(), arguments.limits):
        with threadpool_limits(1), mock.patch.object(clock, "time", processor):
            start = time.process_time()
            flow = FlowDensity(max_time=limit, random_state=0).fit(X)
            seconds = time.process_time() - start
        late.append(seconds - limit > max(2.0, limit / 5))
        rows.append([name, f"{limit:g}", f"{seconds:.1f}", f"{flow.n_iter_}"])
        print(*rows[-1], sep="  ", flush=True)
    report.write(
        "time_limits",
        report.command(DIR=arguments.data),
        f"Of {len(rows)} fits under max_time, {len(rows) - sum(late)} end at most a fifth of it, "
        "or two seconds, later (target: all). Processor seconds of one thread, which the clock of "
        "the fits counts.",
        ("table", "max_time", "seconds", "epochs"),
        rows,
    )


if __name__ == "__main__":
    main()
