"""What is told on standard error, a line each."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm


class CommandError(Exception):
    """What the user can put right."""


def tell(kind: str, message: object) -> None:
    """Write a line on standard error, above a progress bar where there is one.

    Parameters
    ----------
    kind : {"error", "warning", "note"}
    message : object
    """
    tqdm.write(f"skflow: {kind}: {one_line(message)}", file=sys.stderr)


def one_line(message: object) -> str:
    """Fold the lines of a message; those that were indented, items of a list, are set apart."""
    folded = ""
    for line in filter(str.strip, str(message).splitlines()):
        item = line[0].isspace() and folded[-1:] not in ("", ".", ":")
        folded += (";" if item else "") + " " + line.strip()
    return folded.strip()


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Give errors of the system the name of the file that they arose with."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = path
        raise


def spell_names(names: list[str], most: int = 8) -> str:
    """Return names in quotes, the first few of many."""
    spelled = ", ".join(map(repr, names[:most]))
    return spelled if len(names) <= most else f"{spelled} and {len(names) - most} more"
