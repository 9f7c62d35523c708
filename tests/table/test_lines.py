"""Integers, dates and floats at the ends of their ranges: nothing is lost."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skflow.exceptions import LostDigitsWarning
from tests.table.trips import LESS_NOISE, Fitted, assert_comes_back, assert_same, fit, fit_column

INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
quick = settings(max_examples=40, deadline=None)


def spread(rng: np.random.Generator, low: int, span: int, size: int) -> list[int]:
    """Whole numbers from ``low`` to ``low + span``, both included, of any size."""
    return [low, low + span, *(low + int(share * span) for share in rng.random(size - 2))]


@quick
@given(dtype=st.sampled_from(INTEGERS), bits=st.integers(1, 40), data=st.data())
def test_integers_anywhere_in_their_range(dtype: type, bits: int, data: Any) -> None:
    limits = np.iinfo(dtype)
    span = min(2**bits, limits.max - limits.min)
    low = data.draw(st.integers(int(limits.min), int(limits.max) - span))
    rng = np.random.default_rng(bits)
    assert_comes_back(np.array(spread(rng, low, span, 50), dtype=dtype)[:, None])


@quick
@given(unit=st.sampled_from(list(UNITS)), bits=st.integers(1, 40), data=st.data())
def test_dates_anywhere_in_their_range(unit: str, bits: int, data: Any) -> None:
    limits = np.iinfo(np.int64)
    low = data.draw(st.integers(limits.min + 1, limits.max - 2**bits))
    ticks = np.array(spread(np.random.default_rng(bits), low, 2**bits, 50))
    for kind in "Mm":
        assert_comes_back(ticks.view(f"{kind}8[{unit}]")[:, None])


@quick
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2))
@example([1.0, 1.401298464324817e-45])  # the least there is, half a step of its own from 0
def test_any_float32(values: list[float]) -> None:
    assert_comes_back(np.array(values, dtype=np.float32)[:, None])


@quick
@given(
    st.lists(st.floats(-(2**-20), 2**-20, width=32), min_size=1),
    st.sampled_from([0.0, 1.0, 3e4]),
    st.sampled_from([-1, 1]),
)
@example([1.8709968685470812e-07], 0.0, -1)  # far up in its binade: a float there has few digits
@example([0.0] * 10, 0.0, -1)  # repeated so often that they are a label, and have no coordinate
def test_float32_far_below_the_others(few: list[float], centre: float, side: int) -> None:
    """The error of a flow near 0 is a share of the column's scale, not of the value."""
    rows = centre + np.random.default_rng(0).standard_normal(300)
    X = np.append(rows, few).astype(np.float32)[:, None]
    fitted = fit(X)
    encoded = fitted.transform(X)
    error = 3e-15 * np.nanmax(np.abs(encoded.values))
    shifted = replace(encoded, values=encoded.values + side * error)
    near = np.abs(X[:, 0]) < 0.1
    np.testing.assert_array_equal(fitted.decode(shifted)[near], X[near])


def test_narrow_floats_too_near_to_0_come_back_nearly() -> None:
    """Exactly where the training rows hold such; within 1e-11 of the scale else."""
    rows = np.random.default_rng(0).standard_normal((300, 1))
    for dtype, small, smaller in ((np.float32, 1e-6, 1e-9), (np.float16, 6e-8, None)):
        fitted = fit(rows.astype(dtype))
        held_out = np.array([[0.0], [small], [-small]], dtype=dtype)
        assert_same(fitted.there_and_back(held_out), held_out)
        if smaller is not None:
            near_0 = np.geomspace(1e-30, smaller, 50).astype(dtype)[:, None]
            assert np.abs(fitted.there_and_back(near_0) - near_0).max() <= 1e-11
            assert np.isfinite(fitted.encode(near_0).log_volume).all()
    assert_comes_back(np.append(rows, 1e-9)[:, None].astype(np.float32))
    wide = fit(rows)
    assert np.abs(wide.there_and_back(np.array([[1e-9]])) - 1e-9) <= 1e-13


def test_float32_levels_and_what_is_far_below_them() -> None:
    levels = np.append(np.resize([0, 5], 80), [2.3, 3e-30]).astype(np.float32)[:, None]
    zeros = np.append(np.zeros(60), 3e-30).astype(np.float32)[:, None]
    for X in (levels, zeros):
        fitted = fit(X)
        assert fitted.column.kind == "levels"
        encoded = fitted.transform(X)
        shifted = replace(encoded, novel=encoded.novel + 1e-14)
        assert_same(fitted.decode(shifted), X)
    low = np.array([[1e-3]], dtype=np.float32)
    back = fit(1e4 * levels[:-1]).there_and_back(low)
    assert np.abs(back - low) <= 1e-11 * 5e4


COLUMNS = {
    "float64": np.random.default_rng(0).standard_normal(200),
    "float32": np.random.default_rng(0).standard_normal(200).astype(np.float32),
    "float16": np.random.default_rng(0).standard_normal(200).astype(np.float16),
    "cents": np.random.default_rng(0).integers(0, 9999, 200) / 100,
    "cents of float32": (np.random.default_rng(0).integers(0, 9999, 200) / 100).astype(np.float32),
    "int8": np.arange(200, dtype=np.int8),
    "int64": np.random.default_rng(0).integers(0, 10**6, 200),
    "uint64": np.random.default_rng(0).integers(0, 10**6, 200).astype(np.uint64),
    "levels": np.resize([0, 1, 4], 200),
    "levels of floats": np.resize([0.0, 1 / 3, 0.5], 200),
    "constant": np.full(200, 7),
    "zeros and more": np.append(np.zeros(150), np.random.default_rng(0).exponential(size=50)),
    "whole numbers, as continuous": np.arange(200),
    "flags": np.arange(200) % 2 == 0,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "whole numbers, as continuous": {"column_kinds": {0: "continuous"}},
    "flags": {"categorical_features": None},
}
numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-300, 300),
    st.floats(-300, 300).map(lambda x: round(x, 2)),
    st.integers(-(2**63), 2**64 - 1),
    st.integers(-300, 300),
)


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(list(COLUMNS)), later=st.lists(numbers, min_size=1, max_size=8))
def test_every_number_has_a_latent_and_comes_back_as_near_as_can_be(
    name: str, later: list[Any]
) -> None:
    """Within 1e-11 of the scale, or of its own size; as near as its dtype has one."""
    column = COLUMNS[name]
    fitted = fit(column[:, None], **OPTIONS.get(name, {}))
    whole = all(isinstance(x, int) and -(2**63) <= x < 2**63 for x in later)
    X = np.array(later, dtype=np.int64 if whole else np.float64)[:, None]
    back = fitted.there_and_back(X)
    assert back.dtype == column.dtype
    x, y = X[:, 0].astype(np.float64), back[:, 0].astype(np.float64)
    match column.dtype.kind:
        case "f":
            limits = np.finfo(column.dtype)
            x = x.clip(float(limits.min), float(limits.max))
            gap = float(limits.eps) * np.abs(x) + float(limits.smallest_subnormal)
        case "b":
            x, gap = (x >= 0.5).astype(np.float64), np.zeros(len(x))
        case _:
            ends = np.iinfo(column.dtype)
            x, gap = x.clip(float(ends.min), float(ends.max)), np.full(len(x), 0.5)
    size = np.maximum(np.abs(x), np.abs(column.astype(np.float64)).max())
    assert (np.abs(y / 4 - x / 4) <= (gap + 1e-11 * size) / 4).all()


def test_every_finite_float16() -> None:
    values = np.arange(2**16, dtype=np.uint16).view(np.float16)
    X = values[np.isfinite(values)][:, None]
    assert_comes_back(X)
    assert_comes_back(X, after=np.linspace(-3, 5, 300).astype(np.float16)[:, None])


def test_float32_bit_patterns() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 5000, dtype=np.uint32).view(np.float32)
    X = bits[np.isfinite(bits) & (np.abs(bits) > 1e-30)][:, None]
    assert_comes_back(X)


@pytest.mark.parametrize("power", [-300, -9, 0, 9, 300])
def test_float64_of_13_digits(power: int) -> None:
    values = np.random.default_rng(1).uniform(1, 9.9, 300)
    X = np.array([float(f"{x:.12f}e{power}") for x in values])[:, None]
    assert_comes_back(X, noise=LESS_NOISE)


def test_ten_orders_of_magnitude() -> None:
    rng = np.random.default_rng(2)
    values = 10 ** rng.uniform(-20, 6, 500) * rng.choice([-1, 1], 500)
    values[::50] = 0
    assert_comes_back(values.astype(np.float32)[:, None])


def test_far_rows_come_back() -> None:
    trained = np.random.default_rng(3).normal(size=(300, 1)).round(3)
    assert_comes_back(
        np.array([[1e300], [-1e12], [123.456], [1e-3], [0.0]]), after=trained, noise=LESS_NOISE
    )
    whole = np.arange(300)[:, None]
    assert_comes_back(np.array([[2**40], [-(2**40)], [-1]]), after=whole)


def test_numbers_never_seen_in_levels_come_back() -> None:
    levels = np.arange(300)[:, None] % 4
    assert_comes_back(np.array([[7], [-(2**30)], [2**33]]), after=levels)
    assert_comes_back(np.array([[7.0], [-0.25], [1e6], [2.0]]), after=levels / 1.0)
    constant = pd.DataFrame({"a": pd.to_datetime(["2020-01-01"] * 9).as_unit("ns")})
    later = pd.DataFrame({"a": pd.to_datetime(["2020-01-01 00:00:01", "2020-01-03 04:05:06"])})
    assert_comes_back(later.astype(constant.dtypes), after=constant)


def test_integers_of_too_many_digits_are_continuous() -> None:
    X = np.array(spread(np.random.default_rng(4), -(2**62), 2**63, 50))[:, None]
    with pytest.warns(LostDigitsWarning, match="'x0'"):
        fitted = fit(X)
    assert fitted.column.kind == "continuous"
    np.testing.assert_allclose(fitted.there_and_back(X), X, rtol=0, atol=1e-12 * 2**62)


def test_dates_of_too_many_digits_lose_some() -> None:
    ticks = np.array(spread(np.random.default_rng(5), 10**18, 3 * 10**17, 50))
    X = (ticks // 2 * 2 + 1).view("M8[ns]")[:, None]
    with pytest.warns(LostDigitsWarning, match="'x0'"):
        fitted = fit(X)
    assert fitted.column.step is None
    assert np.abs(fitted.there_and_back(X) - X).max() < np.timedelta64(1, "ms")


def test_dates_on_a_coarse_grid_of_many_ticks() -> None:
    days = np.arange(0, 40_000, 7).astype("M8[D]").astype("M8[ns]")
    fitted = assert_comes_back(days[:, None])
    assert fitted.column.step == 7 * 86400
    # Off the grid, they come back to the unit of the clock that the error leaves open.
    assert_comes_back((days + np.timedelta64(36, "h"))[:, None], after=days[:, None])
    late = (days[-1:] + np.timedelta64(1, "ns"))[:, None]
    span = days[-1] - days[0]
    assert (np.abs(fitted.there_and_back(late) - late) <= span / 1e11).all()


def coded(times: NDArray, **options: Any) -> tuple[Fitted, NDArray, NDArray]:
    fitted = fit_column(times, **options)
    encoded = fitted.encode(pd.DataFrame({"a": times}))
    return fitted, encoded.values, encoded.log_volume


@pytest.mark.parametrize(
    "values",
    [
        np.arange(0, 40_000, 7).astype("M8[D]").astype("M8[ns]"),
        np.arange(0, 10**6, 997).astype("m8[s]").astype("m8[us]"),
        np.arange(0, 40_000, 7) / 100,
        np.arange(0, 10**9, 10**6 + 1),
    ],
    ids=["days", "seconds", "cents", "integers"],
)
def test_grids_bear_more_of_the_error_of_a_flow_that_contracts(values: NDArray) -> None:
    X = values[:, None]
    fitted = fit(X)
    encoded = fitted.encode(X)
    error = 2e-12 * np.abs(encoded.values).max()
    for shift in (-error, error):
        assert_same(fitted.decode(replace(encoded, values=encoded.values + shift)), X)


@pytest.mark.parametrize("kind", "Mm")
def test_resolution_changes_nothing(kind: str) -> None:
    seconds = np.random.default_rng(6).integers(-(10**9), 10**9, 200)
    expected, values, volume = coded(seconds.view(f"{kind}8[s]"))
    for unit in ("ms", "us", "ns"):
        fitted, other_values, other_volume = coded((seconds * UNITS[unit]).view(f"{kind}8[{unit}]"))
        assert fitted.schema == expected.schema
        np.testing.assert_array_equal(other_values, values)
        np.testing.assert_array_equal(other_volume, volume)
        later = pd.DataFrame({"a": seconds.view(f"{kind}8[s]")})
        np.testing.assert_array_equal(fitted.encode(later).values, values)


def test_integers_as_floats_are_the_same_numbers() -> None:
    frame = pd.DataFrame({"a": np.arange(2**52, 2**52 + 300)})
    fitted = fit(frame)
    np.testing.assert_array_equal(fitted.encode(frame).values, fitted.encode(frame * 1.0).values)
    assert_same(fitted.there_and_back(frame * 1.0), frame)
    whole = fit(frame - 2**52)
    back = whole.there_and_back(pd.DataFrame({"a": [1.0, 2.75]}))
    assert_same(back, pd.DataFrame({"a": [1, 3]}))


def test_what_cannot_be_stored_comes_back_as_the_nearest_that_can() -> None:
    fitted = fit(np.arange(100, dtype=np.int8)[:, None])
    later = np.array([[5], [300], [-300]])
    assert_same(fitted.there_and_back(later), np.array([[5], [127], [-128]], dtype=np.int8))
    far = np.array([[2**60 + 1]])
    assert np.abs(fit(np.arange(100)[:, None]).there_and_back(far) - far) <= 1e-11 * 2**60


@quick
@given(kind=st.sampled_from("Mm"), data=st.data())
def test_times_of_another_unit(kind: str, data: Any) -> None:
    """Each comes back as the nearest tick of the fitted unit, off the grid as well."""
    unit, finer = data.draw(st.sampled_from([("s", "ms"), ("ms", "us"), ("us", "ns")]))
    every = data.draw(st.sampled_from([1, 60, 3600, 86400]))
    start = np.datetime64("2020-01-01", "s").astype(np.int64)
    times = ((start + every * np.arange(200)) * UNITS[unit]).view(f"{kind}8[{unit}]")
    fitted = fit(times[:, None])
    extra = data.draw(st.lists(st.integers(0, 10**6), min_size=1, max_size=9))
    later = (times[: len(extra)].astype(f"{kind}8[{finer}]").view(np.int64) + extra).view(
        f"{kind}8[{finer}]"
    )
    back = fitted.there_and_back(later[:, None])[:, 0]
    assert back.dtype == times.dtype
    as_ns = [x.astype(f"{kind}8[ns]").view(np.int64) for x in (back, later)]
    error, span = np.abs(as_ns[0] - as_ns[1]), 200 * every * 10**9
    assert (error <= 10**9 / UNITS[unit] / 2 + 1e-11 * span).all()
