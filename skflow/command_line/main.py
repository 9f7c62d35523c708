"""The command ``skflow``: from arguments to an exit status."""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

from skflow.archive.replacing import is_written_through
from skflow.command_line.formats import STANDARD, files_of, format_of
from skflow.command_line.messages import CommandError, attach_filename, log
from skflow.command_line.parser import build_parser

BAD, INTERRUPTED, CLOSED_PIPE = 2, 128 + signal.SIGINT, 128 + 13  # 13: SIGPIPE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, default=None
        Those of the process where None.

    Returns
    -------
    status : int
        0 for success; 2 for an error that the user can correct, with one line that says how,
        and nothing half-written; 130 after Ctrl-C; 141 where the reader of a pipe has left.
        Other errors are skflow's own, and raised.
    """
    _hold_closed_streams()
    parsed = build_parser().parse_args(arguments)
    with _warnings_in_one_line(), _cleaning_up_when_ended():
        try:
            _find_inputs(parsed)
            # Not before: what the commands need takes seconds to import.
            commands = import_module("skflow.command_line.commands")
            getattr(commands, parsed.command)(parsed)
            with attach_filename("standard output"):
                sys.stdout.flush()
        except BrokenPipeError:  # as of skflow ... | head
            _drop_output()
            return CLOSED_PIPE
        except KeyboardInterrupt:
            log("error", _spell_interrupt(parsed))
            return INTERRUPTED
        except CommandError as error:
            return _fail(str(error))
        except OSError as error:
            _drop_output()
            return _fail(_spell(error))
        except MemoryError:
            return _fail("out of memory. Lower --batch-rows or --n-jobs, or take fewer rows.")
        except BrokenProcessPool:
            return _fail("a worker was killed; out of memory? Lower --n-jobs or --batch-rows.")
    return 0


def _find_inputs(parsed: Any) -> None:
    """List the ``files`` of a folder or a pattern: None where the table is one file.

    Raise where files to read do not exist, or the endings of tables are unknown.
    """
    several: tuple[str, ...] = ()
    if parsed.command in ("fit", "score", "outliers"):
        parsed.files = files_of(parsed.table)
        several = () if parsed.files is None else ("table", "output")
    for name in parsed.inputs:
        if name not in several and getattr(parsed, name) != STANDARD:
            os.stat(getattr(parsed, name))
    for name in set(parsed.tables).difference(several):
        format_of(getattr(parsed, name), parsed.sep if name == "table" else None)


def _hold_closed_streams() -> None:
    """Put streams that refuse their use in the place of closed ones.

    Python has None there, and the system would give their numbers to the next files opened.
    """
    for name, mode in (("stdin", os.O_WRONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            refusing = os.open(os.devnull, mode)
            setattr(sys, name, os.fdopen(refusing, "r" if name == "stdin" else "w"))


def _spell_interrupt(parsed: Any) -> str:
    """Return the message of an interrupt: what was written."""
    checkpoint = getattr(parsed, "checkpoint", None)
    if checkpoint is not None and os.path.exists(checkpoint):
        return f"interrupted; the same command goes on from {checkpoint}."
    output = getattr(parsed, "output", None)
    if output is not None and os.path.isdir(output):
        return "interrupted; the same command goes on where it was."
    streamed = output is not None and (output == STANDARD or is_written_through(output))
    return "interrupted." if streamed else "interrupted; nothing was written."


def _fail(message: str) -> int:
    log("error", message)
    return BAD


def _spell(error: OSError) -> str:
    if error.strerror is None:
        return str(error)
    return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"


@contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Log warnings, each once and without the line of code that it arose in."""
    with warnings.catch_warnings():
        warnings.simplefilter("once", UserWarning)
        # A warning of joblib where an error or an interrupt ends its work.
        warnings.filterwarnings("ignore", ".*still being processed by the workers")
        warnings.showwarning = lambda message, *_, **__: log("warning", message)
        yield


@contextmanager
def _cleaning_up_when_ended() -> Iterator[None]:
    """Exit by an exception on SIGTERM and SIGHUP, so that what is half-written is removed."""

    def leave(number: int, frame: object) -> None:
        sys.exit(128 + number)

    # Python lets only the main thread handle signals; Windows has no SIGHUP.
    ours = threading.current_thread() is threading.main_thread()
    numbers = [getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP")] if ours else []
    former = {number: signal.signal(number, leave) for number in numbers if number is not None}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _drop_output() -> None:
    """Discard what is left to write, at which Python would fail once more when it ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
