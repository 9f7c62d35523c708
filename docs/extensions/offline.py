"""Pages that need no network: the build fails where one loads anything from elsewhere."""

import re
from html.parser import HTMLParser
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

# What a browser loads by itself. Links that a reader may follow are not among it.
LOADED = {"src", "srcset", "poster", "data"}
LOADING_LINKS = {"stylesheet", "preload", "prefetch", "preconnect", "icon", "modulepreload"}
ELSEWHERE = re.compile(r"^\s*(https?:)?//")
ELSEWHERE_IN_STYLE = re.compile(r"(?:url\(|@import)\s*['\"]?((?:https?:)?//[^'\")\s]+)")


class Loads(HTMLParser):
    """Collects the addresses elsewhere that a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at what one element loads."""
        of = {name: value or "" for name, value in attrs}
        addresses = [of[name] for name in LOADED & of.keys()]
        if tag == "link" and LOADING_LINKS & set(of.get("rel", "").split()):
            addresses.append(of.get("href", ""))
        self.found += [address for address in addresses if ELSEWHERE.match(address)]


def loads_elsewhere(path: Path) -> list[str]:
    """Return the addresses elsewhere that a page or a style sheet loads."""
    text = path.read_text(encoding="utf-8")
    in_style = ELSEWHERE_IN_STYLE.findall(text)
    if path.suffix == ".css":
        return in_style
    page = Loads()
    page.feed(text)
    return page.found + in_style


def check(app: Sphinx, exception: Exception | None) -> None:
    """Look at all that was built."""
    if exception is not None or app.builder.format != "html":
        return
    files = [*Path(app.outdir).rglob("*.html"), *Path(app.outdir).rglob("*.css")]
    found = {path.name: addresses for path in files if (addresses := loads_elsewhere(path))}
    if found:
        raise ExtensionError(f"Pages must need no network. These load something: {found}")


def setup(app: Sphinx) -> dict[str, bool]:
    """Check when the build is done."""
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
