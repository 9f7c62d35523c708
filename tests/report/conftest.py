"""A detector, new rows of which some are wrong, and the report on them; and a browser."""

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

from skflow import FlowDensity, FlowOutlierDetector
from skflow.report import OutlierReport
from tests.browser import chromium
from tests.settings import TWO_GAUSSIANS, all_candidates, fewer_candidates, fewer_fits


def make_trips(n_rows: int, seed: int) -> pd.DataFrame:
    """Rows with a category, whole numbers, decimals, dates and missing values."""
    rng = np.random.default_rng(seed)
    km = rng.lognormal(1.5, 0.6, n_rows).round(1)
    fare = (3 + 1.9 * km + rng.normal(0, 0.5, n_rows)).round(2)
    day = pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.integers(0, 365, n_rows), unit="D")
    return pd.DataFrame(
        {
            "payment": rng.choice(["card", "cash"], n_rows),
            "km": km,
            "riders": rng.integers(1, 5, n_rows),
            "fare": np.where(rng.random(n_rows) < 0.1, np.nan, fare),
            "day": day,
        }
    )


@pytest.fixture(scope="package", autouse=True)
def quick_fits() -> Iterator[None]:
    """Few fits and no choices: pages do not depend on their number or quality."""
    with fewer_fits(), fewer_candidates():
        yield


@pytest.fixture(scope="package")
def detector() -> FlowOutlierDetector:
    """A detector of normal trips. Do not fit it again."""
    density = FlowDensity(**TWO_GAUSSIANS)
    with all_candidates():
        return FlowOutlierDetector(density, random_state=0).fit(make_trips(400, 0))


@pytest.fixture(scope="package")
def new() -> pd.DataFrame:
    """New trips, with names, of which some are wrong."""
    new = make_trips(120, 1)
    new.loc[[3, 10, 50], "fare"] = [900.0, 120.0, 0.5]
    new.loc[5, "payment"] = "gold"
    new.loc[7, "day"] = pd.Timestamp("1999-12-31")
    return new.set_axis([f"trip {k}" for k in range(120)])


@pytest.fixture(scope="package")
def report(detector: FlowOutlierDetector, new: pd.DataFrame) -> OutlierReport:
    """The report on the new trips."""
    return detector.report(new, title="Trips of Monday")


class Parsed(HTMLParser):
    """A page as a browser parses it: the text of elements by id, tags, attributes and data."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: dict[str, str] = {}
        self._open: list[tuple[str, str | None]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "input"):  # which have no end
            self._open.append((tag, dict(attrs).get("id")))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        for key in {key for _, key in self._open if key}:
            self.texts[key] = self.texts.get(key, "") + data

    @property
    def data(self) -> Any:
        """Return what the page's script reads."""
        return json.loads(self.texts["data"])


@pytest.fixture(scope="package")
def page(report: OutlierReport) -> Parsed:
    """The parsed report."""
    return Parsed(report.html)


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """Chromium, driven by Playwright."""
    with chromium() as started:
        yield started
