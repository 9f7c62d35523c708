"""Commands, and the memory that they and their processes take; needs Linux."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SECONDS_BETWEEN = 0.1


class Finished(NamedTuple):
    """What a command wrote, the peak of its process tree in bytes, its processor seconds."""

    output: str
    peak: int
    seconds: float


def run(*arguments: object) -> Finished:
    """Run a module of Python, on one thread.

    The peak is the largest sum of the high-water marks of the processes that run at one time: no
    less than what they held together.
    """
    command = [sys.executable, "-m", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    peak, before = 0, processor_seconds()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as process:
        while process.poll() is None:
            peak = max(peak, sum(map(high_water, processes(process.pid))))
            time.sleep(SECONDS_BETWEEN)
        assert process.stdout is not None
        output = process.stdout.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output)
    return Finished(output, peak, processor_seconds() - before)


def processor_seconds() -> float:
    """Return the processor seconds of all processes that this one started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def processes(pid: int) -> Iterator[int]:
    """Yield a process and those that it started, directly or not."""
    yield pid
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        try:
            children = (thread / "children").read_text().split()
        except OSError:  # it has ended
            continue
        for child in children:
            yield from processes(int(child))


def high_water(pid: int) -> int:
    """Return the bytes that a process held at most so far; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)
