"""Fits a dataset where the system grants only so many megabytes more than Python holds.

python -m tests.scripts.fit_without_memory FOLDER MEGABYTES
"""

import resource
import sys
from pathlib import Path

import pyarrow.dataset as ds

from skflow import FlowDensity
from skflow.estimators import training_rows

if __name__ == "__main__":
    folder, megabytes = sys.argv[1:]
    training_rows.MOST_BYTES_IN_MEMORY = 0
    status = Path("/proc/self/status").read_text()
    held = int(status.partition("VmData:")[2].split()[0]) * 1024
    limit = held + int(megabytes) * 10**6
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    FlowDensity(n_layers=1, max_iter=1, random_state=0).fit(ds.dataset(folder))
