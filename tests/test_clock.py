"""The time a fit may take, by a clock that moves as it is told."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf

from skflow import FlowDensity, load
from skflow.clock import Clock
from skflow.fitted.table_rows import EncodableTable
from skflow.initialization import gaussian_mixture
from skflow.initialization.imputation import impute
from skflow.initialization.search import SEARCH_SHARE, _Search
from skflow.training.objective import Objective
from skflow.training.step import EagerStep
from tests.settings import TWO_EPOCHS
from tests.tables import correlated


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
    monkeypatch.setattr("skflow.clock.time.monotonic", hand)
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
    slow_down(monkeypatch, hand, Objective, "batches", 10.0)
    flow = FlowDensity(**TWO_EPOCHS | {"max_iter": 100}, max_time=max_time)
    flow.fit(correlated(200, 3, seed=0))
    assert flow.n_iter_ == n_iter
    assert flow.history_["seconds"] == [10.0] * n_iter


def test_a_first_epoch_longer_than_the_time_ends_early(
    monkeypatch: pytest.MonkeyPatch, hand: Hand
) -> None:
    slow_down(monkeypatch, hand, EagerStep, "__call__", 1.0)
    X = correlated(1000, 3, seed=0)
    flow = FlowDensity(**TWO_EPOCHS | {"max_iter": 100}, batch_size=50, max_time=4.5)
    flow.fit(X)
    assert flow.history_["seconds"] == [5.0]  # steps: the whole epoch has 18
    assert math.isfinite(flow.history_["train_score"][0])
    assert flow.score(X) == pytest.approx(flow.history_["train_score"][0], abs=0.5)


def test_the_schedule_ends_with_the_time(monkeypatch: pytest.MonkeyPatch, hand: Hand) -> None:
    slow_down(monkeypatch, hand, Objective, "batches", 1.0)
    flow = FlowDensity(**TWO_EPOCHS | {"max_iter": 1000}, max_time=20.5, early_stopping=False)
    rates = flow.fit(correlated(200, 3, seed=0)).history_["learning_rate"]
    assert len(rates) == 20
    assert rates[-1] < 0.05 * max(rates)


@pytest.mark.parametrize("max_time", [1.0, 40.0, 100.0])
def test_the_search_of_the_closed_form_takes_its_share(
    monkeypatch: pytest.MonkeyPatch, hand: Hand, max_time: float
) -> None:
    slow_down(monkeypatch, hand, _Search, "_evaluate", 3.0)
    FlowDensity(max_time=max_time, n_layers=0, random_state=0).fit(correlated(5000, 3, seed=0))
    searched = hand.time - 100.0
    assert searched > 0
    assert searched <= max(3.0, SEARCH_SHARE * max_time + 3.0)


@pytest.mark.parametrize("n_rows", [200, 5_000])
def test_columns_that_take_all_the_time_leave_none_for_the_search(
    monkeypatch: pytest.MonkeyPatch, hand: Hand, n_rows: int
) -> None:
    slow_down(monkeypatch, hand, EncodableTable, "learn", 2.0)
    slow_down(monkeypatch, hand, _Search, "_prepare", 1.0)
    flow = FlowDensity(max_time=1.0, random_state=0).fit(correlated(n_rows, 3, seed=0))
    assert hand.time == 100.0 + 2.0 + 1.0
    assert math.isfinite(flow.score(correlated(50, 3, seed=1)))


def test_wide_rows_without_a_search_have_a_shrunk_covariance(
    monkeypatch: pytest.MonkeyPatch, hand: Hand
) -> None:
    slow_down(monkeypatch, hand, EncodableTable, "learn", 2.0)
    rng = np.random.default_rng(0)
    loadings, noise = rng.normal(size=(3, 80)), rng.normal(size=(200, 80))
    X = rng.normal(size=(200, 3)) @ loadings + noise
    flow = FlowDensity(max_time=1.0, random_state=0).fit(X[:100])
    peer = LedoitWolf().fit(X[:100])
    assert flow.score(X[100:]) > peer.score(X[100:])


def test_folds_are_prepared_one_by_one(monkeypatch: pytest.MonkeyPatch, hand: Hand) -> None:
    slow_down(monkeypatch, hand, _Search, "_prepare", 2.0)
    FlowDensity(max_time=3.0, n_layers=0, random_state=0).fit(correlated(200, 3, seed=0))
    assert hand.time == 100.0 + 2.0 + 2.0  # one fold, and the choice that it leads to


def test_steps_of_the_mixture_end_with_the_time(
    monkeypatch: pytest.MonkeyPatch, hand: Hand
) -> None:
    calls = []

    def spy(rows, components, prior):
        calls.append(components)
        hand.time += 10.0
        return step(rows, components, prior)

    step = gaussian_mixture._step
    monkeypatch.setattr(gaussian_mixture, "_step", spy)
    X = correlated(400, 3, seed=0)
    FlowDensity(n_components=8, n_layers=0, max_time=25.0, random_state=0).fit(X)
    assert len(calls) <= 8  # one for each fold that is late, and the last


def test_draws_for_holes_end_with_the_time() -> None:
    hand = Hand()
    y = torch.randn((4, 50), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y[:, ::3] = torch.nan
    clock = Clock(1.0, hand)
    hand.time += 2.0
    quick = impute(y, torch.Generator().manual_seed(0), clock)
    slow = impute(y, torch.Generator().manual_seed(0))
    assert torch.isfinite(quick).all()
    assert not torch.equal(quick, slow)
    there = ~y.isnan()
    torch.testing.assert_close(quick[there], y[there])


@pytest.mark.parametrize("n_columns", [5, 120])
def test_many_columns_are_not_sent_back_when_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch, hand: Hand, n_columns: int, tmp_path: Path
) -> None:
    slow_down(monkeypatch, hand, _Search, "_prepare", 2.0)
    X = correlated(40, n_columns, seed=0)
    flow = FlowDensity(max_time=1.0, n_layers=0, random_state=0).fit(X)
    assert math.isnan(flow.inverse_error_.share_equal) == (n_columns > 100)
    flow.save(tmp_path / "model.skflow")
    loaded = load(tmp_path / "model.skflow").inverse_error_
    np.testing.assert_array_equal(loaded, flow.inverse_error_)


def test_a_closed_form_that_takes_all_the_time_is_not_trained(
    monkeypatch: pytest.MonkeyPatch, hand: Hand
) -> None:
    X = correlated(300, 3, seed=0)
    slow_down(monkeypatch, hand, _Search, "_evaluate", 3.0)
    flow = FlowDensity(**TWO_EPOCHS, max_time=2.0).fit(X)
    assert flow.n_iter_ == 1
    assert flow.history_["learning_rate"] == [0.0]
    assert math.isfinite(flow.score(X))
