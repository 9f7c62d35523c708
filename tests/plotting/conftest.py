"""Tables, and estimators fitted to them in a moment, to draw pictures of."""

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl

mpl.use("agg")  # before pyplot: no windows

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest

from skflow import FlowDensity, FlowOutlierDetector
from tests.settings import ONE_GAUSSIAN, fewer_candidates, fewer_fits
from tests.tables import unfitted


def subscriptions(n_rows: int = 160) -> pd.DataFrame:
    """Categories, counts, dates, and durations with holes; the last row is far out."""
    rng = np.random.default_rng(0)
    days = pd.to_timedelta(rng.integers(0, 365, n_rows), unit="D")
    stay = pd.Series(pd.to_timedelta(rng.gamma(3, 60, n_rows).round(), unit="D"))
    table = pd.DataFrame(
        {
            "plan": rng.choice(["basic", "plus", "pro"], n_rows, p=[0.6, 0.3, 0.1]),
            "seats": 1 + rng.poisson(4, n_rows),
            "start": pd.Timestamp("2025-01-01") + days,
            "stay": stay.where(rng.uniform(size=n_rows) < 0.7),
        }
    )
    table.loc[n_rows - 1, "seats"] = 60
    return table


def numbers(n_rows: int = 160) -> np.ndarray:
    """Two correlated columns of numbers, and one apart; the last row is far out."""
    rows = np.random.default_rng(1).standard_normal((n_rows, 3))
    rows[:, 1] += rows[:, 0]
    rows[-1] = 9.0
    return rows


@pytest.fixture(scope="package", params=["numpy", "pandas", "polars"])
def table(request: pytest.FixtureRequest) -> Any:
    """A table of each container."""
    if request.param == "numpy":
        return numbers()
    frame = subscriptions()
    return frame if request.param == "pandas" else pl.from_pandas(frame)


@pytest.fixture(scope="package")
def detector(table: Any) -> FlowOutlierDetector:
    """A detector of that table. Do not fit it again."""
    detector = unfitted(FlowOutlierDetector, **ONE_GAUSSIAN)
    return detector.set_params(contamination=0.05).fit(table)


@pytest.fixture(scope="package")
def mixed() -> FlowOutlierDetector:
    """A detector of :func:`subscriptions`."""
    return (
        unfitted(FlowOutlierDetector, **ONE_GAUSSIAN)
        .set_params(contamination=0.05)
        .fit(subscriptions())
    )


@pytest.fixture(scope="package")
def flow() -> FlowDensity:
    """A trained density of :func:`numbers`."""
    return FlowDensity(**ONE_GAUSSIAN | {"n_layers": 1, "max_iter": 3}).fit(numbers())


@pytest.fixture(scope="package", autouse=True)
def quick_fits() -> Iterator[None]:
    """Few fits and no choices: pictures do not depend on their number or quality."""
    with fewer_fits(), fewer_candidates():
        yield


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    plt.close("all")
