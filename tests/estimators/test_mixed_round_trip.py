"""The same rows back: every kind, dtype and missing marker, in every container."""

import copy
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from pandas.testing import assert_frame_equal
from polars.testing import assert_frame_equal as assert_polars_equal

from skflow import FlowDensity
from tests.mixed import every_kind, every_polars_kind, object_array
from tests.settings import ONE_TINY_LAYER, TWO_GAUSSIANS, TWO_LAYERS, slow_but
from tests.tables import randomise

N_ROWS = 250


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    df = every_kind(N_ROWS)
    return df.set_index(pd.Index(np.random.default_rng(0).permutation(N_ROWS) + 7, name="row"))


@pytest.fixture(scope="module")
def held_out() -> pd.DataFrame:
    return every_kind(120, seed=1).set_index(pd.RangeIndex(1000, 1120))


WEIGHTS = ["trained", "initial", "randomised"]


@pytest.fixture(scope="module", params=slow_but(["initial", "randomised"], WEIGHTS))
def flow(request: pytest.FixtureRequest, table: pd.DataFrame) -> FlowDensity:
    # A layer bends every column; two at random leave the mixture in its far tails.
    params = {
        "initial": TWO_GAUSSIANS,
        "trained": TWO_LAYERS,
        "randomised": TWO_LAYERS | {"n_layers": 1, "max_iter": 1},
    }
    flow = FlowDensity(**params[request.param]).set_output(transform="pandas").fit(table)
    return randomise(flow, seed=3) if request.param == "randomised" else flow


def assert_same(flow: FlowDensity, rows: pd.DataFrame) -> None:
    """Cells, dtypes, missing markers, categories, names and index: all equal."""
    back = flow.inverse_transform(flow.transform(rows))
    assert_frame_equal(back, rows, check_exact=True, check_freq=False)
    for name in ("object", "nullable", "colour"):  # pandas takes None and NaN for equal
        kinds = [[type(cell) for cell in frame[name]] for frame in (back, rows)]
        assert kinds[0] == kinds[1], name


def test_training_rows_come_back(flow: FlowDensity, table: pd.DataFrame) -> None:
    assert_same(flow, table)


def test_held_out_rows_come_back(flow: FlowDensity, held_out: pd.DataFrame) -> None:
    assert_same(flow, held_out)


def test_rows_come_back_one_by_one(flow: FlowDensity, held_out: pd.DataFrame) -> None:
    Z = flow.transform(held_out)
    for i in range(0, len(held_out), 30):
        row = held_out.iloc[[i]]
        assert_frame_equal(flow.inverse_transform(Z.iloc[[i]]), row, check_exact=True)
        assert_same(flow, row)


def test_rows_come_back_in_another_order(flow: FlowDensity, held_out: pd.DataFrame) -> None:
    shuffled = held_out.sample(frac=1, random_state=0)
    assert_same(flow, shuffled)
    Z = flow.transform(held_out).loc[shuffled.index]
    assert_frame_equal(flow.inverse_transform(Z), shuffled, check_exact=True)


@pytest.mark.parametrize("copied", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy])
def test_rows_come_back_from_a_copy(flow: FlowDensity, held_out: pd.DataFrame, copied) -> None:
    twin = copied(flow)
    assert_same(twin, held_out)
    Z = flow.transform(held_out)
    assert_frame_equal(twin.inverse_transform(Z), held_out, check_exact=True)
    np.testing.assert_array_equal(twin.score_samples(held_out), flow.score_samples(held_out))
    assert twin.schema_ == flow.schema_


def test_rows_are_numbered_where_latents_have_no_index(
    flow: FlowDensity, held_out: pd.DataFrame
) -> None:
    Z = flow.transform(held_out).to_numpy()
    expected = held_out.reset_index(drop=True)
    assert_frame_equal(flow.inverse_transform(Z), expected, check_exact=True)


def test_inverse_error_says_that_all_came_back(flow: FlowDensity) -> None:
    assert flow.inverse_error_ == (1.0, 0.0)


def test_columns_full_of_digits_come_back_nearly() -> None:
    """Of float64 cells of 16 digits, 1e-11 of the column's scale may be lost; holes are exact."""
    rng = np.random.default_rng(2)
    df = pd.DataFrame({"x": rng.standard_normal(300) * 1e5, "group": rng.choice(["a", "b"], 300)})
    df.loc[rng.random(300) < 0.3, "x"] = np.nan
    flow = FlowDensity(**TWO_LAYERS).fit(df)
    back = flow.inverse_transform(flow.transform(df))
    assert (back["x"].isna() == df["x"].isna()).all()
    assert (back["x"] - df["x"]).abs().max() <= 1e-11 * 1e5


@pytest.mark.parametrize("params", slow_but([TWO_GAUSSIANS], [TWO_GAUSSIANS, TWO_LAYERS]))
def test_polars_rows_come_back(params: dict) -> None:
    df, fresh = every_polars_kind(N_ROWS), every_polars_kind(100, seed=1)
    flow = FlowDensity(**params).set_output(transform="polars").fit(df)
    for rows in (df, fresh, fresh[:1], fresh[::-1]):
        Z = flow.transform(rows)
        assert isinstance(Z, pl.DataFrame)
        back = flow.inverse_transform(Z)
        assert back.schema == rows.schema
        assert_polars_equal(back, rows, check_exact=True, categorical_as_str=True)
        assert back["nan"].is_nan().to_list() == rows["nan"].is_nan().to_list()
        assert back.null_count().equals(rows.null_count())


@pytest.mark.parametrize("params", [TWO_GAUSSIANS, TWO_LAYERS], ids=["closed form", "trained"])
def test_arrays_of_objects_come_back(params: dict) -> None:
    X, fresh = object_array(N_ROWS), object_array(100, seed=1)
    flow = FlowDensity(**params).fit(X)
    for rows in (X, fresh, fresh[:1]):
        back = flow.inverse_transform(flow.transform(rows))
        assert back.dtype == object
        assert back.shape == rows.shape
        for ours, theirs in zip(back.flat, rows.flat, strict=True):
            assert type(ours) is type(theirs)
            assert ours == theirs or (ours != ours and theirs != theirs)


def test_arrays_of_strings_come_back() -> None:
    rng = np.random.default_rng(3)
    X = rng.choice(["", "a", "ä", "1", "1.0", "nan"], size=(300, 3))
    flow = FlowDensity(**TWO_LAYERS).fit(X)
    back = flow.inverse_transform(flow.transform(X))
    assert back.dtype == X.dtype
    np.testing.assert_array_equal(back, X)


def test_dates_in_an_array_come_back() -> None:
    rng = np.random.default_rng(4)
    X = np.datetime64("2020-01-01", "s") + rng.integers(0, 10**6, size=(200, 2)).astype("m8[s]")
    X[::7, 1] = "NaT"
    flow = FlowDensity(**TWO_LAYERS).fit(X)
    back = flow.inverse_transform(flow.transform(X))
    assert back.dtype == X.dtype
    np.testing.assert_array_equal(back, X)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("levels", [0.5, 0.5, 2.0, 2.0, 7.0]),
        ("integer", [3, 3, 900, -70, 12]),
        ("categorical", [1, 2, 3, 1, 2]),
        ("decimal", [0.25, 1.5, 1.5, 3.75, -1.0]),
        ("continuous", [1, 2, 3, 4, 5]),
    ],
)
def test_columns_whose_kind_is_given_come_back(kind: str, values: list) -> None:
    df = pd.DataFrame({"x": values * 20, "y": np.arange(100.0)})
    flow = FlowDensity(**ONE_TINY_LAYER, column_kinds={"x": kind}).fit(df)
    assert flow.schema_.columns[0].kind == kind
    assert_frame_equal(flow.inverse_transform(flow.transform(df)), df, check_exact=True)


IDS = {
    "integers": 1_500_000_000_000_000_000 + np.array([0, 1, 2, 3, 2**58]),
    "unsigned integers": np.array([5, 2**63, 2**64 - 2, 2**64 - 1], dtype=np.uint64),
    "ends of int64": np.array([-(2**63), -(2**63) + 1, 0, 2**63 - 1]),
    "dates of nanoseconds": np.array([1, 2, 3, 2**62]).view("M8[ns]"),
    "durations of nanoseconds": np.array([-(2**62), 1, 2, 3]).view("m8[ns]"),
}


@pytest.mark.parametrize("name", IDS)
def test_labels_beyond_the_digits_of_float64_stay_apart(name: str) -> None:
    """Their probabilities sum to 1, each comes back, and no other is drawn."""
    ids = IDS[name]
    df = pd.DataFrame({"user": np.resize(ids, 200), "x": np.arange(200.0) % 7})
    flow = FlowDensity(**TWO_GAUSSIANS, categorical_features=["user"]).fit(df)
    assert flow.inverse_error_ == (1.0, 0.0)
    assert_frame_equal(flow.inverse_transform(flow.transform(df)), df, check_exact=True)
    assert flow.sample(500, random_state=0)["user"].isin(ids).all()
    of_ids = FlowDensity(**TWO_GAUSSIANS, categorical_features=["user"]).fit(df[["user"]])
    total = np.exp(of_ids.score_samples(pd.DataFrame({"user": ids}))).sum()
    assert total == pytest.approx(1, abs=1e-8)
    beside = pd.DataFrame({"user": (ids.view(np.int64) + 9).view(ids.dtype)})
    with pytest.raises(ValueError, match=r"'user': .*never seen"):
        of_ids.transform(beside[~beside["user"].isin(ids)])


def test_costs_of_few_rows_are_drawn_and_told_apart() -> None:
    """Zero in 98.5 % of the rows, else 29 different costs."""
    rng = np.random.default_rng(0)
    cost = np.zeros(2000, dtype=int)
    cost[:29] = np.rint(rng.lognormal(9, 2, 29))
    flow = FlowDensity(n_layers=0, n_components=1, random_state=0).fit(pd.DataFrame({"cost": cost}))
    drawn = flow.sample(20_000, random_state=0)["cost"]
    assert (drawn > 0).mean() == pytest.approx(29 / 2000, abs=0.004)
    near, usual, far = flow.score_samples(pd.DataFrame({"cost": [100, 5000, 10**7]}))
    assert min(near, usual) > far + 4
    every = pd.DataFrame({"cost": np.arange(200_000)})
    assert np.exp(flow.score_samples(every)).sum() == pytest.approx(1, abs=0.01)
