"""Formulas as MathML, written when the pages are built: browsers draw it without a script."""

import re
from typing import Literal

from docutils import nodes
from latex2mathml.converter import convert as latex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

# A function's name and an argument without brackets: the converter leaves no space between them.
FUNCTION = re.compile(r"(<mi>(?:log|exp|max|min)</mi>)(?=<m[in]>)")


def convert(latex: str, display: Literal["inline", "block"]) -> str:
    """Return a formula as MathML."""
    return FUNCTION.sub(r'\1<mspace width="0.17em"/>', latex2mathml(latex, display=display))


def visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    """Write a formula within a line."""
    self.body.append(convert(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_block(self: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula on lines of its own."""
    formula = convert(" ".join(node.astext().split()), "block")
    self.body.append(f'<div class="math">{formula}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer; conf.py chooses it."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
