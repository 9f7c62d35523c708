"""A detector of rows in files is calibrated by rows that nothing was fitted to."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from skflow import FlowDensity, FlowOutlierDetector, load
from skflow.fitted.detector import FittedScorers
from skflow.table.storage import StoredTable
from tests.files import write
from tests.mixed import every_kind
from tests.settings import ONE_GAUSSIAN, TWO_LAYERS

pytestmark = pytest.mark.usefixtures("few_candidates_in_file", "few_fits_in_file")

parquet_table = pytest.importorskip("skflow.datasets.parquet_table")
cache = pytest.importorskip("skflow.datasets.cache")

GAUSSIAN: dict[str, Any] = {"density": FlowDensity(**ONE_GAUSSIAN), "random_state": 0}


def draw(n_rows: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n_rows)
    label = np.array(["a", "b", "c"])[rng.integers(0, 3, n_rows)]
    return pd.DataFrame({"x": x, "y": x + rng.normal(size=n_rows) / 9, "label": label})


def spoil(rows: pd.DataFrame, n_rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Move the first rows far off the others; return them all and which these are."""
    is_moved = np.arange(len(rows)) < n_rows
    return rows.assign(y=np.where(is_moved, -rows["y"] + 5, rows["y"])), is_moved


def test_calibration_rows_are_fitted_by_nothing(
    out_of_core: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = draw(3000).assign(id=np.arange(3000.0))
    fitted: set[float] = set()
    judged: set[float] = set()
    write_rows, measure = cache.RowCache.write, FittedScorers.measure

    def spy_write(self: Any, encoded: Any, buckets: Any) -> None:
        fitted.update(encoded.values[:, 2].round(9).tolist())
        write_rows(self, encoded, buckets)

    def spy_measure(self: Any, table: StoredTable, device: Any) -> Any:
        encoded = self.density.codec.encode(table)
        judged.update(encoded.values[:, 2].round(9).tolist())
        return measure(self, table, device)

    monkeypatch.setattr(cache.RowCache, "write", spy_write)
    monkeypatch.setattr(FittedScorers, "measure", spy_measure)
    density = FlowDensity(**ONE_GAUSSIAN, column_kinds={"id": "continuous"}, early_stopping=False)
    detector = FlowOutlierDetector(density, random_state=0).fit(write(tmp_path, rows, [1000]))
    assert detector.n_calibration_ == len(judged) == 750
    assert len(fitted) == 2250
    assert not fitted & judged


def test_a_label_of_calibration_rows_alone_is_unfitted(out_of_core: None, tmp_path: Path) -> None:
    rows = draw(2000)
    rows.loc[rows.index % 4 == 0, "label"] = [f"rare {k}" for k in range(500)]
    detector = FlowOutlierDetector(**GAUSSIAN).fit(write(tmp_path, rows, []))
    held_out = detector._detector.scorers.unfitted.sum()
    assert 80 < held_out < 170  # a quarter of them


def test_a_detector_is_as_good_as_in_memory(out_of_core: None, tmp_path: Path) -> None:
    """Its p-values are valid, and it finds what the detector of the frame finds."""
    drawn = every_kind(4000)[["decimal", "colour", "hole", "integer"]]
    frame, fresh = drawn[:2500].sort_values("decimal"), drawn[2500:]
    dataset = write(tmp_path, frame, [1000])
    detector = FlowOutlierDetector(**GAUSSIAN).fit(dataset)
    p_values = detector.p_values(fresh)
    assert abs((p_values < 0.1).mean() - 0.1) < 0.04
    inside = FlowOutlierDetector(**GAUSSIAN).fit(parquet_table.ParquetTable(dataset).read()[0])
    assert detector.density_.schema_ == inside.density_.schema_
    agreement = np.corrcoef(detector.score_samples(fresh), inside.score_samples(fresh))[0, 1]
    assert agreement > 0.9
    detector.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.p_values(fresh), p_values)
    assert (detector.score_features(fresh[:3]) <= 0).all(axis=None)


def test_contamination_and_robust(out_of_core: None, tmp_path: Path) -> None:
    rows, is_moved = spoil(draw(2400), 72)
    dataset = write(tmp_path, rows.sample(frac=1, random_state=0), [700])
    shared = FlowOutlierDetector(**GAUSSIAN, contamination=0.03).fit(dataset)
    assert abs((shared.predict(rows) == -1).mean() - 0.03) < 0.005
    robust = FlowOutlierDetector(**GAUSSIAN, robust=True, contamination=0.03).fit(dataset)
    assert roc_auc_score(is_moved, -robust.score_samples(rows)) > 0.999
    assert ((robust.predict(rows) == -1) == is_moved).mean() > 0.99
    # The moved rows are left out of the fit, and of the calibration.
    assert robust.density_.score(rows[~is_moved]) > shared.density_.score(rows[~is_moved]) + 0.1
    assert robust.p_values(rows[is_moved]).max() < 0.01


def test_fits_repeat_and_go_on_warm(out_of_core: None, tmp_path: Path) -> None:
    dataset, fresh = write(tmp_path, draw(2000), []), draw(50, seed=1)
    density = FlowDensity(**TWO_LAYERS | {"max_iter": 1}, warm_start=True)
    detector = FlowOutlierDetector(density, random_state=0).fit(dataset)
    again = FlowOutlierDetector(density, random_state=0).fit(dataset)
    np.testing.assert_array_equal(detector.score_samples(fresh), again.score_samples(fresh))
    schema = detector.density_.schema_
    assert again.fit(dataset).density_.schema_ == schema
    with pytest.raises(ValueError, match="yet now missing:\n- x"):
        again.fit(write(tmp_path, draw(2000).drop(columns="x"), []))
