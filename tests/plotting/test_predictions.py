"""Displays of predicted distributions."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression

from skflow import FlowDensity, FlowRegressor
from skflow.plotting import PITDisplay, PredictiveDensityDisplay, QuantileFanDisplay
from tests.plotting.conftest import numbers, subscriptions

GAUSSIAN = FlowDensity(n_layers=0, n_components=1, early_stopping=False)


def fit(X, y) -> FlowRegressor:
    return FlowRegressor(GAUSSIAN, random_state=0).fit(X, y)


@pytest.fixture(scope="module")
def of_numbers() -> FlowRegressor:
    rows = numbers()
    return fit(rows[:, :2], rows[:, 2])


@pytest.fixture(scope="module")
def of_seats() -> FlowRegressor:
    table = subscriptions()
    return fit(table[["plan", "start", "stay"]], table["seats"])


def test_density_of_a_row(of_numbers: FlowRegressor) -> None:
    rows = numbers()
    X, y = rows[:, :2], rows[:, 2]
    display = PredictiveDensityDisplay.from_estimator(of_numbers, X, row=4, y=y)
    display.figure_.canvas.draw()
    mass = np.trapezoid(display.density, display.places)
    assert mass == pytest.approx(1, abs=0.02)
    assert display.interval[0] < display.mean < display.interval[1]
    assert display.truth == y[4]
    ax = plt.subplots()[1]
    assert display.plot(ax).ax_ is ax


def test_density_of_whole_numbers_and_of_levels(of_seats: FlowRegressor) -> None:
    table = subscriptions()
    X = table[["plan", "start", "stay"]]
    display = PredictiveDensityDisplay.from_estimator(of_seats, X, row=0)
    display.figure_.canvas.draw()
    few = fit(X, np.minimum(table["seats"], 4))
    display = PredictiveDensityDisplay.from_estimator(few, X, row=0)
    display.figure_.canvas.draw()
    assert display.probabilities.sum() == pytest.approx(1)


def test_calibration(of_numbers: FlowRegressor) -> None:
    rows = numbers()
    display = PITDisplay.from_estimator(of_numbers, rows[:, :2], rows[:, 2])
    display.figure_.canvas.draw()
    heights = [patch.get_height() for patch in display.ax_.patches[-10:]]
    assert sum(heights) == pytest.approx(1)


@pytest.mark.parametrize("container", ["array", "pandas", "polars"])
def test_fan(container: str, of_numbers: FlowRegressor) -> None:
    rows = numbers()[:, :2]
    if container == "array":
        display = QuantileFanDisplay.from_estimator(of_numbers, rows, 0)
    else:
        frame = pd.DataFrame(rows, columns=["a", "b"])
        X = frame if container == "pandas" else pl.from_pandas(frame)
        display = QuantileFanDisplay.from_estimator(fit(X, numbers()[:, 2]), X, "a", row=3)
    display.figure_.canvas.draw()
    assert display.quantiles.shape == (50, 5)
    assert (np.diff(display.quantiles, axis=1) >= 0).all()


def test_fan_along_dates(of_seats: FlowRegressor) -> None:
    X = subscriptions()[["plan", "start", "stay"]]
    display = QuantileFanDisplay.from_estimator(of_seats, X, "start", quantiles=[0.1, 0.9])
    display.figure_.canvas.draw()
    assert display.places.dtype.kind == "M"
    with pytest.raises(ValueError, match="'plan' holds"):
        QuantileFanDisplay.from_estimator(of_seats, X, "plan")


def test_other_estimators_are_refused() -> None:
    rows = numbers()
    with pytest.raises(TypeError, match="LinearRegression"):
        PITDisplay.from_estimator(LinearRegression().fit(rows, rows[:, 0]), rows, rows[:, 0])
    with pytest.raises(NotFittedError):
        PITDisplay.from_estimator(FlowRegressor(), rows, rows[:, 0])
    several = fit(rows[:, :1], rows[:, 1:])
    with pytest.raises(ValueError, match="one output"):
        QuantileFanDisplay.from_estimator(several, rows[:, :1], 0)
