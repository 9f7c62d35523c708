"""How unlikely each cell of a row is, given the row's others."""

import sys

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from skflow.flow.model import Model
from skflow.outliers.conditionals import Conditional
from skflow.outliers.value_densities import Joint
from skflow.table.codec import TableCodec
from skflow.table.storage import StoredTable

FloatArray = NDArray[np.float64]

BLOCK_ENTRIES = 20_000  # of rows that are explained at once: each is replaced a hundred times
BLOCK_FACTORS = 60_000  # likewise, factors of the density


def tail_log_probs(
    codec: TableCodec, model: Model, joint: Joint, table: StoredTable, verbose: int = 0
) -> FloatArray:
    """Log-probability that a draw of each cell, given its row's others, is no likelier.

    Returns
    -------
    log_probs : ndarray of shape (n_rows, n_columns)
        At most 0; lower is stranger.
    """
    n_columns = len(codec.columns)
    size = max(1, min(BLOCK_ENTRIES // n_columns, BLOCK_FACTORS // max(1, joint.n_factors)))
    log_probs = np.empty((table.n_rows, n_columns))
    with tqdm(
        total=log_probs.size,
        desc="score_features",
        unit="cell",
        disable=not verbose,
        file=sys.stderr,
    ) as bar:
        for start in range(0, table.n_rows, size):
            rows = codec.encode(table.take(slice(start, start + size)))
            for j in range(n_columns):
                given = Conditional(codec, model, joint, rows, j)
                log_probs[start : start + size, j] = given.tail_log_prob()
                bar.update(len(rows.labels))
    return log_probs
