"""What the documentation's own Sphinx extensions do. Building the pages is a step of .ci/run."""

import importlib.util
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parent.parent


def extension(name: str) -> ModuleType:
    """Return a module of docs/extensions, where what it needs is installed."""
    pytest.importorskip("sphinx")
    pytest.importorskip("latex2mathml")
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "extensions" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_formulas_become_mathml() -> None:
    math = ElementTree.fromstring(extension("mathml").convert(r"\log p \le \frac{1}{m}", "block"))
    assert math.attrib["display"] == "block"
    tags = [element.tag.rpartition("}")[2] for element in math.iter()]
    assert tags.count("mfrac") == 1
    assert "mspace" in tags  # between log and p


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ('<script src="https://cdn.example/x.js"></script>', ["https://cdn.example/x.js"]),
        ('<img src="//img.example/x.png">', ["//img.example/x.png"]),
        ('<link rel="stylesheet" href="http://a.example/x.css">', ["http://a.example/x.css"]),
        ('<link rel="canonical" href="https://a.example/">', []),
        ('<a href="https://doi.example/10">a link to follow</a>', []),
        ('<script src="_static/x.js"></script><img src="x.png">', []),
        ("<style>@import 'https://f.example/x.css';</style>", ["https://f.example/x.css"]),
    ],
)
def test_what_a_page_loads_from_elsewhere(page: str, expected: list[str], tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(page)
    assert extension("offline").loads_elsewhere(path) == expected


def test_fonts_that_a_style_sheet_loads(tmp_path: Path) -> None:
    path = tmp_path / "style.css"
    path.write_text("@font-face { src: url('https://f.example/f.woff2') } a { b: url(f.png) }")
    assert extension("offline").loads_elsewhere(path) == ["https://f.example/f.woff2"]
