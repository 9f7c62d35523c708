"""Killed at any moment, a fit goes on, and a file is the former one or the new one.

All 250 kills: pytest -m slow tests/estimators/test_kills.py
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from skflow import FlowDensity, load
from skflow.archive.files import read
from skflow.flow.recipe import model_state
from tests.mixed import small_mix
from tests.settings import TWO_LAYERS

PARAMETERS = TWO_LAYERS | {"max_iter": 12, "hidden_units": 32}
X = small_mix(200)

MODELS: list[FlowDensity] = []  # which processes save in turn

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


def fit_and_save(folder: Path) -> None:
    FlowDensity(**PARAMETERS, checkpoint_path=folder / "fit").fit(X).save(folder / "model")


def save_again_and_again(folder: Path) -> None:
    while True:
        for model in MODELS:
            model.save(folder / "model")


def start(work: Callable[[Path], None], folder: Path) -> multiprocessing.Process:
    # Python's own, which it leaves out where a shell started it deaf, in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    process = multiprocessing.get_context("fork").Process(target=work, args=(folder,))
    process.start()
    return process


def stop(process: multiprocessing.Process, seconds: float, sent: signal.Signals) -> bool:
    """Send a signal after so many seconds; return whether the process had not yet ended."""
    process.join(seconds)
    interrupted = process.is_alive()
    if interrupted:
        os.kill(process.pid, sent)
    process.join(60)
    assert process.exitcode is not None
    return interrupted


def kill_fits(folder: Path, n_kills: int, sent: list[signal.Signals], seed: int) -> int:
    """Kill fits, each of which goes on with the one before; return how many came to their end."""
    rng = np.random.default_rng(seed)
    began = time.monotonic()
    whole = FlowDensity(**PARAMETERS).fit(X)
    seconds = time.monotonic() - began
    expected = model_state(whole._density.model)
    n_killed, n_ended, n_epochs = 0, 0, 0
    while n_killed < n_kills or n_ended == 0:
        process = start(fit_and_save, folder)
        if stop(process, rng.uniform(0, seconds), sent[n_killed % len(sent)]):
            n_killed += 1
            n_epochs = assert_not_lost(folder, n_epochs)
            continue
        assert process.exitcode == 0
        for name, array in model_state(load(folder / "model")._density.model).items():
            np.testing.assert_array_equal(array, expected[name], err_msg=name)
        n_ended, n_epochs = n_ended + 1, 0
        for path in folder.iterdir():
            path.unlink()
    return n_ended


def assert_not_lost(folder: Path, n_epochs: int) -> int:
    """What is there is whole, and no epoch of those before is lost; return how many there are."""
    if (folder / "model").exists():
        load(folder / "model")
    if not (folder / "fit").exists():
        assert n_epochs == 0
        return 0
    now = count_epochs(folder / "fit")
    assert now >= n_epochs
    return now


def count_epochs(path: Path) -> int:
    _, arrays = read(path)
    return sum(len(arrays.get(f"history.{which}.seconds", ())) for which in ("now", "before"))


def kill_saves(folder: Path, n_kills: int, sent: list[signal.Signals], seed: int) -> set[int]:
    """Kill processes that save two models in turn; return which of them were found."""
    rng = np.random.default_rng(seed)
    MODELS[:] = [FlowDensity(**TWO_LAYERS | {"n_bins": n, "max_iter": 1}).fit(X) for n in (4, 6)]
    MODELS[0].save(folder / "model")
    found = set()
    for i in range(n_kills):
        process = start(save_again_and_again, folder)
        assert stop(process, rng.uniform(0, 0.3), sent[i % len(sent)])
        found.add(load(folder / "model").n_bins)
    return found


HARD = [signal.SIGKILL]
SOFT = [signal.SIGTERM, signal.SIGINT]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(HARD, id="kill"),
        pytest.param(SOFT, id="term and interrupt", marks=pytest.mark.slow),
    ],
)
def test_a_few_kills(sent: list[signal.Signals], tmp_path: Path) -> None:
    assert kill_fits(tmp_path, 2, sent, seed=0) >= 1


@pytest.mark.slow
def test_a_few_kills_of_saves(tmp_path: Path) -> None:
    assert kill_saves(tmp_path, 6, HARD + SOFT, seed=0) <= {4, 6}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("n_fits", "n_saves", "sent"), [(140, 60, HARD), (35, 15, SOFT)], ids=["200 kills", "50 softer"]
)
def test_many_kills(n_fits: int, n_saves: int, sent: list[signal.Signals], tmp_path: Path) -> None:
    (tmp_path / "fits").mkdir()
    assert kill_fits(tmp_path / "fits", n_fits, sent, seed=1) >= 5
    (tmp_path / "saves").mkdir()
    assert kill_saves(tmp_path / "saves", n_saves, sent, seed=1) == {4, 6}
