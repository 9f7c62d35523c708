"""Ways to spoil a model file, each a function of a generator, the file and another file."""

import copy
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np

from skflow.archive import document
from tests.archive.parts import Parts, dumps, put_together, seal, sign, take_apart

Rng = np.random.Generator
Mutator = Callable[[Rng, bytes, bytes], bytes]

# Keys without which a model of an earlier version is read.
OPTIONAL = {
    field.name
    for fields in vars(document).values()
    if isinstance(fields, type) and issubclass(fields, document.Fields)
    for field in msgspec.structs.fields(fields)
    if not field.required
}

DUPLICATE = "the key that is there twice"
DEEP = "nested deeply"

# What a field may be that it must not, and some that a field may well be.
HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 3, 2**31, 2**53, 10**9, -(2**63), 2**64, 10**400),
    *(0.0, -0.0, -1.0, 0.5, 1e300, -1e300, 5e-324, 1e9, math.nan, math.inf, -math.inf),
    *("", "x", "\x00", "\ud800", "../../etc/passwd", "ä" * 9, "Z" * 100_000, "1e999999999"),
    *([], {}, [[]], [0] * 1000, {"": 0}, [None], {"sha256": 0}),
    *({"none": 0}, {"float": "nan"}, {"float": "1e999"}, {"float": " 1_0"}),
    *({"decimal": "1e999999999"}, {"decimal": "sNaN"}, {"decimal": "-1e-999999999"}),
    *({"fraction": "1e999999999"}, {"fraction": "1/0"}, {"fraction": "9" * 4000}),
    *({"bytes": "zz"}, {"uuid": "{}"}, {"date": "0000-00-00"}, {"date": "9999-12-31"}),
    *({"datetime": "2020-02-30"}, {"time": "25:00"}, {"timedelta": 10**40}, {"tuple": 3}),
    *({"tuple": "abc"}, {"frozenset": [[]]}, {"frozenset": [1, 1]}, {"pickle": "gASVBA=="}),
    *({"datetime64": ["<M8[ns],(100000000)i8", 1]}, {"datetime64": ["<M8[99999s]", 2**70]}),
    *({"timedelta64": ["<m8", -(2**63)]}, {"Timestamp": ["<M8[s]", 2**62, None]}),
    *({"Timestamp": ["<M8[ns]", 0, "../../etc"]}, {"Timestamp": ["<M8[ns]", 0, "tzlocal()"]}),
    *({"Timestamp": ["<M8[s]", 0, "Europe"]}, {"Timestamp": ["<M8[s]", 0, "dateutil//etc/passwd"]}),
    *({"Timedelta": ["<m8[s]", 2**63]}, {"Interval": [1, 0, "left"]}, {"Interval": [0, 1, "up"]}),
    *("<U999999", "<U1000000000", "<M8[ns]", "|O", "<f8", "|V8", "i4,(1000000)f8", "datetime64"),
    *({"library": "numpy", "name": "<U999999"}, {"library": "numpy", "name": "<M8[0ns]"}),
    *(
        {"library": "arrow", "name": "decimal128(99, 0)"},
        {"library": "arrow", "name": "dictionary"},
    ),
    *({"library": "pandas", "name": "datetime", "unit": "s", "zone": "Mars/Olympus"},),
    *({"library": "polars", "name": "Enum", "categories": ["a", "a"]},),
    *({"library": "polars", "name": "Datetime", "unit": "ms", "zone": "Mars/Olympus"},),
    *({"library": "polars", "name": "Decimal", "digits": 1, "scale": 38},),
    *({"random_state": {}}, {"device": "cuda:99"}, {"schema": []}, {"dict": [[1]]}, {"array": 1}),
    DEEP,
)


# Damage, as disks and networks do it: the digest is what it was.


def flip_a_bit(rng: Rng, content: bytes, other: bytes) -> bytes:
    spoilt = bytearray(content)
    spoilt[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    return bytes(spoilt)


def flip_a_bit_of_the_header(rng: Rng, content: bytes, other: bytes) -> bytes:
    spoilt = bytearray(content)
    end = min(len(content), 8 + int.from_bytes(content[:8], "little"))
    spoilt[rng.integers(end)] ^= 1 << int(rng.integers(8))
    return bytes(spoilt)


def zero_a_range(rng: Rng, content: bytes, other: bytes) -> bytes:
    start, stop = np.sort(rng.integers(len(content), size=2))
    return content[:start] + bytes(stop - start) + content[stop:]


def truncate(rng: Rng, content: bytes, other: bytes) -> bytes:
    return content[: rng.integers(len(content))]


def append(rng: Rng, content: bytes, other: bytes) -> bytes:
    return content + rng.bytes(int(rng.integers(1, 100)))


def drop_a_range(rng: Rng, content: bytes, other: bytes) -> bytes:
    start, stop = np.sort(rng.integers(len(content), size=2))
    return content[:start] + content[stop:]


def swap_sections(rng: Rng, content: bytes, other: bytes) -> bytes:
    a, b, c = np.sort(rng.integers(len(content), size=3))
    return content[:a] + content[b:c] + content[a:b] + content[c:]


def splice(rng: Rng, content: bytes, other: bytes) -> bytes:
    at = int(rng.integers(min(len(content), len(other))))
    return content[:at] + other[at:]


def oversize_the_header(rng: Rng, content: bytes, other: bytes) -> bytes:
    return _other_length(rng, content)


DAMAGE: dict[str, Mutator] = {
    mutator.__name__: mutator
    for mutator in (
        flip_a_bit,
        flip_a_bit_of_the_header,
        zero_a_range,
        truncate,
        append,
        drop_a_range,
        swap_sections,
        splice,
        oversize_the_header,
    )
}


# Forgeries that are no model, whatever their digest says.


def sign_an_other_length(rng: Rng, content: bytes, other: bytes) -> bytes:
    return sign(_other_length(rng, content))


def sign_a_truncated_file(rng: Rng, content: bytes, other: bytes) -> bytes:
    return sign(content[: rng.integers(200, len(content))])


def sign_appended_bytes(rng: Rng, content: bytes, other: bytes) -> bytes:
    return sign(append(rng, content, other))


def repeat_a_key(rng: Rng, content: bytes, other: bytes) -> bytes:
    parts = take_apart(content)
    objects = [place for place in _containers(parts.document) if isinstance(place, dict) and place]
    chosen = objects[rng.integers(len(objects))]
    key = list(chosen)[rng.integers(len(chosen))]
    chosen[DUPLICATE] = chosen[key]
    document = dumps(parts.document).replace(dumps(DUPLICATE), dumps(key))
    return seal(document, dumps(parts.tensors), parts.data)


def repeat_a_tensor(rng: Rng, content: bytes, other: bytes) -> bytes:
    parts = take_apart(content)
    name = _tensor(rng, parts)
    parts.tensors[DUPLICATE] = parts.tensors[name]
    tensors = dumps(parts.tensors).replace(dumps(DUPLICATE), dumps(name))
    return seal(dumps(parts.document), tensors, parts.data)


def repeat_the_metadata(rng: Rng, content: bytes, other: bytes) -> bytes:
    parts = take_apart(content)
    parts.tensors["__metadata__"] = {"skflow": dumps(parts.document)}
    return put_together(parts)


def add_a_key(rng: Rng, content: bytes, other: bytes) -> bytes:
    parts = take_apart(content)
    # Inside a parameter, objects have one key, which names their type.
    objects = [place for place in _containers(parts.document) if isinstance(place, dict)]
    objects[rng.integers(len(objects))][str(rng.choice(["x", "", "sha256", "__reduce__"]))] = 0
    return put_together(parts)


def drop_a_key(rng: Rng, content: bytes, other: bytes) -> bytes:
    parts = take_apart(content)
    objects = [place for place in _containers(parts.document) if isinstance(place, dict) and place]
    chosen = objects[rng.integers(len(objects))]
    required = [key for key in chosen if key not in OPTIONAL]
    del chosen[required[rng.integers(len(required))]]
    return put_together(parts)


def drop_a_tensor(rng: Rng, content: bytes, other: bytes) -> bytes:
    parts = take_apart(content)
    # There are models with and without it.
    name = str(rng.choice([name for name in sorted(parts.tensors) if "filling" not in name]))
    _drop_tensor(parts, name)
    return put_together(parts)


def add_a_tensor(rng: Rng, content: bytes, other: bytes) -> bytes:
    parts = take_apart(content)
    name = str(rng.choice(["x", "model.x", "history.x", "model.flow.couplings.x", ""]))
    end = len(parts.data)
    parts.tensors[name] = {"dtype": "F64", "shape": [1], "data_offsets": [end, end + 8]}
    parts.data += np.array([0.5]).tobytes()
    return put_together(parts)


def rename_a_tensor(rng: Rng, content: bytes, other: bytes) -> bytes:
    parts = take_apart(content)
    name = _tensor(rng, parts)
    ending = ["x", ".", "\x00", "\ud800", " "][rng.integers(5)]
    parts.tensors[name + ending] = parts.tensors.pop(name)
    return put_together(parts)


def change_a_dtype(rng: Rng, content: bytes, other: bytes) -> bytes:
    parts = take_apart(content)
    spec = parts.tensors[_tensor(rng, parts)]
    others = {"F64", "I64", "U64", "F32", "F16", "BF16", "BOOL", "C64", "x", ""} - {spec["dtype"]}
    spec["dtype"] = str(rng.choice(sorted(others)))
    return put_together(parts)


def change_a_shape(rng: Rng, content: bytes, other: bytes) -> bytes:
    parts = take_apart(content)
    spec = parts.tensors[_tensor(rng, parts)]
    shape = spec["shape"]
    shapes = [[], [0], [1, *shape], [*shape, 1], [-1], [2**63], [2**32, 2**32], shape[::-1], None]
    shapes += [[10**9, *shape], [10**30], [True], [1.0], "x", [0, 2**62]]
    spec["shape"] = _other(rng, shapes, shape)
    return put_together(parts)


def change_offsets(rng: Rng, content: bytes, other: bytes) -> bytes:
    parts = take_apart(content)
    spec = parts.tensors[_filled_tensor(rng, parts)]
    start, stop = spec["data_offsets"]
    offsets = [[stop, start], [start, stop + 8], [start + 8, stop], [start - 8, stop], [0, 0]]
    offsets += [[2**63, 2**64 - 1], [start], [start, 10**30], None, [-8, stop]]
    spec["data_offsets"] = _other(rng, offsets, [start, stop])
    return put_together(parts)


def poison_a_number(rng: Rng, content: bytes, other: bytes) -> bytes:
    parts = take_apart(content)
    hostile = [math.nan, math.inf, -math.inf, 1e308, -1e308]
    return _with_a_number(rng, parts, lambda number: float(rng.choice(hostile)))


def nest_deeply(rng: Rng, content: bytes, other: bytes) -> bytes:
    depth = int(rng.choice([900, 5000, 100_000]))
    opening, closing = [("[", "]"), ('{"x":', "}"), ('{"tuple":[', "]}")][rng.integers(3)]
    return _with_raw_value(rng, content, depth * opening + "0" + depth * closing)


def write_no_json(rng: Rng, content: bytes, other: bytes) -> bytes:
    raw = ["NaN", "-Infinity", "1e999x", "01", "'x'", "[1,]", ",", "tru", '"\t"', "1" * 5000]
    return _with_raw_value(rng, content, str(rng.choice(raw)))


def take_another_table(rng: Rng, content: bytes, other: bytes) -> bytes:
    parts, others = take_apart(content), take_apart(other)
    _density(parts)["table"] = _density(others)["table"]
    return put_together(parts)


def take_other_tensors(rng: Rng, content: bytes, other: bytes) -> bytes:
    parts, others = take_apart(content), take_apart(other)
    return put_together(Parts(parts.document, others.tensors, others.data))


def enlarge_the_recipe(rng: Rng, content: bytes, other: bytes) -> bytes:
    parts = take_apart(content)
    recipe = _density(parts)["recipe"]
    sizes = ["n_layers", "n_blocks", "hidden_units", "n_bins"]
    for name in rng.choice(sizes, size=rng.integers(1, 5), replace=False):
        recipe[name] = int(rng.choice([10**9, 2**31, 2**53, -1]))
    return put_together(parts)


def change_the_version(rng: Rng, content: bytes, other: bytes) -> bytes:
    parts = take_apart(content)
    parts.document["version"] = _other(rng, [0, 2, -1, 1.0, True, "1", None, 10**30], 1)
    return put_together(parts)


FORGERIES: dict[str, Mutator] = {
    mutator.__name__: mutator
    for mutator in (
        sign_an_other_length,
        sign_a_truncated_file,
        sign_appended_bytes,
        repeat_a_key,
        repeat_a_tensor,
        repeat_the_metadata,
        add_a_key,
        drop_a_key,
        drop_a_tensor,
        add_a_tensor,
        rename_a_tensor,
        change_a_dtype,
        change_a_shape,
        change_offsets,
        poison_a_number,
        nest_deeply,
        write_no_json,
        take_another_table,
        take_other_tensors,
        change_the_version,
    )
}


# What may well be another model: nobody can tell it from one that was saved.


def change_a_field(rng: Rng, content: bytes, other: bytes) -> bytes:
    parts = take_apart(content)
    holder, key = _random_place(rng, parts.document)
    value = HOSTILE[rng.integers(len(HOSTILE))]
    holder[key] = _nested(200) if value is DEEP else copy.deepcopy(value)
    return put_together(parts)


def nudge_a_field(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Something of the same type: neighbours, negatives, other texts, other orders."""
    parts = take_apart(content)
    holder, key = _random_place(rng, parts.document)
    holder[key] = _nudged(rng, holder[key])
    return put_together(parts)


def swap_two_fields(rng: Rng, content: bytes, other: bytes) -> bytes:
    parts = take_apart(content)
    (one, i), (two, j) = (_random_place(rng, parts.document) for _ in range(2))
    one[i], two[j] = copy.deepcopy(two[j]), copy.deepcopy(one[i])
    return put_together(parts)


def take_a_field_of_another(rng: Rng, content: bytes, other: bytes) -> bytes:
    parts, others = take_apart(content), take_apart(other)
    holder, key = _random_place(rng, parts.document)
    named = [place for place in _places(others.document) if place[1] == key]
    if named:
        theirs, _ = named[rng.integers(len(named))]
        holder[key] = theirs[key]
    return put_together(parts)


def change_a_number(rng: Rng, content: bytes, other: bytes) -> bytes:
    return _with_a_number(rng, take_apart(content), lambda number: number * 1.5 + 0.25)


def swap_two_tensors(rng: Rng, content: bytes, other: bytes) -> bytes:
    parts = take_apart(content)
    one = _tensor(rng, parts)
    alike = [
        name
        for name, spec in parts.tensors.items()
        if all(spec[field] == parts.tensors[one][field] for field in ("dtype", "shape"))
    ]
    two = str(rng.choice(alike))
    parts.tensors[one], parts.tensors[two] = parts.tensors[two], parts.tensors[one]
    return put_together(parts)


def reorder_keys(rng: Rng, content: bytes, other: bytes) -> bytes:
    parts = take_apart(content)
    for place in _containers(parts.document):
        if isinstance(place, dict):
            items = list(place.items())
            place.clear()
            place.update(items[int(i)] for i in rng.permutation(len(items)))
    return put_together(parts)


def space_out(rng: Rng, content: bytes, other: bytes) -> bytes:
    parts = take_apart(content)
    document = json.dumps(parts.document, indent=int(rng.integers(3)))
    return seal(document, json.dumps(parts.tensors), parts.data)


PLAUSIBLE: dict[str, Mutator] = {
    mutator.__name__: mutator
    for mutator in (
        change_a_field,
        nudge_a_field,
        swap_two_fields,
        take_a_field_of_another,
        change_a_number,
        swap_two_tensors,
    )
}
# Another spelling of the same.
HARMLESS: dict[str, Mutator] = {mutator.__name__: mutator for mutator in (reorder_keys, space_out)}
# Sizes that no array bears out, or that a model has no use for: of layers, where it has none.
IDLE: dict[str, Mutator] = {enlarge_the_recipe.__name__: enlarge_the_recipe}


def claims_without_values(content: bytes) -> Iterator[bytes]:
    """Files in which one array is a billion times as long, and holds nothing.

    Nothing times a billion is nothing: no byte of the file bears the size out.
    """
    for name, spec in take_apart(content).tensors.items():
        shape = spec["shape"] if len(spec["shape"]) > 1 else [*spec["shape"], 1]
        for axis in range(len(shape)):
            claim = [10**9 if i == axis else size for i, size in enumerate(shape)]
            if 0 not in claim:
                claim[axis - 1] = 0
            parts = take_apart(content)
            _drop_tensor(parts, name)
            end = len(parts.data)
            parts.tensors[name] = {**spec, "shape": claim, "data_offsets": [end, end]}
            yield put_together(parts)


def _other_length(rng: Rng, content: bytes) -> bytes:
    length = int.from_bytes(content[:8], "little")
    lengths = [
        0,
        1,
        length - 1,
        length + 1,
        len(content) - 8,
        len(content),
        2**31,
        2**63,
        2**64 - 1,
    ]
    return int(_other(rng, lengths, length)).to_bytes(8, "little") + content[8:]


def _other(rng: Rng, choices: list[Any], value: Any) -> Any:
    different = [choice for choice in choices if choice != value or type(choice) is not type(value)]
    return different[rng.integers(len(different))]


def _tensor(rng: Rng, parts: Parts) -> str:
    return str(rng.choice(sorted(parts.tensors)))


def _drop_tensor(parts: Parts, name: str) -> None:
    gone = parts.array_slice(name)
    del parts.tensors[name]
    for spec in parts.tensors.values():
        spec["data_offsets"] = [
            at - (gone.stop - gone.start) * (at >= gone.stop) for at in spec["data_offsets"]
        ]
    parts.data = parts.data[: gone.start] + parts.data[gone.stop :]


def _filled_tensor(rng: Rng, parts: Parts) -> str:
    filled = [name for name in sorted(parts.tensors) if _size(parts, name)]
    return str(rng.choice(filled))


def _density(parts: Parts) -> dict[str, Any]:
    return parts.document.get("density", parts.document)


def _with_a_number(rng: Rng, parts: Parts, change: Callable[[float], float]) -> bytes:
    floats = [name for name, spec in parts.tensors.items() if spec["dtype"] == "F64"]
    # The history of training may hold anything: no score depends on it.
    floats = [name for name in floats if ".history." not in f".{name}" and _size(parts, name)]
    where = parts.array_slice(str(rng.choice(sorted(floats))))
    numbers = np.frombuffer(parts.data[where]).copy()
    at = rng.integers(len(numbers))
    numbers[at] = change(numbers[at])
    parts.data = parts.data[: where.start] + numbers.tobytes() + parts.data[where.stop :]
    return put_together(parts)


def _size(parts: Parts, name: str) -> int:
    return math.prod(parts.tensors[name]["shape"])


def _with_raw_value(rng: Rng, content: bytes, raw: str) -> bytes:
    parts = take_apart(content)
    holder, key = _random_place(rng, parts.document)
    holder[key] = DEEP
    return seal(dumps(parts.document).replace(dumps(DEEP), raw), dumps(parts.tensors), parts.data)


def _nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = {"tuple": [value]}
    return value


def _nudged(rng: Rng, value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value + int(rng.choice([-1000, -1, 1, 1000, 10**6, -2 * value]))
        case float():
            return value * float(rng.choice([-1, 0, 0.5, 2, 1e10, 1e-10]))
        case str():
            return str(rng.choice([value[:-1], value + "x", value.upper(), value + value]))
        case list() if value:
            order = rng.permutation(len(value))[: rng.integers(1, len(value) + 1)]
            return [value[i] for i in order]
    return int(rng.integers(2))


def _containers(value: Any) -> Iterator[Any]:
    inside: list[Any] = []
    if isinstance(value, dict | list):
        yield value
        inside = list(value.values() if isinstance(value, dict) else value)
    for each in inside:
        yield from _containers(each)


def _places(value: Any) -> list[tuple[Any, Any]]:
    return [
        (holder, key)
        for holder in _containers(value)
        for key in (list(holder) if isinstance(holder, dict) else range(len(holder)))
    ]


def _random_place(rng: Rng, document: Any) -> tuple[Any, Any]:
    """Choose by depth first: long lists of categories would get nearly all otherwise."""
    holder, key = document, None
    while True:
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        key = keys[int(rng.integers(len(keys)))]
        inside = holder[key]
        if not isinstance(inside, dict | list) or not inside or rng.random() < 0.2:
            return holder, key
        holder = inside
