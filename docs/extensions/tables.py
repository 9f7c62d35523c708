"""Tables that fit their column: each cell knows the name of its column.

Where a page is too narrow for a table, skflow.css shows each row as a list of names and cells.
"""

from typing import Any

from bs4 import BeautifulSoup, Tag
from sphinx.application import Sphinx

# Columns up to which a table is narrow, and up to which it is of medium width.
NARROW, MEDIUM = 3, 6


def name_cells(html: str) -> str:
    """Add to each cell the name of its column, and to each table how wide it is."""
    if "<thead" not in html:
        return html
    page = BeautifulSoup(html, "html.parser")
    for table in page("table"):
        if table.thead is None or table.find(("td", "th"), attrs={"colspan": True}):
            continue
        names = [cell.get_text(" ", strip=True) for cell in table.thead("th")]
        width = "narrow" if len(names) <= NARROW else "medium" if len(names) <= MEDIUM else "wide"
        table["class"] = [*table.get_attribute_list("class"), f"{width}-table"]
        for row in table.tbody("tr") if table.tbody else ():
            for name, cell in zip(names, row(("td", "th"), recursive=False), strict=False):
                cell["data-column"] = name
        for cell in table.thead("th"):
            break_before_brackets(page, cell)
    return str(page)


def break_before_brackets(page: BeautifulSoup, cell: Tag) -> None:
    """Let a line break where a call's brackets open."""
    for text in cell.find_all(string=lambda text: "(" in text):
        before, bracket, after = text.partition("(")
        text.replace_with(before, page.new_tag("wbr"), bracket + after)


def change(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Change the tables of one page."""
    if "body" in context:
        context["body"] = name_cells(context["body"])


def setup(app: Sphinx) -> dict[str, bool]:
    """Change each page before it is written."""
    app.connect("html-page-context", change)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
