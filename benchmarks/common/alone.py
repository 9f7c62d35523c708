"""Calls in a process of their own, and the memory that they take there."""

import multiprocessing
import resource
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

STATUS = Path("/proc/self/status")
BYTES_PER_MAXRSS = 1 if sys.platform == "darwin" else 1024


def run_alone(
    function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result | None:
    """Call a function in a fresh process; None where the process was ended, out of memory."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        try:
            return pool.submit(function, *args, **kwargs).result()
        except BrokenProcessPool:
            return None


def peak_memory() -> int:
    """Bytes that the process held at most so far.

    On Linux ``ru_maxrss`` begins with what the parent process held at most, which the
    high-water mark in ``/proc`` does not.
    """
    if STATUS.exists():
        lines = STATUS.read_text().splitlines()
        kibibytes = next(line.split()[1] for line in lines if line.startswith("VmHWM:"))
        return int(kibibytes) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_PER_MAXRSS
