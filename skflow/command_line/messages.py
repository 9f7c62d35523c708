"""What is told on standard error, a line each."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm


class CommandError(Exception):
    """What the user can put right."""


def tell(text: str) -> None:
    """Write on standard error, above a progress bar where there is one."""
    tqdm.write(text, file=sys.stderr)


def one_line(message: object) -> str:
    """Fold the lines of a message; those that were indented, items, are set apart."""
    first, *rest = [line for line in str(message).splitlines() if line.strip()] or [""]
    folded = first.strip()
    for line in rest:
        item = line[0].isspace() and not folded.endswith(":")
        folded += ("; " if item else " ") + line.strip()
    return folded


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Take errors about values for the user's: ``where`` says which of theirs is at fault."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise CommandError(f"{where}: {one_line(error)}") from error


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
