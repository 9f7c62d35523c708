"""The page in a browser: what can be pressed works, nothing is asked for, anybody can read it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from skflow import FlowDensity, FlowOutlierDetector
from skflow.report import OutlierReport
from tests.report.conftest import Parsed
from tests.report.test_text import HOSTILE
from tests.settings import ONE_GAUSSIAN, slow_but

WIDTHS = (400, 1300, 1920)
# Whether a table is as wide as it is shown.
IS_WHOLE = """where => {
    const frame = document.querySelector(where).parentElement;
    return frame.scrollWidth <= frame.clientWidth;
}"""


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """A function that opens a report as a file; no page may log an error or ask for anything."""
    wrong: list[str] = []
    contexts = []

    def show(report: OutlierReport, width: int = 1300, scheme: str = "light") -> Any:
        path = tmp_path / "report.html"
        report.save(path)
        size = {"width": width, "height": 900}
        contexts.append(browser.new_context(viewport=size, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: wrong.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        page.on(
            "request",
            lambda request: wrong.append(request.url) if request.url != path.as_uri() else None,
        )
        page.goto(path.as_uri())
        return page

    yield show
    for context in contexts:
        context.close()
    assert wrong == []


def names(page: Any) -> list[str]:
    """Names of the rows in the table."""
    return page.locator("#row-table tbody th").all_inner_texts()


def cells(page: Any, position: int) -> list[str]:
    """First lines of the cells of a column, from the first after the name on."""
    found = page.locator(f"#row-table tbody tr td:nth-child({position + 1})").all_inner_texts()
    return [text.partition("\n")[0].partition(",")[0] for text in found]


def violations(page: Any) -> list[str]:
    """Serious violations of accessibility, by axe-core."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page).response["violations"]
    return [
        f"{each['id']}: {node['html'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def overflow(page: Any) -> int:
    """Pixels that the page is wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


def test_rows_are_sorted_by_any_column(
    show: Callable[..., Any], report: OutlierReport, page: Parsed
) -> None:
    shown = show(report)
    data = page.data["rows"]
    assert names(shown) == data["name"]  # the strangest first
    head = shown.locator("#row-table thead th")
    for key, position in (("p-value", 2), ("km", 5)):
        button = head.get_by_role("button", name=key)
        for direction, sign in (("ascending", 1), ("descending", -1)):
            button.focus()
            shown.keyboard.press("Enter")
            assert head.nth(position).get_attribute("aria-sort") == direction
            numbers = [sign * float(text) for text in cells(shown, position)]
            assert numbers == sorted(numbers)
            assert shown.evaluate("document.activeElement.textContent").startswith(key)
    assert sorted(names(shown)) == sorted(data["name"])


def test_rows_are_searched_and_filtered(
    show: Callable[..., Any], report: OutlierReport, page: Parsed
) -> None:
    shown = show(report)
    data = page.data
    shown.get_by_label("Search").fill("GOLD")
    assert names(shown) == ["trip 5"]
    assert shown.locator("#status").inner_text() == f"1 of {len(data['rows']['name'])} rows"
    shown.get_by_label("Search").fill("nothing has this")
    assert names(shown) == []
    shown.get_by_label("Search").fill("")
    blame = np.array([column["blame"] for column in data["columns"]])
    first = [data["columns"][j]["name"] for j in blame.argmin(axis=0)]
    shown.get_by_label("Strongest reason").select_option(label=f"fare ({first.count('fare')})")
    pairs = zip(data["rows"]["name"], first, strict=True)
    assert names(shown) == [name for name, reason in pairs if reason == "fare"]
    shown.get_by_label("Strongest reason").select_option("")
    shown.get_by_label("False discoveries").select_option("0.1")
    pairs = zip(data["rows"]["name"], data["rows"]["q"], strict=True)
    assert names(shown) == [name for name, q in pairs if q <= 0.1]


def test_a_chosen_row_shows_its_reasons(
    show: Callable[..., Any],
    report: OutlierReport,
    detector: FlowOutlierDetector,
    new: pd.DataFrame,
) -> None:
    shown = show(report)
    shown.get_by_role("button", name="trip 10", exact=True).click()
    assert shown.locator("#detail-title").inner_text() == "Row trip 10"
    reasons = shown.locator("#reason-table tbody th").all_inner_texts()
    log_probs = detector.score_features(new.loc[["trip 10"]]).iloc[0]
    assert reasons == log_probs.sort_values(kind="stable").index.tolist()
    assert reasons[0] == "fare"
    odds = shown.locator("#reason-table tbody small").first.inner_text()
    assert odds.startswith("1 in ")
    picture = shown.get_by_role("img", name="among rows drawn")
    assert picture.get_attribute("aria-label").startswith("fare 120 and ")
    assert picture.locator("circle").count() >= 100
    pressed = shown.locator('#row-table [aria-pressed="true"]')
    assert pressed.all_inner_texts() == ["trip 10"]
    assert "trip 10" in shown.get_by_role("status").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    show: Callable[..., Any], report: OutlierReport, scheme: str
) -> None:
    shown = show(report, scheme=scheme)
    ground = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    assert violations(shown) == []


@pytest.mark.parametrize("width", slow_but([400, 1920], WIDTHS))
def test_no_page_is_wider_than_its_window(
    show: Callable[..., Any], report: OutlierReport, width: int
) -> None:
    shown = show(report, width)
    assert overflow(shown) == 0
    assert shown.evaluate(IS_WHOLE, "#blame-table")
    # A mark of a legend is on the line of its name.
    entries = shown.locator("figcaption .entry")
    assert entries.evaluate_all("found => found.map(each => each.getClientRects().length)") == 5 * [
        1
    ]
    # Ticks of a chart are within it, and do not overlap.
    for chart in shown.locator("svg.chart").all():
        frame = chart.bounding_box()
        texts = chart.locator("text")
        boxes = [text.bounding_box() for text in texts.all()]
        for k, box in enumerate(boxes):
            assert box["x"] >= frame["x"] - 1
            assert box["x"] + box["width"] <= frame["x"] + frame["width"] + 1
            hidden = [j for j, other in enumerate(boxes[:k]) if overlaps(box, other)]
            assert not hidden, [texts.nth(j).text_content() for j in (k, *hidden)]


def overlaps(one: dict[str, float], other: dict[str, float]) -> bool:
    """Whether two boxes share more than a pixel or two."""
    return all(
        min(one[at] + one[size], other[at] + other[size]) - max(one[at], other[at]) > 3
        for at, size in (("x", "width"), ("y", "height"))
    )


def test_hostile_texts_do_nothing(show: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            HOSTILE[0]: pd.Series(rng.choice(HOSTILE, 150).tolist(), dtype=object),
            HOSTILE[1]: rng.normal(size=150),
            "__proto__": rng.choice(["toString", "__proto__"], 150),
        }
    )
    detector = FlowOutlierDetector(FlowDensity(**ONE_GAUSSIAN), random_state=0).fit(X)
    new = X.head(len(HOSTILE)).set_axis(pd.Index(HOSTILE, dtype=object))
    new.iloc[:, 1] = 40.0
    shown = show(detector.report(new, title=HOSTILE[0]))
    assert shown.title() == HOSTILE[0]
    assert len(names(shown)) == len(HOSTILE)
    for button in shown.locator("#row-table tbody button").all()[::4]:
        button.click()
    assert HOSTILE[0] in shown.locator("#row-table thead").inner_text()
    assert shown.locator("img, iframe, body > script").count() == 2  # data and script
    assert overflow(shown) == 0
    assert violations(shown) == []


@pytest.mark.parametrize("width", slow_but([400], [400, 1300]))
def test_a_report_on_a_density_is_sound(
    show: Callable[..., Any], detector: FlowOutlierDetector, new: pd.DataFrame, width: int
) -> None:
    shown = show(detector.density_.report(new), width, "dark" if width == 400 else "light")
    assert overflow(shown) == 0
    assert violations(shown) == []
    assert shown.locator("#column-table tbody tr").count() == 5


def test_a_notebook_shows_it_in_a_frame(
    show: Callable[..., Any], report: OutlierReport, page: Parsed
) -> None:
    notebook = OutlierReport(f"<!doctype html><title>x</title>{report._repr_html_()}")
    shown = show(notebook)
    frame = shown.frame_locator("iframe")
    assert frame.locator("#row-table tbody th").first.inner_text() == page.data["rows"]["name"][0]


@pytest.mark.slow
def test_many_columns_and_pages(show: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(300, 20))).rename(columns=str)
    detector = FlowOutlierDetector(
        FlowDensity(**ONE_GAUSSIAN), contamination=0.3, random_state=0
    ).fit(X)
    shown = show(detector.report(X), 400)
    assert len(names(shown)) == 50
    shown.get_by_role("button", name="Next").click()
    assert shown.locator("#page").inner_text() == "Rows 51 to 90 of 90"
    assert len(names(shown)) == 40
    assert shown.locator("#row-table thead th").count() == 4 + 12
    shown.locator("#columns").select_option("all")
    assert shown.locator("#row-table thead th").count() == 4 + 20
    assert overflow(shown) == 0
    assert violations(shown) == []
    shown.emulate_media(media="print")
    assert not shown.get_by_label("Search").is_visible()
