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
# A warm start keeps layers that the epoch did not improve.
PARAMETERS = {
    "n_layers": 1,
    "n_components": 1,
    "max_iter": 1,
    "random_state": 0,
    "warm_start": True,
}


class ReachedError(Exception):
    """The formula was reached."""


def frames_to_spline(
    call: Callable[[], object], through: set[str], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Names of files of the frames at the first call of the formula from within some files."""
    found: list[str] = []
    original = rational_quadratic.forward_and_log_derivative

    def reached(*args):
        frame: FrameType | None = sys._getframe(1)
        frames = [rational_quadratic.__file__]
        while frame is not None:
            frames.append(frame.f_code.co_filename)
            frame = frame.f_back
        names = [Path(file).stem for file in frames if file.startswith(PACKAGE)]
        if not through <= set(names):  # marginals, for example, are splines as well
            return original(*args)
        found.extend(names if not found else [])
        raise ReachedError

    with monkeypatch.context() as patched:
        patched.setattr(rational_quadratic, "forward_and_log_derivative", reached)
        with pytest.raises(ReachedError):
            call()
    return found


def test_scores_are_few_calls_above_the_splines(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = FlowDensity(**PARAMETERS).fit(X)
    frames = frames_to_spline(lambda: flow.score_samples(X), {"coupling"}, monkeypatch)
    assert frames[-1] == "density"
    assert len(frames) <= 7, frames
    assert len(set(frames)) <= 6, frames


def test_training_is_few_calls_above_the_splines(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = frames_to_spline(
        lambda: FlowDensity(**PARAMETERS).fit(X), {"coupling", "step"}, monkeypatch
    )
    assert frames[-1] == "density"
    assert len(frames) <= 9, frames
    assert len(set(frames)) <= 7, frames
