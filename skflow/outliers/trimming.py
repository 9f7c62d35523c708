"""Trimming: which training rows to fit to where some may be outliers.

As in the minimum covariance determinant (Rousseeuw and Van Driessen, "A fast algorithm for
the minimum covariance determinant estimator", 1999), a fit to the more normal rows decides which
rows these are, several times. Here each row is scored by clusters that were not fitted to it, so
that a group of outliers does not make each other probable.

A label that many rows share (a category, a missing value, an atom) is no outlier by itself: where
its rows would be left out as a whole, they are compared to each other.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from skflow.outliers.ensemble import ClusterEnsemble
from skflow.outliers.tails import Tail, quantile
from skflow.table.codec import TableCodec
from skflow.table.storage import StoredTable

FloatArray = NDArray[np.float64]
Rows = NDArray[np.intp]

CORE = 0.6  # of the rows: the more normal ones
FITTED = 0.05  # tail probability from which a row is fitted to
NORMAL = 0.002  # and from which it may calibrate
COMMON = 0.05  # share of the rows from which a label is no outlier by itself
WHOLE = 0.75  # of its rows, or more
LEAST_DEPTH = 1.0  # nats that scores fall by, at least, while their probability falls to 1 / e
N_ROUNDS = 5
N_PARTS = 3
FEWEST_ROWS = 2 * N_PARTS  # two of each part
N_CLUSTERS = (1, 2, 4, 8)  # few: many would hold groups of outliers
BANDWIDTHS = (0.25, 0.6, 1.0)


def log_tail_probs(codec: TableCodec, table: StoredTable, seed: int) -> FloatArray:
    r"""Log tail probability of each row among the normal ones, ``(n_rows,)``.

    Scores s have the median :math:`m`, and the share :math:`c` of them below :math:`e` may be
    outliers. An exponential goes through these two quantiles,

    .. math:: \log P(S \le s) = \log 1/2 - (m - s) \, \frac{\log (1 / 2 c)}{m - e},

    or falls by a nat per nat where the quantiles lie closer, as with labels. With too few rows
    to compare, all are normal, and 0 is returned.
    """
    if table.n_rows < FEWEST_ROWS:
        return np.zeros(table.n_rows)
    parts = np.array_split(np.random.default_rng(seed).permutation(table.n_rows), N_PARTS)
    core, weight = np.ones(table.n_rows, dtype=bool), table.weight
    for _ in range(N_ROUNDS):
        scores = _cross_scores(codec, table, core, parts, seed)
        core = scores >= quantile(scores, 1 - CORE, weight)
    scores = _cross_scores(codec, table, core, parts, seed)
    log_probs = _from_quantiles(scores, weight)
    is_left_out = log_probs < math.log(FITTED)
    for rows in _common_labels(codec, table):
        own = None if weight is None else weight[rows]
        if np.average(is_left_out[rows], weights=own) > WHOLE:
            log_probs[rows] = np.maximum(log_probs[rows], _from_quantiles(scores[rows], own))
    return log_probs


def _from_quantiles(scores: FloatArray, weight: FloatArray | None) -> FloatArray:
    edge, median = (quantile(scores, share, weight) for share in (1 - CORE, 0.5))
    depth = (median - edge) / math.log(0.5 / (1 - CORE))
    return math.log(0.5) - (median - scores) / max(depth, LEAST_DEPTH)


def _common_labels(codec: TableCodec, table: StoredTable) -> Iterator[Rows]:
    """Rows of each common label."""
    for labels in codec.encode(table).labels.T:
        for label in np.flatnonzero(np.bincount(labels, table.weight) >= COMMON * table.mass):
            yield np.flatnonzero(labels == label)


def _cross_scores(
    codec: TableCodec,
    table: StoredTable,
    core: NDArray[np.bool_],
    parts: Sequence[Rows],
    seed: int,
) -> FloatArray:
    """Score each part by clusters of the core of the others."""
    scores = np.empty(table.n_rows)
    for part in parts:
        others = np.setdiff1d(np.flatnonzero(core), part)
        clusters = ClusterEnsemble.fit(codec, table.take(others), seed, N_CLUSTERS, BANDWIDTHS)
        measures = clusters.log_density(table.take(part))
        normal = core[part] if core[part].sum() > 1 else slice(None)
        own = None if table.weight is None else table.weight[part][normal]
        log_probs = [Tail(measure[normal], own).log_prob(measure) for measure in measures.T]
        scores[part] = np.mean(log_probs, axis=0)
    return scores
