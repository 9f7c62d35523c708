"""Directive ``fold``: content behind a line to click, as HTML's ``details``."""

from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator


class fold(nodes.General, nodes.Element):  # noqa: N801
    """Content that is shown where its title is clicked."""


class Fold(SphinxDirective):
    """``.. fold:: TITLE``, with ``:open:`` where the content is shown at first."""

    has_content = True
    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar = {"open": directives.flag}

    def run(self) -> list[nodes.Node]:
        """Parse the content."""
        node = fold(title=self.arguments[0], is_open="open" in self.options)
        node += self.parse_content_to_nodes()
        return [node]


def visit(self: HTML5Translator, node: fold) -> None:
    """Begin the element, with its title."""
    attributes = {"open": "open"} if node["is_open"] else {}
    self.body.append(self.starttag(node, "details", CLASS="fold", **attributes))
    self.body.append(f"<summary>{self.encode(node['title'])}</summary>\n")


def depart(self: HTML5Translator, node: fold) -> None:
    """End the element."""
    self.body.append("</details>\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_node(fold, html=(visit, depart))
    app.add_directive("fold", Fold)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
