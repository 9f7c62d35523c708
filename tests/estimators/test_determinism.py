"""The same rows, parameters and seed give the same fit, bit for bit.

Twenty refits of each: pytest -m slow tests/estimators/test_determinism.py
"""

import hashlib
import os
import subprocess
from collections.abc import Callable
from functools import cache
from threading import Thread

import numpy as np
import pytest
import torch

from skflow import FlowDensity, FlowOutlierDetector
from skflow.flow.recipe import model_state
from tests.mixed import every_kind
from tests.settings import ROOT, TWO_EPOCHS, TWO_GAUSSIANS, TWO_LAYERS, script, slow_but
from tests.tables import correlated, unfitted

Fitted = FlowDensity | FlowOutlierDetector

NUMBERS = correlated(150, 3, seed=0)
FITS: dict[str, Callable[[], Fitted]] = {
    "numbers": lambda: FlowDensity(**TWO_LAYERS).fit(NUMBERS),
    "mixed": lambda: FlowDensity(**TWO_EPOCHS).fit(every_kind(150)),
    "detector": lambda: unfitted(FlowOutlierDetector, **TWO_GAUSSIANS).fit(NUMBERS),
}


def state_of(fitted: Fitted) -> dict[str, np.ndarray]:
    """All numbers that scores depend on."""
    if isinstance(fitted, FlowDensity):
        return model_state(fitted._density.model)
    normal = {
        "calibration": fitted._detector.calibration.scores,
        "offset": np.array(fitted.offset_),
    }
    return model_state(fitted.density_._density.model) | normal


@cache
def first_fit(name: str) -> Fitted:
    """A fit to compare others with."""
    return FITS[name]()


def digest(fitted: Fitted) -> str:
    """Digest of all numbers that scores depend on."""
    state = state_of(fitted)
    return hashlib.sha256(b"".join(state[key].tobytes() for key in sorted(state))).hexdigest()


def assert_same(one: Fitted, other: Fitted) -> None:
    ours, theirs = state_of(one), state_of(other)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


@pytest.mark.parametrize("name", slow_but(["mixed"], FITS))
def test_refits_are_the_same(name: str) -> None:
    first = first_fit(name)
    np.random.default_rng().normal(size=10)
    np.random.seed(7)  # noqa: NPY002
    torch.manual_seed(7)
    FITS["numbers"]()  # which leaves nothing behind
    assert_same(FITS[name](), first)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", FITS)
def test_twenty_refits_are_the_same(name: str) -> None:
    first = FITS[name]()
    for _ in range(20):
        assert_same(FITS[name](), first)


@pytest.mark.slow
def test_a_thread_fits_the_same() -> None:
    fitted: list[Fitted] = []
    thread = Thread(target=lambda: fitted.append(FITS["mixed"]()))
    thread.start()
    thread.join()
    assert_same(fitted[0], FITS["mixed"]())


@pytest.mark.parametrize("name", ["mixed"])
def test_another_process_fits_the_same_whatever_the_order_of_sets(name: str) -> None:
    done = subprocess.run(
        script("digest", name),
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == digest(first_fit(name))


def test_global_generators_are_left_alone() -> None:
    numpy_before = np.random.get_state()[1].copy()  # noqa: NPY002
    torch_before = torch.get_rng_state()
    for name in ("mixed", "detector"):
        FITS[name]()
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_before)
