"""What all Displays do alike."""

import importlib
import sys
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError

import skflow.plotting
from skflow import FlowDensity, FlowOutlierDetector
from skflow.plotting import (
    LatentNormalityDisplay,
    OutlierScoreDisplay,
    PairDisplay,
    ReasonsDisplay,
    TrainingCurveDisplay,
)
from tests.plotting.conftest import numbers, subscriptions
from tests.settings import ONE_GAUSSIAN
from tests.tables import unfitted

Draw = Callable[..., Any]

DISPLAYS: dict[str, Draw] = {
    "latents": LatentNormalityDisplay.from_estimator,
    "scores": OutlierScoreDisplay.from_estimator,
    "pair": lambda estimator, X, **ax: PairDisplay.from_estimator(estimator, X, (0, 1), **ax),
    "reasons": lambda estimator, X, **ax: ReasonsDisplay.from_estimator(estimator, X, row=2, **ax),
    "curve": lambda estimator, X, **ax: TrainingCurveDisplay.from_estimator(estimator, **ax),
}
every_display = pytest.mark.parametrize("draw", DISPLAYS.values(), ids=DISPLAYS)


def new_axes(draw: Draw) -> Any:
    """Return axes for a Display, two where it needs two."""
    return plt.subplots(1, 2 if draw is DISPLAYS["latents"] else 1)[1]


@every_display
def test_every_container_can_be_drawn(
    draw: Draw, detector: FlowOutlierDetector, table: Any
) -> None:
    display = draw(detector, table)
    display.figure_.canvas.draw()  # labels are laid out here; a warning is an error
    assert plt.get_fignums() == [display.figure_.number]


@every_display
def test_given_axes_are_drawn_in(draw: Draw, mixed: FlowOutlierDetector) -> None:
    ax = new_axes(draw)
    display = draw(mixed, subscriptions(), ax=ax)
    assert np.all(display.ax_ == ax)
    assert display.figure_ is np.ravel(ax)[0].figure
    assert len(plt.get_fignums()) == 1


@every_display
def test_plot_draws_the_same_once_more(draw: Draw, mixed: FlowOutlierDetector) -> None:
    display = draw(mixed, subscriptions())
    first = display.figure_
    once = picture_of(first)
    assert display.plot() is display
    assert display.figure_ is not first
    np.testing.assert_array_equal(picture_of(display.figure_), once)


def picture_of(figure: Any) -> np.ndarray:
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba()).copy()


@pytest.fixture(scope="module")
def misread() -> tuple[FlowOutlierDetector, pd.DataFrame]:
    """A detector of columns with names that matplotlib takes for something else."""
    names = ["_hidden", "$ in \n dollars $x_", "a very long name " * 9]
    table = pd.DataFrame(numbers(), columns=names)
    return unfitted(FlowOutlierDetector, **ONE_GAUSSIAN).set_params(contamination=0.1).fit(
        table
    ), table


@every_display
def test_names_that_matplotlib_would_misread(
    draw: Draw, misread: tuple[FlowOutlierDetector, pd.DataFrame]
) -> None:
    display = draw(*misread)
    picture_of(display.figure_)
    assert all(ax.get_window_extent().width > 150 for ax in np.ravel(display.ax_))


@every_display
def test_an_estimator_that_is_not_fitted(draw: Draw) -> None:
    with pytest.raises(NotFittedError):
        draw(FlowOutlierDetector(), numbers())
    assert plt.get_fignums() == []


@pytest.mark.parametrize("name", ["latents", "pair", "reasons", "curve"])
def test_an_estimator_without_density(name: str) -> None:
    forest = IsolationForest(n_estimators=2, random_state=0).fit(numbers())
    with pytest.raises(TypeError, match="Expected a FlowDensity or a FlowOutlierDetector"):
        DISPLAYS[name](forest, numbers())


@pytest.mark.parametrize("name", ["scores", "reasons"])
def test_a_density_flags_no_rows(name: str, flow: FlowDensity) -> None:
    with pytest.raises(TypeError, match="Pass a FlowOutlierDetector"):
        DISPLAYS[name](flow, numbers())


@pytest.mark.parametrize("name", ["latents", "pair", "curve"])
def test_a_density_alone_can_be_drawn(name: str, flow: FlowDensity) -> None:
    display = DISPLAYS[name](flow, numbers())
    assert all(ax.has_data() for ax in np.ravel(display.ax_))
    drawn = picture_of(display.figure_)
    for ax in display.figure_.axes:
        ax.clear()
    assert (picture_of(display.figure_) != drawn).any()


def test_public_names() -> None:
    displays = {name for name in vars(skflow.plotting) if name.endswith("Display")}
    assert set(skflow.plotting.__all__) == displays
    predictions = {"PITDisplay", "PredictiveDensityDisplay", "QuantileFanDisplay"}
    assert predictions < displays  # drawn in test_predictions
    assert len(displays - predictions) == len(DISPLAYS)


def test_without_matplotlib_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # importing it fails
    monkeypatch.delitem(sys.modules, "skflow.plotting")
    with pytest.raises(ImportError, match=r'needs matplotlib.*pip install "skflow\[plot\]"'):
        importlib.import_module("skflow.plotting")
