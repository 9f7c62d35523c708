"""A file that is larger than what scoring it may take.

pytest -m slow -s tests/command_line/test_streaming.py
"""

import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skflow import FlowDensity

N_ROWS, N_COLUMNS, GROUP_ROWS = 5_000_000, 10, 100_000
MOST_MEMORY = 2**30  # bytes beyond those of scoring few rows


def write_rows(path: Path, n_rows: int) -> None:
    rng = np.random.default_rng(0)
    names = [f"x{j}" for j in range(N_COLUMNS)]
    schema = pa.schema([(name, pa.float64()) for name in names])
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, n_rows, GROUP_ROWS):
            rows = rng.normal(size=(min(GROUP_ROWS, n_rows - first), N_COLUMNS))
            rows[:, 1:] += np.sin(rows[:, :-1])
            writer.write_table(pa.table(dict(zip(names, rows.T, strict=True)), schema=schema))


def score(model: Path, table: Path, written: Path) -> tuple[int, float]:
    """Return bytes at the peak, and seconds."""
    command = [sys.executable, "-m", "skflow", "score", model, table, "-o", written]
    began = time.monotonic()
    subprocess.run(list(map(str, command)), check=True)
    # Of the largest of all children so far: call it for the smaller table first.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return peak, time.monotonic() - began


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_five_million_rows_take_little_memory(tmp_path: Path) -> None:
    write_rows(tmp_path / "few.parquet", 1_000)
    write_rows(tmp_path / "many.parquet", N_ROWS)
    train = pq.read_table(tmp_path / "few.parquet").to_pandas()
    model = tmp_path / "model"
    FlowDensity(max_iter=2, random_state=0).fit(train).save(model)
    few, _ = score(model, tmp_path / "few.parquet", tmp_path / "few_scores.parquet")
    many, seconds = score(model, tmp_path / "many.parquet", tmp_path / "scores.parquet")
    print(f"\n{few / 1e6:.0f} MB for 1,000 rows, {many / 1e6:.0f} MB for all; {seconds:.0f} s")  # noqa: T201
    assert pq.ParquetFile(tmp_path / "scores.parquet").metadata.num_rows == N_ROWS
    assert many - few < MOST_MEMORY
