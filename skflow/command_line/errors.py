"""Errors about values, as those of the user's file."""

from collections.abc import Iterator
from contextlib import contextmanager

from skflow.command_line.messages import CommandError, one_line
from skflow.exceptions import ModelFileError


@contextmanager
def explained(where: str, remedy: str = "") -> Iterator[None]:
    """Take errors about values for the user's: ``where`` says which of theirs is at fault.

    The ``remedy`` follows what speaks of the estimators' own ``column_kinds``.
    """
    try:
        yield
    except ModelFileError as error:  # names its own file
        raise CommandError(str(error)) from error
    except (ValueError, TypeError) as error:
        text = one_line(error)
        more = f". {remedy}" if remedy and "column_kinds=" in text else ""
        raise CommandError(f"{where}: {text}{more}") from error
