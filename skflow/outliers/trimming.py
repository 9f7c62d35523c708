"""Rows to learn from when some may be outliers.

As in the minimum covariance determinant (Rousseeuw and Van Driessen, "A fast algorithm for
the minimum covariance determinant estimator", 1999), what is learnt from the more normal
rows says which these are, and again. Here each row is judged by clusters that it was not
fitted to, lest a group of outliers vouch for each other.

A label that many rows share, be it a category, a hole or a value that recurs, is no outlier
by itself: where it falls out as a whole, its rows are judged among themselves.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from skflow.outliers.ensemble import Views
from skflow.outliers.tails import Tail
from skflow.table.codec import TableCodec
from skflow.table.storage import StoredTable

FloatArray = NDArray[np.float64]
Rows = NDArray[np.intp]

CORE = 0.6  # of the rows: the more normal ones
LEARNT = 0.05  # rows of a lower tail probability are not learnt from
NORMAL = 0.002  # and those of a lower one than this are not taken for normal
COMMON = 0.05  # share of the rows from which a label is no outlier by itself
WHOLE = 0.75  # of its rows, or more
LEAST_DEPTH = 1.0  # nats that scores fall by, at least, while their probability falls to 1 / e
N_ROUNDS = 5
N_PARTS = 3
FEWEST_ROWS = 2 * N_PARTS  # two of each part
N_CLUSTERS = (1, 2, 4, 8)  # few: many would hold groups of outliers
BLURS = (0.25, 0.6, 1.0)


def log_tail_probs(codec: TableCodec, table: StoredTable, seed: int) -> FloatArray:
    r"""Log tail probability of each row among the normal ones, ``(n_rows,)``.

    Of scores s with median :math:`m`, of which the share :math:`c` below :math:`e` may be
    outliers, an exponential through these two quantiles,

    .. math:: \log P(S \le s) = \log 1/2 - (m - s) \, \frac{\log (1 / 2 c)}{m - e},

    or one that falls by a nat per nat where the quantiles lie closer, as of labels. Of too
    few rows to be told from each other all are normal, and 0 is returned.
    """
    if table.n_rows < FEWEST_ROWS:
        return np.zeros(table.n_rows)
    parts = np.array_split(np.random.default_rng(seed).permutation(table.n_rows), N_PARTS)
    core = np.ones(table.n_rows, dtype=bool)
    for _ in range(N_ROUNDS):
        scores = _judge_parts(codec, table, core, parts, seed)
        core = scores >= np.quantile(scores, 1 - CORE)
    scores = _judge_parts(codec, table, core, parts, seed)
    log_probs = _log_tail_probs_of(scores)
    is_left_out = log_probs < math.log(LEARNT)
    for rows in _common_labels(codec, table):
        if is_left_out[rows].mean() > WHOLE:
            log_probs[rows] = np.maximum(log_probs[rows], _log_tail_probs_of(scores[rows]))
    return log_probs


def _log_tail_probs_of(scores: FloatArray) -> FloatArray:
    edge, median = np.quantile(scores, [1 - CORE, 0.5])
    depth = (median - edge) / math.log(0.5 / (1 - CORE))
    return math.log(0.5) - (median - scores) / max(depth, LEAST_DEPTH)


def _common_labels(codec: TableCodec, table: StoredTable) -> Iterator[Rows]:
    """Yield the rows of each label that is common."""
    for labels in codec.encode(table).labels.T:
        for label in np.flatnonzero(np.bincount(labels) >= COMMON * len(labels)):
            yield np.flatnonzero(labels == label)


def _judge_parts(
    codec: TableCodec,
    table: StoredTable,
    core: NDArray[np.bool_],
    parts: Sequence[Rows],
    seed: int,
) -> FloatArray:
    """Judge each part by the core of the others."""
    scores = np.empty(table.n_rows)
    for part in parts:
        others = np.setdiff1d(np.flatnonzero(core), part)
        measures = Views.fit(codec, table.take(others), seed, N_CLUSTERS, BLURS)(table.take(part))
        normal = core[part] if core[part].sum() > 1 else slice(None)
        log_probs = [Tail(view[normal]).log_prob(view) for view in measures.T]
        scores[part] = np.mean(log_probs, axis=0)
    return scores
