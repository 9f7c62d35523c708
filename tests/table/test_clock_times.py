"""Times of day that numbers spell: the rule, the way there and back, and the grid."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import skflow
from skflow import FlowDensity, FlowOutlierDetector, FlowRegressor
from skflow.table.clock_times.arithmetic import (
    are_times,
    hours_and_minutes,
    log_slope,
    minutes_since_midnight,
)
from tests.table.trips import fit_column

rng = np.random.default_rng(0)
MINUTES = rng.integers(0, 1440, 3000)
TIMES = 100 * (MINUTES // 60) + MINUTES % 60


def test_times_are_those_of_the_clock() -> None:
    every = pd.date_range("2026-01-01", periods=1440, freq="min")
    numbers = every.strftime("%H%M").astype(float).to_numpy()
    np.testing.assert_array_equal(minutes_since_midnight(numbers), np.arange(1440))
    np.testing.assert_array_equal(hours_and_minutes(np.arange(1440.0)), numbers)
    some = np.arange(-100, 2600)
    assert some[are_times(some)].tolist() == [*numbers.astype(int).tolist(), 2400]


@given(st.floats(-1e5, 1e5), st.floats(1e-3, 1e3))
def test_minutes_increase_and_have_an_inverse(number: float, more: float) -> None:
    numbers = np.array([number, number + more])
    minutes = minutes_since_midnight(numbers)
    assert minutes[0] < minutes[1]
    # Between times the way back is 65,536 times as steep.
    np.testing.assert_allclose(hours_and_minutes(minutes), numbers, rtol=0, atol=1e-5)


def test_the_slope_between_times_is_that_of_the_map() -> None:
    between = np.arange(560.0, 599.0)
    differences = minutes_since_midnight(between + 0.5) - minutes_since_midnight(between)
    np.testing.assert_allclose(np.exp(log_slope(between)), 2 * differences, rtol=1e-6)
    np.testing.assert_array_equal(log_slope(TIMES.astype(float)), 0)


@pytest.mark.parametrize("dtype", ["int16", "uint16", "int64", "float32", "float64"])
def test_times_come_back_and_so_do_other_numbers(dtype: str) -> None:
    fitted = fit_column(TIMES.astype(dtype))
    assert fitted.column.kind == "clock"
    some = [0, 59, 60, 99, 100, 575, 1275, 2359, 2400, 2500, 9999]
    table = pd.DataFrame({"a": np.array([*some, *TIMES[:50]]).astype(dtype)})
    pd.testing.assert_frame_equal(fitted.there_and_back(table), table)


def test_floats_that_are_no_times_come_back_from_a_density() -> None:
    times = np.random.default_rng(0).normal(840, 200, 800).clip(0, 1439).astype(int)
    table = pd.DataFrame({"a": 100.0 * (times // 60) + times % 60})
    density = FlowDensity(n_layers=0, n_components=2, random_state=0).fit(table)
    others = pd.DataFrame({"a": [60.0, 99.0, 575.0, 2460.0, 9999.0, -5.0, 12.5, 2400.0]})
    pd.testing.assert_frame_equal(
        density.inverse_transform(density.transform(others)), others, check_exact=True
    )


def test_missing_times_and_frequent_ones_are_labels() -> None:
    times = np.where(rng.uniform(size=len(TIMES)) < 0.2, 730, TIMES).astype(float)
    times[::7] = np.nan
    fitted = fit_column(times)
    assert (fitted.column.kind, fitted.column.atoms) == ("clock", (730,))
    assert fitted.column.describe() == "times of day; 0 to 2359; often 730; or missing (NaN)"


def test_round_times_are_a_level() -> None:
    minutes = np.where(rng.uniform(size=len(MINUTES)) < 0.6, MINUTES // 15 * 15, MINUTES)
    column = fit_column(100 * (minutes // 60) + minutes % 60).column
    assert column.rounding == (15,)
    assert column.describe() == "times of day; often multiples of 15 min; 0 to 2359"


@pytest.mark.parametrize(
    "numbers",
    [
        rng.integers(0, 2360, 3000),
        rng.integers(0, 60, 3000) * 1.0,
        100 * rng.integers(0, 24, 3000) + 10 * rng.integers(0, 10, 3000),
        100 * rng.integers(1, 13, 3000) + rng.integers(1, 32, 3000),
        100 * rng.integers(1, 10, 3000) + rng.integers(1, 41, 3000),
        50 * rng.integers(0, 48, 3000),
        TIMES + 2400,
        TIMES[:20],
        TIMES + 0.5,
        np.append(TIMES, 1275),
    ],
    ids=[
        "any",
        "minutes",
        "tens",
        "months and days",
        "rooms",
        "fifties",
        "days",
        "few",
        "halves",
        "one other",
    ],
)
def test_other_numbers_are_no_times(numbers: np.ndarray) -> None:
    assert fit_column(numbers).column.kind != "clock"


def test_a_chosen_kind_is_refused_where_numbers_are_no_times() -> None:
    assert fit_column(TIMES[:20], column_kinds={"a": "clock"}).column.kind == "clock"
    assert fit_column(TIMES, column_kinds={"a": "integer"}).column.kind == "integer"
    with pytest.raises(ValueError, match="'a' for 'clock', but some values are no times"):
        fit_column(TIMES + 0.5, column_kinds={"a": "clock"})


@pytest.fixture(scope="module")
def trains() -> pd.DataFrame:
    generator, n = np.random.default_rng(1), 2500
    minutes = generator.normal(840, 200, n).astype(int).clip(0, 1439)
    due = minutes - generator.poisson(10, n).clip(max=minutes)
    table = pd.DataFrame({"due": 100 * (due // 60) + due % 60, "late": minutes - due})
    table["left"] = 100 * (minutes // 60) + minutes % 60
    return table.assign(hour=minutes // 60, minute=minutes % 60)


@pytest.fixture(scope="module")
def flow(trains: pd.DataFrame) -> FlowDensity:
    return FlowDensity(n_layers=0, n_components=2, random_state=0).fit(trains)


def test_hours_and_minutes_are_constraints(flow: FlowDensity, trains: pd.DataFrame) -> None:
    found = [str(constraint) for constraint in flow.schema_.constraints]
    assert found == ["hour = hour of left", "minute = minute of left"]
    pd.testing.assert_frame_equal(flow.inverse_transform(flow.transform(trains)), trains)
    drawn = flow.sample(2000, random_state=0)
    assert are_times(drawn[["due", "left"]].to_numpy()).all()
    kept = (drawn["left"] // 100 == drawn["hour"]) & (drawn["left"] % 100 == drawn["minute"])
    assert kept.mean() > 0.98


def test_files_hold_times_and_their_parts(
    flow: FlowDensity, trains: pd.DataFrame, tmp_path: Path
) -> None:
    flow.save(tmp_path / "model.skflow")
    loaded = skflow.load(tmp_path / "model.skflow")
    assert loaded.schema_ == flow.schema_
    np.testing.assert_array_equal(loaded.score_samples(trains), flow.score_samples(trains))


def test_a_wrong_part_is_the_reason(trains: pd.DataFrame) -> None:
    density = FlowDensity(n_layers=0, n_components=2)
    detector = FlowOutlierDetector(density, random_state=0).fit(trains)
    wrong = trains.head(2).assign(hour=[3, 4])
    reasons = detector.explain(wrong)
    assert reasons.groupby("row").first()["column"].tolist() == ["hour", "hour"]
    assert np.isfinite(detector.score_features(wrong)).all(axis=None)


def test_predicted_times_are_times(trains: pd.DataFrame) -> None:
    X, y = trains[["due", "late"]], trains["left"]
    density = FlowDensity(n_layers=0, n_components=2)
    regressor = FlowRegressor(density, random_state=0).fit(X[:2000], y[:2000])
    predicted = minutes_since_midnight(regressor.predict(X[2000:]).astype(float))
    error = np.abs(predicted - minutes_since_midnight(y[2000:].to_numpy(float)))
    assert np.median(error) < 5  # as numbers, means across an hour would be off by up to 40


def test_unknown_times_follow_from_their_parts(flow: FlowDensity, trains: pd.DataFrame) -> None:
    partial = trains.head(4).astype(float)
    partial["left"] = np.nan
    filled = flow.impute(partial, random_state=0)
    np.testing.assert_array_equal(filled["left"], trains["left"].head(4))
    drawn = flow.sample_given(pd.DataFrame({"hour": [9, 14, 17]}), random_state=0)
    assert (drawn["left"] // 100).tolist() == [9, 14, 17]


def test_densities_of_parts_are_sums_over_times(trains: pd.DataFrame) -> None:
    table = trains[["left", "hour", "minute"]]
    flow = FlowDensity(n_layers=0, n_components=2, random_state=0).fit(table)
    times = np.arange(2401)
    times = times[are_times(times)]
    mass = np.exp(flow.marginal_log_density(pd.DataFrame({"left": times})))
    assert mass.sum() == pytest.approx(1, abs=2e-3)
    for name, part, value in (("hour", times // 100, 14), ("minute", times % 100, 30)):
        of_part = np.exp(flow.marginal_log_density(pd.DataFrame({name: [value]})))
        assert of_part[0] == pytest.approx(mass[part == value].sum(), rel=0.02)


def test_the_density_is_that_of_minutes(trains: pd.DataFrame) -> None:
    """The same numbers in minutes, as integers, are an independent way to the same density."""
    times = trains[["left", "late"]]
    minutes = times.assign(left=trains["hour"] * 60 + trains["minute"])
    options = {"n_layers": 0, "n_components": 2, "constraints": None, "random_state": 0}
    one = FlowDensity(**options).fit(times)
    bounds = {"left": (0, 1439)}
    other = FlowDensity(**options, column_kinds={"left": "integer"}, bounds=bounds).fit(minutes)
    np.testing.assert_allclose(one.score_samples(times), other.score_samples(minutes), rtol=1e-9)


def test_numbers_that_are_no_times_are_unlikely() -> None:
    table = pd.DataFrame({"left": TIMES})
    flow = FlowDensity(n_layers=0, n_components=1, random_state=0).fit(table)
    scores = flow.score_samples(pd.DataFrame({"left": [1259, 1275, 1300]}))
    assert scores[1] < min(scores[0], scores[2]) - 10
