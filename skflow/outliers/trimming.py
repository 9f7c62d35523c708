"""Trimming: which training rows to fit to where some may be outliers.

As in the minimum covariance determinant (Rousseeuw and Van Driessen, "A fast algorithm for
the minimum covariance determinant estimator", 1999), a fit to the more normal rows decides which
rows these are, several times. Here each row is scored by clusters that were not fitted to it, so
that a group of outliers does not make each other probable.

A label that many rows share (a category, a missing value, an atom) is no outlier by itself: where
its rows would be left out as a whole, they are compared to each other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

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
    core, parts = find_core(codec, table, seed)
    scores = _cross_scores(codec, table, core, parts, seed)
    labels = codec.encode(table).labels
    return TrimmedTails.fit(scores, labels, table.weight).log_probs(scores, labels)


def find_core(codec: TableCodec, table: StoredTable, seed: int) -> tuple[NDArray, list[Rows]]:
    """Return the mask of the more normal rows, and the parts that were compared to each other."""
    parts = np.array_split(np.random.default_rng(seed).permutation(table.n_rows), N_PARTS)
    core = np.ones(table.n_rows, dtype=bool)
    for _ in range(N_ROUNDS):
        scores = _cross_scores(codec, table, core, parts, seed)
        core = scores >= quantile(scores, 1 - CORE, table.weight)
    return core, parts


@dataclass(frozen=True)
class Trimmer:
    """Which rows are normal, by a sample of them.

    The clusters hold at most 10,000 rows of the sample's core; so few of many rows score
    themselves that there is no need to hold them out.

    Attributes
    ----------
    codec : TableCodec
    clusters : ClusterEnsemble
    measured : list of Tail
        Tail of each measure of the clusters, among the core of the sample.
    tails : TrimmedTails
    """

    codec: TableCodec
    clusters: ClusterEnsemble
    measured: list[Tail]
    tails: "TrimmedTails"

    @classmethod
    def fit(cls, codec: TableCodec, sample: StoredTable, seed: int) -> Self:
        """Fit to a sample of rows, of which some may be outliers."""
        core, _ = find_core(codec, sample, seed)
        normal = sample.take(core)
        clusters = ClusterEnsemble.fit(codec, normal, seed, N_CLUSTERS, BANDWIDTHS)
        measures = clusters.log_density(sample)
        measured = [Tail(measure[core], normal.weight) for measure in measures.T]
        scores, labels = _mean_log_prob(measured, measures), codec.encode(sample).labels
        tails = TrimmedTails.fit(scores, labels, sample.weight)
        return cls(codec, clusters, measured, tails)

    def log_tail_probs(self, table: StoredTable) -> FloatArray:
        """Log tail probability of each row among the normal ones, ``(n_rows,)``."""
        scores = _mean_log_prob(self.measured, self.clusters.log_density(table))
        return self.tails.log_probs(scores, self.codec.encode(table).labels)

    def is_fitted(self, table: StoredTable) -> NDArray[np.bool_]:
        """Mask of the rows that a robust fit does not leave out."""
        is_probable: NDArray[np.bool_] = self.log_tail_probs(table) >= math.log(FITTED)
        return is_probable


class ExponentialTail(NamedTuple):
    """Exponential through two quantiles of scores; see :func:`log_tail_probs`."""

    edge: float
    median: float

    @classmethod
    def fit(cls, scores: FloatArray, weight: FloatArray | None) -> Self:
        """Find the quantiles of scores."""
        return cls(*(quantile(scores, share, weight) for share in (1 - CORE, 0.5)))

    def log_prob(self, scores: FloatArray) -> FloatArray:
        """Log tail probability of scores."""
        depth = (self.median - self.edge) / math.log(0.5 / (1 - CORE))
        return math.log(0.5) - (self.median - scores) / max(depth, LEAST_DEPTH)


@dataclass(frozen=True)
class TrimmedTails:
    """Tail of all scores, and those of common labels whose rows lie below it as a whole.

    Attributes
    ----------
    overall : ExponentialTail
    of_labels : list of (int, int, ExponentialTail)
        Labelled column and label of each.
    """

    overall: ExponentialTail
    of_labels: list[tuple[int, int, ExponentialTail]]

    @classmethod
    def fit(
        cls, scores: FloatArray, labels: NDArray[np.int64], weight: FloatArray | None = None
    ) -> Self:
        """Fit to scores, labels ``(n_rows, n_labelled)`` and weights of rows."""
        overall = ExponentialTail.fit(scores, weight)
        is_left_out = overall.log_prob(scores) < math.log(FITTED)
        mass = len(scores) if weight is None else weight.sum()
        of_labels = []
        for j, own_labels in enumerate(labels.T):
            for label in np.flatnonzero(np.bincount(own_labels, weight) >= COMMON * mass):
                rows = np.flatnonzero(own_labels == label)
                own = None if weight is None else weight[rows]
                if np.average(is_left_out[rows], weights=own) > WHOLE:
                    of_labels.append((j, int(label), ExponentialTail.fit(scores[rows], own)))
        return cls(overall, of_labels)

    def log_probs(self, scores: FloatArray, labels: NDArray[np.int64]) -> FloatArray:
        """Log tail probability of rows, by all tails that are theirs the largest."""
        log_probs = self.overall.log_prob(scores)
        for j, label, tail in self.of_labels:
            rows = np.flatnonzero(labels[:, j] == label)
            log_probs[rows] = np.maximum(log_probs[rows], tail.log_prob(scores[rows]))
        return log_probs


def _mean_log_prob(tails: Sequence[Tail], measures: FloatArray) -> FloatArray:
    log_probs = [tail.log_prob(own) for tail, own in zip(tails, measures.T, strict=True)]
    mean: FloatArray = np.mean(log_probs, axis=0)
    return mean


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
        tails = [Tail(measure[normal], own) for measure in measures.T]
        scores[part] = _mean_log_prob(tails, measures)
    return scores
