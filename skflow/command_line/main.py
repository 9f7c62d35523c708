"""From arguments to an exit status; whatever is wrong is told in one line."""

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, TextIO

from skflow.command_line.commands import COMMANDS
from skflow.command_line.parser import make_parser

FAULT = 2  # as argparse's own
INTERRUPTED = 130  # as shells say it: 128 and the number of the signal
CLOSED_PIPE = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process, if not given.

    Returns
    -------
    status : int
        0 where all went well; 2 where a file, a column or an argument is wrong, with one line
        on standard error; 130 after Ctrl-C; 141 where nobody reads the output any more.
    """
    options = make_parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _tell_warning
        warnings.simplefilter("default")
        try:
            COMMANDS[options.command](options)
            sys.stdout.flush()
        except BrokenPipeError:
            _close_quietly(sys.stdout)
            return CLOSED_PIPE
        except KeyboardInterrupt:
            return INTERRUPTED
        except (OSError, ValueError, TypeError, ImportError) as error:
            _tell("error", error)
            return FAULT
    return 0


def _tell(kind: str, message: Any) -> None:
    print(f"skflow: {kind}: {' '.join(str(message).split())}", file=sys.stderr)  # noqa: T201


def _tell_warning(message: Any, *details: Any, **more: Any) -> None:
    _tell("warning", message)


def _close_quietly(stream: TextIO) -> None:
    """Have Python find nothing to flush, and nothing to complain of, when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
