"""Weights of a dataset are one of its columns, and mean what an array of weights means."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from skflow import FlowDensity, FlowOutlierDetector
from skflow.exceptions import ModelFileError
from skflow.flow.recipe import model_state
from tests.files import write
from tests.mixed import every_kind
from tests.settings import ONE_GAUSSIAN, TWO_EPOCHS, TWO_LAYERS

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")

ds = pytest.importorskip("pyarrow.dataset")

ROWS = every_kind(3000)[["decimal", "nullable", "levels", "colour", "atom"]]
# With pandas 2 these are objects, and Parquet reads their missing values as None.
ROWS["colour"] = ROWS["colour"].where(ROWS["colour"].notna(), None)
HEAVY = ROWS["colour"] == "red"
# A few rows are not there, and one group of the others weighs more.
WEIGHT = np.where(HEAVY, 4.0, 0.5) * (np.arange(3000) % 10 > 0)
WEIGHTED = ROWS.assign(w=WEIGHT)


def test_a_fit_without_layers_is_that_in_memory(out_of_core: None, tmp_path: Path) -> None:
    quick = {"n_layers": 0, "n_components": 2, "random_state": 0, "early_stopping": False}
    expected = FlowDensity(**quick).fit(ROWS, sample_weight=WEIGHT)
    flow = FlowDensity(**quick).fit(write(tmp_path, WEIGHTED, [700]), sample_weight="w")
    assert list(flow.feature_names_in_) == list(ROWS)
    assert flow.schema_ == expected.schema_
    np.testing.assert_allclose(flow.score_samples(ROWS), expected.score_samples(ROWS), rtol=1e-9)
    found, score = (fit.history_["train_score"][0] for fit in (flow, expected))
    assert found == pytest.approx(score, abs=0.03)  # other noise within the cells of grids


def test_training_and_held_out_scores_are_weighted(in_windows: None, tmp_path: Path) -> None:
    flow = FlowDensity(**TWO_LAYERS).fit(write(tmp_path, WEIGHTED, [700]), sample_weight="w")
    is_red = flow.sample(3000, random_state=0)["colour"] == "red"
    expected = WEIGHT[HEAVY].sum() / WEIGHT.sum()
    assert abs(is_red.mean() - expected) < 0.03
    assert abs(HEAVY.mean() - expected) > 0.2
    weighted = np.average(flow.score_samples(ROWS), weights=WEIGHT)
    assert flow.best_validation_score_ == pytest.approx(weighted, abs=0.5)
    inside = FlowDensity(**TWO_LAYERS).fit(ROWS, sample_weight=WEIGHT)
    expected = np.average(inside.score_samples(ROWS), weights=WEIGHT)
    assert weighted == pytest.approx(expected, abs=0.3)  # other rows are held out


def test_rows_of_weight_0_are_not_there(in_windows: None, tmp_path: Path) -> None:
    flows = []
    for name, rows in (("all", WEIGHTED), ("some", WEIGHTED[WEIGHT > 0])):
        (tmp_path / name).mkdir()
        dataset = write(tmp_path / name, rows, [1000])
        flows.append(FlowDensity(**TWO_EPOCHS).fit(dataset, sample_weight="w"))
    assert flows[0].schema_ == flows[1].schema_
    weights = [model_state(flow._density.model) for flow in flows]
    for name, array in weights[0].items():
        np.testing.assert_array_equal(array, weights[1][name])


def test_equal_weights_are_none(out_of_core: None, tmp_path: Path) -> None:
    dataset = write(tmp_path, ROWS.assign(w=3), [])
    scores = [
        FlowDensity(**ONE_GAUSSIAN).fit(rows, sample_weight=weight).score_samples(ROWS)
        for rows, weight in (
            (dataset, "w"),
            (dataset.replace_schema(dataset.schema.remove(len(ROWS.columns))), None),
        )
    ]
    np.testing.assert_array_equal(*scores)


def test_a_dataset_in_memory_is_its_frame(tmp_path: Path) -> None:
    expected = FlowDensity(**ONE_GAUSSIAN).fit(ROWS, sample_weight=WEIGHT)
    flow = FlowDensity(**ONE_GAUSSIAN).fit(write(tmp_path, WEIGHTED, [9]), sample_weight="w")
    np.testing.assert_allclose(flow.score_samples(ROWS), expected.score_samples(ROWS), rtol=1e-9)


@pytest.mark.parametrize("is_large", [False, True])
def test_validation_rows_may_hold_the_column_of_weights(
    is_large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_large:
        monkeypatch.setattr("skflow.estimators.training_rows.MOST_BYTES_IN_MEMORY", 0)
    dataset = write(tmp_path, WEIGHTED, [])
    flow = FlowDensity(**ONE_GAUSSIAN).fit(dataset, sample_weight="w", X_val=dataset)
    assert flow.best_validation_score_ == pytest.approx(flow.score(ROWS), abs=0.2)


def test_a_checkpoint_belongs_to_its_weights(in_windows: None, tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    dataset = write(tmp_path / "rows", WEIGHTED.assign(v=1 + WEIGHT), [])
    flow = FlowDensity(**TWO_EPOCHS, checkpoint_path=tmp_path / "fit")
    kept = {name: dataset.schema.get_field_index(name) for name in ("v", "w")}
    by_w = dataset.replace_schema(dataset.schema.remove(kept["v"]))
    first = flow.fit(by_w, sample_weight="w").score_samples(ROWS)
    np.testing.assert_array_equal(flow.fit(by_w, sample_weight="w").score_samples(ROWS), first)
    by_v = dataset.replace_schema(dataset.schema.remove(kept["w"]))
    with pytest.raises(ModelFileError, match="another fit"):
        flow.fit(by_v, sample_weight="v")


@pytest.mark.parametrize("robust", [False, True])
def test_a_detector_is_of_the_weighted_rows(
    robust: bool, out_of_core: None, tmp_path: Path
) -> None:
    """A group that is rare by weight is strange, and a contamination is a share of the weight."""
    rng = np.random.default_rng(0)
    centre = np.where(rng.random(2400) < 0.5, 0.0, 9.0)
    rows = pd.DataFrame({"x": rng.normal(centre), "y": rng.normal(centre)})
    weight = np.where(centre == 0, 0.995, 0.005)
    dataset = write(tmp_path, rows.assign(w=weight), [700])
    detector = FlowOutlierDetector(
        FlowDensity(**ONE_GAUSSIAN), robust=robust, contamination=0.1, random_state=0
    ).fit(dataset, sample_weight="w")
    p_values = detector.p_values(rows)
    assert np.average(p_values <= 0.1, weights=weight) == pytest.approx(0.1, abs=0.04)
    assert np.median(p_values[centre > 0]) < 0.02
    found = np.average(detector.predict(rows) < 0, weights=weight)
    assert found == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(
    ("weight", "column", "said"),
    [
        ("z", 1.0, r"the dataset has no column 'z'; it has \['x', 'w'\]"),
        ("w", "heavy", "column 'w' holds (large_)?string, where a number from 0 on is expected"),
        ("w", True, "column 'w' holds bool, where"),
        ("w", -1.0, "column 'w' holds -1.0, where a number from 0 on"),
        ("w", np.inf, "column 'w' holds inf, where"),
        ("w", None, "column 'w' holds null, where"),
        ("w", pd.array([1, None] * 25, dtype="Int64"), "column 'w' holds nan, where"),
        ("w", 0, "no row has a positive number in column 'w'"),
    ],
)
def test_faulty_weights_are_refused(weight: str, column: Any, said: str, tmp_path: Path) -> None:
    dataset = write(tmp_path, pd.DataFrame({"x": np.arange(50.0) ** 1.3}).assign(w=column), [20])
    for estimator in (FlowDensity(), FlowOutlierDetector()):
        with pytest.raises(ValueError, match=said):
            estimator.fit(dataset, sample_weight=weight)


def test_an_array_is_no_column_and_a_name_no_array(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"must be the name of a column .* got ndarray"):
        FlowDensity().fit(write(tmp_path, ROWS, []), sample_weight=WEIGHT)
    with pytest.raises(ValueError, match=r"such as 'w', is for a fit to a dataset"):
        FlowDensity().fit(WEIGHTED, sample_weight="w")
