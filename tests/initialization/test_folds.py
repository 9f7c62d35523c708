"""Candidates are compared on folds, those far behind on few of them."""

from collections.abc import Iterator

import numpy as np
import pytest

from skflow.initialization.folds import Race


def taken_one_by_one(scores: list[float], n_taken: list[int]) -> Iterator[float]:
    """Yield scores, and count those that were asked for."""
    for score in scores:
        n_taken[0] += 1
        yield score


def run(race: Race, scores: list[float], masses: np.ndarray | None = None) -> tuple[float, int]:
    """Return the mean score of a candidate and the number of folds that it was scored on."""
    n_taken = [0]
    return race.mean_score(taken_one_by_one(scores, n_taken), len(scores), masses), n_taken[0]


def test_candidates_near_the_best_are_scored_on_every_fold() -> None:
    race = Race()
    for scores in ([1.0, 2.0, 3.0], [0.5, 1.7, 2.9], [2.0, 2.5, 0.0], [0.0, 2.0, 9.0]):
        assert run(race, scores) == (pytest.approx(np.mean(scores)), 3)


def test_candidates_far_behind_are_scored_on_few_folds() -> None:
    race = Race()
    run(race, [1.0, 2.0, 3.0])
    # Behind by 1.5 on the first fold; by 0.6 on average over two: as far on the others.
    assert run(race, [-0.5, 9.0, 9.0]) == (pytest.approx(0.5), 1)
    assert run(race, [0.5, 1.3, 9.0]) == (pytest.approx(1.4), 2)
    # The best one is still the first.
    assert run(race, [1.4, 2.4, 3.4])[1] == 3
    assert run(race, [0.3, 2.4, 3.4])[1] == 1


def test_masses_weigh_folds() -> None:
    race, masses = Race(), np.array([1.0, 3.0])
    assert run(race, [0.0, 1.0], masses) == (pytest.approx(0.75), 2)
    assert run(race, [-2.0, 9.0], masses) == (pytest.approx(-1.25), 1)


def test_candidates_on_other_folds_are_scored_on_all() -> None:
    race = Race()
    run(race, [5.0])
    assert run(race, [1.0, 2.0]) == (pytest.approx(1.5), 2)
