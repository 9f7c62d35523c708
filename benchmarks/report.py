"""Writes what a benchmark measured where the documentation shows it."""

import os
import platform
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

PAGES = Path(__file__).parents[1] / "docs" / "benchmarks"
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
    """Print a table and write it to ``docs/benchmarks/<name>.rst``.

    ``peers`` are further libraries whose versions belong to the figures, ``device``
    what computed them besides the processor. ``footer`` says how they were measured;
    without it, they were now and here with ``command``.
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
    print(summary)
    lines = [summary, "", ".. list-table::", "   :header-rows: 1", ""]
    for row in (header, *rows):
        lines += [f"   {'*' if i == 0 else ' '} - {cell}" for i, cell in enumerate(row)]
    lines += ["", footer or _measured_now(command, peers, device), ""]
    PAGES.mkdir(exist_ok=True)
    (PAGES / f"{name}.rst").write_text("\n".join(lines))


def footer_of(records: Sequence[dict], command: str) -> str:
    """Return when, and with which versions, kept results were measured."""
    dates = sorted({record["date"] for record in records})
    days = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    versions = {f"{name} {number}" for r in records for name, number in r["versions"].items()}
    return (
        f"Measured {days} with ``{command}``; {', '.join(sorted(versions))}; one thread, no GPU "
        "used."
    )


def _measured_now(command: str, peers: Sequence[str], device: str) -> str:
    versions = ", ".join(f"{library} {version(library)}" for library in (*LIBRARIES, *peers))
    return (
        f"Measured {date.today().isoformat()} with ``{command}``; {versions}; "
        f"Python {platform.python_version()}, {os.cpu_count()} cores "
        f"({platform.machine()}), {device}."
    )
