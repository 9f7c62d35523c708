"""Ensemble of measures of how normal a row is, combined into one tail probability.

No one measure is best everywhere. The density resolves relations sharply, and ranks high many
rows that nobody would call outliers; clusters are blunt, at several scales; and one strange column
among many ordinary ones stands out on its own. Each measure is calibrated by the same rows, so
they have a common unit: a log tail probability.
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

BANDWIDTHS = (0.1, 0.25, 0.6)  # in standard deviations of a number
N_CLUSTERS = (16, 48, 128)
ROWS_PER_CLUSTER = 20
COVARIANCE_ENTRIES = 600_000  # of all clusters together
MOST_ROWS = 10_000  # more move the clusters little

# Weights and powers of three tail probabilities: of the clusters, of the density of whole rows,
# and of the column of the density with the lowest one. Among numbers the density is sharp, so the
# square roots of its probabilities are taken. Categories have no distances for clusters to
# measure: where they are half of the columns, all three count in full.
WEIGHTS, WEIGHTS_OF_CATEGORIES = np.array([0.8, 0.13, 0.07]), np.array([0.4, 0.4, 0.2])
POWERS, POWERS_OF_CATEGORIES = np.array([1.0, 0.5, 0.5]), np.array([1.0, 1.0, 1.0])
MANY_CATEGORIES = 0.5


@dataclass(frozen=True)
class ClusterEnsemble:
    """Smoothed clusters of a table's rows, few and many, each at several bandwidths.

    Attributes
    ----------
    coordinates : Coordinates
        Rows as points.
    n_clusters : list of int
        Clusters of each member. With few rows several members are equal, because ensembles of
        different fits need equally many measures.
    clusters : dict of int to SmoothedClusters
    """

    coordinates: Coordinates
    n_clusters: list[int]
    clusters: dict[int, SmoothedClusters]

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
        numbers = [max(1, min(k, most)) for k in n_clusters]
        n_levels = coordinates.n_levels
        rest = (seed, bandwidths, table.weight)
        clusters = {k: SmoothedClusters.fit(points, n_levels, k, *rest) for k in numbers}
        return cls(coordinates, numbers, clusters)

    @property
    def category_share(self) -> float:
        """Share of the columns that are categories."""
        return float(np.mean([axes.n_numbers == 0 for axes in self.coordinates.axes]))

    def log_density(self, table: StoredTable) -> FloatArray:
        """Log-density of each row under each member, ``(n_rows, n_measures)``, in nats."""
        blocks = []
        for block in row_blocks(table.n_rows, self.coordinates.n_axes):
            points = self.coordinates(table.take(block))
            each = {k: clusters.log_density(points) for k, clusters in self.clusters.items()}
            blocks.append(np.concatenate([each[k] for k in self.n_clusters], axis=1))
        return np.concatenate(blocks)


class TailCombiner:
    """Combination of all measures: one log tail probability among calibration rows.

    Parameters
    ----------
    tails : list of Tail
        Tails of the measures: those of the clusters, then the two of the density.
    category_share : float
        Share of the columns that are categories.
    """

    def __init__(self, tails: list[Tail], category_share: float) -> None:
        self.tails = tails
        by_categories = min(1.0, category_share / MANY_CATEGORIES)
        self.weights = WEIGHTS + by_categories * (WEIGHTS_OF_CATEGORIES - WEIGHTS)
        self.powers = POWERS + by_categories * (POWERS_OF_CATEGORIES - POWERS)

    @classmethod
    def fit(
        cls, measures: FloatArray, category_share: float, weight: FloatArray | None = None
    ) -> Self:
        """Calibrate by measures of rows that nothing was fitted to, and their weights.

        Parameters
        ----------
        measures : ndarray of shape (n_calibration, n_cluster_measures + 2)
        category_share : float
        weight : ndarray of shape (n_calibration,), optional
        """
        return cls([Tail(measure, weight) for measure in measures.T], category_share)

    def log_prob(self, measures: FloatArray) -> FloatArray:
        """Log tail probabilities of fresh rows, ``(n_rows,)``."""
        pairs = zip(self.tails, measures.T, strict=True)
        return self._combine([tail.log_prob(measure) for tail, measure in pairs])

    def leave_one_out_log_prob(
        self, measures: FloatArray, weight: FloatArray | None = None
    ) -> FloatArray:
        """Log tail probabilities of the calibration rows, each among the others alone."""
        pairs = zip(self.tails, measures.T, strict=True)
        return self._combine([tail.leave_one_out_log_prob(own, weight) for tail, own in pairs])

    def _combine(self, log_probs: list[FloatArray]) -> FloatArray:
        """Harmonic mean of the clusters' geometric mean and the two of the density."""
        clusters = np.mean(log_probs[:-2], axis=0)
        three = np.column_stack([clusters, *log_probs[-2:]])
        return log_harmonic_mean(self.powers * three, self.weights)
