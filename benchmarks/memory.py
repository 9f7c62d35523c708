"""Peaks of memory of tables in files, beside those of a tenth of their rows; needs Linux.

    python -m benchmarks.memory [--parts score fit] [--folder DIR] [--max-iter 3]

* ``score``: ``skflow score`` of one Parquet file of 10 columns of floats, by a Gaussian mixture.
  Target: peaks within 10 % of each other, and at most 0.7 GB.
* ``fit``: ``FlowDensity(max_iter=...)``, its defaults otherwise, on Parquet files of a million
  rows of 20 mixed columns, none of which is read into memory as a whole. Target: at most 2 GB.

Each command runs by itself, and the high-water marks of its processes are added up. The largest
file takes 5 GB of ``--folder``, and encoded rows take 5 GB of the folder that ``TMPDIR`` names.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.common import report
from benchmarks.common.large_files import mixed, numbers, write
from benchmarks.common.process_tree import run
from skflow import FlowDensity

MB = 1e6
FILE_ROWS = 1_000_000
MODEL_ROWS = 50_000


def measure_scoring(folder: Path, arguments: argparse.Namespace) -> None:
    """Score one file of each size from the command line."""
    model, table, scores = (folder / name for name in ("model.skflow", "rows", "scores.parquet"))
    frame = pd.DataFrame(numbers(np.random.default_rng(1), MODEL_ROWS))
    FlowDensity(n_layers=0, n_components=4, random_state=0).fit(frame).save(model)
    rows, peaks = [], []
    for n_rows in arguments.score_rows:
        size = write(table, numbers, n_rows)
        done = run("skflow", "score", model, table / "0.parquet", "-o", scores, "--quiet")
        peaks.append(done.peak)
        cells = (f"{size / MB:,.0f}", f"{done.peak / MB:,.0f}", f"{done.seconds:.0f}")
        rows.append([f"{n_rows:,}", *cells, f"{1e6 * done.seconds / n_rows:.1f}"])
        print(rows[-1], flush=True)
        shutil.rmtree(table)
        scores.unlink()
    report.write(
        "memory_score",
        report.command(DIR=arguments.folder),
        "``skflow score`` of one Parquet file of 10 columns of floats, by a mixture of 4 "
        f"components: the peak of the largest file is {peaks[-1] / peaks[0]:.3f} times that of the "
        "smallest (target: within 10 %, at most 700 MB).",
        ("rows", "MB of the file", "peak, MB", "seconds of one core", "µs per row"),
        rows,
        peers=("pyarrow",),
    )


def measure_fits(folder: Path, arguments: argparse.Namespace) -> None:
    """Fit the files of each size."""
    table, summaries, header = folder / "rows", [], ["part of the fit"]
    cells: dict[str, list[str]] = {}
    for n_rows in arguments.fit_rows:
        size = write(table, mixed, n_rows, max(1, n_rows // FILE_ROWS))
        done = run("benchmarks.common.dataset_fit", table, arguments.max_iter)
        shutil.rmtree(table)
        found = json.loads(done.output)
        parts = [*found["parts"], ("all processes, import included", done.seconds, done.peak)]
        print(parts, flush=True)
        header += [f"{n_rows:,} rows: seconds", f"{n_rows:,} rows: peak, MB"]
        for name, seconds, peak in parts:
            cells.setdefault(name, []).extend((f"{seconds:.0f}", f"{peak / MB:,.0f}"))
        scores = found["history"]["validation_score"]
        summaries.append(
            f"{n_rows:,} rows are {size / MB:,.0f} MB of Parquet and {found['cache'] / MB:,.0f} MB "
            f"of encoded rows; after {len(scores)} windows the held-out score is {scores[-1]:.3f} "
            "nats per row."
        )
    report.write(
        "memory_fit",
        report.command(DIR=arguments.folder),
        f"``FlowDensity(max_iter={arguments.max_iter})`` on files of a million rows of 20 columns: "
        "floats, decimals, integers, labels, a date, an atom, missing values. "
        f"{' '.join(summaries)} Processor seconds of one core, and peaks of memory so far (target: "
        "at most 2,000 MB).",
        header,
        [[name, *row] for name, row in cells.items()],
        peers=("pyarrow",),
    )


PARTS = {"score": measure_scoring, "fit": measure_fits}


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--folder", type=Path, default=tempfile.gettempdir())
    parser.add_argument("--max-iter", type=int, default=3)
    sizes = {"nargs": "+", "type": int}
    parser.add_argument("--score-rows", default=(5_000_000, 50_000_000), **sizes)
    parser.add_argument("--fit-rows", default=(2_000_000, 20_000_000), **sizes)
    arguments = parser.parse_args()
    for part in arguments.parts:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            PARTS[part](Path(folder), arguments)


if __name__ == "__main__":
    main()
