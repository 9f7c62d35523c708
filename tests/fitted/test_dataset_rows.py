"""Rows of Parquet files are learnt, cached and trained on as those of a frame are."""

import gc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skflow import FlowDensity, FlowImputer, FlowOutlierDetector
from skflow.fitted.checkpoint import Checkpoint
from skflow.fitted.table_rows import EncodableTable
from skflow.flow.recipe import model_state
from skflow.rows import EncodedRows
from tests.files import write
from tests.mixed import every_kind
from tests.settings import TWO_EPOCHS, TWO_LAYERS
from tests.table.test_summaries import draw_column

pa = pytest.importorskip("pyarrow")
ds = pytest.importorskip("pyarrow.dataset")
pq = pytest.importorskip("pyarrow.parquet")

from skflow.datasets import parquet_table  # noqa: E402
from skflow.datasets.cache import hash_rows, share_of_rows  # noqa: E402
from skflow.estimators import training_rows  # noqa: E402
from skflow.fitted import dataset_rows  # noqa: E402
from skflow.fitted.dataset_rows import EncodableDataset, ParquetTable  # noqa: E402
from skflow.table import distinct  # noqa: E402

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")

ROWS = every_kind(6000).drop(columns=["object", "float16"])


def facts(known: Any) -> list[Any]:
    """All that was learnt of the columns, and of their container."""
    codec, container = known.codec, known.container
    schema = [tuple(vars(column).items()) for column in codec.schema.columns]
    # Sums of weights are rounded by the order of the rows.
    unseen = [float(f"{column.unseen:.10g}") for column in codec.columns]
    states = [
        repr(column.state() | {"unseen": p})
        for column, p in zip(codec.columns, unseen, strict=True)
    ]
    markers = [set(markers) for markers in container.markers]
    layout = replace(codec.layout, unseen=())
    return [schema, states, list(map(str, container.dtypes)), markers, layout]


def outcome(learn: Any, *table: Any, **options: Any) -> Any:
    try:
        return facts(learn(FlowDensity(**options), *table))
    except ValueError as error:
        return str(error)


def learn_frame(
    estimator: FlowDensity, frame: pd.DataFrame, weight: np.ndarray | None = None
) -> EncodableTable:
    estimator.feature_names_in_ = np.array(list(frame), dtype=object)
    estimator.n_features_in_ = frame.shape[1]
    return EncodableTable.learn(estimator, frame, weight)


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**32),
    n_rows=st.one_of(st.integers(2, 60), st.integers(100, 1500)),
    cuts=st.lists(st.floats(0, 1), max_size=4),
    most_kept=st.sampled_from([70, 2**16]),
    weight=st.sampled_from([None, "w"]),
)
def test_a_dataset_is_learnt_as_its_frame_is(
    seed: int,
    n_rows: int,
    cuts: list[float],
    most_kept: int,
    weight: str | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Schema, scales, counts and container: the sample is all rows where they are few."""
    rng = np.random.default_rng(seed)
    drawn = [draw_column(rng, n_rows) for _ in range(4)]
    columns = [c for c in drawn if c.dtype != object]  # each part of these may be of another type
    frame = pd.DataFrame({f"c{j}": column for j, column in enumerate([*columns, drawn[0].index])})
    folder = tmp_path_factory.mktemp("rows")
    if weight is not None:
        own = rng.choice([0.0, 1.0, 2.5], n_rows, p=[0.1, 0.5, 0.4])
        own[rng.integers(n_rows, size=2)] = 1.0
        frame[weight] = own
    dataset = write(folder, frame, [round(cut * n_rows) for cut in cuts], group_rows=130)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(distinct, "MOST_KEPT", most_kept)
        patched.setattr(parquet_table, "BATCH_ROWS", 100)
        table = ParquetTable(dataset, weight)
        whole = table.read()
        assert outcome(EncodableDataset.learn, table) == outcome(learn_frame, *whole)


def test_every_kind_is_learnt_alike(out_of_core: None, tmp_path: Path) -> None:
    table = ParquetTable(write(tmp_path, ROWS, [0, 0, 1, 1500]))
    kinds = {"levels": "categorical", "small": "continuous"}
    for options in ({}, {"column_kinds": kinds}, {"given": ["colour", "flag", "decimal"]}):
        expected = outcome(learn_frame, table.read()[0], **options)
        assert outcome(EncodableDataset.learn, table, **options) == expected
        assert not isinstance(expected, str)


def test_scales_reach_values_that_no_sample_holds(
    out_of_core: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_rows, "SAMPLE_ROWS", 50)
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=5000)})
    frame.loc[7, "x"] = 1e5
    known = EncodableDataset.learn(FlowDensity(), ParquetTable(write(tmp_path, frame, [])))
    assert known.codec.columns[0].state()["scaling"]["exponent"] == 17
    assert 20 < known.sample.n_rows < 100


def assert_rows_equal(one: EncodedRows, other: EncodedRows) -> None:
    for name, array in other.arrays().items():
        np.testing.assert_array_equal(getattr(one, name), array)
    if other.given is not None and one.given is not None:
        assert_rows_equal(one.given, other.given)


@pytest.mark.parametrize(
    ("given", "weight"), [(None, None), (["colour", "decimal", "levels"], "w")]
)
def test_windows_hold_each_row_once(
    given: list[str] | None, weight: str | None, in_windows: None, tmp_path: Path
) -> None:
    frame = ROWS.assign(id=np.arange(6000.0)).sort_values("decimal", ignore_index=True)
    own = np.random.default_rng(0).choice([0.5, 2.0], 6000)
    dataset = write(tmp_path, frame if weight is None else frame.assign(w=own), [100])
    table = ParquetTable(dataset, weight)
    estimator = FlowDensity(column_kinds={"id": "continuous"}, given=given)
    known = EncodableDataset.learn(estimator, table)
    train, held_out = known.rows.split(0.1, torch.Generator().manual_seed(0))
    assert len(train) + len(held_out) == 6000
    assert 450 < len(held_out) < 750
    place = known.codec.indices[frame.columns.get_loc("id")].value
    scale = 2.0 ** known.codec.columns[-1].state()["scaling"]["exponent"]

    def numbers(rows: EncodedRows) -> list[int]:
        return np.rint(rows.values[:, place] * scale).astype(int).tolist()

    scaled = None if weight is None else own * (own.sum() / (own**2).sum())
    stored = replace(known.container.read(frame), weight=scaled)
    expected = known.codec.encode(stored)
    assert train.mass + held_out.mass == pytest.approx(stored.mass)
    assert train.n_windows == 3
    for n_pass in range(2):
        found: list[int] = []
        for k in range(3):
            window = train.window(3 * n_pass + k)
            rows = window.take(slice(None))
            assert_rows_equal(window.take(slice(100, 1500)), rows.take(slice(100, 1500)))
            found += numbers(rows)
        assert len(found) == len(set(found)) == len(train) // 3 * 3
        assert set(found).isdisjoint(numbers(held_out.take(slice(None))))
    assert_rows_equal(
        rows, expected.take([frame.index[frame["id"] == i][0] for i in found[-len(rows) :]])
    )
    assert abs(window.mass - rows.mass) < 0.05 * rows.mass
    again = numbers(train.window(5).take(slice(None)))
    assert again == found[-len(again) :]
    places = pd.Index(frame["id"]).get_indexer(np.array(numbers(rows), dtype=float))
    # A window of a sorted table is a sample of it, which a row's place tells.
    assert abs(places.mean() - 3000) < 5 * 6000 / np.sqrt(12 * len(rows))


def test_hashes_are_uniform() -> None:
    rows = np.arange(200_000)
    for seed in (0, 1, 2**31):
        share = hash_rows(rows, seed) / 2.0**64
        counts = np.histogram(share, 20, (0, 1))[0]
        assert abs(counts - 10_000).max() < 500
    one, other = share_of_rows(rows, 1, 0.5), share_of_rows(rows, 2, 0.5)
    assert abs((one == other).mean() - 0.5) < 0.01
    assert share_of_rows(rows, 1, 1.0).all()
    assert not share_of_rows(rows, 1, 0.0).any()


def test_a_fit_is_as_good_as_in_memory(out_of_core: None, tmp_path: Path) -> None:
    """Of sorted files, whose order tells the rows of each file apart."""
    frame = ROWS[:3000].sort_values("decimal", ignore_index=True)
    train, test = frame[::2], frame[1::2]
    dataset = write(tmp_path, train, [1000])
    flow = FlowDensity(**TWO_EPOCHS)
    inside = flow.fit(ParquetTable(dataset).read()[0])
    schema, score = inside.schema_, inside.score(test)
    files = flow.fit(dataset)
    assert files.schema_ == schema
    assert abs(files.score(test) - score) < 0.5  # other rows are held out
    assert files.inverse_error_.share_equal == 1
    drawn = files.sample(20, random_state=0)
    assert list(drawn) == list(frame)


def test_an_index_in_some_files_alone_is_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"k": np.arange(40.0), "x": np.arange(40.0) ** 2})
    frame[:20].set_index("k").to_parquet(tmp_path / "0.parquet")
    frame[20:].to_parquet(tmp_path / "1.parquet")
    with pytest.raises(ValueError, match=r"'k' is a column in .*1\.parquet, and an index"):
        ParquetTable(ds.dataset(tmp_path))


def weights(flow: FlowDensity) -> dict[str, np.ndarray]:
    return model_state(flow._density.model)


def test_constraints_of_a_dataset_are_those_of_its_frame(out_of_core: None, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"net": rng.integers(1, 9999, 2000), "tax": rng.integers(0, 99, 2000)})
    frame["total"] = frame["net"] + frame["tax"]
    frame["shop"] = rng.choice(["Nice", "Rome", "Turin"], 2000)
    frame["country"] = frame["shop"].map({"Nice": "France"}).fillna("Italy")
    for wrong in (0, 20, 90):
        frame.loc[: wrong - 1, "total"] = rng.integers(1, 9999, wrong)
        dataset = write(tmp_path, frame, [700, 1500])
        known = EncodableDataset.learn(FlowDensity(), ParquetTable(dataset))
        in_memory = learn_frame(FlowDensity(), ParquetTable(dataset).read()[0])
        assert len(known.codec.schema.constraints) == 2
        assert known.codec.schema == in_memory.codec.schema
        assert facts(known) == facts(in_memory)
    flow = FlowDensity(n_layers=0, n_components=1, random_state=0).fit(dataset)
    drawn = flow.sample(2000, random_state=0)
    assert np.mean(drawn["net"] + drawn["tax"] == drawn["total"]) == pytest.approx(0.955, abs=0.02)


def test_times_of_a_dataset_are_those_of_its_frame(out_of_core: None, tmp_path: Path) -> None:
    minutes = np.random.default_rng(0).normal(840, 200, 2000).astype(int).clip(0, 1439)
    frame = pd.DataFrame({"left": 100 * (minutes // 60) + minutes % 60, "minute": minutes % 60})
    table = ParquetTable(write(tmp_path, frame, [700, 1500]))
    known = EncodableDataset.learn(FlowDensity(), table)
    assert known.codec.schema.columns[0].kind == "clock"
    assert [*map(str, known.codec.schema.constraints)] == ["minute = minute of left"]
    assert facts(known) == facts(learn_frame(FlowDensity(), table.read()[0]))


def test_rows_for_early_stopping_may_be_a_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ROWS[["decimal", "nullable", "levels", "colour", "atom"]]
    held_out = write(tmp_path, rows[3000:], [])
    flow = FlowDensity(n_layers=0, n_components=1, random_state=0)
    frame = ParquetTable(held_out).read()[0]
    expected = flow.fit(rows[:300], X_val=frame).best_validation_score_
    assert flow.fit(rows[:300], X_val=held_out).best_validation_score_ == expected
    monkeypatch.setattr(training_rows, "MOST_BYTES_IN_MEMORY", 0)
    monkeypatch.setattr(dataset_rows, "MOST_HELD_OUT", 1000)
    assert abs(len(training_rows.in_memory(held_out, None)) - 1000) < 150
    sampled = flow.fit(rows[:300], X_val=held_out).best_validation_score_
    assert 0 < abs(sampled - expected) < 1


@pytest.mark.slow
def test_an_interrupted_fit_goes_on(
    in_windows: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows").mkdir()
    dataset = write(tmp_path / "rows", ROWS[:3500], [])
    whole = FlowDensity(**TWO_LAYERS).fit(dataset)
    assert len(whole.history_["train_score"]) == 4
    flow = FlowDensity(**TWO_LAYERS, checkpoint_path=tmp_path / "checkpoint")
    save = Checkpoint.save
    for n_saves in (1, 3):
        left = n_saves

        def stop(self: Checkpoint, state: Any) -> None:
            nonlocal left
            save(self, state)
            left -= 1
            if not left:
                raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(Checkpoint, "save", stop)
            with pytest.raises(KeyboardInterrupt), pytest.warns(UserWarning, match="interrupted"):
                flow.fit(dataset)
    flow.fit(dataset)
    for name, array in weights(whole).items():
        np.testing.assert_array_equal(weights(flow)[name], array)


def test_the_cache_goes_with_the_fit(
    in_windows: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows").mkdir()
    (tmp_path / "cache").mkdir()
    dataset = write(tmp_path / "rows", ROWS[:2000], [])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "cache"))
    quick: dict[str, Any] = {"n_layers": 0, "n_components": 1, "random_state": 0}
    flow = FlowDensity(**quick).fit(dataset)
    gc.collect()
    assert list((tmp_path / "cache").iterdir()) == []
    again = FlowDensity(**quick, early_stopping=False).fit(dataset)
    assert np.isnan(again.history_["validation_score"]).all()
    again.set_params(warm_start=True).fit(dataset)
    assert again.schema_ == flow.schema_


def test_partitions_and_dictionaries(out_of_core: None, tmp_path: Path) -> None:
    frame = ROWS[["decimal", "size", "colour"]].assign(year=np.repeat([2024, 2025], 3000))
    pq.write_to_dataset(pa.Table.from_pandas(frame), tmp_path, partition_cols=["year"])
    table = ParquetTable(ds.dataset(tmp_path, partitioning="hive"))
    read, _ = table.read()
    assert table.names == ["decimal", "size", "colour", "year"]
    assert read["year"].tolist() == frame["year"].tolist()
    assert read["size"].dropna().unique().tolist() == frame["size"].dropna().unique().tolist()
    assert outcome(EncodableDataset.learn, table) == outcome(learn_frame, read)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"x": ["a", "b"], "i": [1, 2]}, "Column 'x' is string in .*1.parquet, and double else"),
        ({"x": [1.5, 2.5], "i": [True, False]}, "Column 'i' is bool in .*1.parquet, and int64"),
        (
            {"x": pa.array([1, 2], pa.decimal128(9, 3)), "i": [1, 2]},
            r"Column 'x' is decimal128\(9, 3\) in .*1.parquet, and double elsewhere",
        ),
        ({"x": [1.5, 2.5]}, "Column 'i' is nothing in .*1.parquet, and int64 elsewhere"),
        ({"x": [1.5, 2.5], "i": [1, 2], "z": [1, 2]}, "Column 'z' is nothing in .*0.parquet"),
    ],
)
def test_files_that_disagree_are_refused(other: Any, said: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": np.arange(3.0), "i": [1, 2, 3]}), tmp_path / "0.parquet")
    pq.write_table(pa.table(other), tmp_path / "1.parquet")
    with pytest.raises(ValueError, match=said):
        FlowDensity().fit(ds.dataset(tmp_path))
    if said.startswith("Column 'i' is bool"):  # a column that is left out may be of any types
        chosen = ds.dataset(tmp_path, schema=pa.schema([("x", pa.float64())]))
        assert ParquetTable(chosen).read()[0].shape == (5, 1)


def as_dictionary(values: list[str]) -> Any:
    return pa.array(values).dictionary_encode()


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([pa.nulls(2), [1.5, None]], [None, None, 1.5, None]),
        ([[1, 2], pa.array([0.5, None])], [1.0, 2.0, 0.5, None]),
        (
            [pa.array([1], pa.int8()), [300], pa.array([2**63 - 1], pa.uint64())],
            [1, 300, 2**63 - 1],
        ),
        ([as_dictionary(["a", "b"]), pa.array(["c"], pa.large_string())], ["a", "b", "c"]),
        ([pa.nulls(1), as_dictionary(["a"]), as_dictionary(["b", "a"])], [None, "a", "b", "a"]),
        (
            [pa.array([1], pa.timestamp("s")), pa.array([2], pa.timestamp("ns"))],
            [pd.Timestamp(1, unit="s"), pd.Timestamp(2)],
        ),
    ],
)
@pytest.mark.parametrize("is_reversed", [False, True])
def test_files_of_several_types_are_read_as_the_type_that_holds_all(
    parts: list[Any], expected: list[Any], is_reversed: bool, tmp_path: Path
) -> None:
    for k, part in enumerate(parts):
        name = len(parts) - k if is_reversed else k
        pq.write_table(pa.table({"x": part}), tmp_path / f"{name}.parquet")
    frame, _ = ParquetTable(ds.dataset(tmp_path)).read()
    found = [None if pd.isna(value) else value for value in frame["x"].tolist()]
    key = lambda value: (value is None, str(value))  # noqa: E731
    assert sorted(found, key=key) == sorted(expected, key=key)


def test_integers_that_no_float_holds_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [2**53 + 1, 2]}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"x": [0.5, 2.0]}), tmp_path / "1.parquet")
    said = r"0.parquet cannot be read .* with column 'x', which is int64, as double for other files"
    with pytest.raises(OSError, match=said):
        FlowDensity().fit(ds.dataset(tmp_path))


@pytest.fixture
def dataset(tmp_path: Path) -> Iterator[Any]:
    return write(tmp_path, ROWS[:50], [])


def test_what_a_dataset_cannot_do(out_of_core: None, dataset: Any) -> None:
    for estimator in (FlowDensity(), FlowOutlierDetector()):
        with pytest.raises(ValueError, match=r"is a filtered dataset.*write_dataset\(X, "):
            estimator.fit(dataset.filter(ds.field("decimal") > 50))
    with pytest.raises(TypeError, match=r"Dataset\. Convert it"):
        FlowImputer().fit(dataset)
    flow = FlowDensity(n_layers=0, n_components=1).fit(dataset)
    with pytest.raises(TypeError, match=r"X = X\.to_table\(\)\.to_pandas\(date_as_object=False\)"):
        flow.score_samples(dataset)


def test_a_small_dataset_is_read_into_memory(dataset: Any) -> None:
    quick: dict[str, Any] = {"n_layers": 0, "n_components": 1, "random_state": 0}
    one, other = FlowDensity(**quick), FlowDensity(**quick)
    one.fit(dataset)
    other.fit(ParquetTable(dataset).read()[0])
    assert one.score(ROWS[50:90]) == other.score(ROWS[50:90])
