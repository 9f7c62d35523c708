"""Pickle, joblib and skops work too, of estimators and of whole Pipelines; files are whole."""

import errno
import itertools
import os
import pickle
from collections.abc import Callable
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skflow import FlowDensity, FlowOutlierDetector, load
from skflow.exceptions import ModelFileError
from tests.archive.bases import MIXED, NUMBERS, POLARS
from tests.settings import ONE_TINY_LAYER, TWO_GAUSSIANS, slow_but
from tests.tables import unfitted

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")


def by_pickle(fitted: Any, path: Path) -> Any:
    return pickle.loads(pickle.dumps(fitted))


def by_joblib(fitted: Any, path: Path) -> Any:
    joblib.dump(fitted, path)
    return joblib.load(path)


def by_mapped_joblib(fitted: Any, path: Path) -> Any:
    joblib.dump(fitted, path)
    return joblib.load(path, mmap_mode="r")


def by_skops(fitted: Any, path: Path) -> Any:
    skops.io.dump(fitted, path)
    return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))


STORES = [by_pickle, by_joblib, by_mapped_joblib, by_skops]
Store = Callable[[Any, Path], Any]


TABLES = {"array": NUMBERS, "pandas": MIXED, "polars": POLARS}


@cache
def fit(kind: type, table: str) -> Any:
    return unfitted(kind, **ONE_TINY_LAYER).fit(TABLES[table])


@pytest.mark.parametrize(
    ("kind", "table", "store"),
    slow_but(
        [
            (FlowDensity, "array", by_mapped_joblib),
            (FlowDensity, "pandas", by_pickle),
            (FlowDensity, "polars", by_skops),
            (FlowDensity, "pandas", by_joblib),
            (FlowOutlierDetector, "array", by_skops),
            (FlowOutlierDetector, "array", by_pickle),
        ],
        itertools.product((FlowDensity, FlowOutlierDetector), TABLES, STORES),
    ),
)
def test_stored_elsewhere(kind: type, table: str, store: Store, tmp_path: Path) -> None:
    fitted, X = fit(kind, table), TABLES[table]
    back = store(fitted, tmp_path / "stored")
    np.testing.assert_array_equal(back.score_samples(X), fitted.score_samples(X))
    back.save(tmp_path / "model")  # which is as good as the one that was fitted
    np.testing.assert_array_equal(
        load(tmp_path / "model").score_samples(X), fitted.score_samples(X)
    )


@pytest.mark.parametrize("store", [by_pickle, by_joblib, by_mapped_joblib])
def test_what_no_file_holds(store: Store, tmp_path: Path) -> None:
    """Categories of whatever class come back by pickle, as before."""
    X = pd.DataFrame({"number": np.arange(40) / 4, "odd": [Sort(i % 2) for i in range(40)]})
    fitted = FlowDensity(**TWO_GAUSSIANS).fit(X)
    back = store(fitted, tmp_path / "stored")
    np.testing.assert_array_equal(back.score_samples(X), fitted.score_samples(X))


class Sort(Enum):
    """A category that no file holds."""

    EVEN, ODD = range(2)


@cache
def fit_pipeline(kind: type) -> Pipeline:
    return make_pipeline(StandardScaler(), unfitted(kind, **ONE_TINY_LAYER)).fit(NUMBERS)


@pytest.mark.parametrize("store", STORES)
def test_pipelines(store: Store, tmp_path: Path) -> None:
    pipeline = fit_pipeline(FlowDensity)
    back = store(pipeline, tmp_path / "stored")
    np.testing.assert_array_equal(back.score_samples(NUMBERS), pipeline.score_samples(NUMBERS))
    detector = fit_pipeline(FlowOutlierDetector)
    back = store(detector, tmp_path / "stored")
    np.testing.assert_array_equal(back.predict(NUMBERS), detector.predict(NUMBERS))


@pytest.mark.parametrize("store", [by_joblib, by_skops])
def test_files_of_others_are_not_read(store: Store, tmp_path: Path) -> None:
    store(FlowDensity(**TWO_GAUSSIANS).fit(NUMBERS), tmp_path / "stored")
    with pytest.raises(ModelFileError, match=r"was not written by skflow\. It looks like a"):
        load(tmp_path / "stored")


def fail_to_sync(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_full_disk_leaves_the_former_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = FlowDensity(**TWO_GAUSSIANS).fit(NUMBERS)
    path = tmp_path / "model"
    flow.save(path)
    before = path.read_bytes()
    if name == "fsync":
        monkeypatch.setattr(os, "fsync", fail_to_sync)
    else:
        monkeypatch.setattr(Path, "replace", lambda self, target: fail_to_sync(0))
    with pytest.raises(OSError, match="No space left"):
        FlowDensity(**TWO_GAUSSIANS).fit(NUMBERS[:50]).save(path)
    assert [each.name for each in tmp_path.iterdir()] == ["model"]
    assert path.read_bytes() == before


def test_an_interrupt_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        FlowDensity(**TWO_GAUSSIANS).fit(NUMBERS).save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing")
    with pytest.raises(ModelFileError, match="is not a file"):
        load(tmp_path)
    flow = FlowDensity(**TWO_GAUSSIANS).fit(NUMBERS)
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        flow.save(tmp_path / "none" / "model")
    with pytest.raises(IsADirectoryError, match="name a file"):
        flow.save(tmp_path)
