"""Built pages of the documentation in a browser: their height, and nothing wider than its column.

sphinx-build docs docs/_build/html && pytest -m slow tests/test_built_pages.py
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import chromium

BUILT = Path(__file__).parent.parent / "docs" / "_build" / "html"
PAGES = sorted(path for path in BUILT.rglob("*.html") if "_static" not in path.parts)
HIGHEST = 12_000  # pixels, at a width of 1,300

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PAGES, reason="needs pages: sphinx-build docs docs/_build/html"),
]

# Everything behind a fold is shown. Printed output may scroll in its box, and hidden skip links
# lie outside of the page.
MEASURE = """() => {
    const wide = [];
    document.querySelectorAll("details").forEach(fold => { fold.open = true; });
    const shown = ":is(table, img, p, dt, dd, h1, h2, h3, td, th, pre):not(.sphx-glr-script-out *)";
    for (const element of document.querySelectorAll(`article ${shown}`)) {
        const own = element.getBoundingClientRect();
        const column = element.closest("article").getBoundingClientRect();
        const outside = own.width && (own.right > column.right + 1 || own.left < column.left - 1);
        if (outside || element.scrollWidth > element.clientWidth + 1 && element.clientWidth)
            wide.push(`${element.tagName}: ${element.textContent.trim().slice(0, 60)}`);
    }
    for (const element of document.querySelectorAll(".prev-next-area *"))
        if (element.scrollWidth > element.clientWidth + 1 && element.clientWidth)
            wide.push(`${element.className}: ${element.textContent.trim().slice(0, 60)}`);
    for (const name of document.querySelectorAll("dt > strong")) {
        const words = document.createRange();
        words.selectNodeContents(name);
        const lines = new Set([...words.getClientRects()].map(line => Math.round(line.top)));
        if (lines.size > name.textContent.split(" ").length)
            wide.push(`broken: ${name.textContent}`);
    }
    const root = document.documentElement;
    return {height: root.scrollHeight, beside: root.scrollWidth - root.clientWidth, wide};
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium."""
    with chromium() as started:
        yield started


@pytest.mark.timeout(600)
def test_pages_fit(browser: Any) -> None:
    found = {}
    page = browser.new_page()
    for path in PAGES:
        page.goto(path.as_uri())
        for width in (400, 1300, 1920):
            page.set_viewport_size({"width": width, "height": 900})
            measured = page.evaluate(MEASURE)
            too_high = width == 1300 and measured["height"] > HIGHEST
            if too_high or measured["beside"] > 0 or measured["wide"]:
                found[path.relative_to(BUILT).as_posix(), width] = measured
    assert found == {}, "\n".join(f"{name}: {measured}" for name, measured in found.items())
