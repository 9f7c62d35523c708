"""Pages of the documentation: the files they name, their words, their Sphinx extensions.

Building the pages is a step of .ci/run.
"""

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
GUIDE = DOCS / "user_guide"
PAGES = [
    *(DOCS / "index.rst", DOCS / "get_started.rst", DOCS / "how_it_works.rst"),
    *(DOCS / "glossary.rst", DOCS / "how_detection_works.rst", DOCS / "package.rst"),
    *(DOCS / "tutorial.rst", DOCS / "why.rst"),
    *sorted((DOCS / "coming_from").glob("*.rst")),
    ROOT / "README.md",
    *sorted(GUIDE.glob("*.rst")),
    *sorted((ROOT / "examples").glob("*.py")),
]
# Old words, and private names of what has a standard term, such as "missing value" for a hole.
AVOIDED = re.compile(
    r"\b(told|lest|anew|by and by|becomes of|vouch|learnt|holes?|closed form alone)\b"
)


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


def test_cells_of_tables_know_their_column() -> None:
    head = "<thead><tr><th>name</th><th>f(x)</th></tr></thead>"
    table = f"<table>{head}<tbody><tr><td>a</td><td>1 &lt; 2</td></tr></tbody></table>"
    named = extension("tables").name_cells(table)
    assert '<td data-column="name">a</td><td data-column="f(x)">1 &lt; 2</td>' in named
    assert "<th>f<wbr/>(x)</th>" in named
    assert 'class="narrow-table"' in named
    headless = table.replace(head, "")
    assert extension("tables").name_cells(headless) == headless


def test_files_that_a_page_names_exist() -> None:
    named = re.compile(r"\b(?:skflow|tests|docs|examples)/[\w/]*\.\w+")
    absent = [
        f"{page.name}: {name}"
        for page in PAGES
        for name in named.findall(page.read_text())
        if not (ROOT / name).exists()
    ]
    assert absent == []


def test_how_it_works_names_files_of_every_folder() -> None:
    folders = {path.parent.name for path in (ROOT / "skflow").glob("*/__init__.py")}
    pages = [DOCS / name for name in ("how_it_works.rst", "how_detection_works.rst", "package.rst")]
    named = re.findall(r"``skflow/(\w+)[/`]", "".join(page.read_text() for page in pages))
    assert folders <= set(named)


def test_pages_use_standard_terms() -> None:
    found = {page.name: AVOIDED.findall(page.read_text()) for page in PAGES}
    assert {name: words for name, words in found.items() if words} == {}


def test_pages_of_the_guide_open_with_their_subject() -> None:
    pages = sorted(GUIDE.glob("*.rst"))
    assert len(pages) > 1
    for page in pages:
        opening = re.search(r".+\n=+\n\n(.+)", page.read_text())
        assert opening is not None, page.name
        first = "This page " if page.stem != "index" else "One page per task."
        assert opening[1].startswith(first), page.name
