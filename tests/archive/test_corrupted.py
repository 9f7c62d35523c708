"""Spoilt model files are refused; what no reader can tell from a model has sound scores."""

import resource
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from skflow import load
from skflow.exceptions import ModelFileError
from tests.archive.bases import BASES, ROWS
from tests.archive.mutations import (
    DAMAGE,
    FORGERIES,
    HARMLESS,
    IDLE,
    PLAUSIBLE,
    Mutator,
    claims_without_values,
)
from tests.archive.parts import put_together, take_apart
from tests.settings import slow_but

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")

N_SCORED = 8
MOST_MEMORY = 2**28  # bytes beyond what is in use, for files of a tenth of a megabyte
N_SLOW = (
    60  # files of each mutation of each base, ten thousand in all; one of each second by default
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bytes]:
    folder = tmp_path_factory.mktemp("saved")

    @cache
    def save(base: str) -> bytes:
        BASES[base]().save(folder / base)
        return (folder / base).read_bytes()

    return save


def scores_of(base: str, path: Path) -> np.ndarray:
    loaded = load(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # another model may say that its columns had names
        return loaded.score_samples(ROWS[base][:N_SCORED])


@contextmanager
def limited_memory() -> Iterator[None]:
    """Have allocations fail that no file of this size is worth."""
    with Path("/proc/self/statm").open() as pages:
        in_use = int(pages.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MOST_MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def spoil(
    mutator: Mutator, base: str, n: int, saved: Callable[[str], bytes], path: Path
) -> list[np.ndarray | None]:
    """Return the scores of files spoilt so, None of those that are refused."""
    others = [other for other in BASES if other != base]
    outcomes: list[np.ndarray | None] = []
    for i in range(n):
        rng = np.random.default_rng([zlib.crc32(f"{mutator.__name__} {base}".encode()), i])
        other = saved(others[rng.integers(len(others))])
        path.write_bytes(mutator(rng, saved(base), other))
        try:
            with limited_memory():
                outcomes.append(scores_of(base, path))
        except ModelFileError as error:
            if "alloc" in str(error):  # refused for want of memory, not for what it holds
                raise
            outcomes.append(None)
        except Exception as error:
            error.add_note(f"of {mutator.__name__} {i} of {base!r}")
            raise
    return outcomes


def mutations(mutators: dict[str, Mutator]) -> pytest.MarkDecorator:
    """Each mutation of each base: a hundred files by default, ten thousand with the slow tests."""
    pairs = [(name, base) for name in mutators for base in BASES]
    quick = [pytest.param(*pair, 1, id="-".join((*pair, "quick"))) for pair in pairs[::2]]
    slow = [
        pytest.param(*pair, N_SLOW, id="-".join((*pair, "slow")), marks=pytest.mark.slow)
        for pair in pairs
    ]
    return pytest.mark.parametrize(("name", "base", "n"), quick + slow)


@mutations(DAMAGE | IDLE)
def test_nothing_else_is_read_from_what_is_damaged(name, base, n, saved, tmp_path) -> None:
    path = tmp_path / "model"
    path.write_bytes(saved(base))
    whole = scores_of(base, path)
    for scores in spoil((DAMAGE | IDLE)[name], base, n, saved, path):
        if scores is not None:  # zeros were zeroed, or sizes changed that say nothing
            np.testing.assert_array_equal(scores, whole)


@mutations(FORGERIES)
def test_forgeries_are_refused(name, base, n, saved, tmp_path) -> None:
    outcomes = spoil(FORGERIES[name], base, n, saved, tmp_path / "model")
    assert [i for i, scores in enumerate(outcomes) if scores is not None] == []


@pytest.mark.parametrize(
    ("base", "step"),
    slow_but([("detector", 5), ("texts", 1)], [("detector", 5), *((base, 1) for base in BASES)]),
)
def test_sizes_that_no_value_bears_out_take_no_memory(base, step, saved, tmp_path) -> None:
    """Every axis of every array, one after the other; by default a fifth of a detector's."""
    path = tmp_path / "model"
    for content in islice(claims_without_values(saved(base)), 0, None, step):
        path.write_bytes(content)
        with limited_memory(), pytest.raises(ModelFileError) as refused:
            load(path)
        assert "alloc" not in str(refused.value)  # refused for want of memory


@mutations(HARMLESS)
def test_other_spellings_say_the_same(name, base, n, saved, tmp_path) -> None:
    path = tmp_path / "model"
    path.write_bytes(saved(base))
    whole = scores_of(base, path)
    for scores in spoil(HARMLESS[name], base, n, saved, path):
        np.testing.assert_array_equal(scores, whole)


@mutations(PLAUSIBLE)
def test_other_models_have_sound_scores(name, base, n, saved, tmp_path) -> None:
    """A number that was another one is a model as well: no digest tells who wrote it."""
    for i, scores in enumerate(spoil(PLAUSIBLE[name], base, n, saved, tmp_path / "model")):
        if scores is not None:
            assert scores.shape == (N_SCORED,), i
            assert np.isfinite(scores).all(), i


@pytest.mark.parametrize("base", BASES)
def test_the_tests_know_the_format(base: str, saved: Callable[[str], bytes]) -> None:
    """Taken apart and put together, a file is what it was, so that mutations are all there is."""
    assert put_together(take_apart(saved(base))) == saved(base)
