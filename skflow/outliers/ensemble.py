"""Ensemble of measures of how normal a row is, combined into one tail probability.

No one measure is best everywhere. The density resolves relations sharply, and ranks high many
rows that nobody would call outliers; clusters are blunt, at several scales; one strange column
among many ordinary ones stands out on its own, and extremes of many columns together. Each measure
is calibrated by the same rows, so they have a common unit: a log tail probability.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from skflow.outliers.clusters import SmoothedClusters
from skflow.outliers.coordinates import Coordinates
from skflow.outliers.tails import Tail, log_harmonic_mean
from skflow.rows import row_blocks
from skflow.table.codec import TableCodec
from skflow.table.storage import StoredTable

FloatArray = NDArray[np.float64]

BANDWIDTHS = (0.1, 0.25)  # in standard deviations of a number
N_CLUSTERS = (16, 48, 16, 48)  # twice, because k-means depends on its first centres
ROWS_PER_CLUSTER = 20
COVARIANCE_ENTRIES = 600_000  # of all clusters together
MOST_ROWS = 10_000  # more move the clusters little

# Weights and powers of three tail probabilities: of the clusters, of the density of whole rows,
# and of the column of the density with the lowest one. Among numbers the density is sharp, so the
# square roots of its probabilities are taken. Categories have no distances for clusters to
# measure: where they are half of the columns, all three count in full.
WEIGHTS, WEIGHTS_OF_CATEGORIES = np.array([0.7, 0.2, 0.1]), np.array([0.4, 0.4, 0.2])
POWERS, POWERS_OF_CATEGORIES = np.array([1.0, 0.5, 0.5]), np.array([1.0, 1.0, 1.0])
MANY_CATEGORIES = 0.5
MARGINAL_WEIGHT = 0.1  # of columns by themselves, where they order rows as the clusters do


@dataclass(frozen=True)
class ClusterEnsemble:
    """Smoothed clusters of a table's rows, few and many, each at several bandwidths.

    Attributes
    ----------
    coordinates : Coordinates
        Rows as points.
    members : list of SmoothedClusters
        As many for few rows as for many, because ensembles of different fits need equally many
        measures.
    """

    coordinates: Coordinates
    members: list[SmoothedClusters]

    @classmethod
    def fit(
        cls,
        codec: TableCodec,
        table: StoredTable,
        seed: int,
        n_clusters: Sequence[int] = N_CLUSTERS,
        bandwidths: Sequence[float] = BANDWIDTHS,
    ) -> Self:
        """Fit clusters to the rows of a table, fewer than ``n_clusters`` where rows are few."""
        drawn = np.random.default_rng(seed).permutation(table.n_rows)[:MOST_ROWS]
        table = table.take(np.sort(drawn))
        coordinates = Coordinates.fit(codec, table)
        points = coordinates(table)
        n_entries = max(1, len(coordinates.means) ** 2)
        most = min(int(table.mass) // ROWS_PER_CLUSTER, COVARIANCE_ENTRIES // n_entries)
        n_levels, rest = coordinates.n_levels, (bandwidths, table.weight)
        numbers = [max(1, min(k, most)) for k in n_clusters]
        members = [
            SmoothedClusters.fit(points, n_levels, k, seed + i, *rest)
            for i, k in enumerate(numbers)
        ]
        return cls(coordinates, members)

    @property
    def category_share(self) -> float:
        """Share of the columns that are categories."""
        return float(np.mean([axes.n_numbers == 0 for axes in self.coordinates.axes]))

    def log_density(self, table: StoredTable) -> FloatArray:
        """Log-density of each row, ``(n_rows, n_measures)``, in nats, at all bandwidths."""
        blocks = []
        for block in row_blocks(table.n_rows, self.coordinates.n_axes):
            points = self.coordinates(table.take(block))
            each = [clusters.log_density(points) for clusters in self.members]
            blocks.append(np.concatenate(each, axis=1))
        return np.concatenate(blocks)


class TailCombiner:
    """Combination of all measures: one log tail probability among calibration rows.

    Parameters
    ----------
    tails : list of Tail
        Tails of the measures: those of the clusters, then those of the other terms.
    weights : ndarray of shape (n_terms,)
        Weights of the terms: the clusters together, then each measure of the density.
    powers : ndarray of shape (n_terms,)
    """

    def __init__(self, tails: list[Tail], weights: FloatArray, powers: FloatArray) -> None:
        self.tails = tails
        self.weights = weights
        self.powers = powers

    @classmethod
    def fit(
        cls, measures: FloatArray, category_share: float, weight: FloatArray | None = None
    ) -> Self:
        """Calibrate by measures of rows that nothing was fitted to, and their weights.

        Parameters
        ----------
        measures : ndarray of shape (n_calibration, n_cluster_measures + 3)
            The last is that of columns by themselves. It counts by the square of its correlation
            with the clusters: where dependence makes a row normal, extremes of columns say little.
        category_share : float
            Share of the columns that are categories.
        weight : ndarray of shape (n_calibration,), optional
        """
        tails = [Tail(measure, weight) for measure in measures.T]
        log_probs = [tail.log_prob(own) for tail, own in zip(tails, measures.T, strict=True)]
        agreement = correlation(np.mean(log_probs[:-3], axis=0), log_probs[-1], weight)
        marginal = MARGINAL_WEIGHT * max(0.0, agreement) ** 2
        weights, powers = terms(category_share, WEIGHTS)
        return cls(tails, np.append((1 - marginal) * weights, marginal), np.append(powers, 1.0))

    def log_prob(self, measures: FloatArray) -> FloatArray:
        """Log tail probabilities of fresh rows, ``(n_rows,)``.

        A detector of version 0.1 has no tail of the last measure, which is then not used.
        """
        pairs = zip(self.tails, measures.T, strict=False)
        return self._combine([tail.log_prob(measure) for tail, measure in pairs])

    def leave_one_out_log_prob(
        self, measures: FloatArray, weight: FloatArray | None = None
    ) -> FloatArray:
        """Log tail probabilities of the calibration rows, each among the others alone."""
        pairs = zip(self.tails, measures.T, strict=True)
        return self._combine([tail.leave_one_out_log_prob(own, weight) for tail, own in pairs])

    def _combine(self, log_probs: list[FloatArray]) -> FloatArray:
        """Harmonic mean of the clusters' geometric mean and the other terms."""
        n_others = len(self.weights) - 1
        clusters = np.mean(log_probs[:-n_others], axis=0)
        terms = np.column_stack([clusters, *log_probs[-n_others:]])
        return log_harmonic_mean(self.powers * terms, self.weights)


def terms(category_share: float, of_numbers: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weights and powers of clusters, density and least column; ``of_numbers`` are weights."""
    by_categories = min(1.0, category_share / MANY_CATEGORIES)
    weights = of_numbers + by_categories * (WEIGHTS_OF_CATEGORIES - of_numbers)
    return weights, POWERS + by_categories * (POWERS_OF_CATEGORIES - POWERS)


def correlation(a: FloatArray, b: FloatArray, weight: FloatArray | None) -> float:
    """Correlation of two scores of rows, 0 where one of them does not vary."""
    (aa, ab), (_, bb) = np.cov(a, b, aweights=weight)
    return float(ab / np.sqrt(aa * bb)) if aa > 0 and bb > 0 else 0.0
