import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from skflow import FlowOutlierDetector
from skflow.plotting import OutlierScoreDisplay
from tests.plotting.conftest import numbers, subscriptions


def heights(display: OutlierScoreDisplay, k: int) -> np.ndarray:
    """Upper edge of the bars of one group, from its outline."""
    outline = display.ax_.patches[k].get_xy()
    return outline[1:-1:2, 1]


def labels(display: OutlierScoreDisplay) -> list[str]:
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def test_bars_threshold_and_share(mixed: FlowOutlierDetector) -> None:
    X = subscriptions()
    display = OutlierScoreDisplay.from_estimator(mixed, X)
    counts = np.histogram(mixed.score_samples(X), 50)[0]
    np.testing.assert_allclose(heights(display, 0)[:50] * len(X), counts, atol=1e-9)
    assert np.unique(display.ax_.lines[0].get_xdata()) == [mixed.offset_]
    flagged = np.count_nonzero(mixed.predict(X) == -1)
    assert flagged == 8  # 5 % of 160
    assert labels(display)[0] == "rows: 8 of 160 flagged (5.0%)"


def test_a_single_row_can_be_seen(mixed: FlowOutlierDetector) -> None:
    display = OutlierScoreDisplay.from_estimator(mixed, subscriptions())
    assert 0 < display.ax_.get_ylim()[0] < 1 / 160


def test_two_groups_share_their_bins(mixed: FlowOutlierDetector) -> None:
    X = subscriptions()
    new = X.assign(seats=X["seats"] * 4)[:80]
    display = OutlierScoreDisplay.from_estimator(mixed, new, reference=X, names=("new", "old"))
    both = np.concatenate([mixed.score_samples(new), mixed.score_samples(X)])
    edges = np.histogram_bin_edges(both, 50)
    for k, scores in enumerate((both[:80], both[80:])):
        counts = np.histogram(scores, edges)[0]
        np.testing.assert_allclose(heights(display, k)[:50] * len(scores), counts, atol=1e-9)
    n_new = np.count_nonzero(mixed.predict(new) == -1)
    assert labels(display)[:2] == [
        f"new: {n_new} of 80 flagged ({n_new / 80:.1%})",
        "old: 8 of 160 flagged (5.0%)",
    ]


def test_other_detectors_of_scikit_learn() -> None:
    X = numbers()
    forest = IsolationForest(n_estimators=5, contamination=0.1, random_state=0).fit(X)
    display = OutlierScoreDisplay.from_estimator(forest, X)
    n_flagged = np.count_nonzero(forest.predict(X) == -1)
    assert labels(display)[0].startswith(f"rows: {n_flagged} of 160")
    assert display.threshold == pytest.approx(forest.offset_)


def test_rows_very_far_out_are_drawn_there_and_do_not_squeeze_the_others() -> None:
    scores = np.concatenate([np.linspace(-4, 0, 98), [-900, -5000]])
    display = OutlierScoreDisplay(scores, -4.5).plot()
    display.figure_.canvas.draw()
    assert display.ax_.get_xlim()[0] < -5000
    bars = heights(display, 0)[:50] * 100
    assert bars.sum() == pytest.approx(100)
    assert np.count_nonzero(bars[:20] > 0.5) == 2  # one each, apart from the others
    places = display.ax_.transAxes.inverted().transform(
        display.ax_.transData.transform([(-4, 0.1), (0, 0.1)])
    )
    assert places[1, 0] - places[0, 0] > 0.2
    assert "logarithmic below -9" in display.ax_.get_xlabel()
    assert labels(display)[0] == "rows: 2 of 100 flagged (2.0%)"
