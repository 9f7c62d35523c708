"""Bytes on the disk: a document and arrays in one file, whole or not at all.

A file is one of safetensors, so any tool for these can look into it. Its metadata is a JSON
document of one key, which begins with the SHA-256 of the file, 64 zeros in the digest's own
place. What differs from what was written in a single bit is refused before it is parsed,
and whatever else JSON or safetensors would let pass, such as a key that occurs twice, is
refused as well. Nothing that is read is ever run.
"""

import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from skflow.archive.replacing import replacing
from skflow.exceptions import ModelFileError

Document = dict[str, Any]
Arrays = dict[str, NDArray[Any]]

ZEROS = "0" * 64
LENGTH = 8  # bytes that say how long the header is
# What the header begins with, up to the digest.
BEGINNING = b'{"__metadata__":{"skflow":"{\\"sha256\\":\\"'
DIGEST = slice(LENGTH + len(BEGINNING), LENGTH + len(BEGINNING) + len(ZEROS))
PIECE = 2**20  # bytes that are hashed at a time
ENTRY = ("dtype", "shape", "data_offsets")  # of an array, in the header
DTYPES: dict[str, type[np.generic]] = {
    "F64": np.float64,
    "F32": np.float32,
    "I64": np.int64,
    "U8": np.uint8,
}
# What parsing takes at most, in bytes: of a letter, which is copied, decoded and parsed, and of
# a value or a name. Columns and categories take far less than the numbers learnt of them.
OF_LETTER, OF_VALUE, SPARE = 10, 120, 2**26
TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[{,:]', re.DOTALL)
LOOKS_LIKE = {  # beginnings of files of others
    b"\x80": "a pickle; load it as such, if you trust who made it: a pickle can run any code",
    b"PK\x03\x04": "a zip archive, as skops and torch write",
}


def write(path: str | os.PathLike[str], document: Document, arrays: Mapping[str, NDArray]) -> None:
    """Write a document and arrays; what was there before stays until all of it is written.

    Raises
    ------
    OSError
        Where there is no such folder, no room or no permission.
    ValueError
        Where categories and names are so many that reading them would take too much memory.
    """
    text = json.dumps({"sha256": ZEROS, **document}, allow_nan=False, separators=(",", ":"))
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    content = bytearray(safetensors.numpy.save(contiguous, metadata={"skflow": text}))
    if not content.startswith(BEGINNING, LENGTH):
        raise RuntimeError("safetensors no longer writes metadata first; skflow needs that.")
    _refuse_costly(text, len(content) + SPARE)  # as reading it would
    content[DIGEST] = _digest(content)
    with replacing(path) as file:
        file.write(content)


def read(path: str | os.PathLike[str]) -> tuple[Document, Arrays]:
    """Read what :func:`write` wrote.

    Returns
    -------
    document : dict
        Without its digest. Its fields are not yet checked.
    arrays : dict of ndarray
        Writable, in memory of their own. No more memory is taken than about twice the file's
        size, and next to none where its size or its first bytes are not those of such a file.

    Raises
    ------
    ModelFileError
        Where a single bit differs from what was written, or it was never written by this.
    OSError
        Where there is no such file, or no permission.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # a folder, or a pipe that never ends
        raise ModelFileError(f"{path} is not a file.")
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        _refuse_foreign(file, size, path)
        try:
            return _read_parts(file, size)
        except RecursionError as error:
            raise ModelFileError(
                f"{path} is no file of skflow: it is nested too deeply."
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelFileError(f"{path} is no file of skflow: {error}") from error


def _digest(content: bytes | bytearray) -> bytes:
    """Hash all but the digest, in whose place there are zeros, and copy nothing."""
    view = memoryview(content)
    digest = hashlib.sha256(view[: DIGEST.start])
    digest.update(ZEROS.encode())
    digest.update(view[DIGEST.stop :])
    return digest.hexdigest().encode()


def _refuse_foreign(file: BinaryIO, size: int, path: str | os.PathLike[str]) -> None:
    """Raise where a file does not begin as a model file does, or its digest is another.

    The file is read piece by piece: little memory is taken, however large it is.
    """
    beginning = file.read(DIGEST.stop)
    if not beginning.startswith(BEGINNING, LENGTH) or len(beginning) < DIGEST.stop:
        looks = [what for start, what in LOOKS_LIKE.items() if beginning.startswith(start)]
        other = f" It looks like {looks[0]}." if looks else ""
        raise ModelFileError(f"{path} was not written by skflow.{other}")
    digest = hashlib.sha256(beginning[: DIGEST.start] + ZEROS.encode())
    while piece := file.read(PIECE):
        digest.update(piece)
    if beginning[DIGEST] != digest.hexdigest().encode():
        raise ModelFileError(
            f"{path} is damaged: its content does not match its SHA-256. Copy it again from "
            "where it came from."
        )


def _read_parts(file: BinaryIO, size: int) -> tuple[Document, Arrays]:
    """Read document and arrays; each size is compared with the file's before memory is taken."""
    file.seek(0)
    length = int.from_bytes(file.read(LENGTH), "little")
    if length > size - LENGTH:
        raise ValueError(f"a header of {length} bytes is more than there is")
    header, most = file.read(length).decode("ascii"), size + SPARE  # all is written in ASCII
    _refuse_costly(header, most)
    entries = _parse(header)
    metadata = entries.pop("__metadata__")
    text = metadata.pop("skflow")
    if metadata or any(entry.keys() != set(ENTRY) for entry in entries.values()):
        raise ValueError("its header has unknown fields")
    placed = _place_arrays(entries, size - LENGTH - length)
    _refuse_costly(text, most)
    del header, entries  # before arrays and document take memory
    arrays = {
        name: np.fromfile(file, dtype, math.prod(shape)).reshape(shape)
        for name, dtype, shape in placed
    }
    document = _parse(text)
    del document["sha256"]
    return document, arrays


def _refuse_costly(text: str, most: int) -> None:
    """Raise where a text may take more memory than ``most`` bytes once it is parsed."""
    n_values = sum(1 for _ in TOKEN.finditer(text))
    if OF_LETTER * len(text) + OF_VALUE * n_values > most:
        raise ValueError(
            f"its {n_values} names and values would take far more memory than its arrays"
        )


def _parse(text: str) -> Any:
    """Parse JSON to the letter."""
    return json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a key occurs twice")
    return fields


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _place_arrays(
    entries: Mapping[str, Any], size: int
) -> list[tuple[str, type[np.generic], list[int]]]:
    """Return names, dtypes and shapes of arrays, in the order in which they lie in the file.

    Raises
    ------
    ValueError
        Where they are not as long as their shapes say, side by side up to the file's end.
    """
    end = 0
    placed: list[tuple[str, type[np.generic], list[int]]] = []
    for name in sorted(entries, key=lambda name: entries[name]["data_offsets"]):
        dtype, shape, (start, stop) = (entries[name][field] for field in ENTRY)
        if dtype not in DTYPES:
            raise ValueError(f"arrays of type {dtype} are not among {', '.join(DTYPES)}")
        sizes = (start, stop, *shape)
        if type(shape) is not list or any(type(n) is not int or n < 0 for n in sizes):
            raise ValueError(f"{name} has a shape or a place that is no list of sizes")
        if start != end or stop - start != math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize:
            raise ValueError(f"{name} is not where the array before it ends, or of another size")
        placed.append((name, DTYPES[dtype], shape))
        end = stop
    if end != size:
        raise ValueError(f"its arrays take {end} bytes; it holds {size}")
    return placed


def prefixed(prefix: str, arrays: Arrays) -> Arrays:
    """Return arrays under longer names."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def take_prefixed(prefix: str, arrays: Arrays) -> Arrays:
    """Take those arrays out whose names begin so, under what is left of their names."""
    names = [name for name in arrays if name.startswith(f"{prefix}.")]
    return {name.removeprefix(f"{prefix}."): arrays.pop(name) for name in names}


def refuse_left(arrays: Arrays) -> None:
    """Raise where there are arrays that nobody took."""
    if arrays:
        raise ModelFileError(f"There are arrays that no model has: {', '.join(sorted(arrays))}.")
