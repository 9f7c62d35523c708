"""Several views of how normal a row is, and what they say together.

No one view wins everywhere. The density sees relations sharply, and with them much that
nobody would call strange; clusters see them bluntly, at several scales; and among many
ordinary columns a single strange one is seen best on its own. Each view is measured by the
same normal rows, so they can be told in one unit: a log tail probability.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from skflow.outliers.clusters import SmoothedClusters
from skflow.outliers.coordinates import Coordinates
from skflow.outliers.tails import Tail, log_harmonic_mean
from skflow.table.codec import TableCodec
from skflow.table.storage import StoredTable

FloatArray = NDArray[np.float64]

BLURS = (0.1, 0.25, 0.6)
N_CLUSTERS = (16, 48, 128)
ROWS_PER_CLUSTER = 20
COVARIANCE_ENTRIES = 600_000  # of all clusters together
MOST_ROWS = 10_000  # more move the clusters little

# Of the clusters, of the density of whole rows, and of the strangest of its columns. Among
# numbers the density is sharp, so of its probabilities the square roots are taken. Categories
# have no distances for clusters to see: where they are half of the columns all views count.
WEIGHTS, WEIGHTS_OF_CATEGORIES = np.array([0.8, 0.13, 0.07]), np.array([0.4, 0.4, 0.2])
POWERS, POWERS_OF_CATEGORIES = np.array([1.0, 0.5, 0.5]), np.array([1.0, 1.0, 1.0])
MANY_CATEGORIES = 0.5


@dataclass(frozen=True)
class Views:
    """Clusters of a table's rows, few and many, at several scales.

    Attributes
    ----------
    coordinates : Coordinates
        Rows as points.
    n_clusters : list of int
        Of each view; of few rows several are the same, as what others say of them must
        match.
    clusters : dict of int to BlurredClusters
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
        blurs: Sequence[float] = BLURS,
    ) -> Self:
        """Cut the rows of a table into so many clusters, as far as there are rows.

        ``blurs`` are in standard deviations of a number.
        """
        drawn = np.random.default_rng(seed).permutation(table.n_rows)[:MOST_ROWS]
        table = table.take(np.sort(drawn))
        coordinates = Coordinates.fit(codec, table)
        points = coordinates(table)
        n_entries = max(1, len(coordinates.means) ** 2)
        most = min(len(points) // ROWS_PER_CLUSTER, COVARIANCE_ENTRIES // n_entries)
        numbers = [max(1, min(k, most)) for k in n_clusters]
        n_levels = coordinates.n_levels
        clusters = {k: SmoothedClusters.fit(points, n_levels, k, seed, blurs) for k in numbers}
        return cls(coordinates, numbers, clusters)

    @property
    def category_share(self) -> float:
        """Share of the columns that are categories."""
        return float(np.mean([axes.n_numbers == 0 for axes in self.coordinates.axes]))

    def __call__(self, table: StoredTable) -> FloatArray:
        """Return how normal each row is in each view, ``(n_rows, n_views)``, in nats."""
        points = self.coordinates(table)
        views = {k: clusters.log_density(points) for k, clusters in self.clusters.items()}
        return np.concatenate([views[k] for k in self.n_clusters], axis=1)


class TailCombiner:
    """What all measures say together: one log tail probability among normal rows.

    Parameters
    ----------
    measures : ndarray of shape (n_normal, n_views + 2)
        Of normal rows that nothing was fitted to: the views of the clusters, then the two
        of the density.
    category_share : float
        Of the columns.
    """

    def __init__(self, measures: FloatArray, category_share: float) -> None:
        self.tails = [Tail(measure) for measure in measures.T]
        by_categories = min(1.0, category_share / MANY_CATEGORIES)
        self.weights = WEIGHTS + by_categories * (WEIGHTS_OF_CATEGORIES - WEIGHTS)
        self.powers = POWERS + by_categories * (POWERS_OF_CATEGORIES - POWERS)

    def log_prob(self, measures: FloatArray) -> FloatArray:
        """Return log tail probabilities of fresh rows, ``(n_rows,)``."""
        pairs = zip(self.tails, measures.T, strict=True)
        return self._combine([tail.log_prob(measure) for tail, measure in pairs])

    def leave_one_out_log_prob(self, measures: FloatArray) -> FloatArray:
        """Return those of the normal rows themselves, each judged by the others alone."""
        pairs = zip(self.tails, measures.T, strict=True)
        return self._combine([tail.leave_one_out_log_prob(measure) for tail, measure in pairs])

    def _combine(self, log_probs: list[FloatArray]) -> FloatArray:
        """Clusters speak with one voice, their geometric mean; the loudest voice decides."""
        clusters = np.mean(log_probs[:-2], axis=0)
        voices = np.column_stack([clusters, *log_probs[-2:]])
        return log_harmonic_mean(self.powers * voices, self.weights)
