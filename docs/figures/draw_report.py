"""Draw report.png, the picture of README.md: a report on patients, two of whose cells are swapped.

    python docs/figures/draw_report.py

Needs Chromium and Playwright.
"""

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright
from sklearn.datasets import load_diabetes

from skflow import FlowDensity, FlowOutlierDetector

HERE = Path(__file__).parent

X = load_diabetes(as_frame=True, scaled=False).data[["age", "bmi", "bp", "s1", "s2", "s3"]]
new = X.sample(120, random_state=0)
detector = FlowOutlierDetector(FlowDensity(max_iter=20), random_state=0).fit(X.drop(new.index))
row = new.index[0]
new.loc[row, ["s1", "s2"]] = new.loc[row, ["s2", "s1"]].to_numpy()

with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
    path = Path(folder) / "report.html"
    detector.report(new, title="New patients").save(path)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    page.goto(path.as_uri())
    end = page.get_by_role("heading", name="Change against training").bounding_box()
    clip = {"x": 0, "y": 0, "width": 1500, "height": end["y"] - 10}
    page.screenshot(path=HERE / "report.png", full_page=True, clip=clip)
    browser.close()
