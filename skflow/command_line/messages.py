"""Messages on standard error, one line each, and the errors that a user can correct."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm


class CommandError(Exception):
    """An error that the user can correct; its message says how."""


class EmptyTableError(CommandError):
    """A table has columns, but no rows."""


def log(kind: str, message: object) -> None:
    """Write an error, a warning or a note as a line, above a progress bar where there is one."""
    tqdm.write(f"skflow: {kind}: {one_line(message)}", file=sys.stderr)


def one_line(message: object) -> str:
    """Join the lines of a message; indented lines, items of a list, are separated by ";"."""
    joined = ""
    for line in filter(str.strip, str(message).splitlines()):
        item = line[0].isspace() and joined[-1:] not in ("", ".", ":")
        joined += (";" if item else "") + " " + line.strip()
    return joined.strip()


@contextmanager
def attach_filename(path: str) -> Iterator[None]:
    """Attach the name of the file to errors of the system that lack one."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = path
        raise


@contextmanager
def as_command_error(where: str, remedy: str = "") -> Iterator[None]:
    """Convert ValueError and TypeError into CommandError, prefixed with ``where``.

    The ``remedy`` follows messages that name the estimators' own ``column_kinds``.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        text = one_line(error)
        more = f". {remedy}" if remedy and "column_kinds=" in text else ""
        raise CommandError(f"{where}: {text}{more}") from error


def spell_names(names: list[str], most: int = 8) -> str:
    """Return names in quotes, the first ``most`` of many."""
    spelled = ", ".join(map(repr, names[:most]))
    return spelled if len(names) <= most else f"{spelled} and {len(names) - most} more"
