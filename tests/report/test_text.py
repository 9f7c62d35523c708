"""Whatever cells and names hold, a page shows it, and nothing of it is markup."""

import json
import math
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skflow import FlowDensity, FlowOutlierDetector
from skflow.fitted.reasons.words import number_words
from skflow.report.text import (
    BLANK,
    LONGEST,
    clean,
    markup,
    spell_share,
    to_json,
)
from tests.report.conftest import Parsed
from tests.settings import ONE_GAUSSIAN

HOSTILE = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "<!--<script>",
    "]]>",
    "&lt;b&gt;&amp;",
    "${title} $html {x}",
    "\u202egpj.exe",
    "a\x00b\x1b[31m",
    "\ud800",
    "__proto__",
    "",
    "  \n",
    "x" * 5_000,
]


class Events(HTMLParser):
    """What a parser of HTML finds in a text: tags and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


any_text = st.one_of(st.text(st.characters(codec=None)), st.sampled_from(HOSTILE))


@given(any_text)
def test_texts_are_text_to_a_parser(text: str) -> None:
    shown = clean(text)
    assert 0 < len(shown) <= 10 * LONGEST
    found = Events(markup(shown))
    assert found.tags == ["bdi"]
    assert found.text == shown
    shown.encode()  # no lone surrogates
    assert not {c for c in shown if c in "\u202a\u202b\u202d\u202e\u2066\u2067\x00\x1b\n"}


@given(any_text)
def test_data_come_back_from_a_page(text: str) -> None:
    data = {text: [text, 1.5, None]}
    found = Events(f'<script type="application/json">{to_json(data)}</script><p>')
    assert found.tags == ["script", "p"]
    assert json.loads(found.text) == data


def test_words_of_any_script_stay() -> None:
    arabic = "\u0627\u0644\u0642\u0627\u0647\u0631\u0629"
    persian = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
    for word in (arabic, persian, "上海市", "दिल्ली", "👨\u200d👩\u200d👧", "naïve café"):
        assert clean(word) == word
    assert clean("") == BLANK
    assert clean(" \t") == r"' \t'"  # not the same as another blank name


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_keep_their_digits(number: float) -> None:
    spelled = float(number_words(number, 6))
    if abs(number) >= 1e6 and abs(number) < 1e15:
        assert abs(spelled - number) <= 0.5
    else:
        assert math.isclose(spelled, number, rel_tol=1e-5, abs_tol=1e-320)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (number_words(12345.678), "12346"),
        (number_words(0.000123456), "0.0001235"),
        (spell_share(0.0), "0 %"),
        (spell_share(0.00001), "< 0.01 %"),
        (spell_share(0.05), "5 %"),
        (spell_share(0.99999), "> 99.9 %"),
        (spell_share(1.0), "100 %"),
    ],
)
def test_numbers_in_words(text: str, expected: str) -> None:
    assert text == expected


def test_hostile_cells_names_and_titles_are_text() -> None:
    rng = np.random.default_rng(0)
    names = [HOSTILE[0], HOSTILE[1], "__proto__", "constructor", HOSTILE[7], HOSTILE[8]]
    X = pd.DataFrame(
        {
            names[0]: pd.Series(rng.choice(HOSTILE, 150).tolist(), dtype=object),
            names[1]: rng.normal(size=150),
            names[2]: rng.normal(size=150),
            names[3]: rng.choice(["toString", "__proto__"], 150),
            names[4]: rng.normal(size=150),
            names[5]: rng.normal(size=150),
        }
    )
    detector = FlowOutlierDetector(FlowDensity(**ONE_GAUSSIAN), random_state=0).fit(X)
    new = X.head(30).set_axis(pd.Index([*HOSTILE, *range(16)], dtype=object))
    new.iloc[:14, 1] = 40.0
    report = detector.report(new, title=HOSTILE[0])
    page = Parsed(report.html)
    assert [page.tags.count(tag) for tag in ("script", "style", "title", "img")] == [2, 1, 1, 0]
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.data["columns"][0]["name"] == HOSTILE[0]
    assert set(page.data["rows"]["name"]) <= {
        *(clean(text) for text in HOSTILE),
        *map(str, range(16)),
    }
    report.html.encode()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_floats_of_less_precision_are_spelled_as_they_are_read(dtype: str) -> None:
    """A cell of 1e30 in single precision is 1.000000015e+30 in double precision."""
    rng = np.random.default_rng(0)
    fitted = pd.DataFrame({"a": rng.normal(size=300).round(2).astype(dtype)})
    detector = FlowOutlierDetector(FlowDensity(**ONE_GAUSSIAN), random_state=0).fit(fitted)
    far = {"float16": 6e4, "float32": 1e30}[dtype]
    strange = pd.DataFrame({"a": np.array([far, 50.1], dtype=dtype)})
    texts = Parsed(detector.report(strange).html).data["columns"][0]["texts"]
    assert texts == ["50.1", number_words(far, 10)]
