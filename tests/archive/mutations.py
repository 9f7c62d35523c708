"""Ways in which a model file may be wrong: by accident, or on purpose.

An accident leaves the digest as it was. What is done on purpose has a digest of its own that
is right, so that all that is behind it is put to the test.
"""

import copy
import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from skflow.archive.files import DIGEST, LENGTH, ZEROS

Generator = np.random.Generator
Mutation = Callable[[bytes, Generator, bytes], bytes]


# Accidents


def flip_bit(content: bytes, rng: Generator, other: bytes) -> bytes:
    mutated = bytearray(content)
    mutated[rng.integers(len(mutated))] ^= 1 << rng.integers(8)
    return bytes(mutated)


def flip_bit_of_header(content: bytes, rng: Generator, other: bytes) -> bytes:
    mutated = bytearray(content)
    mutated[rng.integers(LENGTH + header_length(content))] ^= 1 << rng.integers(8)
    return bytes(mutated)


def zero_range(content: bytes, rng: Generator, other: bytes) -> bytes:
    mutated, size = bytearray(content), int(rng.integers(1, 65))
    first = int(rng.integers(len(mutated) - size))
    mutated[first : first + size] = bytes(size)
    return bytes(mutated)


def truncate(content: bytes, rng: Generator, other: bytes) -> bytes:
    return content[: rng.integers(len(content))]


def append(content: bytes, rng: Generator, other: bytes) -> bytes:
    return content + rng.bytes(int(rng.integers(1, 64)))


def swap_sections(content: bytes, rng: Generator, other: bytes) -> bytes:
    size = int(rng.integers(8, 512))
    first, second = sorted(rng.integers(0, len(content) - size, 2).tolist())
    if second < first + size:
        return content[size:] + content[:size]
    parts = (
        content[:first],
        content[second : second + size],
        content[first + size : second],
        content[first : first + size],
        content[second + size :],
    )
    return b"".join(parts)


def splice_other(content: bytes, rng: Generator, other: bytes) -> bytes:
    cut = int(rng.integers(1, min(len(content), len(other))))
    return content[:cut] + other[cut:]


def claim_long_header(content: bytes, rng: Generator, other: bytes) -> bytes:
    claimed = int(rng.choice([2**63 - 1, 2**32, len(content), 10**8 + 1, 0]))
    return claimed.to_bytes(LENGTH, "little") + content[LENGTH:]


ACCIDENTS: dict[str, Mutation] = {
    mutation.__name__: mutation
    for mutation in (
        flip_bit,
        flip_bit_of_header,
        zero_range,
        truncate,
        append,
        swap_sections,
        splice_other,
        claim_long_header,
    )
}

# On purpose


def header_length(content: bytes) -> int:
    return int.from_bytes(content[:LENGTH], "little")


def take_apart(content: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Return document, entries of arrays, and their bytes."""
    end = LENGTH + header_length(content)
    header = json.loads(content[LENGTH:end])
    document = json.loads(header.pop("__metadata__")["skflow"])
    del document["sha256"]
    return document, header, content[end:]


def put_together(document: dict[str, Any], entries: dict[str, Any], data: bytes) -> bytes:
    """Return a file with a right digest."""
    return seal(header_of(text_of(document), entries), data)


def text_of(document: dict[str, Any]) -> str:
    return json.dumps({"sha256": ZEROS, **document}, separators=(",", ":"))


def header_of(text: str, entries: dict[str, Any]) -> str:
    return json.dumps({"__metadata__": {"skflow": text}, **entries}, separators=(",", ":"))


def seal(header: str, data: bytes) -> bytes:
    padded = header.encode() + b" " * (-len(header) % 8)
    return reseal(len(padded).to_bytes(LENGTH, "little") + padded + data)


def reseal(unsealed: bytes) -> bytes:
    content = bytearray(unsealed)
    content[DIGEST] = ZEROS.encode()
    content[DIGEST] = hashlib.sha256(content).hexdigest().encode()
    return bytes(content)


HOSTILE: list[Any] = [
    -1,
    0,
    2**31,
    10**9,
    10**30,
    -(10**30),
    1.5,
    -1.0,
    1e308,
    5e-324,
    float("nan"),
    float("inf"),
    None,
    True,
    "",
    "x",
    "\ud800",
    "9" * 5000,
    "O",
    "<U999999",
    [],
    [None],
    [0] * 1000,
    {},
    {"decimal": "1e999999999"},
    {"fraction": "1/0"},
    {"date": "10000-01-01"},
    {"Timestamp": [2**70, "ns", "Mars/Phobos"]},
    {"float": "nan"},
    {"tuple": [1, [2]]},
]


def places_of(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the ways to all fields of a document."""
    steps = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    places = []
    for key, inside in steps:
        places += [(*path, key), *places_of(inside, (*path, key))]
    return places


def steps_from(tree: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(tree, dict):
        return tree.items()
    return enumerate(tree) if isinstance(tree, list) else ()


def choose_place(document: Any, rng: Generator) -> tuple[Any, Any]:
    """Return what holds a random field, and its key; sections are as likely as each other."""
    places = places_of(document)
    sections = sorted({place[0] for place in places})
    section = sections[rng.integers(len(sections))]
    inside = [place for place in places if place[0] == section]
    *path, key = inside[rng.integers(len(inside))]
    for step in path:
        document = document[step]
    return document, key


def change_field(content: bytes, rng: Generator, other: bytes) -> bytes:
    document, entries, data = take_apart(content)
    holder, key = choose_place(document, rng)
    holder[key] = copy.deepcopy(HOSTILE[rng.integers(len(HOSTILE))])
    return put_together(document, entries, data)


def change_number(content: bytes, rng: Generator, other: bytes) -> bytes:
    document, entries, data = take_apart(content)
    for _ in range(100):
        holder, key = choose_place(document, rng)
        if type(holder[key]) in (int, float):
            factor = [-1, 0, 2, 1e9, 1e-9][rng.integers(5)]
            holder[key] = type(holder[key])(holder[key] * factor + rng.integers(-1, 2))
            break
    return put_together(document, entries, data)


def delete_field(content: bytes, rng: Generator, other: bytes) -> bytes:
    document, entries, data = take_apart(content)
    holder, key = choose_place(document, rng)
    del holder[key]
    return put_together(document, entries, data)


def add_field(content: bytes, rng: Generator, other: bytes) -> bytes:
    document, entries, data = take_apart(content)
    holder, _ = choose_place(document, rng)
    holder = holder if isinstance(holder, dict) else document
    holder[str(rng.choice(["extra", "__class__", "sha256 ", "Class"]))] = 1
    return put_together(document, entries, data)


def swap_fields(content: bytes, rng: Generator, other: bytes) -> bytes:
    document, entries, data = take_apart(content)
    holder, key = choose_place(document, rng)
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    another = keys[rng.integers(len(keys))]
    holder[key], holder[another] = holder[another], holder[key]
    return put_together(document, entries, data)


def repeat_key(content: bytes, rng: Generator, other: bytes) -> bytes:
    document, entries, data = take_apart(content)
    text = text_of(document)
    key = list(document)[rng.integers(len(document))]
    text = f"{text[:-1]},{json.dumps(key)}:{json.dumps(document[key])}}}"
    return seal(header_of(text, entries), data)


def repeat_array(content: bytes, rng: Generator, other: bytes) -> bytes:
    document, entries, data = take_apart(content)
    header = header_of(text_of(document), entries)
    name = list(entries)[rng.integers(len(entries))]
    return seal(f"{header[:-1]},{json.dumps(name)}:{json.dumps(entries[name])}}}", data)


def nest_deeply(content: bytes, rng: Generator, other: bytes) -> bytes:
    document, entries, data = take_apart(content)
    depth = int(rng.choice([50, 5_000, 200_000]))
    text = text_of(document)
    text = f'{text[:-1]},"deep":{"[" * depth}{"]" * depth}}}'
    return seal(header_of(text, entries), data)


def change_array_entry(content: bytes, rng: Generator, other: bytes) -> bytes:
    document, entries, data = take_apart(content)
    entry = entries[list(entries)[rng.integers(len(entries))]]
    match rng.integers(4):
        case 0:
            entry["dtype"] = str(rng.choice(["I64", "F32", "U8", "BF16", "F64", "BOOL"]))
        case 1:
            entry["shape"] = [[10**9], [], [2**62, 4], entry["shape"][::-1]][rng.integers(4)]
        case 2:
            entry["data_offsets"][rng.integers(2)] += int(rng.choice([-8, 8, 2**40]))
        case 3:
            entry["more"] = 1
    return put_together(document, entries, data)


def drop_array(content: bytes, rng: Generator, other: bytes) -> bytes:
    document, entries, data = take_apart(content)
    name = list(entries)[rng.integers(len(entries))]
    entry = entries.pop(name)
    if rng.random() < 0.5:
        entries[name + "x"] = entry
    return put_together(document, entries, data)


def spoil_numbers(content: bytes, rng: Generator, other: bytes) -> bytes:
    document, entries, data = take_apart(content)
    name = list(entries)[rng.integers(len(entries))]
    first, last = entries[name]["data_offsets"]
    numbers = np.frombuffer(data[first:last], dtype=np.float64).copy()
    if len(numbers):
        spoiled = rng.random(len(numbers)) < [1.0, 0.01][rng.integers(2)]
        spoiled[rng.integers(len(numbers))] = True
        hostile = [np.nan, np.inf, -np.inf, 1e308, -1e200, 0.0, -1.0, 5e-324]
        numbers[spoiled] = hostile[rng.integers(len(hostile))]
    return put_together(document, entries, data[:first] + numbers.tobytes() + data[last:])


def swap_arrays(content: bytes, rng: Generator, other: bytes) -> bytes:
    document, entries, data = take_apart(content)
    names = list(entries)
    one, another = (names[i] for i in rng.integers(len(names), size=2))
    entries[one], entries[another] = entries[another], entries[one]
    return put_together(document, entries, data)


def take_section_of_other(content: bytes, rng: Generator, other: bytes) -> bytes:
    document, entries, data = take_apart(content)
    strange = take_apart(other)[0]
    shared = [key for key in document if key in strange and document[key] != strange[key]]
    key = shared[rng.integers(len(shared))]
    document[key] = strange[key]
    return put_together(document, entries, data)


PURPOSES: dict[str, Mutation] = {
    mutation.__name__: mutation
    for mutation in (
        change_field,
        change_number,
        delete_field,
        add_field,
        swap_fields,
        repeat_key,
        repeat_array,
        nest_deeply,
        change_array_entry,
        drop_array,
        spoil_numbers,
        swap_arrays,
        take_section_of_other,
    )
}

# What these leave may be another model, whole and sound, which nobody can tell from one that
# somebody saved: a parameter, a weight, a name that is as good as the one before.
MAY_BE_SOUND = {
    "change_field",
    "change_number",
    "swap_fields",
    "change_array_entry",
    "spoil_numbers",
    "swap_arrays",
    "take_section_of_other",
}
