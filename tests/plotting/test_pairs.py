import matplotlib.dates as mdates
import numpy as np
import pandas as pd
import pytest

from skflow import FlowDensity, FlowOutlierDetector
from skflow.plotting import PairDisplay
from tests.plotting.conftest import numbers, subscriptions
from tests.settings import ONE_GAUSSIAN
from tests.tables import unfitted


def points(display: PairDisplay, name: str) -> np.ndarray:
    """Positions of the rows that the legend calls so."""
    (found,) = [
        collection
        for collection in display.ax_.collections
        if str(collection.get_label()).endswith(f" {name}")
    ]
    places = np.asarray(found.get_offsets())
    assert found.get_label() == f"{len(places)} {name}"
    return places


@pytest.fixture(scope="module")
def plain() -> FlowOutlierDetector:
    return (
        unfitted(FlowOutlierDetector, **ONE_GAUSSIAN).set_params(contamination=0.05).fit(numbers())
    )


def test_rows_lie_where_their_values_are_and_are_flagged(plain: FlowOutlierDetector) -> None:
    X = numbers()
    display = PairDisplay.from_estimator(plain, X, features=(2, 0))
    outlier = plain.predict(X) == -1
    np.testing.assert_array_equal(points(display, "flagged"), X[outlier][:, [2, 0]])
    np.testing.assert_array_equal(points(display, "rows"), X[~outlier][:, [2, 0]])


def test_flagged_rows_differ_by_shape_too(plain: FlowOutlierDetector) -> None:
    display = PairDisplay.from_estimator(plain, numbers(), features=(0, 1))
    shapes = {c.get_label().split()[-1]: c.get_paths()[0] for c in display.ax_.collections[-2:]}
    assert len(shapes["rows"].vertices) != len(shapes["flagged"].vertices)


@pytest.mark.parametrize("features", [("seats", "stay"), ("plan", "start"), ("start", "stay")])
def test_regions_hold_their_share_of_fresh_rows(
    mixed: FlowOutlierDetector, features: tuple[str, str]
) -> None:
    display = PairDisplay.from_estimator(mixed, subscriptions(), features, random_state=0)
    drawn = mixed.density_.sample(4000, random_state=1)
    within_step = np.random.default_rng(0).uniform(-0.5, 0.5, 4000)
    cells = []
    for name, axis, edges in zip(features, display.axes, display.edges, strict=True):
        values = drawn[name]
        if name == "plan":
            values = values.map({level: i for i, level in enumerate(axis.levels)})
        elif name == "start":
            values = pd.Series(mdates.date2num(values))
        elif name == "stay":
            values = values / pd.Timedelta("1D")
        values = values + within_step
        cells.append(np.where(values.isna(), -1, np.searchsorted(edges, values) - 1))
    both = (cells[0] >= 0) & (cells[1] >= 0)
    inside = [both & (cell < len(e) - 1) for cell, e in zip(cells, display.edges, strict=True)]
    shown = inside[0] & inside[1]
    hdr_mass = display.hdr_mass[cells[0][shown], cells[1][shown]]
    for share in (0.5, 0.8, 0.95):
        assert np.count_nonzero(hdr_mass < share) / np.count_nonzero(both) == pytest.approx(
            share, abs=0.04
        )


def test_what_is_drawn_as_regions(plain: FlowOutlierDetector) -> None:
    display = PairDisplay.from_estimator(plain, numbers(), (0, 1), random_state=0)
    (contours,) = [c for c in display.ax_.collections if hasattr(c, "levels")]
    np.testing.assert_allclose(contours.levels, [0, 0.5, 0.8, 0.95])
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts[2:] == ["50% of the density", "80% of the density", "95% of the density"]


def test_columns_by_name_and_by_position(mixed: FlowOutlierDetector) -> None:
    X = subscriptions()
    named = PairDisplay.from_estimator(mixed, X, ("stay", "plan"), random_state=0)
    placed = PairDisplay.from_estimator(mixed, X, (-1, 0), random_state=0)
    np.testing.assert_array_equal(named.positions, placed.positions)
    np.testing.assert_array_equal(named.hdr_mass, placed.hdr_mass)


def test_categories_have_a_place_each(mixed: FlowOutlierDetector) -> None:
    X = subscriptions()
    display = PairDisplay.from_estimator(mixed, X, ("plan", "seats"))
    ticks = [text.get_text() for text in display.ax_.get_xticklabels()]
    assert ticks == ["basic", "plus", "pro"]
    assert [ticks[int(place)] for place in display.positions[:, 0]] == X["plan"].tolist()
    rows = points(display, "rows")[:, 0]
    assert np.abs(rows - np.round(rows)).max() < 0.5


def test_categories_never_seen_and_rare_ones_share_a_place() -> None:
    rng = np.random.default_rng(0)
    letters = rng.choice(list("abcdefghijklmnopqrst"), 400)
    X = pd.DataFrame({"letter": letters, "number": rng.standard_normal(400)})
    flow = FlowDensity(**ONE_GAUSSIAN).fit(X)
    new = pd.DataFrame({"letter": ["new"], "number": [0.0]})
    display = PairDisplay.from_estimator(flow, new, ("number", "letter"))
    ticks = [text.get_text() for text in display.ax_.get_yticklabels()]
    assert len(ticks) == 13
    assert ticks[-1] == "others"
    assert ticks[:-1] == sorted(ticks[:-1])
    assert display.positions[0, 1] == 12


def test_missing_numbers_lie_in_a_band(mixed: FlowOutlierDetector) -> None:
    X = subscriptions()
    display = PairDisplay.from_estimator(mixed, X, ("start", "stay"))
    both = np.concatenate([points(display, "rows"), points(display, "flagged")])
    (line,) = display.ax_.lines
    end = line.get_ydata()[0]
    assert np.count_nonzero(both[:, 1] < end) == X["stay"].isna().sum()
    assert end < min(0, X["stay"].min() / pd.Timedelta("1D"))
    texts = [text.get_text() for text in display.ax_.get_yticklabels()]
    assert texts.count("missing") == 1
    assert all(tick > end for tick in display.ax_.get_yticks()[1:])
    assert display.ax_.get_ylabel() == "stay (d)"


def test_dates_are_dates(mixed: FlowOutlierDetector) -> None:
    X = subscriptions()
    display = PairDisplay.from_estimator(mixed, X, ("start", "seats"))
    np.testing.assert_allclose(display.positions[:, 0], mdates.date2num(X["start"]))
    display.figure_.canvas.draw()
    assert "2025" in [text.get_text() for text in display.ax_.get_xticklabels()]


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (("plan", "plans"), "No column 'plans'. Pass one of \\['plan', 'seats'"),
        ((0, 4), "No column 4.*position from 0 to 3"),
        (("plan", 0), "two different columns"),
        (("plan",), "must be two columns"),
        ("ab", "must be two columns"),
        ((0, 1, 2), "must be two columns"),
    ],
)
def test_features_that_are_no_pair(
    mixed: FlowOutlierDetector, features: tuple, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        PairDisplay.from_estimator(mixed, subscriptions(), features)


def test_far_rows_lie_where_they_are_and_the_others_can_be_told_apart(
    plain: FlowOutlierDetector,
) -> None:
    far = np.concatenate([numbers()[:50], np.zeros((4, 3))])
    far[-3, 0], far[-2, 1], far[-1, 1] = 1e6, -1e6, 1e9
    display = PairDisplay.from_estimator(plain, far, (0, 1), random_state=0)
    display.figure_.canvas.draw()
    drawn = np.concatenate([c.get_offsets() for c in display.ax_.collections[-2:]])
    np.testing.assert_array_equal(np.sort(drawn, axis=0), np.sort(far[:, :2], axis=0))
    on_page = display.ax_.transAxes.inverted().transform(display.ax_.transData.transform(drawn))
    assert ((on_page > 0) & (on_page < 1)).all()
    for rows in display.ax_.collections[-2:]:
        painted = rows.get_offset_transform().transform(rows.get_offsets())
        assert not np.ma.getmaskarray(painted).any()
    for k, label in enumerate((display.ax_.get_xlabel(), display.ax_.get_ylabel())):
        usual = on_page[np.abs(drawn[:, k]) < 10, k]
        assert np.ptp(usual) > 0.2
        assert "logarithmic beyond" in label


@pytest.mark.usefixtures("every_candidate")
def test_skewed_columns_have_a_logarithmic_axis() -> None:
    rng = np.random.default_rng(0)
    X = rng.lognormal(0, [3, 0.3], (300, 2))
    X[::7, 0] = np.nan  # in the band of missing numbers, left of the smallest
    flow = FlowDensity(**ONE_GAUSSIAN).fit(X)
    display = PairDisplay.from_estimator(flow, X, (0, 1), random_state=0)
    display.figure_.canvas.draw()
    assert (display.ax_.get_xscale(), display.ax_.get_yscale()) == ("log", "linear")
    rows = points(display, "rows")
    (line,) = display.ax_.lines
    assert np.count_nonzero(rows[:, 0] < line.get_xdata()[0]) == np.isnan(X[:, 0]).sum()
    assert "missing" in [text.get_text() for text in display.ax_.get_xticklabels()]


def test_dates_far_out_are_named(mixed: FlowOutlierDetector) -> None:
    X = subscriptions()
    X["start"] = X["start"].astype("datetime64[s]")
    X.loc[0, "start"] = pd.Timestamp("9999-12-31").as_unit("s")
    display = PairDisplay.from_estimator(mixed, X, ("start", "seats"), random_state=0)
    display.figure_.canvas.draw()
    texts = [text.get_text() for text in display.ax_.get_xticklabels()]
    assert texts[-1] == "9999-12-31"
    assert len(texts) > 2


def test_long_names_of_categories_do_not_overlap() -> None:
    rng = np.random.default_rng(0)
    names = [f"a long name, number {k}" for k in range(12)]
    X = pd.DataFrame({"name": rng.choice(names, 300), "number": rng.standard_normal(300)})
    flow = FlowDensity(**ONE_GAUSSIAN).fit(X)
    display = PairDisplay.from_estimator(flow, X, ("name", "number"), random_state=0)
    display.figure_.canvas.draw()
    assert {text.get_rotation() for text in display.ax_.get_xticklabels()} == {35}
    assert display.ax_.get_window_extent().height > 150
