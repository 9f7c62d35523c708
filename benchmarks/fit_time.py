"""Seconds from a fresh process to a fitted FlowDensity(), beside a Gaussian mixture.

    python -m benchmarks.fit_time [--repeats 5]

Each fit runs in a process of its own, the two methods in turn.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.common import report

SHAPES = ((1_000, 10), (10_000, 10))

ROOT = Path(__file__).parents[1]


def measure(method: str, n_rows: int, n_columns: int) -> tuple[float, float]:
    """Return seconds to import and seconds to fit, in a fresh process."""
    script = [sys.executable, "-m", "benchmarks.common.first_fit"]
    process = subprocess.run(
        [*script, method, str(n_rows), str(n_columns)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    imported, fitted = map(float, process.stdout.split())
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
        report.command(),
        f"Median seconds of {repeats} fresh processes; the fit is the first call in each.",
        ("rows x columns", "import skflow", "first fit", "GaussianMixture(16)", "ratio of fits"),
        rows,
    )


if __name__ == "__main__":
    main()
