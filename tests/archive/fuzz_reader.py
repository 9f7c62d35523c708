"""Coverage-guided fuzzing of the reader of model files, with atheris.

    pip install atheris
    python -m tests.archive.fuzz_reader tests/archive/corpus -max_total_time=1200

The fuzzer writes what comes after the digest in the header; arrays and a right digest are
added, so that it gets beyond them. Anything but a model or a ModelFileError is a finding.
"""

import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["skflow.archive", "skflow.estimators.saving"]):
    from skflow import load
    from skflow.exceptions import ModelFileError

from tests.archive.fuzzing import make_file

PATH = Path(tempfile.mkdtemp()) / "fuzzed"


def try_to_load(made_up: bytes) -> None:
    """Load what the fuzzer made up."""
    PATH.write_bytes(make_file(made_up))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            load(PATH)
        except ModelFileError:
            return


if __name__ == "__main__":
    atheris.Setup(sys.argv, try_to_load)
    atheris.Fuzz()
