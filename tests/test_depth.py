"""The way from a public method down to the formula of the splines is short."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy as np
import pytest

import skflow
from skflow import FlowDensity
from skflow.flow import rational_quadratic

PACKAGE = str(Path(skflow.__file__).parent)
X = np.random.default_rng(0).standard_normal((120, 3))
PARAMETERS = {"n_layers": 1, "n_components": 1, "max_iter": 1, "random_state": 0}


class ReachedError(Exception):
    """The formula was reached."""


def frames_to_spline(call: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files of the package's frames at the first call of the formula, the formula's last."""
    files: list[str] = []
    original = rational_quadratic.forward_and_log_derivative

    def reached(*args):
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            files.append(frame.f_code.co_filename)
            frame = frame.f_back
        raise ReachedError

    monkeypatch.setattr(rational_quadratic, "forward_and_log_derivative", reached)
    with pytest.raises(ReachedError):
        call()
    monkeypatch.setattr(rational_quadratic, "forward_and_log_derivative", original)
    formula = rational_quadratic.__file__
    return [formula, *(file for file in files if file.startswith(PACKAGE))]


def test_scores_are_few_calls_above_the_splines(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = FlowDensity(**PARAMETERS).fit(X)
    frames = frames_to_spline(lambda: flow.score_samples(X), monkeypatch)
    assert len(frames) <= 10, frames
    assert len(set(frames)) <= 8, set(frames)
