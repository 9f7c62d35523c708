"""Fitted detector: scorers of rows, and their conformal calibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from skflow.fitted.table_density import TableDensity
from skflow.outliers.conditionals import tail_log_probs
from skflow.outliers.ensemble import ClusterEnsemble, TailCombiner
from skflow.outliers.joint_density import JointDensity
from skflow.outliers.tails import Tail
from skflow.rows import row_blocks
from skflow.table.codec import TableCodec
from skflow.table.storage import StoredTable
from skflow.torch_state import usual_torch

FloatArray = NDArray[np.float64]
Device = str | torch.device

MANY_ROWS = 2_000  # from here on calibration rows are held out, below all are cross-fitted
HELD_OUT = 0.25  # share of many rows
MOST_HELD_OUT = 5_000  # more barely sharpen a p-value
SOME_ROWS = 500  # from here on fits take their time, and fewer of them suffice
N_PARTS = 5
N_PARTS_OF_SOME = 3


@dataclass(frozen=True)
class FittedScorers:
    """Measures of how normal rows are, all of them fitted to the same rows of a table.

    Attributes
    ----------
    density : TableDensity
    clusters : ClusterEnsemble
    unfitted : ndarray of bool, shape (n_entries,)
        Entries of the vocabulary without a fitted row: labels of all columns, one column after
        the other and "never seen" the last of each, that the codec knows from other rows.
    """

    density: TableDensity
    clusters: ClusterEnsemble
    unfitted: NDArray[np.bool_]

    @classmethod
    def fit(cls, density: TableDensity, table: StoredTable, seed: int) -> Self:
        """Fit clusters to the rows of a table that the density was fitted to."""
        clusters = ClusterEnsemble.fit(density.codec, table, seed)
        return cls(density, clusters, ~_fitted_labels(density.codec, table))

    def measure(self, table: StoredTable, device: Device, *, warns: bool = False) -> FloatArray:
        """All measures of each row, ``(n_rows, n_measures)``; higher is more normal.

        A label without a fitted row counts as one never seen, in calibration rows as in fresh
        ones: otherwise these could not be compared.
        """
        of_density = self.density.standardized_scores(table, device, self.unfitted, warns=warns)
        n_axes = self.clusters.coordinates.n_axes
        blocks = [
            self.clusters.log_density(table.take(rows)) for rows in row_blocks(table.n_rows, n_axes)
        ]
        return np.column_stack((np.concatenate(blocks), of_density))


def _fitted_labels(codec: TableCodec, table: StoredTable) -> NDArray[np.bool_]:
    """Mask of the labels that rows of the table have; of columns with values, all labels.

    Those of columns with values are few, and "never seen" is next to impossible there.
    """
    n_labels = np.array(codec.layout.n_labels, dtype=np.int64)
    first = np.cumsum(n_labels + 1) - (n_labels + 1)
    valued = [index.value is not None for index in codec.indices if index.label is not None]
    is_fitted = np.repeat(valued, n_labels + 1).astype(bool)
    is_fitted[first + n_labels] = True
    for block in row_blocks(table.n_rows, len(codec.columns)):
        is_fitted[(codec.encode(table.take(block)).labels + first).ravel()] = True
    return is_fitted


@dataclass(frozen=True)
class Detector:
    """Scorers and their calibration: conformal p-values of rows.

    Attributes
    ----------
    scorers : FittedScorers
    combiner : TailCombiner
        One score of all measures.
    calibration : Tail
        Scores of the calibration rows and their weights; nothing was fitted to these rows.
    """

    scorers: FittedScorers
    combiner: TailCombiner
    calibration: Tail

    @classmethod
    def calibrate(
        cls, scorers: FittedScorers, measures: FloatArray, weight: FloatArray | None
    ) -> Self:
        """Calibrate by the measures and weights of rows that nothing was fitted to."""
        combiner = TailCombiner.fit(measures, scorers.clusters.category_share, weight)
        scores = combiner.leave_one_out_log_prob(measures, weight)
        return cls(scorers, combiner, Tail(scores, weight))

    @property
    def density(self) -> TableDensity:
        """Density of the rows."""
        return self.scorers.density

    def score(self, table: StoredTable, device: Device, *, warns: bool = False) -> FloatArray:
        """Log tail probability of each row, ``(n_rows,)``, by all measures together.

        With ``warns``, a column whose cells all have labels that were never fitted raises a
        warning.
        """
        return self.combiner.log_prob(self.scorers.measure(table, device, warns=warns))

    def p_values(self, scores: FloatArray) -> FloatArray:
        """Conformal p-values of scores: the share of calibration rows that score no higher.

        The row itself counts as one of them; see :meth:`FlowOutlierDetector.p_values`.
        """
        return self.calibration.probability(scores)

    @usual_torch()
    def score_features(self, table: StoredTable, device: Device, verbose: int = 0) -> FloatArray:
        """Conditional log tail probability of each cell, ``(n_rows, n_columns)``."""
        codec = self.density.codec
        joint = JointDensity(self.density.model, device, table.n_rows * len(codec.columns))
        return tail_log_probs(codec, joint, table, verbose)


def plan_calibration(table: StoredTable, generator: np.random.Generator) -> Sequence[NDArray]:
    """Calibration rows: one part of many rows, or all of few rows, in several parts.

    The one part is held out of the only fit, as in split conformal prediction. Few rows are
    cross-fitted: each part is scored by a fit to the others. Where rows have weights, their
    effective number counts.
    """
    n_rows = table.n_rows
    order = generator.permutation(n_rows)
    if table.mass >= MANY_ROWS:
        return [np.sort(order[: min(MOST_HELD_OUT, round(HELD_OUT * n_rows))])]
    n_parts = min(N_PARTS if table.mass < SOME_ROWS else N_PARTS_OF_SOME, n_rows)
    return [np.sort(part) for part in np.array_split(order, n_parts)]
