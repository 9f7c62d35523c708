"""Parameters of flows that are fitted in a moment, and which cases of a test run by default."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest

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


def slow_but(quick: Collection[Any], values: Iterable[Any]) -> list[Any]:
    """Return the values as parameters, of which all but ``quick`` run with the slow tests."""
    values = list(values)
    assert set(quick) <= set(values), "a quick case is none of the test's"
    return [
        value if value in quick else pytest.param(value, marks=pytest.mark.slow) for value in values
    ]
