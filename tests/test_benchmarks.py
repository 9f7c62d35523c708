"""Each benchmark can be imported and describes itself, whatever libraries it compares with."""

import runpy
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar
from unittest.mock import MagicMock

import numpy as np
import pandas as pd
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if path.name != "__init__.py")
COMPARED = {
    "aderh",
    "arfpy",
    "nflows",
    "pyvinecopulib",
    "sdmetrics",
    "sdv",
    "xgboost",
    "zuko",
}  # which the tests do not install


class Stub(ModuleType):
    """A module of which any name can be imported."""

    __path__: ClassVar[list[str]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock(name=name)


class StubFinder(MetaPathFinder, Loader):
    """Stubs in place of libraries that are absent."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        absent = name.partition(".")[0] in COMPARED
        return ModuleSpec(name, self, is_package=True) if absent else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return Stub(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: its names come when they are asked for."""


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stubs at the end of the path, and of this import nothing left behind."""
    before = dict(sys.modules)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, StubFinder()])
    yield
    for name in set(sys.modules) - set(before):
        if name.partition(".")[0] in COMPARED | {"benchmarks"}:
            del sys.modules[name]


@pytest.mark.usefixtures("stubs")
@pytest.mark.parametrize("script", SCRIPTS)
def test_each_script_shows_its_help(
    script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"benchmarks.{script}", run_name="__main__")
    assert ended.value.code == 0
    written = " ".join(capsys.readouterr().out.split())
    assert f"python -m benchmarks.{script}" in written


@pytest.mark.usefixtures("stubs")
def test_every_module_is_found_by_its_package_path() -> None:
    for path in FOLDER.rglob("*.py"):
        import_module(".".join(path.relative_to(FOLDER.parent).with_suffix("").parts))


@pytest.mark.usefixtures("stubs")
def test_sentences_of_pages_are_those_of_their_tables() -> None:
    """Those of ``python -m benchmarks.draw``; its figures are drawn, but not compared."""
    draw = import_module("benchmarks.draw")
    for name, claim in draw.CLAIMS.items():
        written = (draw.FIGURES / f"{name}.rst").read_text()
        assert draw.text_of(name, claim()) == written, f"python -m benchmarks.draw {name}"
        assert (draw.FIGURES / f"{name}.png").exists()
        draw.plt.close("all")


@pytest.mark.usefixtures("stubs")
def test_the_age_of_figures() -> None:
    defaults = import_module("benchmarks.common.defaults")
    last, change = defaults.CHANGES[-1]
    assert defaults.age("Measured 2999-01-01 with ``x``").endswith("defaults of this version.\n")
    newest = defaults.age(f"Measured {last} with ``x 2999-01-01``")
    assert " ".join(newest.split()).endswith(f"{change} ({last}).")
    first = defaults.age(
        "Measured (FlowDensity 2020-02-02 to 2020-03-03, the others 2019-01-01) with"
    )
    assert ".. fold:: Measured 2020-02-02 to 2020-03-03. " in first
    assert all(day in first for day, _ in defaults.CHANGES)


@pytest.mark.usefixtures("stubs")
def test_tables_are_read_as_they_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = import_module("benchmarks.common.report")
    monkeypatch.setattr(report, "PAGES", tmp_path)
    header, rows = ("table", "nats"), [["a - b", "**1.5 ± 0.1**"], ["c", ""]]
    report.write("page", "python", "All.", header, rows, footer="Measured 2026-01-01 with ``x``.")
    read, measured = report.read("page")
    assert read == [{"table": "a - b", "nats": "1.5 ± 0.1"}, {"table": "c", "nats": ""}]
    assert measured == "Measured 2026-01-01 with ``x``."


@pytest.mark.usefixtures("stubs")
def test_imputers_are_counted_on_what_both_have() -> None:
    """One mean for each pair, and then one for each table; a figure may be missing."""
    pages = import_module("benchmarks.pages.imputation")
    figures = [
        *[("a", "MCAR", 0, pages.OURS, 1.0), ("a", "MCAR", 1, pages.OURS, 5.0)],
        *[("a", "MCAR", 0, "peer", 2.0), ("a", "MCAR", 1, "peer", 3.0)],
        *[("a", "MAR", 0, pages.OURS, 1.0), ("a", "MAR", 0, "peer", 2.0)],
        *[("b", "MAR", 0, pages.OURS, 1.0), ("b", "MAR", 0, "peer", None)],
    ]
    names = ("table", "hidden", "seed", "method", "crps")
    means = pages.means([dict(zip(names, row, strict=True)) for row in figures], "crps")
    assert means["a", "MCAR"] == {pages.OURS: 3.0, "peer": 2.5}
    assert means["b", "MAR"] == {pages.OURS: 1.0}
    assert pages.count_ahead(means, ["peer", "other"]) == "peer on 1 of 2"
    of_tables = pages.over_mechanisms(means)
    assert of_tables["a", ""] == {pages.OURS: 2.0, "peer": 2.25}
    assert pages.count_ahead(of_tables, ["peer"]) == "peer on 1 of 1"


@pytest.mark.usefixtures("stubs")
def test_energy_distance_of_completed_rows() -> None:
    """Of a binary column, half of whose rows differ: 2 (p - q)^2."""
    imputation = import_module("benchmarks.imputation")
    true = pd.DataFrame({"a": ["x", "x", "y", "y"]})
    other = pd.DataFrame({"a": ["x", "x", "x", "x"]})
    found = imputation.energy_distance(true, other)
    np.testing.assert_allclose(found, 2 * 0.5**2, rtol=1e-12)
    assert imputation.energy_distance(true, true.iloc[::-1].reset_index(drop=True)) == 0


@pytest.mark.usefixtures("stubs")
def test_detectors_by_neighbours_and_by_ranks() -> None:
    detectors = import_module("benchmarks.peers.detectors")
    X = np.random.default_rng(0).normal(size=(40, 3))
    distances = np.sort(np.linalg.norm(X[:, None] - X, axis=2), axis=1)[:, 1:6]  # none to itself
    mean, fifth = (detectors.Neighbours(f).fit(X) for f in (np.mean, np.max))
    np.testing.assert_allclose(-mean.score_fitted(X), distances.mean(axis=1))
    np.testing.assert_allclose(-fifth.score_fitted(X), distances[:, -1])
    both = detectors.MeanRank([mean, fifth]).score_fitted(X)
    below = [(d[:, None] <= d).sum(axis=1) for d in (distances.mean(axis=1), distances[:, -1])]
    np.testing.assert_allclose(both, np.mean(below, axis=0))  # the farthest row has the rank 1


@pytest.mark.usefixtures("stubs")
def test_detectors_of_an_older_version_are_not_compared() -> None:
    comparison = import_module("benchmarks.pages.comparison").Comparison("a", "b", "page", "")
    common = {"part": "p", "table": "t", "method": "a", "seed": 0, "date": "2026-01-02"}
    new = common | {"versions": {"skflow": "2"}}
    old = new | {"seed": 1, "date": "2026-01-01", "versions": {"skflow": "1"}}
    (table,) = comparison.tables([old, new, old | {"seed": 0, "method": "b"}])
    assert table.seeds == [0]
    assert not table.has(["b"])
    (table,) = comparison.tables([old, new, new | {"method": "b"}])
    assert table.has(["b"])


@pytest.mark.usefixtures("stubs")
def test_days_of_a_method_and_of_the_others() -> None:
    report = import_module("benchmarks.common.report")
    records = [
        {"method": "a(x)", "date": "2026-01-02", "versions": {"numpy": "2"}},
        {"method": "b", "date": "2026-01-01", "versions": {"numpy": "1"}},
        {"method": "b", "date": "2026-01-03", "versions": {"numpy": "1"}},
    ]
    footer = report.footer_of(records, "x", own="a")
    assert footer.startswith("Measured (a 2026-01-02, the others 2026-01-01 to 2026-01-03) with")
    assert "numpy 1 and 2" in footer
    assert report.footer_of(records, "x").startswith("Measured 2026-01-01 to 2026-01-03 with")
