"""Tables of many rows, and of many columns."""

import subprocess
import sys

import numpy as np
import pytest

from skflow import FlowDensity

N_ROWS, N_COLUMNS = 500_000, 10
TABLES_HELD = 3  # float32 tables that a fit may hold besides the one it is given
CONSTANT = 100  # MB of one batch, one block and the sample of the closed form

PEAK_OF_A_FIT = """
import resource
import numpy as np
import torch
from skflow import FlowDensity

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3

torch.set_num_threads(1)
flow = FlowDensity(n_layers=2, hidden_units=8, n_components=2, max_iter=1, batch_size=4096,
                   random_state=0)
flow.fit(np.random.default_rng(0).standard_normal((500, {n_columns})))
X = np.random.default_rng(0).standard_normal(({n_rows}, {n_columns}))
{change}
before = peak()
flow.fit(X)
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("change", ["", "X = X.astype(np.float32)", "X.round(2, out=X)"])
def test_memory_of_a_fit(change: str) -> None:
    """Numbers, and numbers on a grid, whose cells' centres are kept as well."""
    script = PEAK_OF_A_FIT.format(change=change, n_rows=N_ROWS, n_columns=N_COLUMNS)
    child = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    table = 4 * N_ROWS * N_COLUMNS / 1e6
    assert float(child.stdout) < TABLES_HELD * table + CONSTANT


@pytest.mark.slow
def test_a_thousand_columns() -> None:
    X = np.random.default_rng(0).standard_normal((2000, 1000))
    flow = FlowDensity(n_components=1, n_layers=2, max_iter=2, random_state=0).fit(X)
    assert np.isfinite(flow.score(X[:50]))
