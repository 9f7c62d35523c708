"""A task answers batches as the model answers the whole table, of any rows and in any process."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pytest
from joblib import Parallel, delayed

import skflow
from skflow import BatchTask, FlowClassifier, FlowDensity, FlowOutlierDetector, FlowRegressor
from skflow.batches.models import LOADED, ModelSource
from skflow.exceptions import ModelFileError
from tests.mixed import every_kind
from tests.settings import ONE_GAUSSIAN

pytestmark = pytest.mark.usefixtures("few_candidates_in_file", "few_fits_in_file")

ROWS = every_kind(130).set_axis(np.arange(1000, 1130))
QUICK = FlowDensity(n_layers=0, n_components=1)


@pytest.fixture(scope="module")
def flow() -> FlowDensity:
    return FlowDensity(**ONE_GAUSSIAN).fit(ROWS)


@pytest.fixture(scope="module")
def detector() -> FlowOutlierDetector:
    return FlowOutlierDetector(QUICK, random_state=0).fit(ROWS)


def parts_of(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Partitions of any size: none, one row, the rest."""
    return [rows[:0], rows[:1], rows[1:100], rows[100:100], rows[100:]]


def spelled(column: pd.Series) -> list[Any]:
    """Cells, of which all missing ones are None."""
    return column.astype(object).where(column.notna(), None).tolist()


def answer_parts(task: BatchTask, rows: pd.DataFrame) -> pd.DataFrame:
    parts = [task(part) for part in parts_of(rows)]
    for part in parts:
        pd.testing.assert_series_equal(part.dtypes, task.meta.dtypes)
    return pd.concat(parts)


def test_scores_of_any_partition_are_those_of_the_whole(flow: FlowDensity) -> None:
    answers = answer_parts(BatchTask(flow, batch_rows=30), ROWS)
    assert list(answers) == ["log_density"]
    assert answers.index.equals(ROWS.index)
    np.testing.assert_allclose(answers["log_density"], flow.score_samples(ROWS), atol=1e-9)


def test_several_methods_and_kept_columns(flow: FlowDensity) -> None:
    kept = {"id": "int64", "colour": ROWS["colour"].dtype}
    task = BatchTask(flow, ["transform", "score_samples"], keep=kept)
    rows = ROWS.assign(id=np.arange(len(ROWS)), other="x")[["other", *ROWS.columns[::-1], "id"]]
    answers = answer_parts(task, rows)
    latents = [f"latent_{name}" for name in flow.get_feature_names_out()]
    assert list(answers) == ["id", "colour", *latents, "log_density"]
    pd.testing.assert_frame_equal(answers[["id", "colour"]], rows[["id", "colour"]])
    np.testing.assert_allclose(answers[latents], flow.transform(ROWS), rtol=1e-9, atol=1e-9)


def test_parts_of_a_sample(flow: FlowDensity, detector: FlowOutlierDetector) -> None:
    """They have the same dtypes, repeat in any process, and differ from each other."""
    for model in (flow, detector):
        task = BatchTask(model, batch_rows=30)
        empty = task.sample(0, 0, random_state=0)
        first, second = (task.sample(part, 50, random_state=0) for part in range(2))
        assert len(empty) == 0
        assert len(first) == len(second) == 50
        for part in (first, second):
            pd.testing.assert_series_equal(part.dtypes, empty.dtypes)
        again = pickle.loads(pickle.dumps(task)).sample(1, 50, random_state=0)
        pd.testing.assert_frame_equal(again, second)
        assert not set(first["digits"]) & set(second["digits"])
        assert not set(task.sample(0, 50, random_state=1)["digits"]) & set(first["digits"])
    conditional = FlowDensity(**ONE_GAUSSIAN, given=["flag"]).fit(ROWS)
    with pytest.raises(TypeError, match="sample draws whole rows"):
        BatchTask(conditional).sample(0, 5, random_state=0)


def test_answers_of_a_detector(detector: FlowOutlierDetector) -> None:
    few = ROWS[:12]
    methods = ["p_values", "predict", "score_samples", "decision_function", "score_features"]
    answers = BatchTask(detector, methods)(few)
    np.testing.assert_array_equal(answers["p_value"], detector.p_values(few))
    np.testing.assert_array_equal(answers["predicted"], detector.predict(few))
    np.testing.assert_array_equal(answers["score"], detector.score_samples(few))
    np.testing.assert_array_equal(answers["decision"], detector.decision_function(few))
    reasons = answers[[f"log_prob_{name}" for name in ROWS]]
    np.testing.assert_array_equal(reasons, detector.score_features(few))


@pytest.mark.filterwarnings("ignore:.*were replaced as a whole")
def test_repaired_rows_have_the_dtypes_of_any_batch(detector: FlowOutlierDetector) -> None:
    """Without missing values as with some: these columns have both."""
    task = BatchTask(detector, "repair")
    rows = ROWS[:2].astype({"small": "Int64"})
    rows.loc[1001, "small"] = pd.NA
    repaired = pd.concat([task(rows[:0]), task(rows[:1]), task(rows[1:])])
    pd.testing.assert_series_equal(repaired.dtypes, task.meta.dtypes)
    assert repaired["small"].dtype == "Int8"
    expected = detector.repair(rows)
    for name in ROWS:
        assert spelled(repaired[name]) == spelled(expected[name])


@pytest.mark.usefixtures("few_fits")
def test_answers_of_predictors() -> None:
    X = ROWS[["float32", "colour"]]
    regressor = FlowRegressor(QUICK, random_state=0).fit(X, ROWS["decimal"])
    answers = answer_parts(BatchTask(regressor, ["predict", "predict_interval"]), X)
    assert list(answers) == ["predicted", "low", "high"]
    np.testing.assert_allclose(answers["predicted"], regressor.predict(X), rtol=1e-9)
    np.testing.assert_allclose(answers[["low", "high"]], regressor.predict_interval(X), rtol=1e-6)
    classifier = FlowClassifier(QUICK, random_state=0).fit(X, ROWS["levels"].astype(str))
    answers = answer_parts(BatchTask(classifier, ["predict", "predict_proba"]), X)
    assert list(answers)[1:] == [f"probability_{label}" for label in classifier.classes_]
    assert answers["predicted"].tolist() == classifier.predict(X).tolist()
    np.testing.assert_allclose(answers.iloc[:, 1:], classifier.predict_proba(X), atol=1e-9)
    y = pd.DataFrame({"first": ROWS["decimal"], "second": ROWS["digits"]})
    several = FlowRegressor(QUICK, random_state=0).fit(X, y)
    assert list(BatchTask(several, "predict").meta) == ["predicted_first", "predicted_second"]


def test_models_of_arrays_and_of_polars(detector: FlowOutlierDetector) -> None:
    X = np.random.default_rng(0).normal(size=(60, 3))
    flow = FlowDensity(**ONE_GAUSSIAN).fit(X)
    scores = flow.score_samples(X)
    frame = pd.DataFrame(X).assign(id=1)
    for rows in (X, pd.DataFrame(X), frame, pl.DataFrame(frame.set_axis(list("abcd"), axis=1))):
        keep = [] if len(rows.shape) == 2 and rows.shape[1] == 3 else [list(rows.columns)[-1]]
        answers = BatchTask(flow, keep=keep)(rows)
        np.testing.assert_array_equal(answers["log_density"], scores)
        assert isinstance(answers, pl.DataFrame) == isinstance(rows, pl.DataFrame)
        assert answers.shape == (60, 1 + len(keep))
    with pytest.raises(ValueError, match="4 columns that are not kept"):
        BatchTask(flow)(frame)
    rows = pl.DataFrame(
        {"x": [0.5, 1.5, None] * 20, "n": [1, None, 2**60 + 1] * 20, "c": ["a"] * 60}
    )
    fitted = FlowOutlierDetector(QUICK, random_state=0).fit(rows)
    repaired = BatchTask(fitted, "repair")(rows)
    assert repaired["n"].to_list() == rows["n"].to_list()


def test_the_columns_in_the_words_of_engines(flow: FlowDensity) -> None:
    keep = {"id": "int64", "a b": "str", "when": "datetime64[us, UTC]", "day": "datetime64[us]"}
    task = BatchTask(flow, keep=keep)
    assert task.ddl == (
        "id bigint, `a b` string, when timestamp, day timestamp_ntz, log_density double"
    )
    names = [*keep, "log_density"]
    assert task.schema.names == names
    assert task.schema.field("log_density").type == pa.float64()
    assert task.meta.shape == (0, 5)
    unknown = BatchTask(flow, keep=["id"])
    with pytest.raises(ValueError, match=r"keep=\{'id': 'int64'\}"):
        unknown.meta  # noqa: B018


@pytest.mark.usefixtures("shared_workers")
@pytest.mark.parametrize("from_file", [True, False])
def test_a_task_travels(flow: FlowDensity, from_file: bool, tmp_path: Path) -> None:
    flow.save(tmp_path / "model")
    task = BatchTask(tmp_path / "model" if from_file else flow)
    size = len(pickle.dumps(task))
    assert (size < 4_000) == from_file
    scores = Parallel(2)(delayed(task)(part) for part in parts_of(ROWS))
    np.testing.assert_allclose(
        pd.concat(scores)["log_density"], flow.score_samples(ROWS), atol=1e-9
    )


def test_spark_streams_batches(flow: FlowDensity) -> None:
    streamed = list(BatchTask(flow).stream(iter(parts_of(ROWS))))
    assert list(map(len, streamed)) == list(map(len, parts_of(ROWS)))


def test_a_model_is_loaded_once(
    flow: FlowDensity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow.save(tmp_path / "model")
    task = BatchTask(tmp_path / "model")
    monkeypatch.setattr(ModelSource, "load", None)
    again = pickle.loads(pickle.dumps(task))
    Parallel(2, prefer="threads")(delayed(again)(part) for part in parts_of(ROWS))


def test_a_changed_file_is_refused(flow: FlowDensity, tmp_path: Path) -> None:
    path = tmp_path / "model"
    flow.save(path)
    task = BatchTask(path)
    FlowDensity(**ONE_GAUSSIAN).fit(ROWS[:100]).save(path)
    LOADED.__init__()  # type: ignore[misc]
    with pytest.raises(ModelFileError, match="has changed since"):
        task(ROWS)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=f"{path} is damaged"):
        BatchTask(path)
    with pytest.raises(FileNotFoundError):
        BatchTask(tmp_path / "none")


def test_a_later_fit_does_not_change_a_task(flow: FlowDensity) -> None:
    own = FlowDensity(**ONE_GAUSSIAN).fit(ROWS)
    task = BatchTask(own)
    own.fit(ROWS[:100])
    np.testing.assert_array_equal(task(ROWS)["log_density"], flow.score_samples(ROWS))


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"methods": "p_values"}, ValueError, "some of score_samples, transform"),
        ({"methods": []}, ValueError, "some of score_samples, transform"),
        ({"keep": ["log_density"]}, ValueError, r"several columns \['log_density'\]"),
        ({"keep": "id"}, TypeError, "keep must be a sequence"),
        ({"batch_rows": 0}, ValueError, "batch_rows"),
        ({"threads": 2}, ValueError, "threads"),
        ({"model": 3}, TypeError, "model must be a fitted estimator"),
        ({"model": skflow.FlowImputer(QUICK).fit(ROWS[["hole"]])}, TypeError, "one of FlowDensity"),
    ],
)
def test_arguments_are_checked(
    arguments: dict[str, Any], error: type[Exception], said: str, flow: FlowDensity
) -> None:
    with pytest.raises(error, match=said):
        BatchTask(**{"model": flow} | arguments)


def test_lacking_columns_are_named(flow: FlowDensity) -> None:
    with pytest.raises(ValueError, match=r"lack columns \['size', 'id'\]"):
        BatchTask(flow, keep=["id"])(ROWS[:0].drop(columns="size"))


@pytest.mark.parametrize("rows", [pl.LazyFrame({"x": [1.0]}), pd.Series([1.0]), np.zeros(3)])
def test_what_is_no_table_is_refused(rows: Any, flow: FlowDensity) -> None:
    with pytest.raises(TypeError, match="rows must be a pandas or polars DataFrame"):
        BatchTask(flow)(rows)


def test_a_dataset_is_refused(flow: FlowDensity) -> None:
    dataset = pyarrow.dataset.dataset(pa.table({"size": [1.0]}))
    with pytest.raises(TypeError, match=r"got pyarrow.*InMemoryDataset.*to_batches\(\)"):
        BatchTask(flow)(dataset)


def test_kept_categories_are_strings_of_arrow() -> None:
    """Which categories there are is not known before rows are seen."""
    rows = pd.DataFrame({"x": np.arange(30) / 7, "c": pd.Categorical(["a", "b", "z"] * 10)})
    task = BatchTask(FlowDensity(**ONE_GAUSSIAN).fit(rows), keep={"c": "category"})
    answers = task(pa.Table.from_pandas(rows, preserve_index=False))
    assert answers.schema.equals(task.schema)
    assert answers["c"].to_pylist() == rows["c"].tolist()


def test_rows_of_arrow() -> None:
    """As Spark's mapInArrow hands them out, and Ray with batch_format="pyarrow"."""
    flow = FlowDensity(**ONE_GAUSSIAN).fit(ROWS.drop(columns=["object", "float16"]))
    task = BatchTask(flow, keep={"levels": "int64"})
    table = pa.Table.from_pandas(ROWS.drop(columns="object"), preserve_index=False)
    answers = task(table)
    assert answers.schema.equals(task.schema)
    assert answers["levels"].to_pylist() == ROWS["levels"].tolist()
    scores = flow.score_samples(ROWS.drop(columns=["object", "float16"]))
    np.testing.assert_allclose(answers["log_density"], scores, atol=1e-12, rtol=1e-12)
    batches = list(task.stream(iter(table.to_batches(max_chunksize=100))))
    assert pa.Table.from_batches(batches, task.schema).num_rows == len(ROWS)
    assert task(table[:0]).schema.equals(task.schema)
    assert BatchTask(flow, keep=["colour"])(table).num_columns == 2
