"""Small fitted estimators of every sort, for tests of their files."""

from collections.abc import Callable
from typing import Any

import numpy as np

from skflow import FlowDensity, FlowOutlierDetector
from tests.mixed import CLOSED, every_kind, every_polars_kind, small_mix
from tests.tables import correlated

TINY = {"n_layers": 1, "hidden_units": 4, "n_bins": 3, "n_components": 2, "max_iter": 2}
SEEDED = TINY | {"random_state": 0}

NUMBERS = correlated(120, 3, seed=0)
MIXED = every_kind(120)
SMALL = small_mix(150)
POLARS = every_polars_kind(120)
TEXTS = np.random.default_rng(0).choice(["a", "bb", "ä", ""], size=(100, 2))

ROWS: dict[str, Any] = {
    "numbers": NUMBERS,
    "mixed": MIXED,
    "detector": SMALL,
    "polars": POLARS,
    "texts": TEXTS,
}

BASES: dict[str, Callable[[], Any]] = {
    "numbers": lambda: FlowDensity(**SEEDED).fit(NUMBERS),
    "mixed": lambda: FlowDensity(**SEEDED).fit(MIXED),
    "detector": lambda: FlowOutlierDetector(FlowDensity(**SEEDED), random_state=0).fit(SMALL),
    "polars": lambda: FlowDensity(**CLOSED).fit(POLARS),
    "texts": lambda: FlowDensity(**CLOSED).fit(TEXTS),
}


class Thing:
    """A category that no file holds."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing) and self.number == other.number

    def __hash__(self) -> int:
        return self.number
