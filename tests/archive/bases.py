"""Small fitted estimators of every sort, for tests of their files."""

from collections.abc import Callable
from typing import Any

import numpy as np

from skflow import FlowDensity, FlowOutlierDetector
from skflow.constraints import LinearConstraint
from tests.mixed import every_kind, every_polars_kind, small_mix
from tests.settings import ONE_TINY_LAYER, TWO_GAUSSIANS
from tests.tables import correlated, unfitted

NUMBERS = correlated(120, 3, seed=0)
PARTS = np.random.default_rng(0).integers(0, 90, size=(120, 2))
SUMS = np.column_stack((NUMBERS[:, :2], PARTS, PARTS.sum(axis=1)))
SUM = LinearConstraint("x4", ("x2", "x3"), (1.0, 1.0), step=1.0)
MIXED = every_kind(120)
MIX = small_mix(150)
POLARS = every_polars_kind(120)
TEXTS = np.random.default_rng(0).choice(["a", "bb", "ä", ""], size=(100, 2))

ROWS: dict[str, Any] = {
    "numbers": SUMS,
    "mixed": MIXED,
    "detector": MIX,
    "polars": POLARS,
    "texts": TEXTS,
}

BASES: dict[str, Callable[[], Any]] = {
    "numbers": lambda: FlowDensity(**ONE_TINY_LAYER, constraints=[SUM]).fit(SUMS),
    "mixed": lambda: FlowDensity(**ONE_TINY_LAYER).fit(MIXED),
    "detector": lambda: unfitted(FlowOutlierDetector, **ONE_TINY_LAYER).fit(MIX),
    "polars": lambda: FlowDensity(**TWO_GAUSSIANS).fit(POLARS),
    "texts": lambda: FlowDensity(**TWO_GAUSSIANS).fit(TEXTS),
}


class Thing:
    """A category that no file holds."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing) and self.number == other.number

    def __hash__(self) -> int:
        return self.number
