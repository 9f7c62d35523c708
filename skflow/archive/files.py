"""A document and arrays in one file, written whole or not at all.

A file is one of safetensors, so any tool for these can read it. Its metadata is a JSON document
of one key, which begins with the SHA-256 of the file, 64 zeros in the digest's own place. A file
that differs from what was written in a single bit is refused before it is parsed. What else JSON
or safetensors would let pass, such as a key that occurs twice, is refused as well. Nothing that
is read is ever run.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from skflow.archive.replacing import replacing
from skflow.exceptions import ModelFileError
from skflow.flat_state import Arrays

Document = dict[str, Any]

ZEROS = b"0" * 64
LENGTH = 8  # bytes of the length of the header
# The beginning of the header, up to the digest.
BEGINNING = b'{"__metadata__":{"skflow":"{\\"sha256\\":\\"'
DIGEST = slice(LENGTH + len(BEGINNING), LENGTH + len(BEGINNING) + len(ZEROS))
PIECE = 2**20  # bytes that are hashed at a time
DTYPES = ("F64", "F32", "I64", "U8")
# Memory that parsing takes at most, in bytes: per letter, which is copied, decoded and parsed, and
# per value or name. Columns and categories take far less than the numbers of their models.
PER_LETTER, PER_VALUE, SPARE = 10, 120, 2**26
TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[{,:]', re.DOTALL)
LOOKS_LIKE = {  # by the first bytes of a file
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
    text = json.dumps(
        {"sha256": ZEROS.decode(), **document}, allow_nan=False, separators=(",", ":")
    )
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    content = bytearray(safetensors.numpy.save(contiguous, metadata={"skflow": text}))
    if not content.startswith(BEGINNING, LENGTH):
        raise RuntimeError("safetensors no longer writes metadata first; skflow needs that.")
    _refuse_costly(text, len(content))  # as reading it would
    content[DIGEST] = hashlib.sha256(content).hexdigest().encode()  # zeros were in its place
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
        size, and next to none where its size or its first bytes are those of another file.

    Raises
    ------
    ModelFileError
        Where a single bit differs from what was written, or it was never written by this.
    OSError
        Where there is no such file, or no permission.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # a folder, or a pipe that never ends
        raise ModelFileError(f"{path} is not a file.")
    try:
        with open(path, "rb") as file:
            _refuse_foreign(file, path)
            size = file.tell()
            file.seek(0)
            document = _read_document(file, size)
            file.seek(0)
            return document, safetensors.numpy.load(file.read())
    except RecursionError as error:
        raise ModelFileError(f"{path} is no file of skflow: it is nested too deeply.") from error
    except ModelFileError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise ModelFileError(f"{path} is no file of skflow: {error}") from error


def _refuse_foreign(file: BinaryIO, path: str | os.PathLike[str]) -> None:
    """Raise where a file does not begin as a model file does, or its digest is another.

    The file is read piece by piece: little memory is taken, however large it is.
    """
    beginning = file.read(DIGEST.stop)
    if not beginning.startswith(BEGINNING, LENGTH) or len(beginning) < DIGEST.stop:
        looks = [what for start, what in LOOKS_LIKE.items() if beginning.startswith(start)]
        other = f" It looks like {looks[0]}." if looks else ""
        raise ModelFileError(f"{path} was not written by skflow.{other}")
    digest = hashlib.sha256(beginning[: DIGEST.start] + ZEROS)
    while piece := file.read(PIECE):
        digest.update(piece)
    if beginning[DIGEST] != digest.hexdigest().encode():
        raise ModelFileError(
            f"{path} is damaged: its content does not match its SHA-256. Copy it again from "
            "where it came from."
        )


def _read_document(file: BinaryIO, size: int) -> Document:
    """Read the document; sizes are compared with the file's before memory is taken."""
    length = int.from_bytes(file.read(LENGTH), "little")
    if length > size - LENGTH:
        raise ValueError(f"a header of {length} bytes is more than there is")
    header = file.read(length).decode("ascii")  # all is written in ASCII
    _refuse_costly(header, size)
    entries = _parse(header)
    metadata = entries.pop("__metadata__")
    text = metadata.pop("skflow")
    if metadata or any(entry["dtype"] not in DTYPES for entry in entries.values()):
        raise ValueError("its header has unknown fields or dtypes")
    _refuse_costly(text, size)
    document: Document = _parse(text)
    del document["sha256"]
    return document


def _refuse_costly(text: str, size: int) -> None:
    """Raise where parsing a text may take far more memory than a file of ``size`` bytes."""
    n_values = sum(1 for _ in TOKEN.finditer(text))
    if PER_LETTER * len(text) + PER_VALUE * n_values > size + SPARE:
        raise ValueError(
            f"its {n_values} names and values would take far more memory than its arrays"
        )


def _parse(text: str) -> Any:
    """Parse strict JSON."""
    return json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a key occurs twice")
    return fields


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def refuse_left(arrays: Arrays) -> None:
    """Raise where there are arrays that no part of the model took."""
    if arrays:
        raise ModelFileError(f"There are arrays that no model has: {', '.join(sorted(arrays))}.")
