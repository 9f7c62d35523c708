"""Model files taken apart and put together again, with a digest that is right.

Written from the description of the format alone, so that it proves the reader.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

PREFIX = b'{"__metadata__":{"skflow":"{\\"sha256\\":\\"'
DIGEST = slice(8 + len(PREFIX), 8 + len(PREFIX) + 64)


@dataclass
class Parts:
    """A model file: its document, what is said of each tensor, and their bytes."""

    document: dict[str, Any]
    tensors: dict[str, dict[str, Any]]
    data: bytes

    def array_slice(self, name: str) -> slice:
        """Where in the data a tensor is."""
        return slice(*self.tensors[name]["data_offsets"])


def take_apart(content: bytes) -> Parts:
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    document = json.loads(header.pop("__metadata__")["skflow"])
    del document["sha256"]
    return Parts(document, header, content[8 + length :])


def put_together(parts: Parts) -> bytes:
    return seal(dumps(parts.document), dumps(parts.tensors), parts.data)


def seal(document: str, tensors: str, data: bytes) -> bytes:
    """Return a file of texts that need not be JSON, with the digest that belongs to it."""
    text = json.dumps('{"sha256":"' + 64 * "0" + '"' + "," * (document != "{}") + document[1:])
    header = '{"__metadata__":{"skflow":' + text + "}" + "," * (tensors != "{}") + tensors[1:]
    encoded = header.encode("utf-8", "surrogateescape")
    encoded += b" " * (-len(encoded) % 8)
    return sign(len(encoded).to_bytes(8, "little") + encoded + data)


def sign(content: bytes) -> bytes:
    """Return the content with the digest that belongs to it."""
    blank = content[: DIGEST.start] + 64 * b"0" + content[DIGEST.stop :]
    digest = hashlib.sha256(blank).hexdigest().encode()
    return content[: DIGEST.start] + digest + content[DIGEST.stop :]


def dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
