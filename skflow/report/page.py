"""Page: one HTML file that makes no request."""

import os
import tempfile
import webbrowser
from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Self

from skflow.archive.replacing import replacing
from skflow.report.text import clean, markup, to_json

PARTS = files("skflow.report") / "page"
LONGEST_TITLE = 200


def read_part(name: str) -> str:
    """Return a part of pages that comes with the package."""
    return (PARTS / name).read_text(encoding="utf-8")


class Page:
    """A page of HTML: styles, script and data are in it, and it asks for nothing else.

    Notebooks show it by its representation. All parameters are stored as attributes.

    Parameters
    ----------
    html : str
        The whole page.
    title : str, default=""
        Its title.
    """

    def __init__(self, html: str, title: str = "") -> None:
        self.html = html
        self.title = title

    @classmethod
    def build(cls, title: str, body: str, *, script: str = "", data: Any = None) -> Self:
        """Put a page together from marked-up text, and a script with its data.

        Parameters
        ----------
        title : str
        body : str
            Markup, in which all that comes from a table is escaped.
        script : str, default=""
            Name of the script's file; a page without one runs none.
        data : object, default=None
            Numbers, texts, lists and dicts, which the script reads.
        """
        allowed, scripts = "'none'", ""
        if script:
            code = read_part(script)
            digest = b64encode(sha256(code.encode()).digest()).decode()
            allowed = f"'sha256-{digest}'"
            scripts = (
                f'<script type="application/json" id="data">{to_json(data)}</script>\n'
                f"<script>{code}</script>\n"
            )
        if not isinstance(title, str):
            raise TypeError(f"title must be a string or None; got {title!r}.")
        html = Template(read_part("page.html")).substitute(
            title=escape(clean(title, LONGEST_TITLE)),
            heading=markup(clean(title, LONGEST_TITLE)),
            allowed=allowed,
            style=read_part("page.css"),
            body=body,
            scripts=scripts,
        )
        return cls(html, title)

    def __repr__(self) -> str:
        size = len(self.html.encode()) / 1e6
        return f"{type(self).__name__}({clean(self.title)!r}, {size:.1f} MB of HTML)"

    def _repr_html_(self) -> str:
        # In a frame: neither the page's styles nor its script reach the notebook.
        return (
            f'<iframe title="{escape(clean(self.title))}" sandbox="allow-scripts" '
            'style="width: 100%; height: 800px; border: 1px solid #8888" '
            f'srcdoc="{escape(self.html)}"></iframe>'
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the page in a file, which any browser opens.

        The file is written whole or not at all: what was there before stays until then.

        Parameters
        ----------
        path : str or path-like
            Any name; ``.html`` is customary.

        Raises
        ------
        OSError
            Where there is no such folder, no room or no permission.
        """
        with replacing(path) as file:
            file.write(self.html.encode())

    def open(self) -> None:
        """Open the page in the browser, from a file in the system's folder of temporary files."""
        with tempfile.NamedTemporaryFile(suffix=".html", delete=False) as file:
            file.write(self.html.encode())
        webbrowser.open(Path(file.name).as_uri())
