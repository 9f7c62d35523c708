"""Files that are written whole or not at all."""

import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file that takes the place of ``path`` once it is written, and is removed otherwise.

    A reader of ``path`` finds the former file or the new one, never a part, whenever the
    writer or the machine stops. A pipe, a device, /dev/stdout and /dev/stderr are written to
    as they are.
    """
    if is_written_through(path):
        number = STREAMS.get(os.fspath(path))
        with open(path if number is None else os.dup(number), "wb") as file:
            yield file
        return
    target = find_target(path)
    part = target.with_name(f"{_hidden(target)}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, part)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    # The folder's entry; some folders may not be listed, and some systems cannot sync them.
    with suppress(OSError):
        descriptor = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_parts(path: str | os.PathLike[str]) -> None:
    """Remove what killed processes have left of a file that no other process writes now."""
    target = Path(os.path.realpath(path))
    for part in target.parent.glob(f"{glob.escape(_hidden(target))}.????????.part"):
        part.unlink(missing_ok=True)


def _hidden(target: Path) -> str:
    """Return the beginning of the names of parts of a file."""
    return "." + os.fsencode(target.name)[:200].decode(errors="ignore")


def is_written_through(path: str | os.PathLike[str]) -> bool:
    """Return whether :func:`replacing` writes to what is there, a pipe, a device or a stream."""
    is_special = os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)
    return is_special or os.fspath(path) in STREAMS


def find_target(path: str | os.PathLike[str]) -> Path:
    """Return the file that a path leads to, whether or not it exists.

    Raises
    ------
    OSError
        Where no file can be: there is no such folder, or it is one itself.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {target.parent} to write {target.name} to.")
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder; name a file.")
    return target
