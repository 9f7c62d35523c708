"""Seconds from a fresh process to a fitted FlowDensity(), beside a Gaussian mixture.

    python benchmarks/fit_time.py [--repeats 5]

Each fit runs in a process of its own, the two methods in turn.
"""

import argparse
import subprocess
import sys

import numpy as np
import report

SHAPES = ((1_000, 10), (10_000, 10))

PROCESS = """
import sys, time
import numpy as np

def make_table(n_rows, n_columns):
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(n_rows, n_columns))
    mixed = np.sin(hidden @ rng.normal(size=(n_columns, n_columns)))
    return mixed + 0.3 * hidden

method, n_rows, n_columns = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
table = make_table(n_rows, n_columns)
start = time.perf_counter()
if method == "FlowDensity":
    from skflow import FlowDensity
    model = FlowDensity(random_state=0)
else:
    from sklearn.mixture import GaussianMixture
    model = GaussianMixture(16, random_state=0)
imported = time.perf_counter()
model.fit(table)
print(imported - start, time.perf_counter() - imported)
"""


def measure(method: str, n_rows: int, n_columns: int) -> tuple[float, float]:
    """Return seconds to import and seconds to fit, in a fresh process."""
    arguments = [sys.executable, "-c", PROCESS, method, str(n_rows), str(n_columns)]
    output = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    imported, fitted = map(float, output.split())
    return imported, fitted


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    rows = []
    for shape in SHAPES:
        seconds: dict[str, list[tuple[float, float]]] = {"FlowDensity": [], "GaussianMixture": []}
        for _ in range(repeats):
            for method, runs in seconds.items():
                runs.append(measure(method, *shape))
        flow, mixture = (np.array(seconds[method]) for method in seconds)
        ratio = np.median(flow[:, 1] / mixture[:, 1])
        rows.append(
            [
                f"{shape[0]:,} x {shape[1]}",
                f"{np.median(flow[:, 0]):.1f}",
                f"{np.median(flow[:, 1]):.1f} ({flow[:, 1].min():.1f} to {flow[:, 1].max():.1f})",
                f"{np.median(mixture[:, 1]):.2f}",
                f"{ratio:.1f}",
            ]
        )
    report.write(
        "fit_time",
        f"python benchmarks/fit_time.py --repeats {repeats}",
        f"Median seconds of {repeats} fresh processes; the fit is the first call in each.",
        ("rows x columns", "import skflow", "first fit", "GaussianMixture(16)", "ratio of fits"),
        rows,
    )


if __name__ == "__main__":
    main()
