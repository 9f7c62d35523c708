"""Killed at any moment, the fit of a dataset goes on; faults of files end it with one error.

All 50 kills: pytest -m slow tests/fitted/test_dataset_kills.py
"""

import gc
import multiprocessing
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skflow import FlowDensity, FlowOutlierDetector, load
from skflow.fitted.checkpoint import Checkpoint
from skflow.flow.recipe import model_state
from tests.estimators.test_kills import HARD, SOFT, start, stop
from tests.files import ds, write
from tests.mixed import every_kind
from tests.settings import ONE_GAUSSIAN, TWO_LAYERS

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")

parquet_table = pytest.importorskip("skflow.datasets.parquet_table")
row_cache = pytest.importorskip("skflow.datasets.cache")
resource = pytest.importorskip("resource")  # of POSIX, as the signals are

ROWS = every_kind(5000)[["decimal", "colour", "hole", "integer", "atom"]]
WINDOWS = TWO_LAYERS | {"max_iter": 6}


def fit_and_save(folder: Path) -> None:
    """Fit a detector, whose density goes on from its checkpoint."""
    density = FlowDensity(**WINDOWS, checkpoint_path=folder / "fit")
    detector = FlowOutlierDetector(density, random_state=0).fit(ds.dataset(folder / "rows"))
    detector.save(folder / "model")


def outcome(folder: Path) -> dict[str, np.ndarray]:
    detector = load(folder / "model")
    arrays = model_state(detector.density_._density.model)
    return arrays | {"p_values": detector.p_values(ROWS[:200])}


def kill_fits(folder: Path, n_kills: int, sent: list[Any], seed: int) -> int:
    """Kill fits, each of which goes on with the one before; return how many came to their end."""
    (folder / "rows").mkdir()
    write(folder / "rows", ROWS, [2000])
    rng = np.random.default_rng(seed)
    began = time.monotonic()
    fit_and_save(folder)
    seconds = time.monotonic() - began
    expected = outcome(folder)
    (folder / "fit").unlink()
    n_killed, n_ended = 0, 0
    while n_killed < n_kills or n_ended == 0:
        process = start(fit_and_save, folder)
        if stop(process, rng.uniform(0, seconds), sent[n_killed % len(sent)]):
            n_killed += 1
            continue
        assert process.exitcode == 0
        for name, array in outcome(folder).items():
            np.testing.assert_array_equal(array, expected[name], err_msg=name)
        n_ended += 1
        (folder / "fit").unlink()
    return n_ended


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_kills(in_windows: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "cache"))
    assert kill_fits(tmp_path, 50, HARD + SOFT, seed=0) >= 3


@pytest.mark.parametrize("phase", ["learning", "encoding", "training"])
def test_stopped_in_each_phase(
    phase: str, in_windows: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows").mkdir()
    dataset = write(tmp_path / "rows", ROWS[:3500], [])
    quick = ONE_GAUSSIAN | {"n_layers": 1, "hidden_units": 8, "max_iter": 3}
    whole = FlowDensity(**quick).fit(dataset)
    flow = FlowDensity(**quick, checkpoint_path=tmp_path / "fit")
    owner, name = {
        "learning": (parquet_table, "_to_masked"),
        "encoding": (row_cache.RowCache, "write"),
        "training": (Checkpoint, "save"),
    }[phase]
    interrupt_after(3, owner, name, monkeypatch, lambda: flow.fit(dataset))
    flow.fit(dataset)
    for key, array in model_state(whole._density.model).items():
        np.testing.assert_array_equal(model_state(flow._density.model)[key], array)


def interrupt_after(
    n_calls: int, owner: Any, name: str, monkeypatch: pytest.MonkeyPatch, work: Callable[[], Any]
) -> None:
    """Interrupt work as soon as a function has been called so often."""
    function, left = getattr(owner, name), n_calls

    def stop_later(*arguments: Any) -> Any:
        nonlocal left
        left -= 1
        result = function(*arguments)
        if not left:
            raise KeyboardInterrupt
        return result

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, stop_later)
        with pytest.raises(KeyboardInterrupt), pytest.warns(UserWarning, match="interrupted"):
            work()


def refused(dataset: Any, where: Path) -> str:
    """Return the error of a fit, which leaves nothing behind."""
    with pytest.raises((OSError, ValueError)) as caught:
        FlowDensity(**ONE_GAUSSIAN).fit(dataset)
    said = str(caught.value)
    del caught
    gc.collect()
    assert list(where.iterdir()) == []
    return said


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_a_truncated_file(in_windows: None, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    dataset = write(tmp_path / "rows", ROWS, [2000])
    damaged = tmp_path / "rows" / "001.parquet"
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1000])
    assert "001.parquet cannot be read as a Parquet file" in refused(dataset, cache)
    # Its footer is whole, but not what it says of the rows.
    damaged.write_bytes(content[:5000] + bytes(2000) + content[7000:])
    assert "001.parquet cannot be read as a Parquet file" in refused(dataset, cache)


@pytest.mark.parametrize("n_batches", [2, 9, 18, 26])
def test_a_file_that_changes(
    n_batches: int,
    in_windows: None,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Some other rows come, or the file goes, in each of the passes."""
    (tmp_path / "rows").mkdir()
    dataset = write(tmp_path / "rows", ROWS, [2000])
    to_masked, n_read = parquet_table._to_masked, 0

    def change_later(batch: Any) -> Any:
        nonlocal n_read
        n_read += bool(batch.num_rows)
        if n_read == n_batches:
            changed = tmp_path / "rows" / f"00{n_batches % 2}.parquet"
            if n_batches == 9:
                changed.unlink()
            else:
                shutil.copy(tmp_path / "rows" / f"00{1 - n_batches % 2}.parquet", changed)
        return to_masked(batch)

    monkeypatch.setattr(parquet_table, "_to_masked", change_later)
    assert "parquet changed during the fit" in refused(dataset, cache)


def fit_on_a_small_disk(folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    try:
        FlowDensity(**ONE_GAUSSIAN).fit(ds.dataset(folder / "rows"))
    except OSError as error:
        (folder / "said").write_text(str(error))


def test_a_full_disk(in_windows: None, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    write(tmp_path / "rows", ROWS, [])
    process = multiprocessing.get_context("fork").Process(
        target=fit_on_a_small_disk, args=(tmp_path,)
    )
    process.start()
    process.join(60)
    assert process.exitcode == 0
    said = (tmp_path / "said").read_text()
    assert said.startswith(f"Encoded rows cannot be written to {cache}")
    assert "Set the environment variable TMPDIR" in said
    assert list(cache.iterdir()) == []
