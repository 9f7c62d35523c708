"""Elements that pages share: sections, tiles of numbers, tables, meters."""

from collections.abc import Iterable, Sequence

MOST_LISTED = 30  # columns of a table in a page's text


def section(key: str, title: str, content: str) -> str:
    """Return a section with a heading; ``key`` is its id."""
    return (
        f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{title}</h2>'
        f"{content}</section>"
    )


def tiles(numbers: Iterable[tuple[str, str, str, str]]) -> str:
    """Return numbers at a glance: name, number, a note, and the id of the number."""
    items = "".join(
        f'<div class="tile"><dt>{name}</dt><dd><strong id="{key}">{number}</strong>'
        f"<span>{note}</span></dd></div>"
        for name, number, note, key in numbers
    )
    return f'<dl class="tiles">{items}</dl>'


def table(key: str, label: str, head: Sequence[str], rows: Iterable[str]) -> str:
    """Return a table that scrolls where it is too wide.

    Parameters
    ----------
    key : str
        Its id.
    label : str
        Its name, for a screen reader.
    head : sequence of str
        Names of the columns: of two columns after "2:", of numbers after "#:".
    rows : iterable of str
        Markup.
    """
    attributes = {"2": ' colspan="2"', "#": ' class="number"', "": ""}
    cells = "".join(
        f'<th scope="col"{attributes[kind]}>{name}</th>'
        for kind, _, name in (each.rpartition(":") for each in head)
    )
    return (
        f'<div class="scroll listed" tabindex="0" role="region" aria-label="{label}">'
        f'<table id="{key}"><thead><tr>{cells}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def entry(mark: str, name: str) -> str:
    """Return a mark of a chart with its name, as one word of a legend."""
    return f'<span class="entry"><span class="key {mark}"></span> {name}</span>'


def meter(share: float) -> str:
    """Return a bar, of which 1 is the whole length."""
    return (
        '<svg class="meter" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{100 * share:.1f}" height="10"/></svg>'
    )


def left_out(n_columns: int) -> str:
    """Return a sentence on the columns that a table leaves out."""
    if n_columns <= MOST_LISTED:
        return ""
    return f" The first {MOST_LISTED} of {n_columns:,} columns are listed."
