"""What columns are taken for: stated rules, whatever the order of rows."""

import datetime as dt
import pickle
from dataclasses import replace
from decimal import Decimal
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skflow.exceptions import LostDigitsWarning
from skflow.table.frames import Container
from skflow.table.inference import infer_schema
from skflow.table.rules import median_beside
from skflow.table.schema import ColumnSchema, Schema
from tests.table.trips import assert_comes_back, fit, fit_column
from tests.tables import STR

RNG = np.random.default_rng(0)
REAL = RNG.normal(size=400)
WHOLE = RNG.integers(0, 10**6, 400)
START = pd.Timestamp("2020-01-01")
DAYS = pd.TimedeltaIndex(WHOLE.astype("m8[D]").astype("m8[s]"))  # beyond nanoseconds


def taken(values: Any, **options: Any) -> ColumnSchema:
    return fit_column(values, **options).column


@pytest.mark.parametrize(
    ("values", "kind", "step"),
    [
        (REAL, "continuous", None),
        (REAL.astype(np.float32), "continuous", None),
        (REAL.astype(np.float16), "continuous", None),
        (REAL * 1e-280, "continuous", None),
        (REAL * 1e280, "continuous", None),
        (REAL.round(2), "decimal", 0.01),
        (REAL.round(2).astype(np.float32), "decimal", 0.01),
        (np.arange(40).astype(np.float16) / 10, "decimal", 0.1),
        (REAL.round(8) / 1000, "decimal", 1e-11),
        (1e9 + REAL.round(3), "decimal", 1e-3),
        (WHOLE / 1.0, "integer", 1),
        (WHOLE, "integer", 1),
        (WHOLE.astype(object), "integer", 1),
        (100 * WHOLE, "integer", 100),
        (100.0 * WHOLE, "integer", 100),
        ([10, 20, 40], "integer", 1),
        (np.arange(400) % 19, "levels", 1),
        (np.arange(400) % 23, "integer", 1),
        ([0, 1] * 5, "levels", 1),
        ([0, 1] * 4, "integer", 1),
        ([2.5, 2.5], "constant", None),
        ([1.5, 2.5], "decimal", 0.1),
        ([True, False] * 9, "categorical", None),
        (["a", "b"], "categorical", None),
        ([1, "b"], "categorical", None),
        (np.full(9, np.nan), "categorical", None),
        (START.as_unit("s") + (86400 * WHOLE).astype("m8[s]"), "date", 86400),
        (START + pd.to_timedelta(WHOLE, "min"), "date", 60),
        (START + pd.to_timedelta(WHOLE % 1000, "ns"), "date", Decimal("1e-9")),
        (pd.to_timedelta(WHOLE, "h").as_unit("s"), "duration", 3600),
        ([START, START], "constant", 86400),
    ],
)
def test_kinds_and_grids(values: Any, kind: str, step: Any) -> None:
    column = taken(values)
    assert (column.kind, column.step) == (kind, step)


def test_levels_are_sorted_or_as_declared() -> None:
    assert taken(np.array([3, 1, 2] * 30)).levels == (1, 2, 3)
    assert taken(np.array([1.5, 0.5] * 30)).levels == (0.5, 1.5)
    assert taken(["b", "a"] * 3).levels == ("a", "b")
    assert taken(pd.Categorical(["b", "a"], categories=["b", "c", "a"])).levels == ("b", "c", "a")
    mixed = pd.Series([1, True, "1", 1.0, None, b"1", (1,)] * 3, dtype=object)
    assert [type(level) for level in taken(mixed).levels] == [bool, bytes, float, int, str, tuple]


def test_many_columns_of_ordered_levels_are_values() -> None:
    """Nine scales without gaps are integers; codes with gaps, conditions and fewer are not."""
    rng = np.random.default_rng(0)
    scales = pd.DataFrame(rng.binomial(6, 0.4, (500, 9)), columns=[f"q{j}" for j in range(9)])
    tariff = rng.permutation(np.repeat([5, 6, 7, 10, 11, 19, 20, 24, 30, 31], 50))
    table = scales.assign(tariff=tariff, flag=scales.q1 > 2)

    def kinds(table: pd.DataFrame, **options: Any) -> dict[str, str]:
        stored = Container.fit(table, list(table.columns)).read(table)
        return {column.name: column.kind for column in infer_schema(stored, **options).columns}

    found = kinds(table)
    assert {found[f"q{j}"] for j in range(9)} == {"integer"}
    assert (found["tariff"], found["flag"]) == ("levels", "categorical")
    assert set(
        kinds(table.drop(columns="tariff") / 10, categorical_features=["flag"]).values()
    ) == {
        "decimal",
        "categorical",
    }
    few = kinds(table.drop(columns="q8"))
    assert {few[f"q{j}"] for j in range(8)} == {"levels"}
    chosen = kinds(table, given=["q0", "q1", "q2"], column_kinds={"q3": "levels"})
    assert {chosen[f"q{j}"] for j in range(9)} == {"levels"}


def test_a_level_that_comes_once_is_none() -> None:
    assert taken([*[1, 2, 3] * 40, 7]).levels == (1, 2, 3)
    assert taken([5.25, *[np.nan] * 30]).levels == ()


def test_numbers_that_occur_once_make_values_where_more_than_a_few_do() -> None:
    """Zeros and 29 different costs: no cost is a number never seen."""
    few = [*[0] * 200, *[1] * 90, *[2] * 60]
    left = taken([*few, 101, 102, 103, 104])
    assert (left.kind, left.levels, left.n_left_out) == ("levels", (0, 1, 2), 4)
    more = taken([*few, 101, 102, 103, 104, 105])
    assert (more.kind, more.levels, more.atoms, more.n_left_out) == ("integer", (), (0, 1, 2), 0)
    costs = RNG.choice(10**6, 29, replace=False) + 1
    for column in (
        taken([*[0] * 1971, *costs]),
        taken([*[0.0] * 1971, *costs / 100]),
        taken([*[0.0] * 1971, *costs / 7]),
        taken([*[0] * 1971, *costs[:20], *np.repeat(costs[20:24], 2)]),
    ):
        assert column.kind in ("integer", "decimal", "continuous")
        assert column.atoms == (0,)


def test_where_nearly_all_values_repeat_they_are_atoms_and_the_others_values() -> None:
    many = np.repeat(np.arange(30) ** 2, 40)
    column = taken([*many, *range(1000, 1006)])
    assert column.kind == "integer"
    assert column.atoms == tuple((np.arange(30) ** 2).tolist())
    assert taken([*many / 7, *REAL[:6]]).kind == "continuous"
    assert len(taken([*many / 7, *REAL[:6]]).atoms) == 30
    # Nearly levels only where most values repeat, and numbers where these are insisted on.
    smooth = np.repeat(np.arange(30), 40)
    assert len(taken([*smooth, *range(1000, 1006)]).atoms) == 30
    assert len(taken([*smooth, *range(1000, 1009)]).atoms) < 30
    # Off any grid, a density of numbers that repeat would have no bound.
    thirds = np.repeat([1 / 3, 2 / 3], 300)
    assert taken([*thirds, *REAL[:20]]).atoms == (1 / 3, 2 / 3)
    assert taken([*thirds, 4 / 3, 4 / 3, *REAL[:20]]).atoms == (1 / 3, 2 / 3, 4 / 3)
    insisted = taken([*many, *range(1000, 1006)], column_kinds={"a": "integer"})
    assert len(insisted.atoms) < 30


@settings(max_examples=60, deadline=None)
@given(
    often=st.lists(st.integers(-50, 50), min_size=1, max_size=20, unique=True),
    once=st.lists(st.integers(51, 10**6), max_size=30, unique=True),
    unit=st.sampled_from([1, 0.01, 1 / 7]),
)
def test_no_number_that_occurs_is_later_never_seen(
    often: list[int], once: list[int], unit: float
) -> None:
    """But for a few, of which the schema says how many."""
    values = np.array([*np.repeat(often, 60), *once]) * unit
    fitted = fit_column(values)
    codec, encoded = fitted.codec.columns[0], fitted.encode(pd.DataFrame({"a": values}))
    unseen = 0
    if not codec.labels.is_trivial:
        unseen = int((encoded.labels[:, 0] == codec.labels.n_labels).sum())
    assert unseen == fitted.column.n_left_out <= 4
    known = {*fitted.column.levels, *fitted.column.atoms}
    assert not known & set((np.array(once) * unit).tolist())
    assert (f"{unseen} left out" in repr(fitted.schema)) == (unseen > 0)


def test_what_is_left_out_of_levels_is_counted_but_no_part_of_the_measure() -> None:
    values = [*[1, 2, 3] * 40, *range(100, 112)]
    asked = fit_column(values, column_kinds={"a": "levels"})
    assert asked.column.n_left_out == 12
    assert "1, 2, 3; 12 left out that occur once" in repr(asked.schema)
    assert "1 left out that occurs once" in repr(fit_column([*[1, 2, 3] * 40, 7]).schema)
    assert "1 left out that occurs once" in repr(fit_column([5.25, *[np.nan] * 30]).schema)
    assert asked.schema == fit_column([*[1, 2, 3] * 40], column_kinds={"a": "levels"}).schema
    pinned = fit_column([*[1, 2] * 40, 9, 9], column_kinds=asked.schema).schema
    assert pinned == asked.schema
    assert pinned.columns[0].n_left_out == 1


def test_decimals_of_more_digits_than_float64_has_are_warned_of() -> None:
    digits = [123456789012000000 + 7 * i * i for i in range(100)]
    long, short = ([Decimal(i).scaleb(-6) for i in part] for part in (digits, range(100)))
    spaced = [Decimal(i).scaleb(3) for i in range(100)]  # of trailing zeros alone
    for make in (
        lambda cells: pl.DataFrame({"a": pl.Series(cells, dtype=pl.Decimal(24, 6))}),
        lambda cells: pd.DataFrame({"a": pd.array(cells, pd.ArrowDtype(pa.decimal128(24, 6)))}),
        lambda cells: pd.DataFrame({"a": pd.Series(cells, dtype=object)}),
    ):
        with pytest.warns(
            LostDigitsWarning, match=r"'a'\] hold decimals or integers of more digits"
        ):
            fit(make(long))
        for exact in (short, spaced, [Decimal(10**12 + i) for i in range(100)]):
            assert_comes_back(make([*exact, None]))


def test_markers_are_listed_in_their_order() -> None:
    assert taken(pd.Series(["a", None, np.nan, "b"] * 9, dtype=object)).missing == ("NaN", "None")
    assert taken(pd.array([1, None, 3], "Int64")).missing == ("NA",)
    frame = pl.DataFrame({"a": [1.0, None, float("nan"), 2.5] * 9})
    assert fit(frame).column.missing == ("NaN", "None")


def test_atoms_tower_over_their_neighbours() -> None:
    values = np.concatenate((np.zeros(40), REAL.round(4), np.full(12, 9.5)))
    assert taken(values).atoms == (0.0, 9.5)
    assert taken(np.concatenate((values, np.full(9, 4.5)))).atoms == (0.0, 9.5)
    days = START + pd.to_timedelta(np.append(WHOLE[:300] % 9999, [0] * 30), "D")
    assert taken(days).atoms == (int(START.timestamp()),)


def test_few_rows_make_an_atom_where_numbers_are_cut_off() -> None:
    values = np.sort(np.random.default_rng(0).normal(size=5000)).round(6)
    low, middle, high = values[20], values[2500], values[-20]
    assert taken(np.append(values, np.full(20, middle))).atoms == ()
    assert taken(values.clip(low, high)).atoms == (low, high)
    assert taken(values.clip(values[8], values[-9])).atoms == ()
    ages = np.random.default_rng(1).gamma(4, 10, 5000).round()
    assert taken(ages).atoms == ()
    assert taken(ages.clip(max=90)).atoms == (90.0,)


def test_medians_are_those_of_ten_neighbours_on_each_side() -> None:
    for size in (1, 2, 9, 15, 40):
        counts = np.random.default_rng(size).integers(1, 30, size=size)
        found = median_beside(counts, np.arange(size))
        for i, own in enumerate(found):
            around = [*counts[max(0, i - 10) : i].tolist(), *counts[i + 1 : i + 11].tolist()]
            assert own == median(around) if around else np.isnan(own)


def test_amounts_of_a_tariff_are_atoms() -> None:
    """None has 1 % of the rows; between them there is nothing."""
    rng = np.random.default_rng(0)
    amounts = np.sort(rng.choice(100_000, 90, replace=False))
    paid = np.repeat(amounts, rng.integers(12, 40, 90))
    assert taken(np.append(paid, np.zeros(20_000))).atoms == (0, *amounts.tolist())
    far = (paid + 2**60).astype(np.int64)  # floats would not tell them apart
    assert taken(np.append(far, np.full(20_000, 2**60))).atoms[1:] == tuple(
        int(x) for x in amounts + 2**60
    )
    # Rare amounts beside them are values.
    single = np.setdiff1d(rng.choice(100_000, 300, replace=False), amounts)
    rare = np.repeat(single, 2)
    assert taken(np.concatenate((paid, rare, np.zeros(20_000)))).atoms == (0, *amounts.tolist())


def test_irregular_numbers_among_multiples_are_atoms() -> None:
    """Their step explains where they lie, but not how often."""
    rng = np.random.default_rng(0)
    prices = 50 * rng.choice(70, 8000, p=rng.dirichlet(np.full(70, 2)))
    odd = rng.integers(0, 3500, 80)
    column = taken(np.append(prices, odd))
    repeated, counts = np.unique(prices, return_counts=True)
    assert column.rounding == ()
    assert set(column.atoms) >= set(repeated[counts >= 10].tolist())
    assert len(column.atoms) <= 70
    even = taken(np.append(50 * rng.integers(0, 70, 8000), odd))
    assert (even.rounding, even.atoms) == ((50,), ())


def test_numbers_that_repeat_in_few_rows_are_atoms_where_they_are_most() -> None:
    rng = np.random.default_rng(0)
    sizes = np.sort(rng.choice(1000, 40, replace=False))
    shares = np.geomspace(1, 0.02, 40)
    listed = np.append(sizes.repeat(3), rng.choice(sizes, 250, p=shares / shares.sum()))
    repeated, counts = np.unique(listed, return_counts=True)
    single = np.setdiff1d(np.arange(1000), sizes)[::20]
    column = taken(np.concatenate((listed, single)))
    assert column.atoms == tuple(repeated[counts >= 3].tolist())
    # Of 400 amounts, as of numbers without a list, 128 would be no more than a part.
    assert taken(np.repeat(rng.choice(100_000, 400, replace=False), 3)).atoms == ()
    assert taken(rng.normal(500, 40, 300).round()).atoms == ()


@pytest.mark.parametrize("copies", [3, 5, 9])
def test_repeated_rows_make_no_atoms(copies: int) -> None:
    rng = np.random.default_rng(0)
    numbers = rng.choice(1000, 100, replace=False), rng.normal(0, 1, 100).round(2)
    heaped = np.where(rng.uniform(size=100) < 0.6, numbers[1].round(1), numbers[1])
    for once in (*numbers, heaped):
        assert taken(once).atoms == ()
        assert len(taken(once.repeat(copies)).atoms) <= 1
    drawn = rng.choice(numbers[0], 100 * copies)
    assert len(taken(drawn).atoms) <= 1


def test_of_more_than_128_irregular_decimals_the_most_frequent_are_atoms() -> None:
    rng = np.random.default_rng(0)
    numbers = rng.choice(100_000, 200, replace=False) / 100
    counts = rng.permutation(np.arange(12, 212))
    column = taken(np.repeat(numbers, counts))
    assert column.atoms == tuple(np.sort(numbers[counts >= 212 - 128]).tolist())


def test_whole_numbers_may_be_codes_of_which_thousands_are_atoms() -> None:
    rng = np.random.default_rng(0)
    codes = 10_000 + rng.choice(10_000, 2000, replace=False)
    drawn = rng.choice(codes, 20_000, p=rng.dirichlet(np.ones(2000)))
    repeated, counts = np.unique(drawn, return_counts=True)
    expected = repeated[counts >= 3].tolist()
    assert 1000 < len(expected) < 2000
    assert taken(drawn).atoms == taken(drawn.astype(float)).atoms == tuple(expected)
    assert len(taken(drawn / 100).atoms) == 0
    # Amounts far apart, sums, and numbers whose neighbours are as frequent, are values.
    rank = np.searchsorted(np.unique(drawn), drawn)
    apart = 97 * rank + rng.integers(0, 97, 2000)[rank]
    assert taken(apart).atoms == ()
    assert taken(rng.poisson(3000, 20_000)).atoms == ()
    assert taken(rng.integers(0, 2000, 20_000)).atoms == ()
    days = pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(drawn, "D"))
    assert len(taken(days).atoms) <= 128


@pytest.mark.parametrize("start", [pd.Timestamp("2024-01-01"), pd.Timedelta(0)])
def test_irregular_dates_and_durations_are_atoms(start: Any) -> None:
    rng = np.random.default_rng(0)
    counts = rng.choice([12, 30, 200], 90)
    busy = taken(pd.Series(start + pd.to_timedelta(np.repeat(np.arange(90), counts), "D")))
    assert len(busy.atoms) == 90
    quiet = taken(pd.Series(start + pd.to_timedelta(np.repeat(np.arange(90), 60), "D")))
    assert quiet.atoms == ()


def test_counts_that_no_smooth_density_explains_are_those_of_atoms() -> None:
    rng = np.random.default_rng(0)
    hours = np.arange(1, 91)
    shares = rng.choice([1, 2, 6, 20], 90) * np.exp(-((hours - 40) ** 2) / 500)
    drawn = rng.choice(hours, 20_000, p=shares / shares.sum())
    repeated, counts = np.unique(drawn, return_counts=True)
    assert taken(drawn).atoms == tuple(repeated[counts >= 10].tolist())


@pytest.mark.parametrize("n_rows", [2_000, 20_000])
@pytest.mark.parametrize("name", ["normal", "geometric", "integers", "negative_binomial", "beta"])
def test_smooth_counts_are_those_of_values(name: str, n_rows: int) -> None:
    rng = np.random.default_rng(0)
    draws = {
        "normal": rng.normal(50, 14, n_rows),
        "geometric": rng.geometric(0.06, n_rows),
        "integers": rng.integers(0, 100, n_rows),
        "negative_binomial": rng.negative_binomial(2, 0.05, n_rows),
        "beta": 100 * rng.beta(2, 5, n_rows),
    }
    column = taken(np.rint(draws[name]).astype(np.int64))
    assert column.kind == "integer"
    assert len(column.atoms) <= 2


def test_support_ends_at_zero() -> None:
    ends = [(taken(x).low, taken(x).high) for x in (REAL, np.abs(REAL), -np.abs(REAL))]
    assert ends == [(None, None), (0, None), (None, 0)]
    assert taken(pd.to_timedelta(WHOLE, "s")).low == 0
    assert taken(START + pd.to_timedelta(WHOLE, "s")).low is None


def test_bounds_overrule() -> None:
    assert taken(np.abs(REAL), bounds={"a": (None, 10)}).low is None
    assert taken(np.abs(REAL), bounds={0: (-1, np.float64(10))}).high == 10
    assert taken(WHOLE, bounds={"a": (0, 2**62 + 1)}).high == 2**62 + 1
    days = START + pd.to_timedelta(WHOLE % 99, "D")
    for low in (
        "2019-12-31",
        dt.date(2019, 12, 31),
        np.datetime64("2019-12-31"),
        dt.datetime(2019, 12, 31, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))),
    ):
        assert taken(days, bounds={"a": (low, None)}).low == 1577750400
    hours = pd.to_timedelta(WHOLE % 99, "h")
    for high in (dt.timedelta(9), np.timedelta64(9, "D"), 9 * 86400):
        assert taken(hours, bounds={"a": (None, high)}).high == 9 * 86400


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"b": (0, 1)}, "bounds names 'b', which is no column"),
        ({"a": (1, 0)}, "low < high"),
        ({"a": 3}, "must be a pair"),
        ({"a": ("x", 1)}, "of numbers or None"),
        ({"a": (np.nan, 1)}, "of numbers or None"),
        ({"c": (0, 1)}, "'c', which holds no numbers"),
        ({"a": (0, 1)}, r"'a': \d+ values outside \[0, 1\]"),
        ({"d": (None, "2020-01-03")}, r"'d': \d+ values outside"),
    ],
)
def test_bounds_that_make_no_sense(bounds: Any, message: str) -> None:
    frame = pd.DataFrame({"a": REAL, "c": ["x", "y"] * 200, "d": START.as_unit("s") + DAYS})
    with pytest.raises(ValueError, match=message):
        fit(frame, bounds=bounds)
    with pytest.raises(TypeError, match="bounds must be a mapping"):
        fit(frame, bounds=[(0, 1)])


def test_categorical_features() -> None:
    frame = pd.DataFrame(
        {"a": np.arange(90) % 3, "b": [True, False, True] * 30, "c": list("xyz") * 30}
    )

    def kinds(option: Any) -> list[str]:
        return [c.kind for c in fit(frame, categorical_features=option).schema.columns]

    assert kinds("from_dtype") == ["levels", "categorical", "categorical"]
    assert kinds(None) == kinds([]) == ["levels", "levels", "categorical"]
    for option in (["a"], [0], [True, False, False], np.array([True, False, False])):
        assert kinds(option) == ["categorical", "levels", "categorical"]
    for option, message in ((["z"], "'z', which is no column"), ([True], "one entry for each")):
        with pytest.raises(ValueError, match=message):
            kinds(option)


def test_column_kinds_overrule() -> None:
    assert taken(WHOLE, column_kinds={"a": "continuous"}).step is None
    zeros = np.where(np.arange(400) % 4 == 0, 0.0, REAL)
    assert taken(zeros).atoms == (0.0,)
    assert taken(zeros, column_kinds={"a": "continuous"}).atoms == ()
    assert taken(zeros, column_kinds=fit_column(zeros).schema).atoms == (0.0,)
    assert taken(np.arange(90) % 3, column_kinds={0: "integer"}).kind == "integer"
    assert taken(REAL.round(1), column_kinds={"a": "levels"}).kind == "levels"
    assert taken(WHOLE, column_kinds={"a": "categorical"}).levels == tuple(sorted(set(WHOLE)))


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ({"z": "integer"}, "column_kinds names 'z', which is no column"),
        ({"a": "integral"}, "'a' holds float64, which cannot be 'integral'; possible: categ"),
        ({"c": "integer"}, "'c' holds str, which cannot be 'integer'; possible: categorical"),
        ({"d": "continuous"}, r"'d' holds datetime64\[s\], which cannot be 'continuous'"),
        ({"a": "integer"}, "'a' for 'integer', but its values lie on no such grid"),
        ({"a": "decimal"}, "'a' for 'decimal', but its values lie on no such grid"),
        ({"a": "constant"}, "'a' for constant, but it holds 400 different values"),
        ({"a": "levels"}, "'a' for levels, but no value occurs twice"),
    ],
)
def test_column_kinds_that_contradict(kinds: dict[str, str], message: str) -> None:
    days = START.as_unit("s") + pd.to_timedelta(WHOLE % 999, "D").as_unit("s")
    frame = pd.DataFrame({"a": REAL, "c": pd.array(["x", "y"] * 200, STR), "d": days})
    with pytest.raises(ValueError, match=message):
        fit(frame, column_kinds=kinds)


NAMES = [f"name {i}" for i in range(30)]


def test_identifiers_are_refused_at_once() -> None:
    columns = {"id": NAMES, "x": list(range(30)), "text": pd.Categorical(NAMES), "few": ["a"] * 30}
    kinds = "{'id': 'categorical', 'text': 'categorical'}"
    for frame, drop in (
        (pd.DataFrame(columns), "X = X.drop(columns=['id', 'text'])"),
        (pl.DataFrame({**columns, "text": pl.Series(NAMES)}), "X = X.drop(['id', 'text'])"),
    ):
        with pytest.raises(ValueError, match="look like identifiers") as raised:
            fit(frame)
        for part in ("'id' (30 different in 30 rows), 'text' (30", drop, f"column_kinds={kinds}"):
            assert part in str(raised.value)
        fit(frame, column_kinds={"id": "categorical", "text": "categorical"})
        fit(frame, categorical_features=["id", "text"])
    with pytest.raises(ValueError, match=r"np\.delete\(X, \[0\], axis=1\)"):
        fit(np.array([NAMES, ["a"] * 30]).T)


def test_repeated_or_few_strings_are_no_identifiers() -> None:
    assert len(taken(NAMES[:19]).levels) == 19
    assert len(taken(NAMES[:24] + NAMES[:6]).levels) == 24
    assert len(taken(NAMES[:25] * 1 + ["a"] * 10).levels) == 26


columns = st.sampled_from(
    [
        REAL,
        REAL.round(2),
        WHOLE,
        WHOLE % 7,
        np.where(REAL > 0, 0.0, REAL),
        np.where(REAL > 1, np.nan, WHOLE),
    ]
)


@settings(max_examples=25, deadline=None)
@given(columns, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(values: NDArray, random: Any) -> None:
    order = list(range(len(values)))
    random.shuffle(order)
    fitted, shuffled = fit_column(values), fit_column(values[order])
    assert fitted.schema == shuffled.schema
    assert fitted.codec.layout == shuffled.codec.layout
    encoded = fitted.encode(pd.DataFrame({"a": values[order]}))
    np.testing.assert_array_equal(
        encoded.values, shuffled.encode(pd.DataFrame({"a": values[order]})).values
    )


def test_pinned_schemas_stand() -> None:
    frame = pd.DataFrame(
        {"a": np.arange(400) % 4, "b": np.abs(REAL).round(2), "c": ["x", "y", None, "z"] * 100}
    )
    schema = fit(frame).schema
    other = frame[frame.a < 2].iloc[:30].astype({"a": float})
    assert fit(other).schema != schema
    pinned = fit(other, column_kinds=schema)
    assert pinned.schema == schema
    assert pinned.codec.layout.n_labels == fit(frame).codec.layout.n_labels
    texts = pd.array(["x"] * len(other), STR)
    for table, message in (
        (other[["b", "a", "c"]], "is a schema of columns"),
        (other.assign(b=-other.b), r"'b': \d+ values outside \[0, None\]"),
        (other.assign(a=texts), "'a' holds str, which cannot be 'levels'"),
    ):
        with pytest.raises(ValueError, match=message):
            fit(table, column_kinds=schema)


def test_schemas_are_equal_by_measure() -> None:
    schema = fit_column(np.arange(90) % 3).schema
    assert schema == fit_column(np.arange(90.0)[::-1] % 3).schema
    assert schema != fit_column(np.arange(90) % 4).schema
    assert schema == pickle.loads(pickle.dumps(schema))
    assert hash(schema) == hash(fit_column(np.arange(90) % 3).schema)


def test_schemas_read_well() -> None:
    frame = pd.DataFrame(
        {
            "price": np.where(REAL > 0, 0, np.abs(REAL).round(2)),
            "<b>": pd.Categorical(["x", None] * 200),
            "month": np.arange(400) % 12,
            "day": START.as_unit("s")
            + pd.to_timedelta(np.append(WHOLE[:380] % 999, [0] * 20), "D").as_unit("s"),
            "wait": pd.to_timedelta(WHOLE, "min").as_unit("s"),
        }
    )
    schema = fit(frame).schema
    assert repr(schema).split("\n") == [
        "Schema of 5 columns:",
        "  price  decimal      float64         step 0.01; >= 0; often 0.0",
        "  <b>    categorical  category        'x'; or missing (NaN)",
        "  month  levels       int64           0, 1, 2, 3, ..., 11 (12 in all)",
        "  day    date         datetime64[s]   step 1 d; often 2020-01-01",
        "  wait   duration     timedelta64[s]  step 1 min; >= 0 s",
    ]
    page = schema._repr_html_()
    assert "<td>&lt;b&gt;</td>" in page
    assert page.count("<td>decimal</td>") == 1
    assert page.count("</tr>") == 6
    assert repr(Schema(())) == "Schema of 0 columns:"


def test_long_levels_lose_their_middle_and_nothing_has_no_kind() -> None:
    notes = [f"{'word ' * 40}{end}" for end in ("first", "second")]
    frame = pd.DataFrame({"note": notes * 200, "lost": [None] * 400})
    held = [column.describe() for column in fit(frame).schema.columns]
    word = f"'{'word ' * 8}word"
    assert held == [f"{word}... word first', {word}...word second'", "missing (None)"]


def test_supports_read_well() -> None:
    column = fit(pd.DataFrame({"x": np.abs(REAL).round(2)})).schema.columns[0]
    supports = {(0, None): ">= 0", (None, -1.5): "<= -1.5", (0, 100): "0 to 100", (None, None): ""}
    for (low, high), support in supports.items():
        spelled = replace(column, low=low, high=high).describe()
        assert spelled == "; ".join(filter(None, ["step 0.01", support]))


def test_schemas_become_frames() -> None:
    frame = pd.DataFrame(
        {
            "price": np.where(REAL > 0, 0, np.abs(REAL).round(2)),
            "letter": pd.Categorical(["x", None] * 200),
            "day": START.as_unit("s") + pd.to_timedelta(WHOLE % 999, "D").as_unit("s"),
            "wait": pd.to_timedelta(WHOLE, "min").as_unit("s"),
        }
    )
    made = fit(frame).schema.to_frame().set_index("column")
    assert made.index.tolist() == list(frame)
    assert made["kind"].tolist() == ["decimal", "categorical", "date", "duration"]
    assert made["dtype"].tolist() == [str(dtype) for dtype in frame.dtypes]
    assert made.loc["price", ["step", "low", "high", "atoms"]].tolist() == [0.01, 0, None, (0.0,)]
    assert made.loc["letter", ["levels", "missing"]].tolist() == [("x",), ("NaN",)]
    assert made.loc["wait", ["step", "low"]].tolist() == ["1 min", "0 s"]
    assert made.loc["day", "step"] == "1 d"
    assert len(Schema(()).to_frame()) == 0


ODD_NAMES = ["\x1b[31mred", "two\nlines", "bell\a", "\u202eleft"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_control_characters_of_names_are_shown_not_obeyed(name: str) -> None:
    schema = fit(pd.DataFrame({name: np.arange(40) % 2, "y": [name, "a"] * 20})).schema
    lines = repr(schema).split("\n")
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
    assert schema._repr_html_().replace("\n", "").isprintable()
    assert schema.to_frame()["column"].tolist() == [name, "y"]  # data, and no text to be shown
