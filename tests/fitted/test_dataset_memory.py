"""A dataset that is larger than what fitting it may take.

pytest -m slow tests/fitted/test_dataset_memory.py
"""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.settings import ROOT, script

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

GROUP_ROWS = 250_000
MOST_BYTES = 1_200_000_000


def write_rows(path: Path, n_rows: int) -> None:
    """Write 20 columns: floats, decimals, integers, labels, an atom, missing values."""
    rng = np.random.default_rng(0)
    writer = None
    for _ in range(0, n_rows, GROUP_ROWS):
        group = rng.integers(0, 4, GROUP_ROWS)
        factor = rng.normal(size=GROUP_ROWS) + group
        columns = {f"x{j}": np.sin(factor * j) + rng.normal(size=GROUP_ROWS) for j in range(10)}
        columns |= {f"d{j}": (50 + 10 * factor * j).round(2) for j in range(1, 5)}
        columns |= {f"i{j}": (200 * factor + 1000 * j).astype(np.int64) for j in range(2)}
        columns |= {"label": np.array(list("abcd"))[group], "level": group}
        columns |= {"atom": np.where(group == 0, 1.0, np.exp(factor))}
        missing = pa.array(rng.normal(size=GROUP_ROWS), mask=rng.random(GROUP_ROWS) < 0.3)
        table = pa.table(columns | {"missing": missing})
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_a_million_rows_are_fitted_in_little_memory(tmp_path: Path) -> None:
    write_rows(tmp_path / "0.parquet", 4 * GROUP_ROWS)
    command = script("peak_of_a_dataset", tmp_path, "density")
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    n_read, peak = map(int, done.stdout.split())
    assert n_read == 4 * GROUP_ROWS
    assert peak < MOST_BYTES


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
@pytest.mark.parametrize(("kind", "first"), [("density", 2_000_000), ("detector", 1_000_000)])
def test_memory_does_not_grow_with_the_rows(kind: str, first: int, tmp_path: Path) -> None:
    """From one window of 2^20 rows on."""
    peaks = []
    for n_rows in (first, 2 * first):
        folder = tmp_path / str(n_rows)
        folder.mkdir()
        write_rows(folder / "0.parquet", n_rows)
        command = script("peak_of_a_dataset", folder, kind)
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
        n_read, peak = map(int, done.stdout.split())
        assert n_read == n_rows
        peaks.append(peak)
    print([f"{peak / 1e6:.0f} MB" for peak in peaks])  # noqa: T201
    assert peaks[1] < 1.1 * peaks[0]
    assert max(peaks) < MOST_BYTES


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
@pytest.mark.parametrize("margin", [100, 200, 350])
def test_a_fit_without_memory_ends_with_one_error(margin: int, tmp_path: Path) -> None:
    """No hang where the system refuses memory, whichever pass asks for it first."""
    write_rows(tmp_path / "0.parquet", 4 * GROUP_ROWS)
    command = script("fit_without_memory", tmp_path, margin)
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=1500)
    assert done.returncode == 1
    assert "MemoryError: " in done.stderr.splitlines()[-1]
