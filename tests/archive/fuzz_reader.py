"""Coverage-guided fuzzing of the reader of model files; not run with the tests.

Usage, with the extra ``fuzz``: ``python -m tests.archive.fuzz_reader [options] FOLDER``, with
the options of libFuzzer, such as ``-max_total_time=1200``. The folder is the corpus, to which
``python -m tests.archive.fuzz_reader --seed FOLDER`` adds a sound file of each sort.

An input is a letter, which picks a small model, a document, and what is said of tensors, a
line each; whatever follows is written over the model's numbers. All of it is put together as a
file with a right digest: left to itself a fuzzer would never get beyond that.
"""

import sys
import tempfile
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

try:
    from atheris import instrument_imports
except ImportError:  # the tests replay the corpus without it
    from contextlib import nullcontext as instrument_imports

with instrument_imports(["skflow.archive", "skflow.estimators.persistence"]):
    from skflow import FlowDensity, FlowOutlierDetector, load
from skflow.exceptions import ModelFileError
from tests.archive.mutations import FORGERIES, PLAUSIBLE
from tests.archive.parts import dumps, seal, take_apart
from tests.mixed import every_kind, every_polars_kind
from tests.settings import ONE_TINY_LAYER, TWO_GAUSSIANS
from tests.tables import unfitted

A = ord("a")
NO_JSON = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


@cache
def models() -> list[bytes]:
    """Files of small models whose documents have, together, all there is in a document."""
    rng = np.random.default_rng(0)
    numbers, texts = rng.normal(size=(30, 2)).round(2), rng.choice(["a", "b"], size=(30, 1))
    pandas, polars = every_kind(60), every_polars_kind(60)
    arrow = pandas[["when", "small", "same"]].convert_dtypes(dtype_backend="pyarrow")
    generator = {"random_state": np.random.RandomState(0), "bounds": {0: (-9, None)}}
    density, detector = FlowDensity(**TWO_GAUSSIANS), unfitted(FlowOutlierDetector, **TWO_GAUSSIANS)
    return [
        _save(model.fit(table))
        for model, table in (
            (FlowDensity(**ONE_TINY_LAYER), numbers),
            (FlowDensity(**TWO_GAUSSIANS | generator), numbers),
            (density, texts),
            (density, pandas[["object", "decimal"]]),
            (density, pandas[["when", "day", "while"]]),
            (density, pandas[["size", "maybe", "nullable", "flag"]]),
            (density, pandas[["float32", "float16", "hole", "atom"]]),
            (density, arrow),
            (density, polars[["colour", "day", "price", "enum", "nan", "when"]]),
            (detector, pandas[["levels", "decimal"]]),
        )
    ]


def _save(fitted: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        fitted.save(path)
        return path.read_bytes()


def to_file(fuzzed: bytes) -> bytes:
    """Put an input together as a file."""
    letter, document, tensors, numbers = (*fuzzed.split(b"\n", 3), b"", b"", b"", b"")[:4]
    data = take_apart(models()[sum(letter[:1]) % A % len(models())]).data
    return seal(_text(document), _text(tensors), numbers[: len(data)] + data[len(numbers) :])


def from_file(number: int, content: bytes) -> bytes:
    """Return the input that one of the files is made from."""
    parts = take_apart(content)
    return "\n".join((chr(A + number), dumps(parts.document), dumps(parts.tensors), "")).encode()


def _text(line: bytes) -> str:
    return (line or b"{}").decode("utf-8", "surrogateescape")


def read_fuzzed(fuzzed: bytes, path: Path) -> bool:
    """Load what is fuzzed and say whether it is a model; only our error may come out."""
    path.write_bytes(to_file(fuzzed))
    try:
        load(path)
    except ModelFileError:
        return False
    return True


def mutate_fields(fuzzed: bytes, rng: np.random.Generator) -> bytes:
    """Change an input where it is JSON, which bytes changed at random seldom remain.

    Raises what is in ``NO_JSON`` where it is none, or not of the form of a file.
    """
    number = sum(fuzzed[:1]) % A % len(models())
    mutators = [*(3 * list(PLAUSIBLE.values())), *FORGERIES.values()]
    mutator = mutators[rng.integers(len(mutators))]
    other = models()[rng.integers(len(models()))]
    return from_file(number, mutator(rng, to_file(fuzzed), other))


def seed(folder: Path) -> None:
    """Write the inputs that sound files are made from."""
    for number, content in enumerate(models()):
        (folder / f"sound_{chr(A + number)}").write_bytes(from_file(number, content))


def main() -> None:
    """Fuzz until libFuzzer has enough."""
    import atheris  # of the extra "fuzz"

    models()
    warnings.simplefilter("error")
    path = Path(tempfile.mkdtemp()) / "fuzzed"

    def read(fuzzed: bytes) -> None:
        read_fuzzed(fuzzed, path)

    def mutate(fuzzed: bytes, most: int, number: int) -> bytes:
        rng = np.random.default_rng(number)
        if rng.random() < 0.7:
            with suppress(*NO_JSON):
                return mutate_fields(fuzzed, rng)[:most]
        return atheris.Mutate(fuzzed, most)

    atheris.Setup(sys.argv, read, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    seed(Path(sys.argv[2])) if sys.argv[1:2] == ["--seed"] else main()
