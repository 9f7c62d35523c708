"""How unlikely each cell of a row is, given the row's others."""

import numpy as np
from numpy.typing import NDArray

from skflow.explain.conditionals import Conditional
from skflow.explain.values import Joint
from skflow.flow.model import Model
from skflow.table.codec import TableCodec
from skflow.table.storage import StoredTable

FloatArray = NDArray[np.float64]

BLOCK_CELLS = 20_000  # of rows that are explained at once: each is replaced a hundred times
BLOCK_FACTORS = 60_000  # likewise, factors of the density


def tail_log_probs(codec: TableCodec, model: Model, joint: Joint, table: StoredTable) -> FloatArray:
    """Log-probability that a draw of each cell, given its row's others, is no likelier.

    Returns
    -------
    log_probs : ndarray of shape (n_rows, n_columns)
        At most 0; lower is stranger.
    """
    n_columns = len(codec.columns)
    size = max(1, min(BLOCK_CELLS // n_columns, BLOCK_FACTORS // max(1, joint.n_factors)))
    blocks = []
    for start in range(0, table.n_rows, size):
        rows = codec.encode(table.take(slice(start, start + size)))
        given = (Conditional(codec, model, joint, rows, j) for j in range(n_columns))
        blocks.append(np.column_stack([column.tail_log_prob() for column in given]))
    return np.concatenate(blocks)
