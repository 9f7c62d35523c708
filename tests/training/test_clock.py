"""The time a fit may take, by a clock that moves as it is told."""

import math

import numpy as np
import pytest

from skflow import FlowDensity
from skflow.training.clock import Clock
from skflow.training.closed_form import SEARCH_SHARE, _Search
from skflow.training.term import Term
from tests.tables import QUICK, correlated


class Hand:
    """The hand of a clock, moved by hand."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def test_without_a_limit_there_is_time_for_everything() -> None:
    hand = Hand()
    clock = Clock(None, hand)
    hand.time += 1e9
    assert clock.passed() == 1e9
    assert clock.share() == 0
    assert clock.allows(1e9)
    assert clock.progress(0.0, 7.0) == 0


def test_what_the_limit_allows() -> None:
    hand = Hand()
    clock = Clock(10.0, hand)
    hand.time += 4.0
    assert clock.share() == pytest.approx(0.4)
    assert clock.allows(6.0)
    assert not clock.allows(6.1)
    hand.time += 7.0
    assert not clock.allows(0.0)


@pytest.mark.parametrize("seconds", [0.7, 1.0, 2.4, 20.0])
def test_progress_ends_with_the_last_step_that_fits(seconds: float) -> None:
    """Steps of equal length, whose middles are spread evenly, but for the first."""
    hand = Hand()
    clock = Clock(11.0, hand)
    hand.time += 1.0
    began, known, seen = clock.passed(), 0.0, []
    while not known or clock.allows(known):
        seen.append(clock.progress(began, known))
        hand.time += seconds
        known = seconds
    n_steps = len(seen)
    assert n_steps == max(1, 10.0 // seconds)
    expected = (np.arange(1, n_steps) + 0.5) / n_steps
    np.testing.assert_allclose(seen[1:], expected)
    assert seen[0] == 0


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    """Every fit's clock, which stands still unless it is moved."""
    hand = Hand()
    monkeypatch.setattr("skflow.training.clock.time.monotonic", hand)
    return hand


def slow_down(monkeypatch: pytest.MonkeyPatch, hand: Hand, owner: type, name: str, seconds: float):
    """Let each call of a method take so long."""
    method = getattr(owner, name)

    def slow(*args, **kwargs):
        hand.time += seconds
        return method(*args, **kwargs)

    monkeypatch.setattr(owner, name, slow)


@pytest.mark.parametrize(("max_time", "n_iter"), [(35.0, 3), (10.5, 1), (9.0, 1)])
def test_no_epoch_starts_that_would_end_late(
    monkeypatch: pytest.MonkeyPatch, hand: Hand, max_time: float, n_iter: int
) -> None:
    """But for the first, which nothing is known of."""
    slow_down(monkeypatch, hand, Term, "run_epoch", 10.0)
    flow = FlowDensity(**QUICK | {"max_iter": 100}, max_time=max_time)
    flow.fit(correlated(200, 3, seed=0))
    assert flow.n_iter_ == n_iter
    assert flow.history_["seconds"] == [10.0] * n_iter


def test_the_schedule_ends_with_the_time(monkeypatch: pytest.MonkeyPatch, hand: Hand) -> None:
    slow_down(monkeypatch, hand, Term, "run_epoch", 1.0)
    flow = FlowDensity(**QUICK | {"max_iter": 1000}, max_time=20.5, early_stopping=False)
    rates = flow.fit(correlated(200, 3, seed=0)).history_["learning_rate"]
    assert len(rates) == 20
    assert rates[-1] < 0.05 * max(rates)


@pytest.mark.parametrize("max_time", [1.0, 40.0, 100.0])
def test_the_search_of_the_closed_form_takes_its_share(
    monkeypatch: pytest.MonkeyPatch, hand: Hand, max_time: float
) -> None:
    slow_down(monkeypatch, hand, _Search, "_judge", 3.0)
    FlowDensity(max_time=max_time, n_layers=0, random_state=0).fit(correlated(5000, 3, seed=0))
    searched = hand.time - 100.0
    assert searched > 0
    assert searched <= max(3.0, SEARCH_SHARE * max_time + 3.0)


def test_a_closed_form_that_takes_all_the_time_is_not_trained(
    monkeypatch: pytest.MonkeyPatch, hand: Hand
) -> None:
    X = correlated(300, 3, seed=0)
    slow_down(monkeypatch, hand, _Search, "_judge", 3.0)
    flow = FlowDensity(**QUICK, max_time=2.0).fit(X)
    assert flow.n_iter_ == 1
    assert flow.history_["learning_rate"] == [0.0]
    assert math.isfinite(flow.score(X))
