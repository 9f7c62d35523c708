"""The report says what the methods say, and little enough of it."""

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from skflow import FlowDensity, FlowOutlierDetector
from skflow.fitted.reasons.words import number_words
from skflow.report import OutlierReport, outliers, rows
from skflow.report.text import FAIR
from tests.report.conftest import Parsed, make_trips
from tests.settings import ONE_GAUSSIAN


def strangest(detector: FlowOutlierDetector, X: pd.DataFrame) -> np.ndarray:
    """Flagged rows, by the public methods, the strangest first."""
    scores = detector.score_samples(X)
    order = np.argsort(scores, kind="stable")
    return order[detector.predict(X)[order] == -1]


def test_rows_are_the_flagged_ones(
    detector: FlowOutlierDetector, new: pd.DataFrame, page: Parsed
) -> None:
    shown = strangest(detector, new)
    of_page = page.data["rows"]
    assert len(shown) >= 5
    assert of_page["position"] == shown.tolist()
    assert of_page["name"] == new.index[shown].tolist()
    np.testing.assert_allclose(of_page["score"], detector.score_samples(new)[shown], rtol=1e-5)
    np.testing.assert_allclose(of_page["p"], detector.p_values(new)[shown], rtol=1e-5)
    assert page.texts["n-rows"] == "120"
    assert page.texts["n-flagged"] == str(len(shown))


def test_q_values_are_those_of_benjamini_and_hochberg(
    detector: FlowOutlierDetector, new: pd.DataFrame, page: Parsed
) -> None:
    p_values = detector.p_values(new)
    for rate in (0.05, 0.1, 0.2):  # the step-up procedure itself
        ranked = np.sort(p_values)
        below = np.flatnonzero(ranked <= rate * np.arange(1, 121) / 120)
        n_found = below[-1] + 1 if len(below) else 0
        assert (np.array(page.data["rows"]["q"]) <= rate).sum() == n_found
    assert page.texts["n-discovered-0.1"] == str((np.array(page.data["rows"]["q"]) <= 0.1).sum())


def test_false_alarms_to_expect_are_the_rows_times_the_largest_flagged_p_value(
    detector: FlowOutlierDetector, new: pd.DataFrame, page: Parsed
) -> None:
    m = detector.n_calibration_
    rate = np.floor(0.01 * (m + 1)) / (m + 1)  # of "auto", by the definition of p-values
    assert float(page.texts["n-expected"]) == pytest.approx(120 * rate, abs=0.05)


def test_cells_have_their_texts_and_reasons(
    detector: FlowOutlierDetector, new: pd.DataFrame, page: Parsed
) -> None:
    shown = new.iloc[strangest(detector, new)]
    log_probs = detector.score_features(shown)
    for column in page.data["columns"]:
        texts = [column["texts"][k] for k in column["cells"]]
        expected = [
            "missing" if pd.isna(cell) else str(cell).removesuffix(" 00:00:00").removesuffix(".0")
            for cell in shown[column["name"]]
        ]
        assert texts == expected
        np.testing.assert_allclose(column["blame"], log_probs[column["name"]], atol=6e-4)


def test_repairs_are_those_of_repair(
    detector: FlowOutlierDetector, new: pd.DataFrame, page: Parsed
) -> None:
    shown = new.iloc[strangest(detector, new)]
    repaired = detector.repair(shown)
    for k in range(len(shown)):
        changes = page.data["rows"]["repair"][k]
        for j, name in enumerate(shown.columns):
            was, would_be = shown[name].iloc[k], repaired[name].iloc[k]
            if was == would_be or (pd.isna(was) and pd.isna(would_be)):
                assert str(j) not in changes
            elif pd.isna(would_be):
                assert changes[str(j)] == "missing"
            elif isinstance(would_be, float):
                assert changes[str(j)] == number_words(would_be, FAIR)
            else:
                assert changes[str(j)] == str(would_be).removesuffix(" 00:00:00")


def test_usual_ranges_hold_nine_in_ten_draws(detector: FlowOutlierDetector, page: Parsed) -> None:
    """Compared with the density's own draws given the rest of the row, by importance sampling."""
    new = make_trips(1, 2).assign(fare=30.0, km=14.0)
    data = Parsed(detector.report(new).html).data
    for name in ("km", "fare"):
        column = next(column for column in data["columns"] if column["name"] == name)
        text = column["ranges"][column["usual"][0]].translate(
            {ord(c): None for c in "\u2068\u2069\u200e"}
        )
        found = re.match(r"([\d.]+) to ([\d.]+)", text)
        assert found is not None, text
        low, high = map(float, found.groups())
        rest = new.drop(columns=name)
        draws = detector.density_.sample_given(rest, n_samples=600, random_state=0)[name].dropna()
        for share in ((draws < low).mean(), (draws > high).mean()):
            assert 0.015 < share < 0.09


def test_columns_and_rows_lie_where_their_values_are_in_order(page: Parsed) -> None:
    km = next(column for column in page.data["columns"] if column["name"] == "km")
    assert [float(text) for text in km["texts"]] == sorted(float(text) for text in km["texts"])
    assert km["places"] == sorted(km["places"])
    assert all(0 <= place <= 1000 for place in [*km["places"], *km["drawn"]])


@pytest.mark.parametrize("kind", ["array", "polars", "one row", "one column", "nothing strange"])
def test_any_table_has_a_report(kind: str) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(120, 3)), columns=list("abc"))
    frame.loc[0] = 9.0
    if kind == "one column":
        frame = frame[["a"]]
    table = {"array": frame.to_numpy(), "polars": pl.from_pandas(frame)}.get(kind, frame)
    detector = FlowOutlierDetector(FlowDensity(**ONE_GAUSSIAN), random_state=0).fit(table)
    few = {"one row": table[:1], "nothing strange": table[:5] * 0.0}.get(kind, table)
    page = Parsed(detector.report(few).html)
    names = [column["name"] for column in page.data["columns"]]
    assert names == (["x0", "x1", "x2"] if kind == "array" else list(frame.columns))
    if kind == "nothing strange":
        assert "No row is flagged" in page.texts["rows"]
        assert len(page.data["rows"]["name"]) == 5
    else:
        assert page.data["rows"]["name"][0] == "0"


def test_few_calibration_rows_and_a_share_are_said() -> None:
    X = np.random.default_rng(0).normal(size=(40, 2))
    density = FlowDensity(**ONE_GAUSSIAN)
    few = FlowOutlierDetector(density, random_state=0).fit(X).report(X)
    assert "where 1 % of normal rows are expected" in few.html
    share = FlowOutlierDetector(density, contamination=0.1, random_state=0).fit(X).report(X)
    assert "as 10 % of the training rows do" in share.html
    assert Parsed(share.html).texts["n-flagged"] == "4"


def test_all_levels_of_an_index_name_a_row(
    detector: FlowOutlierDetector, new: pd.DataFrame
) -> None:
    index = pd.MultiIndex.from_arrays([np.arange(len(new)), ["é"] * len(new)])
    of_page = Parsed(detector.report(new.set_axis(index)).html).data["rows"]
    assert of_page["name"] == [f"{position}, é" for position in of_page["position"]]


def test_no_rows_are_refused(detector: FlowOutlierDetector, new: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="minimum of 1 is required"):
        detector.report(new.iloc[:0])


def test_rows_that_are_left_out_are_counted(
    detector: FlowOutlierDetector, new: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "MOST_ROWS", 3)
    monkeypatch.setattr(rows, "FEWEST_ROWS", 1)
    page = Parsed(detector.report(new).html)
    n_flagged = len(strangest(detector, new))
    assert len(page.data["rows"]["name"]) == 3
    assert f"The 3 strangest of {n_flagged} flagged rows are shown" in page.texts["rows"]
    assert f"{n_flagged - 3} are left out" in page.texts["rows"]


def test_a_page_that_is_too_large_shows_fewer_rows(
    detector: FlowOutlierDetector,
    new: pd.DataFrame,
    report: OutlierReport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outliers, "MOST_BYTES", len(report.html.encode()) - 100)
    smaller = detector.report(new)
    assert len(smaller.html.encode()) < len(report.html.encode())
    page = Parsed(smaller.html)
    n_shown, n_flagged = len(page.data["rows"]["name"]), len(strangest(detector, new))
    assert n_shown == n_flagged // 2
    assert f"{n_flagged - n_shown} are left out" in page.texts["rows"]
    assert all(len(column["blame"]) == n_shown for column in page.data["columns"])


def test_the_page_asks_for_nothing(report: OutlierReport, page: Parsed) -> None:
    assert not {"link", "img", "iframe", "base", "object"} & {*page.tags}
    assert not [value for name, value in page.attributes if name in ("src", "srcset", "action")]
    links = [value for name, value in page.attributes if name == "href"]
    assert links
    assert all(link and link.startswith("#") for link in links)
    assert "http" not in report.html.replace("http-equiv", "").replace(
        "http://www.w3.org/2000/svg", ""
    )
    script = report.html.rpartition("<script>")[2].partition("</script>")[0]
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in report.html


def test_a_report_is_saved_shown_and_opened(
    report: OutlierReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report.save(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == report.html
    assert repr(report).startswith("OutlierReport('Trips of Monday', 0.")
    frame = dict(Parsed(report._repr_html_()).attributes)
    assert frame["srcdoc"] == report.html
    assert frame["sandbox"] == "allow-scripts"
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    report.open()
    path = Path(opened[0].removeprefix("file://"))
    assert path.parent == tmp_path
    assert path.read_text(encoding="utf-8") == report.html


@pytest.mark.slow
def test_the_same_rows_have_the_same_report(
    detector: FlowOutlierDetector, new: pd.DataFrame, report: OutlierReport
) -> None:
    assert detector.report(new, title="Trips of Monday").html == report.html


def test_weights_of_calibration_rows_count_as_fewer_rows() -> None:
    """100 rows of weight 9 among 200 of weight 1: all are calibration rows of a cross-fit."""
    trips = make_trips(300, 0)[["km", "riders"]]
    weight = np.where(np.arange(300) < 100, 9.0, 1.0)
    detector = FlowOutlierDetector(FlowDensity(**ONE_GAUSSIAN), random_state=0)
    text = detector.fit(trips, sample_weight=weight).report(trips[:20]).html
    effective = weight.sum() ** 2 / (weight**2).sum()
    assert detector.n_calibration_ == 300
    assert "300 calibration rows, to which nothing was fitted (by their weights" in text
    assert f"as exact as {effective:.0f} rows of equal weight)" in text
