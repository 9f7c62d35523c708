<<<<<<< HEAD
"""Spoilt model files are refused; what no reader can tell from a model has sound scores."""

import zlib
from collections.abc import Callable
from functools import cache
=======
"""A model file that is not what was saved is refused, whatever became of it.

All 10,000 mutations: pytest -m slow tests/archive/test_corrupted.py
"""

import resource
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
>>>>>>> main
from pathlib import Path

import numpy as np
import pytest
<<<<<<< HEAD

from skflow import load
from skflow.exceptions import ModelFileError
from tests.archive.bases import BASES, ROWS
from tests.archive.mutations import DAMAGE, FORGERIES, HARMLESS, IDLE, PLAUSIBLE, Mutator
from tests.archive.parts import put_together, take_apart

N_SCORED = 8
QUICK = 1000 // (len(BASES) * len(DAMAGE | FORGERIES | HARMLESS | IDLE | PLAUSIBLE)) + 1
SLOW = 9 * QUICK + 5


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bytes]:
    folder = tmp_path_factory.mktemp("saved")

    @cache
    def save(base: str) -> bytes:
        BASES[base]().save(folder / base)
        return (folder / base).read_bytes()

    return save


def scores_of(base: str, path: Path) -> np.ndarray:
    return load(path).score_samples(ROWS[base][:N_SCORED])


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
            outcomes.append(scores_of(base, path))
        except ModelFileError:
            outcomes.append(None)
        except Exception as error:
            error.add_note(f"of {mutator.__name__} {i} of {base!r}")
            raise
    return outcomes


def counts(function: Callable[..., None]) -> Callable[..., None]:
    numbers = [
        pytest.param(QUICK, id="quick"),
        pytest.param(SLOW, id="slow", marks=pytest.mark.slow),
    ]
    every_base = pytest.mark.parametrize("base", BASES)
    return pytest.mark.parametrize("n", numbers)(every_base(function))


@counts
@pytest.mark.parametrize("name", DAMAGE | IDLE)
def test_nothing_else_is_read_from_what_is_damaged(name, base, n, saved, tmp_path) -> None:
    path = tmp_path / "model"
    path.write_bytes(saved(base))
    whole = scores_of(base, path)
    for scores in spoil((DAMAGE | IDLE)[name], base, n, saved, path):
        if scores is not None:  # zeros were zeroed, or sizes changed that say nothing
            np.testing.assert_array_equal(scores, whole)


@counts
@pytest.mark.parametrize("name", FORGERIES)
def test_forgeries_are_refused(name, base, n, saved, tmp_path) -> None:
    outcomes = spoil(FORGERIES[name], base, n, saved, tmp_path / "model")
    assert [i for i, scores in enumerate(outcomes) if scores is not None] == []


@counts
@pytest.mark.parametrize("name", HARMLESS)
def test_other_spellings_say_the_same(name, base, n, saved, tmp_path) -> None:
    path = tmp_path / "model"
    path.write_bytes(saved(base))
    whole = scores_of(base, path)
    for scores in spoil(HARMLESS[name], base, n, saved, path):
        np.testing.assert_array_equal(scores, whole)


@counts
@pytest.mark.parametrize("name", PLAUSIBLE)
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
=======
from numpy.typing import NDArray

from skflow import FlowDensity, FlowOutlierDetector, load
from skflow.exceptions import ModelFileError
from tests.archive.mutations import ACCIDENTS, MAY_BE_SOUND, PURPOSES, put_together, take_apart
from tests.mixed import CLOSED, LAYERED, every_kind
from tests.tables import correlated

MOST_MEMORY = 2**28  # bytes beyond what is in use, for files of less than one megabyte
NUMBERS = correlated(60, 3, seed=0)
MIXED = every_kind(120)
SAVED: dict[str, Callable[[], tuple[FlowDensity | FlowOutlierDetector, object]]] = {
    "numbers": lambda: (FlowDensity(**LAYERED).fit(NUMBERS), NUMBERS),
    "mixed": lambda: (FlowDensity(**LAYERED).fit(MIXED), MIXED),
    "closed form": lambda: (FlowDensity(**CLOSED, n_components=2).fit(NUMBERS), NUMBERS),
    "detector": lambda: (FlowOutlierDetector(**CLOSED, n_components=2).fit(NUMBERS), NUMBERS),
}


class Base:
    """A saved model: its bytes, and the scores of some rows."""

    def __init__(self, name: str, folder: Path) -> None:
        model, X = SAVED[name]()
        path = folder / name
        model.save(path)
        self.content = path.read_bytes()
        self.rows = X[:10]
        self.scores = model.score_samples(self.rows)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> list[Base]:
    folder = tmp_path_factory.mktemp("saved")
    return [Base(name, folder) for name in SAVED]


def outcome_of(path: Path, base: Base, *, may_be_sound: bool) -> str:
    """Load a file; return what came of it, or fail."""
    try:
        model = load(path)
    except ModelFileError:
        return "refused"
    assert may_be_sound or np.array_equal(scores_of(model, base), base.scores)
    # Of another schema the rows may not be; nor may they be refused with any other error.
    try:
        scores = scores_of(model, base)
    except (ValueError, TypeError):
        return "sound, of other columns"
    assert scores.shape == base.scores.shape
    assert np.isfinite(scores).all()
    return "equal" if np.array_equal(scores, base.scores) else "sound"


def scores_of(model: FlowDensity | FlowOutlierDetector, base: Base) -> NDArray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # another model may say that its columns had names
        return model.score_samples(base.rows)


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


def mutate(bases: list[Base], n_mutations: int, seed: int, folder: Path) -> Counter:
    """Count what came of so many mutations, by their names."""
    rng, outcomes = np.random.default_rng(seed), Counter()
    mutations = [*ACCIDENTS.items(), *PURPOSES.items()]
    path = folder / "mutated"
    for i in range(n_mutations):
        name, mutation = mutations[i % len(mutations)]
        base = bases[rng.integers(len(bases))]
        other = bases[rng.integers(len(bases))].content
        other = other if other != base.content else bases[base is bases[0]].content
        content = mutation(base.content, rng, other)
        path.write_bytes(content)
        try:
            with limited_memory():
                outcome = outcome_of(path, base, may_be_sound=name in MAY_BE_SOUND)
        except BaseException:
            (folder / f"{name}_{seed}_{i}").write_bytes(content)
            raise
        if name in ACCIDENTS and content != base.content:
            assert outcome == "refused"
        outcomes[name, outcome] += 1
    return outcomes


def test_a_thousand_mutations(bases: list[Base], tmp_path: Path) -> None:
    outcomes = mutate(bases, 1_000, 0, tmp_path)
    assert sum(n for (_, outcome), n in outcomes.items() if outcome == "refused") > 800


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_mutations(bases: list[Base], tmp_path: Path) -> None:
    outcomes = mutate(bases, 10_000, 1, tmp_path)
    for (name, outcome), n in sorted(outcomes.items()):
        print(f"{name:24} {outcome:24} {n}")  # noqa: T201


def test_what_is_put_together_again_loads(bases: list[Base], tmp_path: Path) -> None:
    """Or the mutations on purpose would all be refused for one reason."""
    for base in bases:
        (tmp_path / "model").write_bytes(put_together(*take_apart(base.content)))
        assert np.array_equal(scores_of(load(tmp_path / "model"), base), base.scores)
>>>>>>> main
