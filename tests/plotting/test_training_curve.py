import numpy as np
import pytest

from skflow import FlowDensity, FlowOutlierDetector
from skflow.plotting import TrainingCurveDisplay
from tests.plotting.conftest import numbers
from tests.settings import ONE_GAUSSIAN


def test_curves_are_the_history(flow: FlowDensity) -> None:
    display = TrainingCurveDisplay.from_estimator(flow)
    train, held_out, kept, best = display.ax_.lines
    np.testing.assert_array_equal(train.get_ydata(), flow.history_["train_score"])
    np.testing.assert_array_equal(held_out.get_ydata(), flow.history_["validation_score"])
    np.testing.assert_array_equal(train.get_xdata(), [1, 2, 3])
    assert set(kept.get_ydata()) == {flow.best_validation_score_}
    assert best.get_ydata() == [max(flow.history_["validation_score"])]


def test_the_best_epoch_counts_from_one() -> None:
    display = TrainingCurveDisplay([1.0, 2.0, 3.0], [0.5, 0.9, 0.7], 0.9).plot()
    assert display.best_epoch == 2
    assert display.ax_.lines[-1].get_xdata() == [2]


def test_without_held_out_rows_the_best_epoch_is_that_of_the_training_rows() -> None:
    flow = FlowDensity(early_stopping=False, **ONE_GAUSSIAN | {"n_layers": 1, "max_iter": 2}).fit(
        numbers()[:60]
    )
    display = TrainingCurveDisplay.from_estimator(flow)
    assert display.best_epoch == 1 + np.argmax(flow.history_["train_score"])
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert not any("held-out" in text for text in texts)


def test_a_detector_shows_its_density(mixed: FlowOutlierDetector) -> None:
    display = TrainingCurveDisplay.from_estimator(mixed)
    assert display.train_score == pytest.approx(mixed.density_.history_["train_score"])


def test_a_gaussian_mixture_copula_has_one_epoch() -> None:
    flow = FlowDensity(**ONE_GAUSSIAN).fit(numbers())
    display = TrainingCurveDisplay.from_estimator(flow)
    low, high = display.ax_.get_xlim()
    assert [tick for tick in display.ax_.get_xticks() if low <= tick <= high] == [1]
