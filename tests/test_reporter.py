"""Progress: a bar on a terminal, few lines elsewhere, and how long it may still take."""

import math
import re

import numpy as np
import pytest

from skflow import FlowDensity, FlowOutlierDetector
from skflow import reporter as module
from skflow.reporter import SECONDS, Reporter
from tests.settings import TWO_EPOCHS
from tests.tables import correlated, unfitted


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def test_without_a_terminal_a_line_every_few_seconds(capfd: pytest.CaptureFixture) -> None:
    hand = Hand()
    with Reporter("fit 2 of 4, calibrating", 1, hand) as shown:
        shown.note("initial fit")
        hand.time += SECONDS
        shown.note("initial fit, 8 components")
        shown.begin(1000)
        for epoch in range(1000):
            hand.time += SECONDS / 128
            shown.epoch(-3.0, -2.5, 7.0, 65.0 + epoch)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 9
    assert all(line.startswith("fit 2 of 4, calibrating: ") for line in lines)
    assert lines[0].endswith(": initial fit, 8 components")
    assert "epoch 128 of 1000 at most, 00:07 to 03:12 left, -3.0000 nats/row, best -2.5" in lines[1]
    assert lines[-1].endswith(": 1000/1000 epochs in 00:44, best -2.5000 nats/row")


def test_a_terminal_has_one_bar(capfd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys.stderr, "isatty", lambda: True, raising=False)
    with Reporter("fit", 1) as shown:
        shown.note("initial fit, 1 component")
        shown.begin(2)
        for _ in range(2):
            shown.epoch(-3.0, -2.5, 7.0, 65.0)
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert "initial fit, 1 component" in err


@pytest.mark.parametrize("n_iter", [0, 1, 3])
def test_the_last_state_of_a_bar_is_what_was_reached(capfd, monkeypatch, n_iter: int) -> None:
    """Whatever the bar left out: it is drawn a few times a second at most."""
    monkeypatch.setattr(module.sys.stderr, "isatty", lambda: True, raising=False)
    with Reporter("fit", 1, Hand()) as shown:
        shown.bar.mininterval = math.inf
        shown.begin(3)
        for _ in range(n_iter):
            shown.epoch(-3.0, -2.5, 7.0, 65.0)
    last = capfd.readouterr().err.rstrip().split("\r")[-1]
    best = ", best -2.5000 nats/row" if n_iter else ""
    assert last.strip() == f"fit, {n_iter}/3 epochs in 00:00{best}"


def test_nothing_is_said_unless_asked_for(capfd: pytest.CaptureFixture) -> None:
    FlowDensity(**TWO_EPOCHS).fit(correlated(60, 2, seed=0))
    assert capfd.readouterr().err == ""


def test_each_fit_of_a_detector_has_a_name_and_a_number(capfd: pytest.CaptureFixture) -> None:
    density = FlowDensity(n_layers=0, n_components=1)
    FlowOutlierDetector(density, random_state=0, verbose=1).fit(correlated(60, 2, seed=0))
    names = [line.split(":")[0] for line in capfd.readouterr().err.splitlines()]
    assert names == ["fit 1 of 6", *(f"fit {i} of 6, calibrating" for i in range(2, 7))]


def test_seconds_left_shrink_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []

    def listen(self, score, best, soonest, latest) -> None:
        told.append((score, best, soonest, latest))

    monkeypatch.setattr(Reporter, "epoch", listen)
    options = TWO_EPOCHS | {
        "max_iter": 12,
        "n_iter_no_change": 3,
        "learning_rate": 1e-9,
        "tol": 1.0,
    }
    flow = FlowDensity(**options | {"early_stopping": False}).fit(correlated(200, 3, seed=0))
    scores, bests, soonest, latest = np.array(told).T
    assert len(told) == flow.n_iter_
    assert (bests >= scores).all()
    assert math.isclose(bests[-1], flow.best_validation_score_)
    assert (soonest <= latest).all()
    assert (soonest[-1] == 0) == (flow.n_iter_ < 12)


@pytest.mark.parametrize("kind", [FlowDensity, FlowOutlierDetector])
def test_an_interrupt_ends_with_one_warning(kind, monkeypatch: pytest.MonkeyPatch) -> None:
    X = correlated(120, 2, seed=0)
    options = {"n_layers": 1, "hidden_units": 4, "n_components": 1, "max_iter": 3}
    fitted = unfitted(kind, **options, random_state=0).fit(X)
    epochs = iter(range(1, 100))

    def interrupt(*_: object) -> None:
        if next(epochs) % 2 == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(Reporter, "epoch", interrupt)
    first = "best weights of 2 epochs are kept" if kind is FlowDensity else "nothing to keep"
    for estimator, kept in (
        (unfitted(kind, **options, random_state=0), first),
        (fitted, "earlier fit"),
    ):
        with pytest.warns(UserWarning, match=kept) as caught, pytest.raises(KeyboardInterrupt):
            estimator.fit(X)
        assert len(caught) == 1
        assert re.search(f"{kind.__name__} was interrupted; .*{kept}", str(caught[0].message))
        assert caught[0].filename == __file__
