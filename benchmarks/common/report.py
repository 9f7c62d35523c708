"""Pages of the documentation with the figures of a benchmark."""

import os
import platform
import re
import sys
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

PAGES = Path(__file__).parents[2] / "docs" / "benchmarks" / "measured"
LIBRARIES = ("skflow", "scikit-learn", "torch", "numpy")


def write(
    name: str,
    command: str,
    summary: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    peers: Sequence[str] = (),
    device: str = "no GPU used",
    footer: str | None = None,
) -> None:
    """Print a table and write it to ``docs/benchmarks/measured/<name>.rst``.

    ``peers`` are further libraries whose versions belong to the figures, ``device``
    what computed them besides the processor. ``footer`` is how they were measured;
    without it, they were now and here with ``command``.
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
    print(summary)
    content = [summary, "", ".. list-table::", "   :header-rows: 1", ""]
    for row in (header, *rows):
        content += [f"   {'*' if i == 0 else ' '} - {cell}" for i, cell in enumerate(row)]
    content += ["", footer or _measured_now(command, peers, device)]
    PAGES.mkdir(exist_ok=True)
    (PAGES / f"{name}.rst").write_text(fold(f"All figures, {len(rows)} rows", content))


def fold(title: str, lines: Sequence[str]) -> str:
    """Return content behind a title to click."""
    inside = "".join(f"   {line}".rstrip() + "\n" for line in lines)
    return f".. fold:: {title}\n\n{inside}"


def read(name: str) -> tuple[list[dict[str, str]], str]:
    """Return the rows of a page that :func:`write` wrote, by column, and its line "Measured"."""
    text = (PAGES / f"{name}.rst").read_text()
    cells = re.findall(r"^ +(\*| ) -(?: (.*))?$", text, re.MULTILINE)
    rows: list[list[str]] = []
    for mark, cell in cells:
        if mark == "*":
            rows.append([])
        rows[-1].append(cell.strip("* "))
    header, *others = rows
    measured = re.findall(r"^ +(Measured .*)", text, re.MULTILINE)[-1]
    return [dict(zip(header, row, strict=True)) for row in others], measured


def footer_of(records: Sequence[dict], command: str, own: str | None = None) -> str:
    """Return when, and with which versions, kept results were measured.

    The days of methods whose names begin with ``own``, if it is given, are apart from the others'.
    """
    if own is None:
        days = _span(records)
    else:
        of_own = [record for record in records if record["method"].startswith(own)]
        others = [record for record in records if record not in of_own]
        spans = [f"{whose} {_span(r)}" for whose, r in ((own, of_own), ("the others", others)) if r]
        days = f"({', '.join(spans)})"
    versions: dict[str, set[str]] = {}
    for record in records:
        for name, number in record["versions"].items():
            versions.setdefault(name, set()).add(number)
    libraries = ", ".join(f"{name} {' and '.join(sorted(v))}" for name, v in versions.items())
    return f"Measured {days} with ``{command}``; {libraries}; one thread, no GPU used."


def _span(records: Sequence[dict]) -> str:
    days = sorted({record["date"] for record in records})
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"


def command(**folders: Path) -> str:
    """Return the command that is running, each folder by the name it has in the pages."""
    names = {str(folder): name for name, folder in folders.items()}
    options = [names.get(option, option) for option in sys.argv[1:]]
    return " ".join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *options])


def _measured_now(command: str, peers: Sequence[str], device: str) -> str:
    versions = ", ".join(f"{library} {version(library)}" for library in (*LIBRARIES, *peers))
    return (
        f"Measured {date.today().isoformat()} with ``{command}``; {versions}; "
        f"Python {platform.python_version()}, {os.cpu_count()} cores "
        f"({platform.machine()}), {device}."
    )
