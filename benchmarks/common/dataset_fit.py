"""Seconds and peaks of memory of a fit to Parquet files, part by part, in this process.

    python -m benchmarks.common.dataset_fit FOLDER MAX_ITER

Prints JSON: a list of parts, the bytes of encoded rows on the disk, and the history of the fit.
"""

import inspect
import json
import sys
import time
from functools import wraps
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

from benchmarks.common.alone import peak_memory
from skflow import FlowDensity
from skflow.estimators import training_rows
from skflow.fitted import fit
from skflow.fitted.dataset_rows import DatasetRows, EncodableDataset

PARTS = (
    ("reading of columns", EncodableDataset, "learn"),
    ("encoding to the disk", DatasetRows, "split"),
    ("initialization", fit, "initialize"),
    ("training", fit, "train"),
)


def measure(folder: Path, max_iter: int) -> dict[str, Any]:
    """Fit with the default parameters but for the number of windows."""
    training_rows.MOST_BYTES_IN_MEMORY = 0
    parts: list[tuple[str, float, int]] = []
    n_bytes: list[int] = []

    def watch(label: str, owner: Any, name: str) -> None:
        function = getattr(owner, name)

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.process_time()
            result = function(*args, **kwargs)
            parts.append((label, time.process_time() - start, peak_memory()))
            print(parts[-1], file=sys.stderr)
            if name == "split":
                files = result[0].cache.folder.iterdir()
                n_bytes.append(sum(path.stat().st_size for path in files))
            return result

        setattr(owner, name, staticmethod(timed) if inspect.ismethod(function) else timed)

    for part in PARTS:
        watch(*part)
    start = time.process_time()
    density = FlowDensity(max_iter=max_iter, random_state=0).fit(ds.dataset(folder))
    parts.append(("whole fit", time.process_time() - start, peak_memory()))
    return {"parts": parts, "cache": n_bytes[0], "history": density.history_}


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]))))
