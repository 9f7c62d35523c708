"""A table of trips in files, and models of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from skflow.command_line.main import main
from skflow.initialization import search
from tests.settings import fewer_candidates, fewer_fits

# Numbers are read to the last digit: by default from pandas 3.1 on, before by an option.
_VERSION = tuple(int(part) for part in pd.__version__.split(".")[:2])
EXACT: dict[str, Any] = {} if _VERSION >= (3, 1) else {"float_precision": "round_trip"}
ONE_EPOCH = ["--max-iter", "1", "--max-time", "100", "--random-state", "0", "--quiet"]


def make_trips(n_rows: int, seed: int) -> pd.DataFrame:
    """Rows of every kind that a CSV file can hold; zones are texts that look like numbers."""
    rng = np.random.default_rng(seed)
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 365, n_rows), unit="D")
    trips = pd.DataFrame(
        {
            "zone": rng.choice(["1", "2", "3x"], n_rows, p=[0.5, 0.4, 0.1]),
            "fare": rng.gamma(2, 10, n_rows).round(2),
            "day": day,
            "cash": rng.random(n_rows) < 0.3,
            "riders": rng.integers(1, 5, n_rows),
            "km": rng.normal(size=n_rows),
        }
    )
    trips.loc[rng.random(n_rows) < 0.1, "fare"] = np.nan
    return trips


@pytest.fixture(scope="package", autouse=True)
def one_component() -> Iterator[None]:
    """Fits by default, which no option of a command makes quick, but of one component and few."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(search, "COMPONENTS", (1,))
        with fewer_fits(), fewer_candidates():
            yield


@pytest.fixture(scope="package")
def files(tmp_path_factory: pytest.TempPathFactory, one_component: None) -> Path:
    """A folder of tables and models, which no test changes."""
    folder = tmp_path_factory.mktemp("trips")
    train, new = make_trips(100, 0), make_trips(60, 1)
    new.loc[7, "fare"] = 9_000.0
    train.to_csv(folder / "train.csv", index=False)
    new.to_csv(folder / "new.csv", index=False)
    train.to_parquet(folder / "train.parquet")
    new.to_parquet(folder / "new.parquet")
    for name, more in (("flow", []), ("detector", ["--outliers"])):
        arguments = ["fit", str(folder / "train.csv"), "-o", str(folder / name), *more, *ONE_EPOCH]
        assert main(arguments) == 0
    return folder
