"""Seconds to import and seconds of a first fit, of the process that runs this file.

    python -m benchmarks.common.first_fit METHOD ROWS COLUMNS

Libraries are imported where their time is taken.
"""

import sys
import time

from benchmarks.common.tables import make_table


def measure(method: str, n_rows: int, n_columns: int) -> tuple[float, float]:
    """Return seconds to import and seconds to fit."""
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
    return imported - start, time.perf_counter() - imported


if __name__ == "__main__":
    print(*measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
