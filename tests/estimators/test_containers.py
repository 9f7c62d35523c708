"""Container in, same container out: arrays, pandas and polars."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from skflow import FlowDensity
from tests.settings import ONE_GAUSSIAN, ONE_TINY_LAYER, TWO_EPOCHS
from tests.tables import Table, correlated

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")

DTYPES = {
    "i8": np.int8,
    "i16": np.int16,
    "i32": np.int32,
    "i64": np.int64,
    "u8": np.uint8,
    "u16": np.uint16,
    "u32": np.uint32,
    "u64": np.uint64,
    "f32": np.float32,
    "f64": np.float64,
    "flag": bool,
}


def mixed_columns(n_rows: int) -> dict[str, np.ndarray]:
    """One column of each dtype; float64 with as many digits as are promised back."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(50, 20, size=(n_rows, len(DTYPES))).clip(1, 120).round(3)
    columns = dict(zip(DTYPES, numbers.T, strict=True))
    columns["flag"] = columns["flag"] > 50
    return {name: values.astype(DTYPES[name]) for name, values in columns.items()}


def pandas_table(n_rows: int = 150) -> pd.DataFrame:
    index = pd.Index([f"row {i}" for i in range(n_rows)], name="row")
    return pd.DataFrame(mixed_columns(n_rows), index=index)


def polars_table(n_rows: int = 150) -> pl.DataFrame:
    return pl.DataFrame(mixed_columns(n_rows))


@pytest.fixture(scope="module")
def pandas_flow() -> FlowDensity:
    return FlowDensity(**TWO_EPOCHS).fit(pandas_table())


@pytest.fixture(scope="module")
def polars_flow() -> FlowDensity:
    return FlowDensity(**TWO_EPOCHS).fit(polars_table())


def test_pandas_round_trip(pandas_flow: FlowDensity) -> None:
    df = pandas_table()
    back = pandas_flow.inverse_transform(pandas_flow.transform(df))
    pd.testing.assert_frame_equal(back, df.reset_index(drop=True), check_exact=True)


def test_pandas_index_travels_with_the_latents() -> None:
    df = pandas_table()
    flow = FlowDensity(**TWO_EPOCHS).set_output(transform="pandas").fit(df)
    Z = flow.transform(df)
    assert list(Z.columns) == list(df.columns)
    pd.testing.assert_frame_equal(flow.inverse_transform(Z), df, check_exact=True)
    pd.testing.assert_frame_equal(
        flow.inverse_transform(Z.iloc[::-3]), df.iloc[::-3], check_exact=True
    )


def test_pandas_samples(pandas_flow: FlowDensity) -> None:
    samples = pandas_flow.sample(7, random_state=0)
    assert isinstance(samples, pd.DataFrame)
    pd.testing.assert_series_equal(samples.dtypes, pandas_table().dtypes)
    assert list(samples.index) == list(range(7))


@pytest.mark.parametrize("dtype", ["Float64", "Float32", "Int64", "float64[pyarrow]", "boolean"])
def test_pandas_nullable_dtypes(dtype: str) -> None:
    X = np.random.default_rng(1).integers(0, 2, size=(120, 2))
    df = pd.DataFrame(X, columns=["a", "b"]).astype(dtype)
    flow = FlowDensity(**TWO_EPOCHS).fit(df)
    back = flow.inverse_transform(flow.transform(df))
    pd.testing.assert_frame_equal(back, df, check_exact=True)
    assert (flow.sample(3).dtypes == df.dtypes).all()


def test_polars_round_trip(polars_flow: FlowDensity) -> None:
    df = polars_table()
    back = polars_flow.inverse_transform(polars_flow.transform(df))
    assert isinstance(back, pl.DataFrame)
    assert back.schema == df.schema
    assert back.equals(df)


def test_polars_latents_and_samples() -> None:
    df = polars_table()
    flow = FlowDensity(**TWO_EPOCHS).set_output(transform="polars").fit(df)
    Z = flow.transform(df)
    assert isinstance(Z, pl.DataFrame)
    assert Z.columns == df.columns
    assert flow.inverse_transform(Z).equals(df)
    assert flow.sample(4).schema == df.schema


def test_containers_score_alike(pandas_flow: FlowDensity, polars_flow: FlowDensity) -> None:
    np.testing.assert_array_equal(
        pandas_flow.score_samples(pandas_table()), polars_flow.score_samples(polars_table())
    )
    np.testing.assert_array_equal(
        pandas_flow.score_samples(pandas_table()), pandas_flow.score_samples(polars_table())
    )


@pytest.mark.parametrize("dtype", [*DTYPES.values(), np.float16])
def test_array_dtypes(dtype: type) -> None:
    X = np.random.default_rng(2).integers(0, 2, size=(120, 3)) * 5
    X = (X + np.arange(120)[:, None] % 7 if dtype is not bool else X).astype(dtype)
    flow = FlowDensity(**ONE_GAUSSIAN).fit(X)
    for rows in (flow.inverse_transform(flow.transform(X)), flow.sample(20, random_state=0)):
        assert type(rows) is np.ndarray
        assert rows.dtype == X.dtype
    assert (flow.inverse_transform(flow.transform(X)) == X).all()


def test_lists_come_back_as_arrays(table: Table) -> None:
    flow = FlowDensity(**TWO_EPOCHS).fit(table.tolist())
    assert flow.sample(2).dtype == np.float64


def test_arrays_are_read_by_a_flow_of_frames(pandas_flow: FlowDensity) -> None:
    df = pandas_table()
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        scores = pandas_flow.score_samples(df.to_numpy(dtype=np.float64))
    np.testing.assert_array_equal(scores, pandas_flow.score_samples(df))


def test_names(pandas_flow: FlowDensity, trained: FlowDensity) -> None:
    assert list(pandas_flow.feature_names_in_) == list(DTYPES)
    assert list(pandas_flow.get_feature_names_out()) == list(DTYPES)
    assert not hasattr(trained, "feature_names_in_")
    assert list(trained.get_feature_names_out()) == ["x0", "x1", "x2", "x3", "x4"]


def test_schema_says_what_columns_are_taken_for(pandas_flow: FlowDensity) -> None:
    kinds = {column.name: column.kind for column in pandas_flow.schema_.columns}
    assert kinds["f64"] == kinds["f32"] == "decimal"
    assert kinds["flag"] == "categorical"
    assert {kinds[name] for name in DTYPES if name[0] in "iu"} == {"integer"}
    text = repr(pandas_flow.schema_)
    assert all(name in text for name in DTYPES)
    assert "Schema of 11 columns" in text


def test_schema_depends_on_the_rows_alone() -> None:
    df = pandas_table()
    schemas = [
        FlowDensity(**ONE_TINY_LAYER | params).fit(df).schema_
        for params in ({}, {"random_state": 9}, {"n_layers": 0}, {"early_stopping": False})
    ]
    assert all(schema == schemas[0] for schema in schemas)
    constant = df.assign(f64=1.0)
    assert FlowDensity(**ONE_TINY_LAYER).fit(constant).schema_ != schemas[0]


def test_rows_are_numbered_where_z_is_no_frame() -> None:
    df = pd.DataFrame(correlated(50, 2, seed=3), columns=["a", "b"], index=range(100, 150))
    flow = FlowDensity(**TWO_EPOCHS).fit(df)
    assert list(flow.inverse_transform(flow.transform(df)).index) == list(range(50))


def test_repeated_sampling_uses_no_rows_of_the_table(pandas_flow: FlowDensity) -> None:
    """The container that is kept holds names and dtypes, no rows."""
    assert len(pandas_flow._density.container.template) == 0
