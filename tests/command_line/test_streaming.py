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
from tests.settings import ROOT, script, slow_but

N_ROWS, N_COLUMNS, GROUP_ROWS = 5_000_000, 10, 1_000_000
FEW_ROWS = 200_000  # several batches


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


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
@pytest.mark.parametrize("group_rows", slow_but([50_000], [3_000_000, 50_000]))
def test_reading_takes_no_more_memory_for_a_larger_file(tmp_path: Path, group_rows: int) -> None:
    n_rows, paths = (200_000, 2_000_000), (tmp_path / "few.parquet", tmp_path / "many.parquet")
    for n, path in zip(n_rows, paths, strict=True):
        numbers = np.random.default_rng(0).normal(size=n)
        pq.write_table(pa.table({"x": numbers, "y": -numbers}), path, row_group_size=group_rows)
    command = script("peak_of_reading", *paths)
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    n_few, few, n_many, many = map(int, done.stdout.split())
    assert (n_few, n_many) == n_rows
    assert many - few < (paths[1].stat().st_size - paths[0].stat().st_size) / 2


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_five_million_rows_take_little_memory(tmp_path: Path) -> None:
    write_rows(tmp_path / "few.parquet", FEW_ROWS)
    write_rows(tmp_path / "many.parquet", N_ROWS)
    train = pq.read_table(tmp_path / "few.parquet").to_pandas()[:1_000]
    model = tmp_path / "model"
    FlowDensity(max_iter=2, random_state=0).fit(train).save(model)
    few, _ = score(model, tmp_path / "few.parquet", tmp_path / "few_scores.parquet")
    many, seconds = score(model, tmp_path / "many.parquet", tmp_path / "scores.parquet")
    print(f"\n{few / 1e6:.0f} MB for 200,000 rows, {many / 1e6:.0f} MB for all; {seconds:.0f} s")  # noqa: T201
    assert pq.ParquetFile(tmp_path / "scores.parquet").metadata.num_rows == N_ROWS
    larger = [(tmp_path / name).stat().st_size for name in ("many.parquet", "few.parquet")]
    assert many - few < (larger[0] - larger[1]) / 4
