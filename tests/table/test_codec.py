"""Labels, values and their log-volume; what is never seen; what is not memorised."""

import datetime as dt
import math
import pickle
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from skflow.exceptions import LostDigitsWarning
from skflow.table.codec import TableCodec
from tests.table.trips import assert_same, fit, fit_column

RNG = np.random.default_rng(0)
N = 300
FRAME = pd.DataFrame(
    {
        "level": np.arange(N) % 3,
        "city": pd.Categorical(["Rome", "Oslo", None] * 100, categories=["Oslo", "Rome", "Bern"]),
        "income": np.where(np.arange(N) % 4 == 0, 0.0, RNG.exponential(size=N).round(3)),
        "height": RNG.normal(170, 9, size=N),
        "income_label": RNG.integers(0, 99, N),
    }
)
FITTED = fit(FRAME)


def one(values: Any, fitted_on: Any, **options: Any) -> Any:
    return fit_column(fitted_on, **options).encode(pd.DataFrame({"a": values}))


def test_layout() -> None:
    layout, codec = FITTED.codec.layout, FITTED.codec
    assert layout.n_labels == (3, 4, 2)
    assert layout.value_labels == ((2, 1, 2), (-1, 0, 1), (-1, 0, 1))
    assert layout.unseen == (1e-9, 1e-9, 1e-9)
    assert codec.latent_names == [
        "level",
        "city",
        "income_label_",
        "income",
        "height",
        "income_label",
    ]
    assert codec.latent_is_label.tolist() == [True, True, True, False, False, False]
    assert np.isnan(codec.scales[1])
    np.testing.assert_allclose(codec.scales[3], 182, rtol=0.02)
    encoded = FITTED.encode(FRAME)
    assert encoded.labels.shape == encoded.novel.shape == (N, 3)
    assert encoded.values.shape == encoded.bin_widths.shape == (N, 3)
    assert encoded.labels.dtype == np.int64
    taken = encoded.take(slice(3, 5))
    np.testing.assert_array_equal(taken.values, encoded.values[3:5])
    assert taken.log_volume.shape == (2,)


def test_labels_stand_in_order() -> None:
    encoded = FITTED.encode(FRAME)
    np.testing.assert_array_equal(encoded.labels[:3], [[0, 1, 0], [1, 0, 1], [2, 3, 1]])
    is_zero = FRAME.income == 0
    np.testing.assert_array_equal(encoded.labels[:, 2] == 0, is_zero)
    np.testing.assert_array_equal(np.isnan(encoded.values[:, 0]), is_zero)
    assert not np.isnan(encoded.values[:, 1:]).any()
    assert np.isnan(encoded.novel).all()


def test_labels_alone_add_no_volume() -> None:
    assert (
        FITTED.encode(
            FRAME[["level", "city"]].assign(income=0.0, height=1.0, income_label=1)
        ).log_volume
        == FITTED.encode(FRAME.iloc[:1].assign(income=0.0)).log_volume[0]
    ).all()
    labels = fit(FRAME[["level", "city"]])
    assert (labels.encode(FRAME[["level", "city"]]).log_volume == 0).all()


def test_log_volume_is_per_unit_of_the_column() -> None:
    x = RNG.normal(size=N)
    volumes = {}
    for name, values in {
        "real": x,
        "integer": np.arange(N),
        "thousands": 1000 * np.arange(N),
        "date": np.arange(N).astype("M8[s]"),
        "day": np.arange(N).astype("M8[D]").astype("M8[s]"),
        "wide": np.sign(x) * 10 ** (6 * x),
    }.items():
        fitted = fit_column(values)
        encoded = fitted.encode(pd.DataFrame({"a": values}))
        order = np.argsort(values)[[N // 3, N // 3 + 1]]
        unit = np.timedelta64(1, "s") if values.dtype.kind == "M" else 1.0
        rise = np.diff(encoded.values[order, 0]) / (np.diff(values[order]) / unit)
        volumes[name] = encoded.log_volume[order].mean()
        if name != "wide":
            np.testing.assert_allclose(volumes[name], np.log(rise[0]), rtol=1e-9)
        else:
            assert (
                encoded.log_volume[order].min()
                <= np.log(rise[0])
                <= encoded.log_volume[order].max()
            )


def test_cells_are_encoded_steps() -> None:
    codec, encoded = FITTED.codec, FITTED.encode(FRAME)
    assert isinstance(codec, TableCodec)
    there = ~np.isnan(encoded.values[:, 0])
    scale = encoded.values[there, 0] / FRAME.income[there]
    np.testing.assert_allclose(encoded.bin_widths[there, 0], 0.001 * scale)
    assert (encoded.bin_widths[~there, 0] == 0).all()
    assert (encoded.bin_widths[:, 1] == 0).all()


def test_bounds_are_half_a_cell_wider() -> None:
    def bounds(values: Any, **options: Any) -> tuple[float, float]:
        return fit_column(values, **options).codec.layout.bounds[0]

    real, cents, whole = RNG.exponential(size=N), np.arange(N) / 100, np.arange(N)
    assert bounds(real) == (0.0, math.inf)
    assert bounds(-real)[1] == 0.0
    assert bounds(real, bounds={"a": (None, None)}) == (-math.inf, math.inf)
    np.testing.assert_allclose(bounds(cents)[0], -0.005 / 4, rtol=1e-9)
    np.testing.assert_allclose(bounds(whole)[0], -0.5 / 512, rtol=1e-9)
    assert bounds(whole, bounds={"a": (0, 300)})[1] == pytest.approx(300.5 / 512)


def test_never_seen() -> None:
    later = pd.DataFrame(
        {
            "level": [7, 1],
            "city": ["Paris", "Bern"],
            "income": [1.0, np.nan],
            "height": [1.0, np.nan],
            "income_label": [1, 2],
        }
    )
    encoded = FITTED.encode(later)
    np.testing.assert_array_equal(encoded.labels, [[3, 4, 1], [1, 2, 2]])
    np.testing.assert_array_equal(
        np.isnan(encoded.novel), [[False, True, True], [True, True, True]]
    )
    np.testing.assert_array_equal(np.isnan(encoded.values[1]), [True, True, False])
    assert encoded.log_volume[1] == pytest.approx(
        math.log(1e-9)
        + fit_column(FRAME.income_label).encode(pd.DataFrame({"a": [2]})).log_volume[0]
    )
    with pytest.raises(ValueError, match="cannot be transformed") as raised:
        FITTED.transform(later)
    for part in (
        "'city': 'Paris', never seen",
        "'income': 1 missing (NaN)",
        "'height': 1 missing (NaN)",
    ):
        assert part in str(raised.value)
    assert "'level'" not in str(raised.value)


def test_rare_numbers_fall_outward_with_their_volume() -> None:
    for levels in (np.arange(N) % 4, np.arange(N) % 4 / 7, np.full(N, 5.0)):
        x = np.array([10.0, 100.0, 1e6, 1e300])
        encoded = one(x, levels)
        assert (np.diff(encoded.novel[:, 0]) > 0).all()
        assert np.isfinite(encoded.novel).all()
        near = one(np.array([10.0, 10.001]), levels)
        np.testing.assert_allclose(
            near.log_volume[0], np.log(np.diff(near.novel[:, 0])[0] / 0.001), rtol=1e-3
        )


def test_unseen_is_the_share_of_those_that_came_once() -> None:
    def unseen(values: Any, **options: Any) -> float:
        return fit_column(values, **options).codec.layout.unseen[0]

    assert unseen(["a", "b"] * 10) == 1e-9
    assert unseen(["a", "b"] * 10 + ["c"]) == pytest.approx(1 / 22)
    assert unseen([0, 1, 2] * 40 + [7, 9, None]) == pytest.approx(2 / 124)
    assert unseen([*np.zeros(50), *RNG.normal(size=50)]) == 1e-9
    assert unseen(list("abcdefgh"), column_kinds={"a": "categorical"}) < 1


def test_same_numbers_in_other_dtypes_get_the_same_code() -> None:
    other = FRAME.assign(
        level=FRAME.level * 1.0,
        city=FRAME.city.astype(object),
        income_label=FRAME.income_label * 1.0,
    )
    expected = FITTED.encode(FRAME)
    for table in (other, FRAME.convert_dtypes(), FRAME.iloc[::-1].iloc[::-1]):
        encoded = FITTED.encode(table)
        np.testing.assert_array_equal(encoded.labels, expected.labels)
        np.testing.assert_array_equal(encoded.values, expected.values)


def test_missing_booleans_and_holes() -> None:
    fitted = fit(pd.DataFrame({"a": [True, False] * 9, "b": [1, 2] * 9, "c": ["1", "2"] * 9}))
    holes = pd.DataFrame({"a": [True, None], "b": [1.0, np.nan], "c": [None, "2"]})
    np.testing.assert_array_equal(fitted.encode(holes).labels, [[1, 0, 2], [2, 2, 1]])
    nothing = pd.DataFrame({"a": [None], "b": [np.nan], "c": [pd.NaT]})
    np.testing.assert_array_equal(fitted.encode(nothing).labels, [[2, 2, 2]])


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("b", ["1", "2"], "'b': was fitted as number .*convert it to int64"),
        ("c", pd.to_datetime(["2020", "2021"]), "'c': was fitted as category .* came as date"),
        ("d", [1, 2], "'d': was fitted as date .* came as number"),
        ("d", pd.to_datetime(["2020", "2021"]).tz_localize("UTC"), "'d': .* time zone"),
        ("a", ["x", "y"], "'a': was fitted as boolean"),
    ],
)
def test_another_kind_of_thing_is_refused(column: str, values: Any, message: str) -> None:
    frame = pd.DataFrame(
        {"a": [True, False], "b": [1, 2], "c": ["1", "2"], "d": pd.to_datetime(["2020", "2021"])}
    )
    with pytest.raises(TypeError, match=message):
        fit(frame).encode(frame.assign(**{column: values}))


def test_what_no_density_is_of() -> None:
    bad = pd.DataFrame(
        {
            "period": pd.period_range("2020", periods=3),
            "list": [[1], [2], [3]],
            "fine": [1, 2, 3],
            "sparse": pd.arrays.SparseArray([0, 0, 1.0]),
            "interval": pd.interval_range(0, 3),
        }
    )
    with pytest.raises(TypeError, match="Some columns cannot be read") as raised:
        fit(bad)
    for name in ("period", "list", "sparse", "interval"):
        assert f"'{name}':" in str(raised.value)
    assert "'fine'" not in str(raised.value)
    with pytest.raises(TypeError, match=r"'a': dtype List\(Int64\) is not supported"):
        fit(pl.DataFrame({"a": [[1], [2]]}))
    for values, remedy in (
        ([dt.time(3), None], r"'a': dtype Time is not supported; .*since midnight, or drop it"),
        ([b"x", b"y"], "'a': dtype Binary .*convert it to text"),
        (pl.Series([1, 2], dtype=pl.Int128), "'a': dtype Int128 .*to 64 bits"),
    ):
        with pytest.raises(TypeError, match=remedy):
            fit(pl.DataFrame({"a": values}))
    with pytest.raises(TypeError, match=r"timedelta64.* not supported; convert the column, or"):
        fit(np.arange(6).astype("m8[Y]")[:, None])
    with pytest.raises(ValueError, match="Complex data not supported"):
        fit(pd.DataFrame({"a": [1j, 2]}))
    with pytest.raises(
        ValueError,
        match=r"contains infinity or a value too large[^']*'float64'\)\.\nColumns: \['a', 'c'\]",
    ):
        fit(pd.DataFrame({"a": [1.0, np.inf], "b": [1.0, 2.0], "c": [-np.inf, 0.0]}))
    with pytest.raises(ValueError, match="too large for dtype"):
        fit(pd.DataFrame({"a": [10**400, 1.5]}, dtype=object))
    with pytest.raises(ValueError, match="must be unique"):
        fit(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(ValueError, match="2 columns, but was fitted with 5"):
        FITTED.read(FRAME.iloc[:, :2])


def test_drawn_rows_lie_on_the_grid_and_within_the_support() -> None:
    frame = pd.DataFrame(
        {
            "cents": np.arange(N) / 100,
            "whole": np.arange(N, dtype=np.int8) % 99,
            "real": RNG.exponential(size=N),
            "day": np.arange(N).astype("M8[D]").astype("M8[ns]"),
            "few": np.arange(N) % 3,
        }
    )
    fitted = fit(frame, bounds={"real": (0, 7.5)})
    encoded = fitted.encode(frame)
    drawn = encoded.values + RNG.normal(scale=3, size=encoded.values.shape)
    drawn[0] = 1e300
    novel = np.where(np.arange(N)[:, None] % 5 == 0, RNG.normal(scale=4, size=(N, 1)), np.nan)
    labels = np.where(np.isnan(novel), encoded.labels, 3)
    rows = fitted.decode(replace(encoded, labels=labels, novel=novel, values=drawn), on_grid=True)
    assert (rows.dtypes == frame.dtypes).all()
    np.testing.assert_array_equal(rows.cents, (rows.cents * 100).round() / 100)
    assert rows.cents.min() >= 0
    assert rows.whole.min() >= 0
    assert rows.real.between(0, 7.5).all()
    assert (rows.day[1:] == rows.day[1:].dt.normalize()).all()
    assert rows.few.min() >= 0


GRIDS: dict[str, tuple[Any, Any, Any]] = {  # values, the step of their grid, what bounds are
    "whole floats": (np.arange(18.0, 96), 1.0, float),
    "int8": (np.arange(18, 96, dtype=np.int8), 1, float),
    "tens": (10 * np.arange(18, 96), 10, float),
    "cents": (np.arange(180, 960) / 100, 0.01, float),
    "cents of float32": ((np.arange(180, 960) / 100).astype(np.float32), 0.01, float),
    "integers, as continuous": (np.arange(18, 96), 1, float),
    "days": (np.datetime64("2024-01-01", "us") + np.arange(60).astype("m8[D]"), "D", "M8[s]"),
    "hours": (np.arange(60).astype("m8[h]").astype("m8[ms]"), "h", "m8[s]"),
    "days of nanoseconds": (
        np.datetime64("2024-01-01", "ns") + np.arange(60).astype("m8[D]"),
        "D",
        "M8[s]",
    ),
}


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(list(GRIDS)), below=st.floats(0, 3), above=st.floats(0, 3))
@example("whole floats", 0.5, 0.5)
@example("int8", 0.7, 0.3)
@example("days", 0.25, 0.6)
@example("cents", 0.0, 0.0)
def test_drawn_rows_lie_on_the_grid_whatever_the_bounds(
    name: str, below: float, above: float
) -> None:
    values, step, of = GRIDS[name]
    if isinstance(step, str):
        unit = np.timedelta64(1, step) // np.timedelta64(1, "s")
        ends = values[[0, -1]].astype(of)
        low = ends[0] - np.timedelta64(int(below * unit), "s")
        high = ends[1] + np.timedelta64(int(above * unit), "s")
    else:
        low, high = float(values[0]) - below * step, float(values[-1]) + above * step
    kinds = {"a": "continuous"} if "continuous" in name else None
    fitted = fit_column(values, bounds={"a": (low, high)}, column_kinds=kinds)
    encoded = fitted.encode(pd.DataFrame({"a": values}))
    spread = np.ptp(encoded.values) * np.random.default_rng(0).normal(size=(len(values), 10))
    for shift in spread.T:
        drawn = replace(encoded, values=encoded.values + shift[:, None])
        rows = fitted.decode(drawn, on_grid=True)["a"].to_numpy()
        assert rows.dtype == values.dtype
        assert (rows >= low).all()
        assert (rows <= high).all()
        if isinstance(step, str):
            assert (rows == rows.astype(f"{of[:2]}[{step}]")).all()
        else:
            nearest = np.round(rows.astype(float) / step) * step
            np.testing.assert_allclose(rows, nearest, rtol=1e-6 if "32" in name else 1e-12)


def test_drawn_times_without_a_grid_lie_within_bounds_of_another_unit() -> None:
    """Of microseconds, within bounds of nanoseconds, over more steps than floats tell apart."""
    ticks = np.random.default_rng(0).integers(1, 2**61, 300)
    low, high = np.datetime64(1, "ns"), np.datetime64(2**61 + 1, "us")
    with pytest.warns(LostDigitsWarning):
        fitted = fit_column(ticks.view("M8[us]"), bounds={"a": (low, high)})
    encoded = fitted.encode(pd.DataFrame({"a": ticks.view("M8[us]")}))
    for side in (-1, 1):
        far = replace(encoded, values=encoded.values + side * np.linspace(0, 3, 300)[:, None])
        rows = fitted.decode(far, on_grid=True)["a"].to_numpy().view(np.int64)
        assert rows.min() >= 1
        assert rows.max() <= 2**61 + 1


@pytest.mark.parametrize("end", [-(2**63) + 1, 2**63 - 1])
@pytest.mark.parametrize("seed", range(5))
def test_the_longest_durations_do_not_wrap(end: int, seed: int) -> None:
    """A clock unit beyond the limit of nanoseconds is as near as one before it."""
    seconds = np.random.default_rng(seed).integers(0, 9000, 300) * 10**9
    fitted = fit_column(seconds.view("m8[ns]"))
    rows = pd.DataFrame({"a": np.array([end], dtype="m8[ns]")})
    back = fitted.decode(fitted.transform(rows))["a"].to_numpy().view(np.int64)
    assert back.astype(float) == pytest.approx(end, rel=1e-12)


def test_categories_never_seen_become_rare_ones() -> None:
    fitted = fit_column(["a"] * 20 + ["b", "c"], column_kinds={"a": "categorical"})
    nothing = np.full((4, 1), np.nan)
    columns = fitted.codec.decode(np.full((4, 1), 3), nothing, np.empty((4, 0)), on_grid=True)
    assert columns[0].values.tolist() == ["b", "c", "b", "c"]


def numbers_in(thing: Any, seen: set[int]) -> Iterator[float]:
    """Every number reachable from an object."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, np.ndarray) and thing.dtype.kind in "iufMm":
        yield from thing.ravel().astype(float).tolist()
    elif isinstance(thing, bool | str | bytes | type(None)):
        return
    elif isinstance(thing, int | float | np.number) or hasattr(thing, "as_integer_ratio"):
        yield float(thing)
    elif isinstance(thing, dict):
        yield from (x for part in (*thing.keys(), *thing.values()) for x in numbers_in(part, seen))
    elif isinstance(thing, list | tuple | set | np.ndarray):
        yield from (x for part in list(thing) for x in numbers_in(part, seen))
    elif isinstance(thing, pd.DataFrame | pd.Series):
        yield from numbers_in(thing.to_numpy(), seen)
    elif hasattr(thing, "__dict__"):
        yield from numbers_in(vars(thing), seen)


@pytest.mark.parametrize("n_rows", [2, 3, 11, 101, 1001])
def test_nothing_is_memorised(n_rows: int) -> None:
    rng = np.random.default_rng(n_rows)
    once = rng.uniform(1e4, 9e4, n_rows)
    whole = rng.choice(10**9, n_rows, replace=False) + 10**6
    frame = pd.DataFrame(
        {
            "real": once,
            "cents": rng.choice(10**7, n_rows, replace=False) / 100 + 12345,
            "whole": whole,
            "wide": 10 ** rng.uniform(-20, 9, n_rows),
            "atom": np.where(np.arange(n_rows) < n_rows // 2, 0.0, once + 1),
            "one level": np.where(np.arange(n_rows) == 0, 777.25, np.arange(n_rows) % 2),
            "alone": np.where(np.arange(n_rows) == 0, 54321.125, np.nan),
            "date": whole.view("M8[s]"),
            "duration": whole.view("m8[ms]"),
        }
    )
    fitted = pickle.loads(pickle.dumps(fit(frame)))
    kept = np.array(list(numbers_in(fitted, set())))
    for name in frame.columns:
        values, counts = np.unique(frame[name].dropna(), return_counts=True)
        single = values[counts == 1]
        for unit in (1, 10**9) if name in ("date", "duration") else (1,):
            numbers = single.astype(float) * unit
            found = np.isclose(kept[:, None], numbers, rtol=1e-10, atol=0) & (np.abs(numbers) > 1e3)
            assert not found.any(), (name, numbers[found.any(axis=0)])


def test_pickles_encode_alike() -> None:
    copy = pickle.loads(pickle.dumps(FITTED))
    np.testing.assert_array_equal(copy.encode(FRAME).values, FITTED.encode(FRAME).values)
    assert_same(copy.there_and_back(FRAME), FITTED.there_and_back(FRAME))


def test_no_rows_are_kept_alive() -> None:
    frame = pd.DataFrame({"a": RNG.normal(size=10**5), "b": ["x", "y"] * 50_000})
    assert len(pickle.dumps(fit(frame))) < 10_000
    assert len(pickle.dumps(fit(frame.convert_dtypes(dtype_backend="pyarrow")))) < 10_000
    assert len(pickle.dumps(fit(pl.DataFrame(frame.to_dict("list"))))) < 10_000


def test_two_rows_and_one_column() -> None:
    for values in ([1.5, 1.5], [0.0, 1.0], [True, False], ["a", None], [None, None], [np.nan, 2.0]):
        frame = pd.DataFrame({"a": values})
        assert_same(fit(frame).there_and_back(frame), frame)
