"""Files that are written whole or not at all, and what a path leads to."""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

STREAM = re.compile(r"/dev/(stdout|stderr)|(?:/dev|/proc/self)/fd/(\d+)")


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file that takes the place of ``path`` once it is written, and is gone otherwise.

    Whoever reads ``path`` finds the former file or the new one, never a part, whenever
    the writer or the machine stops. A pipe, a device or an open stream by its name, such as
    /dev/stdout, is written to as it is.
    """
    if is_written_through(path):
        number = find_stream(path)
        with open(path if number is None else os.dup(number), "wb") as file:
            yield file
        return
    target = find_target(path)
    beginning = os.fsencode(target.name)[:200].decode(errors="ignore")
    part = target.with_name(f".{beginning}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, part)
        part.replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            part.unlink()
        raise
    _sync_folder(target.parent)


def is_written_through(path: str | os.PathLike[str]) -> bool:
    """Say whether :func:`replacing` writes to what is there, a pipe, a device or a stream."""
    is_special = os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)
    return is_special or find_stream(path) is not None


def find_stream(path: str | os.PathLike[str]) -> int | None:
    """Return the number of the open stream that a path names; None where it names none."""
    found = STREAM.fullmatch(os.fspath(path))
    if found is None:
        return None
    name, number = found.groups()
    return int(number) if name is None else {"stdout": 1, "stderr": 2}[name]


def find_target(path: str | os.PathLike[str]) -> Path:
    """Return the file that a path leads to, there or not.

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


def _sync_folder(folder: Path) -> None:
    """Have the folder remember which file it holds, where the system can be asked to."""
    if os.name != "posix":
        return
    # Of folders that may not be listed, and of file systems that know no such thing.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
