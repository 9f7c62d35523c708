"""Completed tables: cells of other rows in place of missing ones."""

import numpy as np
import pandas as pd
import pytest

from skflow import FlowDensity
from skflow.clock import Clock
from skflow.estimators.validation import check_table
from skflow.fitted import donors
from skflow.fitted.donors import complete
from skflow.fitted.table_rows import EncodableTable
from skflow.table.storage import StoredTable


def completed(
    X: pd.DataFrame, weight: np.ndarray | None = None, max_time: float | None = None
) -> StoredTable:
    """Fill all missing cells of columns that hold a value."""
    density = FlowDensity()
    check_table(density, X, reset=True)
    known = EncodableTable.learn(density, X, weight)
    missing = X.isna().to_numpy() & X.notna().any().to_numpy()
    return complete(known.table, known.codec, missing, np.random.RandomState(0), Clock(max_time))


def dependent(n_rows: int = 600) -> pd.DataFrame:
    """Numbers, categories and dates that follow from one another up to noise."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=n_rows)
    day = np.datetime64("2020-01-01") + np.rint(100 * (x + 5)).astype("timedelta64[D]")
    return pd.DataFrame(
        {
            "x": x,
            "y": x**2 + 0.1 * rng.normal(size=n_rows),
            "kind": np.where(x > 0, "high", "low"),
            "day": day,
        }
    )


def test_cells_are_those_of_rows_that_hold_one() -> None:
    X = dependent()
    partial = X.mask(np.random.default_rng(1).random(X.shape) < 0.3)
    table = completed(partial)
    for column, (name, cells) in zip(table.columns, partial.items(), strict=True):
        assert column.present.all()
        known = cells.notna().to_numpy()
        own = X[name].to_numpy()
        own = own.astype("datetime64[s]").astype(np.int64) if name == "day" else own
        values = column.values
        if name == "kind":
            values = np.array(["high", "low"])[np.unique(values, return_inverse=True)[1]]
        elif name == "day":
            values = values * int(1 / column.tick) if column.tick < 1 else values
            assert set(values[~known]) <= set(values[known])
            continue
        assert (values[known] == own[known]).all()
        assert set(values[~known]) <= set(own[known])


def test_cells_follow_the_rest_of_their_rows() -> None:
    """Against the curve that the data come from, and its noise."""
    X = dependent(2000)
    hidden = np.random.default_rng(1).random(len(X)) < 0.3
    table = completed(X.assign(y=X["y"].mask(hidden), kind=X["kind"].mask(hidden)))
    x, y = (X[name].to_numpy()[hidden] for name in ("x", "y"))
    drawn = table.columns[1].values[hidden] - x**2
    usual = np.abs(x) < 2
    assert drawn[usual].std() == pytest.approx((y - x**2)[usual].std(), rel=0.25)
    codes = table.columns[2].values[hidden]
    assert (np.unique(codes, return_inverse=True)[1] == (x < 0)).mean() > 0.98


def test_rows_that_lack_what_the_other_holds_are_no_lasting_pair() -> None:
    """Two columns, one is missing in most rows, are as dependent as where both are known."""
    errors = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=500)
        X = pd.DataFrame({"x": x, "y": x + 0.1 * rng.normal(size=500)})
        partial = X.mask(rng.random(X.shape) < 0.4)
        first, second = (column.values for column in completed(partial).columns)
        one = partial.isna().sum(axis=1).to_numpy() == 1
        errors.append(np.quantile(np.abs(first - second)[one], 0.9))
    assert np.mean(errors) < 0.23  # 0.16 by the truth, 0.6 if all rows count alike


def test_weights_are_odds_of_donors() -> None:
    """A column that depends on nothing, in a table with nothing else that varies."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.integers(2, size=4000) + 0.0, "b": 1.0})
    weight = np.where(X["a"] == 1, 3.0, 1.0)
    partial = X.assign(a=X["a"].mask(np.arange(4000) < 2000))
    shares = [completed(partial, own).columns[0].values[:2000].mean() for own in (None, weight)]
    assert shares[0] == pytest.approx(0.5, abs=0.05)
    assert shares[1] == pytest.approx(0.75, abs=0.05)


def test_columns_with_one_value_or_none() -> None:
    X = pd.DataFrame(
        {"one": [1.0, np.nan, np.nan, 1.0], "none": np.nan, "z": [0.5, 1.5, 2.5, np.nan]}
    )
    one, none, z = completed(X).columns
    assert (one.values == 1).all()
    assert one.present.all()
    assert not none.present.any()
    assert z.present.all()
    only = completed(X[["one"]].assign(one=[1.0, np.nan, 2.0, np.nan]))
    assert set(only.columns[0].values) == {1.0, 2.0}


def test_few_of_many_rows_grow_the_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(donors, "MOST_DONORS", 50)
    X = dependent(400)
    hidden = np.arange(400) < 200
    values = completed(X.assign(x=X["x"].mask(hidden))).columns[0].values
    assert len(set(values[hidden])) <= 50
    assert np.abs(values - X["x"])[hidden].mean() < 0.3


def test_without_time_any_row_is_a_donor() -> None:
    X = dependent(400)
    hidden = np.arange(400) < 200
    column = completed(X.assign(x=X["x"].mask(hidden)), max_time=1e-9).columns[0]
    assert column.present.all()
    assert abs(np.corrcoef(column.values[hidden], X["x"][hidden])[0, 1]) < 0.3


def test_means_and_slopes_of_completed_tables_are_those_of_the_rows() -> None:
    """A number is mostly missing where another is large; by trees alone slopes lost an eighth."""
    means, slopes = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        x, z = rng.normal(size=(2, 300))
        X = pd.DataFrame({"x": x, "z": z, "y": 0.7 * x + 0.5 * z + 0.5 * rng.normal(size=300)})
        hidden = rng.random(300) < 1 / (1 + np.exp(-2 * x))
        y = completed(X.assign(y=X["y"].mask(hidden))).columns[2].values
        means.append(y.mean() - X["y"].mean())
        slopes.append(np.polyfit(x, y, 1)[0] - np.polyfit(x, X["y"], 1)[0])
    assert abs(np.mean(means)) < 0.05
    assert abs(np.mean(slopes)) < 0.05
