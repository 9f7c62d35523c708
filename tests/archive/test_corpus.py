"""What fuzzing the reader found worth keeping is read, or refused, as it should be."""

from pathlib import Path

import pytest

from skflow import load
from tests.archive.fuzz_reader import from_file, models, read_fuzzed, to_file

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_kept_inputs(path: Path, tmp_path: Path) -> None:
    """Any other error than ours fails, and any warning."""
    read_fuzzed(path.read_bytes(), tmp_path / "model")


def test_inputs_reach_beyond_the_digest(tmp_path: Path) -> None:
    for number, content in enumerate(models()):
        fuzzed = from_file(number, content)
        assert to_file(fuzzed) == content
        assert read_fuzzed(fuzzed, tmp_path / "model")
        load(tmp_path / "model")
