"""A fit that is interrupted goes on, and ends as if it had not been."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skflow import FlowDensity, FlowOutlierDetector, load
from skflow.clock import Clock
from skflow.exceptions import ModelFileError
from skflow.fitted.checkpoint import Checkpoint
from skflow.fitted.fit import FitState
from skflow.flow.recipe import model_state
from tests.mixed import every_kind
from tests.settings import ONE_TINY_LAYER, TWO_LAYERS, one_of_each, slow_but
from tests.tables import correlated

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")

Fitted = FlowDensity | FlowOutlierDetector

NUMBERS = correlated(150, 3, seed=0)
MIXED = every_kind(150)[["float32", "decimal", "nullable", "colour", "size", "day", "atom"]]
PATIENT = TWO_LAYERS | {"max_iter": 6}


def densities_of(fitted: Fitted) -> FlowDensity:
    return fitted if isinstance(fitted, FlowDensity) else fitted.density_


def assert_same_fit(one: Fitted, other: Fitted) -> None:
    first, second = densities_of(one), densities_of(other)
    states = model_state(first._density.model), model_state(second._density.model)
    assert states[0].keys() == states[1].keys()
    for name, array in states[0].items():
        np.testing.assert_array_equal(array, states[1][name], err_msg=name)
    assert first.n_iter_ == second.n_iter_
    assert first.best_validation_score_ == second.best_validation_score_
    for name in ("train_score", "validation_score", "learning_rate"):
        np.testing.assert_array_equal(first.history_[name], second.history_[name])
    assert len(second.history_["seconds"]) == second.n_iter_


class StoppedError(Exception):
    """What stops a fit in these tests."""


@contextmanager
def stopped_after(n_writes: int, error: type[BaseException] = StoppedError) -> Iterator[None]:
    """Raise an error once checkpoints were written so often."""
    written, save = 0, Checkpoint.save

    def count(self: Checkpoint, state: FitState) -> None:
        nonlocal written
        save(self, state)
        written += 1
        if written == n_writes:
            raise error

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Checkpoint, "save", count)
        with pytest.raises(error):
            yield


@pytest.mark.parametrize(("n_writes", "table"), one_of_each([1, 5, 7, 8, 13], ["numbers", "mixed"]))
def test_goes_on_to_the_same_weights(
    table: str, n_writes: int, tmp_path: Path, uninterrupted: Callable[[str], Fitted]
) -> None:
    X = {"numbers": NUMBERS, "mixed": MIXED}[table]
    flow = FlowDensity(**PATIENT, checkpoint_path=tmp_path / "fit")
    with stopped_after(n_writes):
        flow.fit(X)
    assert not hasattr(flow, "n_iter_")
    assert_same_fit(clone(flow).fit(X), uninterrupted(table))


@pytest.fixture(scope="module")
def uninterrupted() -> Callable[[str], Fitted]:
    fits = {
        "numbers": FlowDensity(**PATIENT).fit(NUMBERS),
        "mixed": FlowDensity(**PATIENT).fit(MIXED),
    }
    return fits.__getitem__


@pytest.mark.parametrize("n_writes", slow_but([16], [3, 16]))
def test_detectors_go_on(n_writes: int, tmp_path: Path) -> None:
    density = FlowDensity(**ONE_TINY_LAYER, checkpoint_path=tmp_path / "fit")
    detector = FlowOutlierDetector(density, random_state=0)
    with stopped_after(n_writes):
        detector.fit(NUMBERS)
    resumed = clone(detector).fit(NUMBERS)
    whole = clone(detector).set_params(density__checkpoint_path=None).fit(NUMBERS)
    assert_same_fit(resumed, whole)
    np.testing.assert_array_equal(resumed.p_values(NUMBERS), whole.p_values(NUMBERS))
    assert len(list(tmp_path.iterdir())) == 1 + 5  # of the density, and of each part


def test_no_epoch_runs_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = FlowDensity(**PATIENT, checkpoint_path=tmp_path / "fit").fit(NUMBERS)
    monkeypatch.setattr(Checkpoint, "save", None)  # called at the end of an epoch
    assert_same_fit(clone(flow).fit(NUMBERS), flow)


def test_interrupt_leaves_a_usable_fit_and_its_checkpoint(
    tmp_path: Path, uninterrupted: Callable[[str], Fitted]
) -> None:
    flow = FlowDensity(**PATIENT, checkpoint_path=tmp_path / "fit")
    with stopped_after(3, KeyboardInterrupt):
        flow.fit(NUMBERS)
    assert flow.n_iter_ == 2
    assert np.isfinite(flow.score_samples(NUMBERS)).all()
    assert_same_fit(flow.fit(NUMBERS), uninterrupted("numbers"))


OTHERS: dict[str, Callable[[FlowDensity], FlowDensity]] = {
    "rows": lambda flow: flow.fit(NUMBERS[1:]),
    "one cell": lambda flow: flow.fit(np.where(NUMBERS[7, 1] == NUMBERS, 0.25, NUMBERS)),
    "order": lambda flow: flow.fit(NUMBERS[::-1]),
    "container": lambda flow: flow.fit(NUMBERS.astype(np.float32)),
    "held-out rows": lambda flow: flow.fit(NUMBERS, X_val=NUMBERS[:20]),
    "parameter": lambda flow: flow.set_params(learning_rate=1e-3).fit(NUMBERS),
    "seed": lambda flow: flow.set_params(random_state=1).fit(NUMBERS),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> FlowDensity:
    """A fit whose checkpoint no test changes."""
    path = tmp_path_factory.mktemp("finished") / "fit"
    return FlowDensity(**TWO_LAYERS, checkpoint_path=str(path)).fit(NUMBERS)


@pytest.mark.parametrize("name", OTHERS)
def test_other_fits_are_refused(name: str, finished: FlowDensity) -> None:
    path = Path(finished.checkpoint_path)
    before = path.read_bytes()
    with pytest.raises(ModelFileError, match=r"checkpoint of another fit: .* Delete it .* or give"):
        OTHERS[name](clone(finished))
    assert path.read_bytes() == before


def test_where_and_how_loudly_it_runs_does_not_matter(
    tmp_path: Path, finished: FlowDensity
) -> None:
    moved = tmp_path / "moved"
    moved.write_bytes(Path(finished.checkpoint_path).read_bytes())
    again = clone(finished).set_params(device="cpu", verbose=1, checkpoint_path=moved)
    assert_same_fit(again.fit(NUMBERS), finished)


def test_clones_of_a_search_do_not_share(tmp_path: Path) -> None:
    flow = FlowDensity(**ONE_TINY_LAYER, checkpoint_path=tmp_path / "fit")
    search = GridSearchCV(flow, {"n_bins": [4, 8]}, cv=2, error_score="raise", refit=False)
    with pytest.raises(ValueError, match="another fit"):
        search.fit(NUMBERS)


def test_fits_at_the_same_time_do_not_overwrite_each_other(tmp_path: Path) -> None:
    path = tmp_path / "fit"

    class Rival(Checkpoint):
        def save(self, state: FitState) -> None:
            if path.exists() and not (tmp_path / "done").exists():
                (tmp_path / "done").touch()
                path.unlink()
                FlowDensity(**TWO_LAYERS, checkpoint_path=path).fit(NUMBERS[:100])
            super().save(state)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("skflow.fitted.checkpoint.Checkpoint", Rival)
        with pytest.raises(ModelFileError, match="Another fit has written"):
            FlowDensity(**TWO_LAYERS, checkpoint_path=path).fit(NUMBERS)


def test_a_file_that_was_deleted_meanwhile_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "fit"

    class Deleted(Checkpoint):
        def save(self, state: FitState) -> None:
            path.unlink(missing_ok=True)  # there is none before the first epoch
            super().save(state)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("skflow.fitted.checkpoint.Checkpoint", Deleted)
        flow = FlowDensity(**TWO_LAYERS, checkpoint_path=path).fit(NUMBERS)
    assert_same_fit(flow, clone(flow).fit(NUMBERS))
    assert path.exists()


def test_numbers_of_numpy_are_kept(tmp_path: Path) -> None:
    numbers = {
        "n_components": np.int64(2),
        "learning_rate": np.float32(0.002),
        "n_iter_no_change": np.int64(3),
        "tol": np.float32(1e-3),
        "max_time": np.float32(1e4),
    }
    flow = FlowDensity(**TWO_LAYERS | numbers, checkpoint_path=tmp_path / "fit")
    with stopped_after(3):
        flow.fit(NUMBERS)
    assert_same_fit(clone(flow).fit(NUMBERS), FlowDensity(**TWO_LAYERS | numbers).fit(NUMBERS))


def test_the_fit_that_a_warm_start_goes_on_from_has_its_own(tmp_path: Path) -> None:
    flow = FlowDensity(**TWO_LAYERS, warm_start=True, checkpoint_path=tmp_path / "fit").fit(NUMBERS)
    with pytest.raises(ModelFileError, match="of the fit that a warm start is to go on from"):
        flow.fit(NUMBERS)


@pytest.mark.parametrize("seed", [0, None])
@pytest.mark.parametrize("content", [b"", b"half"])
def test_what_is_no_checkpoint_can_be_deleted(
    content: bytes, seed: int | None, tmp_path: Path
) -> None:
    (tmp_path / "fit").write_bytes(content)
    flow = FlowDensity(**TWO_LAYERS | {"random_state": seed}, checkpoint_path=tmp_path / "fit")
    with pytest.raises(ModelFileError, match=r"no checkpoint to go on from\. Delete it to begin"):
        flow.fit(NUMBERS)


@pytest.mark.parametrize("path", ["", "folder"])
@pytest.mark.parametrize("seed", [0, None])
def test_a_folder_is_no_checkpoint(
    path: str, seed: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    flow = FlowDensity(**TWO_LAYERS | {"random_state": seed}, checkpoint_path=path)
    with pytest.raises(IsADirectoryError, match="is a folder; name a file"):
        flow.fit(NUMBERS)


@pytest.mark.parametrize("state", [None, "generator"])
def test_seeds_that_are_drawn_are_kept(state: str | None, tmp_path: Path) -> None:
    def make() -> FlowDensity:
        seed = None if state is None else np.random.RandomState(3)
        parameters = TWO_LAYERS | {"random_state": seed, "checkpoint_path": tmp_path / "fit"}
        return FlowDensity(**parameters)

    with stopped_after(3):
        make().fit(NUMBERS)
    resumed = make().fit(NUMBERS)
    assert_same_fit(make().fit(NUMBERS), resumed)
    if state is not None:
        whole = FlowDensity(**TWO_LAYERS | {"random_state": np.random.RandomState(3)})
        assert_same_fit(whole.fit(NUMBERS), resumed)


def test_warm_starts_go_on(tmp_path: Path) -> None:
    flow = FlowDensity(**PATIENT, warm_start=True).fit(NUMBERS)
    flow.save(tmp_path / "model")
    whole = flow.fit(NUMBERS)
    parameters = {"checkpoint_path": tmp_path / "fit"}
    with stopped_after(2):
        load(tmp_path / "model").set_params(**parameters).fit(NUMBERS)
    assert_same_fit(load(tmp_path / "model").set_params(**parameters).fit(NUMBERS), whole)


def test_a_full_disk_stops_the_fit_and_loses_nothing(
    tmp_path: Path, uninterrupted: Callable[[str], Fitted]
) -> None:
    flow = FlowDensity(**PATIENT, checkpoint_path=tmp_path / "fit")
    n_writes, fsync = 0, os.fsync

    def fill(descriptor: int) -> None:
        nonlocal n_writes
        n_writes += 1
        if n_writes > 6:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", fill)
        with pytest.raises(OSError, match="No space left"):
            flow.fit(NUMBERS)
    assert [path.name for path in tmp_path.iterdir()] == ["fit"]
    assert_same_fit(flow.fit(NUMBERS), uninterrupted("numbers"))


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "fit"
    flow = FlowDensity(**TWO_LAYERS, checkpoint_path=path).fit(NUMBERS)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="damaged"):
        clone(flow).fit(NUMBERS)
    path.unlink()
    flow.save(path)
    with pytest.raises(ModelFileError, match="no checkpoint that this skflow knows"):
        clone(flow).fit(NUMBERS)
    assert isinstance(load(path), FlowDensity)  # still there


def test_a_checkpoint_is_no_model(finished: FlowDensity) -> None:
    with pytest.raises(ModelFileError, match="'skflow checkpoint', not a 'skflow model'"):
        load(finished.checkpoint_path)


def test_seconds_of_the_interrupted_fit_count(tmp_path: Path) -> None:
    """A limit that is over stops at once, with the weights that were kept."""
    flow = FlowDensity(**PATIENT | {"max_time": 1e4}, checkpoint_path=tmp_path / "fit")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Clock, "passed", lambda self: 2e4)
        patched.setattr(Clock, "allows", lambda self, seconds: True)
        with stopped_after(4):
            flow.fit(NUMBERS)
    resumed = flow.fit(NUMBERS)
    assert resumed.n_iter_ == 3
    assert resumed.best_validation_score_ >= max(resumed.history_["validation_score"])
