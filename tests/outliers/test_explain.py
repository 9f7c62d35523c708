"""Explanations: contributions add up, and the first reason names what is wrong."""

import numpy as np
import pandas as pd
import pytest

from skflow import FlowDensity, FlowOutlierDetector
from tests.mixed import small_mix
from tests.settings import ONE_GAUSSIAN
from tests.tables import unfitted

pytestmark = pytest.mark.usefixtures("few_candidates_in_file", "few_fits_in_file")

COLUMNS = [
    *("row", "column", "value", "usual", "contribution"),
    *("conditional_surprise", "marginal_surprise"),
]


def draw_costs(n_rows: int, seed: int) -> pd.DataFrame:
    """A total that is one of its parts for most rows, and columns that depend on each other."""
    rng = np.random.default_rng(seed)
    repair = rng.lognormal(6, 1, n_rows).round()
    other = (rng.lognormal(5, 1, n_rows) * (rng.random(n_rows) < 0.1)).round()
    weight = rng.normal(50, 10, n_rows)
    return pd.DataFrame(
        {
            "repair": repair,
            "other": other,
            "total": repair + other,
            "weight": weight,
            "length": 2 * weight + rng.normal(0, 2, n_rows),
            "width": weight + rng.normal(0, 2, n_rows),
            "light": rng.choice(["day", "night", "dawn"], n_rows, p=[0.7, 0.25, 0.05]),
        }
    )


@pytest.fixture(scope="module")
def detector() -> FlowOutlierDetector:
    density = FlowDensity(n_layers=0, n_components=4)
    return FlowOutlierDetector(density, random_state=0).fit(draw_costs(2_000, 0))


@pytest.fixture(scope="module")
def odd() -> pd.DataFrame:
    """Five rows with one wrong cell each, five with two that agree, five as they are."""
    rows = draw_costs(15, 1).set_index(np.arange(100, 115))
    rows.loc[100:104, "length"] += 60
    rows.loc[105:109, ["repair", "total"]] = 7_043_545.0
    rows.loc[105:109, "other"] = 0.0
    rows.loc[105:109, "light"] = "dawn"
    return rows


@pytest.fixture(scope="module")
def reasons(detector, odd) -> pd.DataFrame:
    return detector.explain(odd)


def test_contributions_add_up_to_the_score(detector, odd, reasons) -> None:
    assert list(reasons.columns) == COLUMNS
    sums = reasons.groupby("row")["contribution"].sum()
    assert sums.index.equals(odd.index)
    np.testing.assert_allclose(sums, detector.score_samples(odd), rtol=0, atol=1e-9)


def test_each_column_is_named_once_and_the_lowest_contribution_comes_first(odd, reasons) -> None:
    for _, own in reasons.groupby("row"):
        named = sorted(name for names in own["column"] for name in names.split(", "))
        assert named == sorted(odd.columns)
        assert own["contribution"].is_monotonic_increasing


def test_a_wrong_cell_comes_first(odd, reasons) -> None:
    first = reasons.groupby("row").first().loc[100:104]
    assert (first["column"] == "length").all()
    assert (first["conditional_surprise"] > 5).all()
    np.testing.assert_allclose(first["value"].astype(float), odd.loc[100:104, "length"], rtol=1e-6)
    ends = first["usual"].str.split(" to ", expand=True).astype(float)
    likely = 2 * odd.loc[100:104, "weight"]
    assert (ends[0] < likely).mean() > 0.5
    assert (likely < ends[1]).mean() > 0.5


def test_cells_that_support_for_each_other_are_one_reason(detector, odd, reasons) -> None:
    first = reasons.groupby("row").first().loc[105:109]
    assert {frozenset(names.split(", ")) for names in first["column"]} == {
        frozenset(("repair", "total"))
    }
    assert (first["value"] == "7043545, 7043545").all()
    share = first["contribution"] / detector.score_samples(odd)[5:10]
    assert (share > 0.9).all()


def test_surprises_of_single_cells_are_those_of_score_features(detector, odd, reasons) -> None:
    first = reasons.groupby("row").first().loc[100:104, "conditional_surprise"]
    np.testing.assert_allclose(-first, detector.score_features(odd)["length"][:5], rtol=1e-6)


@pytest.mark.slow
def test_rows_are_explained_alike_in_any_company(detector, odd, reasons) -> None:
    for place in (0, 6, 12):
        alone = detector.explain(odd.iloc[[place]])
        own = reasons[reasons["row"] == odd.index[place]].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, own, rtol=1e-6)


def test_polars_and_arrays(odd, detector) -> None:
    polars = pytest.importorskip("polars")
    few = odd.iloc[[0, 6]]
    in_pandas, in_polars = detector.explain(few), detector.explain(polars.from_pandas(few))
    assert isinstance(in_polars, polars.DataFrame)
    assert in_polars["row"].unique().sort().to_list() == [0, 1]
    assert in_polars["column"].to_list() == in_pandas["column"].to_list()
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 2))
    array = unfitted(FlowOutlierDetector, **ONE_GAUSSIAN).fit(X).explain(np.array([[9.0, 0.0]]))
    assert isinstance(array, pd.DataFrame)
    assert array["column"].tolist() == ["x0", "x1"]
    assert array["row"].tolist() == [0, 0]


@pytest.mark.slow
def test_two_wrong_cells_that_do_not_support_each_other_are_two_reasons() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 1_010, 1))
    X = np.concatenate((first.repeat(4, axis=1), second.repeat(4, axis=1)), axis=1)
    X += 0.2 * rng.standard_normal(X.shape)
    detector = unfitted(FlowOutlierDetector, **ONE_GAUSSIAN).fit(X[10:])
    odd = X[:10].copy()
    odd[:, 1] += 4
    odd[:, 6] -= 4
    reasons = detector.explain(odd)
    first_two = reasons.groupby("row").head(2)
    named = first_two.groupby("row")["column"].agg(set)
    assert (named == {"x1", "x6"}).mean() >= 0.9
    shares = first_two.groupby("row")["contribution"].sum() / detector.score_samples(odd)
    assert (shares > 0.7).mean() >= 0.9


def test_one_column() -> None:
    frame = pd.DataFrame({"x": np.random.default_rng(0).standard_normal(300)})
    detector = unfitted(FlowOutlierDetector, **ONE_GAUSSIAN).fit(frame)
    far = pd.DataFrame({"x": [0.0, 30.0]})
    reasons = detector.explain(far)
    np.testing.assert_allclose(reasons["contribution"], detector.score_samples(far))


@pytest.mark.filterwarnings("ignore::skflow.exceptions.StrangeLabelsWarning")
def test_labels_never_seen_and_holes_where_none_were() -> None:
    train = small_mix(600)
    detector = unfitted(FlowOutlierDetector, **ONE_GAUSSIAN).fit(train)
    odd = small_mix(3, seed=5).set_index(np.arange(10, 13))
    odd.loc[10, "colour"] = "never seen"
    odd.loc[11, "length"] = np.nan
    odd.loc[12, "length"] = 1e300
    reasons = detector.explain(odd)
    first = reasons.groupby("row").first()
    assert first["column"].tolist() == ["colour", "length", "length"]
    assert first["value"].tolist() == ["never seen", "missing", "1e+300"]
    sums = reasons.groupby("row")["contribution"].sum()
    np.testing.assert_allclose(sums, detector.score_samples(odd), atol=1e-9)


@pytest.mark.slow
def test_dates_durations_and_booleans_in_words() -> None:
    rng = np.random.default_rng(0)
    begin = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 500, 400), unit="D")
    stay = pd.to_timedelta(rng.integers(1, 15, 400), unit="D")
    frame = pd.DataFrame({"begin": begin, "stay": stay, "paid": rng.random(400) < 0.9})
    detector = unfitted(FlowOutlierDetector, **ONE_GAUSSIAN).fit(frame)
    odd = frame[:2].copy()
    odd.loc[0, "begin"] = pd.Timestamp("1924-01-01")
    odd.loc[1, "stay"] = pd.Timedelta(days=900)
    reasons = detector.explain(odd).set_index(["row", "column"])
    assert reasons.loc[(0, "begin"), "value"] == "1924-01-01"
    assert reasons.loc[(1, "stay"), "value"] == "900 d"
    low, high = reasons.loc[(1, "begin"), "usual"].split(" to ")
    assert "2024-01" <= low < high <= "2025-06"
    assert reasons.loc[(0, "paid"), "value"] in ("True", "False")
