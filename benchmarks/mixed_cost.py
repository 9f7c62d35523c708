"""What mixed columns cost: FlowDensity() on adult beside a numeric table of the same size.

    python benchmarks/mixed_cost.py --data DIR [--repeats 3]

Each fit runs in a process of its own, the two tables in turn; every row is then scored.
Targets: at most 3 times the numeric table's seconds to fit, 2 times to score.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import report
from mixed_tables import command

MIXED, NUMERIC = "adult", "numeric"

PROCESS = """
import json, resource, sys, time
import numpy as np
from mixed_tables import load_mixed
from pathlib import Path
from skflow import FlowDensity

def clocks():
    return np.array([time.perf_counter(), time.process_time()])

def make_like(table):
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=table.shape)
    mixed = np.sin(hidden @ rng.normal(size=(table.shape[1], table.shape[1])))
    return mixed + 0.3 * hidden

kind, data, max_iter = sys.argv[1:]
table = load_mixed(Path(data), ["adult"])["adult"]
if kind == "numeric":
    table = make_like(table)
flow = FlowDensity(random_state=0, max_iter="auto" if max_iter == "auto" else int(max_iter))
start = clocks()
flow.fit(table)
fitted = clocks()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
flow.score_samples(table)
scored = clocks()
print(json.dumps([*(fitted - start), *(scored - fitted), peak, flow.n_iter_]))
"""


def measure(kind: str, data: Path, max_iter: str) -> list[float]:
    """Return seconds (wall, processor) to fit and to score, peak MiB, and epochs."""
    arguments = [sys.executable, "-c", PROCESS, kind, str(data.resolve()), max_iter]
    folder = Path(__file__).parent
    run = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True, cwd=folder)
    return json.loads(run.stdout.splitlines()[-1])


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds mixed/")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--max-iter", default="auto", help="epochs at most, for a quick run")
    arguments = parser.parse_args()
    runs: dict[str, list[list[float]]] = {MIXED: [], NUMERIC: []}
    for _ in range(arguments.repeats):
        for kind, measured in runs.items():
            measured.append(measure(kind, arguments.data, arguments.max_iter))
            print(kind, *(f"{number:.1f}" for number in measured[-1]), flush=True)
    medians = {kind: np.median(measured, axis=0) for kind, measured in runs.items()}
    ratios = np.median(np.divide(runs[MIXED], runs[NUMERIC]), axis=0)
    rows = [[kind, *(f"{number:,.1f}" for number in cells)] for kind, cells in medians.items()]
    rows.append(["ratio", *(f"{ratio:.2f}" for ratio in ratios)])
    report.write(
        "mixed_cost",
        command(DIR=arguments.data),
        "The adult table, 32,561 rows of 6 integer and 9 text columns with holes, beside as many "
        "rows of 15 dependent float columns. Seconds of wall and of processor time to fit and "
        f"to score every row; medians of {arguments.repeats} fresh processes, ratios taken pair "
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
