from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest, norm

from skflow import FlowDensity, FlowOutlierDetector
from skflow.plotting import LatentNormalityDisplay
from tests.plotting.conftest import numbers, subscriptions
from tests.settings import ONE_GAUSSIAN


@pytest.fixture(scope="module")
def display(mixed: FlowOutlierDetector) -> LatentNormalityDisplay:
    return LatentNormalityDisplay.from_estimator(mixed, subscriptions())


def test_numbers_of_a_plain_table(flow: FlowDensity) -> None:
    X = numbers()
    display = LatentNormalityDisplay.from_estimator(flow, X)
    Z = flow.transform(X)
    expected = np.abs(np.corrcoef(Z.T))
    drawn = np.ma.filled(display.ax_[1].images[0].get_array(), np.nan)
    off = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(drawn[off], expected[off], rtol=1e-9)
    assert np.isnan(np.diag(drawn)).all()
    np.testing.assert_allclose(display.distances, [kstest(z, "norm").statistic for z in Z.T])


def test_rows_without_a_value_do_not_count(
    display: LatentNormalityDisplay, mixed: FlowOutlierDetector
) -> None:
    X = subscriptions()
    there = X["stay"].notna().to_numpy()
    names = mixed.density_.get_feature_names_out().tolist()
    stay, start = (mixed.density_.transform(X)[:, names.index(c)] for c in ("stay", "start"))
    i, j = display.names.index("stay"), display.names.index("start")
    assert display.distances[i] == pytest.approx(kstest(stay[there], "norm").statistic)
    r = np.corrcoef(stay[there], start[there])[0, 1]
    assert display.correlations[i, j] == pytest.approx(abs(r), rel=1e-6)


def test_latents_of_labels_are_left_out(display: LatentNormalityDisplay) -> None:
    assert "plan" not in display.names
    assert "stay_label" not in display.names
    assert {"start", "stay"} <= set(display.names)


def test_exact_quantiles_lie_on_the_diagonal_inside_the_band() -> None:
    z = norm.ppf((np.arange(500) + 0.5) / 500)
    rng = np.random.default_rng(0)
    display = LatentNormalityDisplay(np.column_stack([z, rng.permutation(z)]), ["a", "b"]).plot()
    ax = display.ax_[0]
    for line in ax.lines[1:]:
        np.testing.assert_allclose(line.get_ydata(), line.get_xdata(), atol=0.05)
    band = ax.collections[0].get_paths()[0]
    middle = [(x, x) for x in np.linspace(-2.5, 2.5, 11)]
    assert band.contains_points(middle).all()
    assert not band.contains_points([(0, 0.25), (1, 1.5), (-1, -1.5)]).any()


def test_the_band_holds_99_in_100_normal_samples() -> None:
    rng = np.random.default_rng(0)
    display = LatentNormalityDisplay(rng.standard_normal((100, 1)), ["z"]).plot()
    band = display.ax_[0].collections[0].get_paths()[0]
    samples = np.sort(rng.standard_normal((2000, 100)))
    for k in (4, 49, 95):
        x = norm.ppf((k + 0.5) / 100)
        inside = band.contains_points([(x, y) for y in samples[:, k]])
        assert inside.mean() == pytest.approx(0.99, abs=0.01)


def test_the_farthest_are_named() -> None:
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((300, 5)) + np.array([0, 0.3, 0, 1, 2])
    display = LatentNormalityDisplay(latents, list("abcde")).plot()
    texts = [text.get_text() for text in display.ax_[0].get_legend().get_texts()]
    assert [text[-1] for text in texts[1:]] == ["e", "d", "b"]


def test_far_latents_are_drawn_where_they_are() -> None:
    latents = np.random.default_rng(0).standard_normal((1000, 2))
    latents[0] = 40.0
    display = LatentNormalityDisplay(latents, ["a", "b"]).plot()
    display.figure_.canvas.draw()
    ax = display.ax_[0]
    assert ax.get_ylim()[1] >= 40
    places = ax.transAxes.inverted().transform(ax.transData.transform([(0, -2), (0, 2)]))
    assert places[1, 1] - places[0, 1] > 0.25


def test_fifty_columns_stay_legible() -> None:
    latents = np.random.default_rng(0).standard_normal((100, 50))
    display = LatentNormalityDisplay(latents, [f"a column of number {j}" for j in range(50)]).plot()
    display.figure_.canvas.draw()
    texts = display.ax_[1].get_yticklabels()
    assert len(texts) == 50
    boxes = [text.get_window_extent() for text in texts]
    overlaps = [a.overlaps(b) for a, b in pairwise(boxes)]
    assert not any(overlaps)


def test_a_latent_that_no_row_has() -> None:
    latents = np.random.default_rng(0).standard_normal((50, 3))
    latents[:, 1] = 0.0
    display = LatentNormalityDisplay(latents, list("abc")).plot()
    display.figure_.canvas.draw()
    assert np.isnan(display.distances[1])
    assert np.isnan(display.correlations[1]).all()


def test_a_table_of_labels_has_nothing_to_show() -> None:
    X = pd.DataFrame({"a": list("xy" * 60), "b": list("uvw" * 40)})
    flow = FlowDensity(**ONE_GAUSSIAN).fit(X)
    with pytest.raises(ValueError, match="Every column is taken for labels alone"):
        LatentNormalityDisplay.from_estimator(flow, X)
    assert plt.get_fignums() == []


def test_one_axes_is_not_enough(display: LatentNormalityDisplay) -> None:
    with pytest.raises(ValueError, match="ax must be two axes, for two pictures; got 1"):
        display.plot(plt.subplots()[1])
