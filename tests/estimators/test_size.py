"""Tables of many rows, and of many columns."""

import subprocess

import numpy as np
import pytest

from skflow import FlowDensity
from tests.settings import ROOT, script

N_ROWS, N_COLUMNS = 500_000, 10
TABLES_HELD = 3  # float32 tables that a fit may hold besides the one it is given
BATCH = 10**8  # bytes of one batch, one block and the sample of the initialization


@pytest.mark.slow
@pytest.mark.parametrize("change", ["plain", "float32", "rounded"])
def test_memory_of_a_fit(change: str) -> None:
    """Numbers, and numbers on a grid, whose cells' centres are kept as well."""
    command = script("peak_of_a_fit", change, N_ROWS, N_COLUMNS)
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    table = 4 * N_ROWS * N_COLUMNS
    assert int(done.stdout) < TABLES_HELD * table + BATCH


@pytest.mark.slow
def test_a_thousand_columns() -> None:
    X = np.random.default_rng(0).standard_normal((2000, 1000))
    flow = FlowDensity(n_components=1, n_layers=2, max_iter=2, random_state=0).fit(X)
    assert np.isfinite(flow.score(X[:50]))
