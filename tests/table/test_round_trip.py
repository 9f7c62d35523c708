"""decode(encode(table)) is the table, whatever stored it."""

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tests.table.trips import assert_comes_back, assert_same, fit

N = 60
RNG = np.random.default_rng(0)
COUNT = np.arange(N)
INDEX = range(7, N + 7)
UTC_DAY = dt.datetime(2020, 1, 1, 10)


def cycle(*values: Any) -> list[Any]:
    """These values over and over, ``N`` in all."""
    return (list(values) * N)[:N]


def objects(*values: Any) -> pd.Series:
    return pd.Series(cycle(*values), dtype=object, index=INDEX)


def arrow(values: list[Any], dtype: pa.DataType) -> Any:
    return pd.array(values, dtype=pd.ArrowDtype(dtype))


PANDAS = {
    "float16": np.array(cycle(1.5, 2.25, np.nan, -3.125, 0.1), np.float16),
    "float32": np.append(RNG.normal(size=N - 1), 3e38).astype(np.float32),
    "float32 prices": (RNG.integers(0, 9999, N) / 100).astype(np.float32),
    "float64 of 12 digits": RNG.normal(size=N).round(11),
    "prices": RNG.integers(1, 10**6, N) / 100,
    "numbers without a value that comes twice": np.array([7.5, *cycle(np.nan)[1:]]),
    "subnormal float32": (COUNT * 1e-45).astype(np.float32),
    "float constant": np.full(N, 1 / 3),
    "float levels": np.array(cycle(1 / 3, 2 / 3, np.nan)),
    "zeros and more": np.where(COUNT % 3 == 0, 0.0, RNG.normal(size=N).round(6)),
    "only NaN": np.full(N, np.nan),
    "int8": COUNT.astype(np.int8),
    "uint64 at its top": COUNT.astype(np.uint64) + np.uint64(2**64 - N),
    "int64 at its bottom": COUNT + np.iinfo(np.int64).min,
    "tens": 10 * RNG.integers(-50, 50, N),
    "billions in thousands": 1000 * RNG.integers(0, 10**12, N),
    "integer levels": np.array(cycle(1, 2)),
    "integer constant": np.full(N, 2**62 + 1),
    "bool": COUNT % 3 == 0,
    "bool constant": np.ones(N, dtype=bool),
    "Int8": pd.array(cycle(1, None, 3), "Int8"),
    "UInt64": pd.array([*range(2**63, 2**63 + N - 1), None], "UInt64"),
    "Float32": pd.array(cycle(1.5, None, 3), "Float32"),
    "Float64 of NaN and NA": pd.arrays.FloatingArray(
        np.where(COUNT % 3, RNG.normal(size=N).round(5), np.nan), COUNT % 7 == 0
    ),
    "boolean": pd.array(cycle(True, None, False), "boolean"),
    "str": pd.array(cycle("a", None, "", "ü", "1"), "str"),
    "string": pd.array(cycle("a", None, "NaN"), "string"),
    "string[pyarrow]": pd.array(cycle("a", None, "b"), "string[pyarrow]"),
    "ordered category, unused level": pd.Categorical(
        cycle("low", None, "high"), categories=["low", "mid", "high"], ordered=True
    ),
    "category of integers": pd.Categorical(cycle(3, None, 1), categories=[3, 1, 2]),
    "category of intervals": pd.cut(COUNT, 4),
    "category of dates": pd.Categorical(pd.to_datetime(cycle("2020-01-01", None, "2021-01-01"))),
    "objects of every marker": objects("a", None, "b", np.nan, pd.NA, pd.NaT),
    "objects of every type": objects(1, True, 1.0, "1", b"1", (1, "1"), None, "", "é"),
    "objects of pairs": objects((1, 2), (3, 4), None),
    "objects of integers": objects(1, 2, None, 500, 7),
    "objects of large integers": objects(2**63, 2**63 + 1, 2**63 + 5),
    "objects of floats": objects(1.5, 2.0, None, 5.25, np.nan),
    "objects of decimals": objects(Decimal("1.10"), Decimal("2.2"), None),
    "objects of booleans": objects(True, None, False),
    "only None": objects(None),
    "datetime64[s]": pd.array(cycle("2020-01-01", None, "1066-10-14"), "datetime64[s]"),
    "datetime64[ns]": pd.to_datetime("2020-01-01") + pd.to_timedelta(COUNT**3, "ns"),
    "datetime64[us]": pd.to_datetime("2020-01-01") + pd.to_timedelta(COUNT**4 * 1000, "us"),
    "date constant": pd.to_datetime(["2020-02-03 04:05:06.000007"] * N).as_unit("us"),
    "time zone": pd.to_datetime(pd.Series(cycle("2020-01-01", None, "2020-07-01")))
    .dt.tz_localize("Europe/Berlin")
    .array,
    "only NaT": np.full(N, "NaT", "M8[ns]"),
    "timedelta64[ms]": np.array(cycle(1, 2, 30, -5), "m8[ms]"),
    "timedelta64[ns]": np.array([*cycle(10**12, 1, 3)[1:], "NaT"], "m8[ns]"),
    "arrow int64": arrow(cycle(1, None, 3), pa.int64()),
    "arrow double of NaN and NA": pd.arrays.ArrowExtensionArray(
        pa.array(np.array(cycle(1.5, np.nan, 2, 3)), mask=COUNT % 5 == 0, from_pandas=False)
    ),
    "arrow bool": arrow(cycle(True, None, False), pa.bool_()),
    "arrow string": arrow(cycle("a", None), pa.string()),
    "arrow dictionary": arrow(cycle("a", None, "b"), pa.dictionary(pa.int32(), pa.string())),
    "arrow timestamp": arrow(
        cycle(UTC_DAY, None, dt.datetime(2021, 1, 1)), pa.timestamp("ms", "Europe/Berlin")
    ),
    "arrow duration": arrow(cycle(dt.timedelta(1), None, dt.timedelta(2)), pa.duration("us")),
    "arrow date32": arrow(cycle(dt.date(2020, 1, 1), None, dt.date(1, 1, 1)), pa.date32()),
    "arrow date64": arrow(cycle(dt.date(2020, 1, 1), None, dt.date(9999, 12, 31)), pa.date64()),
    "arrow decimal128": arrow(
        cycle(Decimal("1.10"), None, Decimal("-2.25"), Decimal("99.01")), pa.decimal128(10, 2)
    ),
}

POLARS = {
    "Int64": pl.Series(cycle(1, None, 3)),
    "UInt8": pl.Series(COUNT, dtype=pl.UInt8),
    "Float64 of NaN and null": pl.Series(cycle(1.0, None, float("nan"), 2.5)),
    "Float32": pl.Series(cycle(1.5, None, 2.1), dtype=pl.Float32),
    "Boolean": pl.Series(cycle(True, None, False)),
    "String": pl.Series(cycle("a", None, "b", "")),
    "Categorical": pl.Series(cycle("z", None, "b"), dtype=pl.Categorical),
    "Enum": pl.Series(cycle("a", None, "b"), dtype=pl.Enum(["b", "a", "unused"])),
    "Datetime": pl.Series(cycle(UTC_DAY, None, UTC_DAY), dtype=pl.Datetime("ms")),
    "time zone": pl.Series(
        cycle(UTC_DAY, None, UTC_DAY.replace(month=7)), dtype=pl.Datetime("ns", "Europe/Berlin")
    ),
    "Date": pl.Series(cycle(dt.date(2020, 1, 1), None, dt.date(9999, 12, 31))),
    "Duration": pl.Series(cycle(dt.timedelta(1), None, dt.timedelta(0, 7))),
    "Decimal": pl.Series(cycle("1.10", None, "2.25")).cast(pl.Decimal(10, 2)),
    "Null": pl.Series([None] * N),
}

ARRAYS = {
    "int64": np.arange(2 * N).reshape(-1, 2),
    "float32, Fortran order": np.asfortranarray(RNG.normal(size=(N, 2)).astype(np.float32)),
    "float64, big-endian": RNG.normal(size=(N, 2)).round(9).astype(">f8"),
    "uint16, negative strides": np.arange(2 * N, dtype=np.uint16).reshape(-1, 2)[::-1, ::-1],
    "bool": RNG.integers(0, 2, (N, 2)).astype(bool),
    "strings": np.array([cycle("a", "b", "é"), cycle("1", "2")]).T,
    "objects": np.array([cycle("a", None, "é"), cycle(1, 2, None)], dtype=object).T,
    "dates": np.array(cycle("2020-01-01", "2021-02-02", "NaT"), "M8[D]")[:, None],
}


@pytest.mark.parametrize("name", PANDAS)
def test_pandas(name: str) -> None:
    assert_comes_back(pd.DataFrame({"a": PANDAS[name]}, index=INDEX))


@pytest.mark.parametrize("name", POLARS)
def test_polars(name: str) -> None:
    assert_comes_back(pl.DataFrame({"a": POLARS[name]}))


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(name: str) -> None:
    array = ARRAYS[name]
    array.setflags(write=False)
    assert_comes_back(array)


def test_all_together() -> None:
    fitted = assert_comes_back(pd.DataFrame(PANDAS, index=INDEX))
    assert len(fitted.schema.columns) == len(PANDAS)
    assert_comes_back(pl.DataFrame(POLARS))


def test_longdouble_is_float64() -> None:
    X = RNG.normal(size=(N, 2)).round(8)
    assert_same(fit(X.astype(np.longdouble)).there_and_back(X), X)


def test_column_names_need_not_be_strings() -> None:
    assert_comes_back(pd.DataFrame({0: COUNT, ("a", 1): COUNT % 2, None: cycle("x", "y")}))


@pytest.mark.parametrize("kind", ["integer", "continuous", "levels", "categorical"])
def test_one_table_of_any_kind(kind: str) -> None:
    frame = pd.DataFrame({"a": np.array(cycle(1, 2, 3, 5, 8, 13))})
    assert assert_comes_back(frame, column_kinds={"a": kind}).column.kind == kind


@pytest.mark.parametrize("kind", ["continuous", "integer"])
def test_a_constant_taken_for_a_value(kind: str) -> None:
    assert_comes_back(pd.DataFrame({"a": np.full(N, 7)}), column_kinds={"a": kind})


def test_booleans_taken_for_numbers() -> None:
    frame = pd.DataFrame({"a": COUNT % 2 == 0, "b": pd.array(cycle(True, False, None), "boolean")})
    fitted = assert_comes_back(frame, categorical_features=None)
    assert [column.kind for column in fitted.schema.columns] == ["levels", "levels"]
    assert fitted.column.levels == (0, 1)


def test_numbers_and_dates_taken_for_categories() -> None:
    frame = pd.DataFrame(
        {
            "a": cycle(0.1, 1 / 3, np.nan),
            "b": cycle(2**62, 2**62 + 1),
            "c": pd.to_datetime(cycle("2020-01-01 00:00:00.000001", None)).as_unit("us"),
        }
    )
    fitted = assert_comes_back(frame, categorical_features=[0, "b", 2])
    assert {column.kind for column in fitted.schema.columns} == {"categorical"}


def test_rows_of_another_storage_come_back_in_the_fitted_one() -> None:
    frame = pd.DataFrame({"a": COUNT, "b": cycle("x", "y"), "c": cycle(True, False)})
    frame["d"] = pd.to_datetime("2020-01-01") + pd.to_timedelta(COUNT, "D")
    fitted = fit(frame)
    others = [
        frame.astype({"a": float, "b": "category", "c": object, "d": "datetime64[s]"}),
        frame.astype({"a": "Int64", "b": object, "c": "boolean"}),
        frame.astype({"a": "uint8", "b": "string", "c": "bool[pyarrow]"}),
        pl.DataFrame(frame.to_dict("list")),
    ]
    for other in others:
        assert_same(fitted.decode(fitted.transform(other)), frame)


def test_the_fitted_marker_is_given_back() -> None:
    frame = pd.DataFrame({"a": [1.0, np.nan] * 20})
    nullable = frame.astype("Float64")
    assert_same(fit(frame).there_and_back(nullable), frame)
    assert_same(fit(nullable).there_and_back(frame), nullable)
    polars = pl.DataFrame({"a": [1.0, None] * 20})
    assert_same(fit(polars).decode(fit(polars).transform(nullable)), polars)
    objects_of = {m: objects("a", m, "b", "a", m) for m in (None, np.nan)}
    for seen, later in ((None, np.nan), (np.nan, None)):
        fitted = fit(pd.DataFrame({"a": objects_of[seen]}))
        other = pd.DataFrame({"a": objects_of[later]})
        assert_same(fitted.there_and_back(other), pd.DataFrame({"a": objects_of[seen]}))
