"""Parameters of flows that are fitted in a moment, and which cases of a test run by default."""

import math
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from skflow.conditioning import distillation
from skflow.estimators import calibration, imputer
from skflow.fitted import detector
from skflow.initialization import search

ROOT = Path(__file__).parents[1]

# Initialization alone, without trained layers: a Gaussian copula of one component or of two.
ONE_GAUSSIAN: dict[str, Any] = {"n_layers": 0, "n_components": 1, "random_state": 0}
TWO_GAUSSIANS: dict[str, Any] = ONE_GAUSSIAN | {"n_components": 2}
CHOSEN_GAUSSIANS: dict[str, Any] = {"n_layers": 0, "random_state": 0}  # as many as by default

# Trained layers.
ONE_TINY_LAYER: dict[str, Any] = {
    "n_layers": 1,
    "hidden_units": 4,
    "n_bins": 3,
    "n_components": 2,
    "max_iter": 2,
    "random_state": 0,
}
TWO_LAYERS: dict[str, Any] = {
    "n_layers": 2,
    "hidden_units": 16,
    "n_components": 2,
    "max_iter": 4,
    "random_state": 0,
}
TWO_EPOCHS = TWO_LAYERS | {"max_iter": 2}
EIGHT_EPOCHS = TWO_LAYERS | {"max_iter": 8}
FOUR_LAYERS: dict[str, Any] = {"n_layers": 4, "hidden_units": 16, "random_state": 0}


@contextmanager
def fewer_fits() -> Iterator[None]:
    """Have estimators of several fits make a few of them."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(detector, "N_PARTS", 2)
        patched.setattr(imputer, "N_FITS", 2)
        patched.setattr(calibration, "N_PARTS", 3)
        patched.setattr(calibration, "OFFSETS", (0,))
        yield


ALL_CANDIDATES: dict[tuple[Any, str], Any] = {
    (module, name): getattr(module, name)
    for module, name in (
        (search, "FEW_ROWS"),
        (distillation, "N_DRAWS"),
        (distillation, "N_COMPONENTS"),
    )
}


@contextmanager
def fewer_candidates() -> Iterator[None]:
    """Have fits take the first initialization without comparing others on held-out rows.

    Proposals for unknown cells are fitted to fewer draws, with one number of components.
    """
    with pytest.MonkeyPatch.context() as patched:
        for place, value in zip(ALL_CANDIDATES, (math.inf, 2_000, (8,)), strict=True):
            patched.setattr(*place, value)
        yield


@contextmanager
def all_candidates() -> Iterator[None]:
    """Have fits compare as many candidates as users' do, within :func:`fewer_candidates`."""
    with pytest.MonkeyPatch.context() as patched:
        for place, value in ALL_CANDIDATES.items():
            patched.setattr(*place, value)
        yield


def slow_but(quick: Collection[Any], values: Iterable[Any]) -> list[Any]:
    """Return the values as parameters, of which all but ``quick`` run with the slow tests."""
    values = list(values)
    assert all(value in values for value in quick), "a quick case is none of the test's"
    return [
        value if value in quick else pytest.param(*_several(value), marks=pytest.mark.slow)
        for value in values
    ]


def _several(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def one_of_each(first: Iterable[Any], second: Iterable[Any]) -> list[Any]:
    """Return all pairs as parameters; by default each value runs once or more, in few pairs."""
    first, second = list(first), list(second)
    n_quick = max(len(first), len(second))
    quick = {(i % len(first), i % len(second)) for i in range(n_quick)}
    return [
        pytest.param(a, b, marks=() if (i, j) in quick else pytest.mark.slow)
        for i, a in enumerate(first)
        for j, b in enumerate(second)
    ]


def script(name: str, *arguments: object) -> list[str]:
    """Return the command that runs a file of ``tests/scripts``, from the repository's root."""
    return [sys.executable, "-m", f"tests.scripts.{name}", *map(str, arguments)]
