"""Commands in processes of their own, most of them forks that have imported all they need."""

import os
import subprocess
import sys
from multiprocessing import get_context
from multiprocessing.context import ForkProcess

from skflow.command_line.main import main

STREAMS = ("stdin", "stdout", "stderr")


def start(*arguments: object, **options) -> subprocess.Popen:
    """Start a command in a new interpreter, whose errors are read by the test."""
    command = [sys.executable, "-m", "skflow", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, **options)


def fork(*arguments: object, **streams: int | None) -> ForkProcess:
    """Start a command in a fork of this process; a stream may be another file, or closed."""
    process = get_context("fork").Process(target=run_on, args=(streams, [*map(str, arguments)]))
    process.start()
    return process


def run_on(streams: dict[str, int | None], arguments: list[str]) -> None:
    """Run a command on other standard streams, and end the process as the command ends."""
    for number, name in enumerate(STREAMS):
        descriptor = streams.get(name, number)
        if descriptor is None:
            os.close(number)  # Python has None for a stream that was closed when it began
        elif descriptor != number:
            os.dup2(descriptor, number)
        stream = None if descriptor is None else open(number, "w" if number else "r")  # noqa: SIM115
        setattr(sys, name, stream)
    sys.exit(main(arguments))
