"""Torch's global state changes no result, and is as it was afterwards."""

import pickle
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skflow import FlowDensity, FlowOutlierDetector, load
from tests.mixed import small_mix
from tests.settings import ONE_GAUSSIAN, slow_but
from tests.tables import unfitted

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")

TRAINED = {"n_layers": 1, "hidden_units": 8, "n_components": 2, "max_iter": 1, "random_state": 0}


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def default_device(device: str) -> Iterator[None]:
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


STATES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "meta": lambda: default_device("meta"),
    "device context": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "deterministic": deterministic,
}


def state_of_torch() -> list[object]:
    return [
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_dtype(),
        torch.empty(0).device,  # torch 2.6 has no get_default_device after set_default_device(None)
        torch.is_autocast_enabled("cpu"),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_num_threads(),
    ]


def everything(flow: FlowDensity, folder) -> list[np.ndarray]:
    """What a density answers, from a fit on."""
    X = small_mix(60)
    flow.fit(X)
    Z = flow.transform(X)
    flow.save(folder / "model.skflow")
    loaded = load(folder / "model.skflow")
    copied = pickle.loads(pickle.dumps(flow))
    drawn = flow.sample(20, random_state=0)
    scores = [model.score_samples(X) for model in (flow, loaded, copied)]
    again = flow.set_params(warm_start=True).fit(X).score_samples(X)
    returned = flow.score_samples(flow.inverse_transform(Z))
    return [*scores, np.asarray(Z), returned, flow.score_samples(drawn), again]


def reasons(detector: FlowOutlierDetector, folder) -> list[np.ndarray]:
    X = small_mix(40)
    detector.fit(X)
    repaired = detector.repair(X.head(2))
    answers = [detector.score_samples(X), detector.score_features(X.head(2))]
    return [np.asarray(answer) for answer in (*answers, detector.score_samples(repaired))]


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> list[np.ndarray]:
    return everything(FlowDensity(**TRAINED), tmp_path_factory.mktemp("usual"))


@pytest.mark.parametrize("name", slow_but(["inference_mode", "float64", "meta"], STATES))
def test_a_density_is_the_same_in_every_state_of_torch(name, expected, tmp_path) -> None:
    state: AbstractContextManager[None] = STATES[name]()
    with state:
        before = state_of_torch()
        found = everything(FlowDensity(**TRAINED), tmp_path)
        assert state_of_torch() == before
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["inference_mode", "float64", "meta", "autocast"])
def test_a_detector_is_the_same_in_every_state_of_torch(name, tmp_path) -> None:
    usual = reasons(unfitted(FlowOutlierDetector, **ONE_GAUSSIAN), tmp_path)
    with STATES[name]():
        found = reasons(unfitted(FlowOutlierDetector, **ONE_GAUSSIAN), tmp_path)
    for one, other in zip(found, usual, strict=True):
        np.testing.assert_array_equal(one, other)


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(sorted(STATES)), min_size=2, max_size=4, unique=True))
@pytest.mark.slow
def test_states_of_torch_may_be_nested(expected, names) -> None:
    flow = FlowDensity(**TRAINED | {"n_layers": 0}).fit(small_mix(60))
    scores = flow.score_samples(small_mix(30))
    with contextmanager(nested)(names):
        again = FlowDensity(**TRAINED | {"n_layers": 0}).fit(small_mix(60))
        np.testing.assert_array_equal(again.score_samples(small_mix(30)), scores)
        np.testing.assert_array_equal(flow.score_samples(small_mix(30)), scores)


def nested(names: list[str]) -> Iterator[None]:
    if not names:
        yield
        return
    with STATES[names[0]](), contextmanager(nested)(names[1:]):
        yield


def test_a_fit_that_fails_leaves_torch_as_it_was() -> None:
    with torch.no_grad():
        before = state_of_torch()
        with pytest.raises(ValueError, match="infinity"):
            FlowDensity(**TRAINED).fit(np.full((10, 2), np.inf))
        assert state_of_torch() == before
