"""A model file that is not what was saved is refused, whatever became of it.

All 10,000 mutations: pytest -m slow tests/archive/test_corrupted.py
"""

import resource
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
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
