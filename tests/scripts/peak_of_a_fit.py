"""Prints by how many bytes a fit to many rows raises the peak over that of a fit to few.

python -m tests.scripts.peak_of_a_fit plain|float32|rounded ROWS COLUMNS
"""

import sys

import numpy as np
import torch

from skflow import FlowDensity
from tests.scripts.memory import peak_memory

CHANGES = {
    "plain": lambda X: X,
    "float32": lambda X: X.astype(np.float32),
    "rounded": lambda X: X.round(2, out=X),
}

if __name__ == "__main__":
    change, n_rows, n_columns = CHANGES[sys.argv[1]], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    flow = FlowDensity(
        n_layers=2,
        hidden_units=8,
        n_components=2,
        max_iter=1,
        batch_size=4096,
        random_state=0,
    )
    flow.fit(np.random.default_rng(0).standard_normal((500, n_columns)))
    rows = change(np.random.default_rng(0).standard_normal((n_rows, n_columns)))
    before = peak_memory()
    flow.fit(rows)
    print(peak_memory() - before)
