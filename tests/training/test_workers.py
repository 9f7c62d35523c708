"""Data-parallel training gives what one process gives, in each process the same."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from skflow.clock import Clock
from skflow.training.workers import ALONE, SharedClock, Workers
from tests.mixed import every_kind
from tests.settings import ROOT

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from tests.training import in_processes  # noqa: E402


def write_rows(folder: Path) -> None:
    """Write 600 rows of many kinds to two files."""
    (folder / "rows").mkdir()
    frame = every_kind(600).drop(columns=["object", "float16"])
    for k, part in enumerate((frame[:100], frame[100:])):
        table = pa.Table.from_pandas(part, preserve_index=False)
        pq.write_table(table, folder / "rows" / f"{k}.parquet")


def begin(folder: Path, n_processes: int, *arguments: str) -> list[subprocess.Popen[str]]:
    """Start processes."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.training.in_processes", str(folder)]
    return [
        subprocess.Popen(
            [*command, str(rank), str(n_processes), *arguments],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(n_processes)
    ]


def launch(folder: Path, n_processes: int, *arguments: str) -> list[tuple[int, str]]:
    """Start processes; return the exit status of each, and what it wrote as errors."""
    processes = begin(folder, n_processes, *arguments)
    errors = [process.communicate(timeout=300)[1] for process in processes]
    return [(process.returncode, own) for process, own in zip(processes, errors, strict=True)]


def assert_equal_to_one_process(folder: Path, n_processes: int) -> None:
    """Fit in several processes and in this one, and compare."""
    write_rows(folder)
    for status, errors in launch(folder, n_processes):
        assert status == 0, errors
    first, *others = [np.load(folder / f"{k}.npz") for k in range(n_processes)]
    for other in others:  # bitwise
        assert first.files == other.files
        for name in first.files:
            np.testing.assert_array_equal(other[name], first[name], err_msg=name)
    for name, expected in in_processes.train_in_double().items():
        np.testing.assert_allclose(first[f"trained {name}"], expected, rtol=0, atol=1e-12)
    (folder / "checkpoint").unlink()
    alone = in_processes.fit(folder, seed=0)
    assert first["fitted history"].shape == alone["history"].shape
    difference = first["fitted history"] - alone["history"]
    assert np.abs(difference).max() < 0.05  # dropout masks are each process's own


@pytest.mark.slow
def test_a_lost_process_is_named_and_the_fit_resumed(tmp_path: Path) -> None:
    write_rows(tmp_path)
    (status, errors), (lost, _) = launch(tmp_path, 2, "3")
    assert lost == 1
    assert status != 0
    assert "LostProcessError: Process 0 of 2, counted from 0, has lost others: 1." in errors
    assert (tmp_path / "checkpoint").exists()
    for status, errors in launch(tmp_path, 2):
        assert status == 0, errors
    resumed = np.load(tmp_path / "0.npz")
    (tmp_path / "checkpoint").unlink()
    launch(tmp_path, 2)
    whole = np.load(tmp_path / "0.npz")
    for name in resumed.files:
        np.testing.assert_array_equal(resumed[name], whole[name], err_msg=name)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_ends_the_other_ones(killed: int, tmp_path: Path) -> None:
    write_rows(tmp_path)
    processes = begin(tmp_path, 2)
    while not (tmp_path / "checkpoint").exists():  # each is in the fit of the density
        assert processes[killed].poll() is None
        time.sleep(0.01)
    processes[killed].kill()
    _, errors = processes[1 - killed].communicate(timeout=120)
    processes[killed].communicate()
    assert processes[1 - killed].returncode not in (0, None)
    assert f"LostProcessError: Process {1 - killed} of 2" in errors
    assert f"has lost others: {killed}." in errors


def test_two_processes_fit_as_one_does(tmp_path: Path) -> None:
    assert_equal_to_one_process(tmp_path, 2)


@pytest.mark.slow
def test_four_processes_fit_as_one_does(tmp_path: Path) -> None:
    assert_equal_to_one_process(tmp_path, 4)


def test_shares_are_all_rows_once() -> None:
    rows = torch.randperm(50)
    for size in (1, 2, 3, 7):
        shares = [Workers(rank, size).share(rows) for rank in range(size)]
        assert torch.equal(torch.cat(shares), rows)
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_one_process_alone_changes_nothing() -> None:
    weight = nn.Parameter(torch.ones(3))
    weight.sum().backward()
    ALONE.reduce([weight], share=0.5)
    assert weight.grad.tolist() == [1, 1, 1]
    generator = torch.Generator()
    assert Workers.join() == ALONE
    assert ALONE.generator(generator) is generator
    assert (ALONE.sum(2.5), ALONE.agree("a")) == (2.5, "a")


def test_shared_clocks_read_what_process_0_reads() -> None:
    class Second(Workers):
        def agree(self, value):
            return value + 100.0

    clock = SharedClock(Clock(limit=110.0, now=lambda: 5.0), Second(1, 2))
    assert (clock.passed(), clock.left()) == (100.0, 10.0)
    clock.own.add(11.0)
    assert clock.is_over
