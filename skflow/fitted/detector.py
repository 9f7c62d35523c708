"""A fitted detector: a density and clusters, judged by normal rows that they do not know."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from skflow.fitted.table_density import TableDensity
from skflow.flow.torch_state import usual_torch
from skflow.outliers.conditionals import Conditional
from skflow.outliers.ensemble import TailCombiner, Views
from skflow.outliers.reasons import tail_log_probs
from skflow.outliers.repair import Repairer
from skflow.outliers.tails import Tail
from skflow.rows import EncodedRows, row_blocks
from skflow.table.codec import TableCodec
from skflow.table.storage import StoredTable

FloatArray = NDArray[np.float64]
Device = str | torch.device

MANY_ROWS = 2_000  # from here on rows to calibrate by are held out, below all are cross-fitted
HELD_OUT = 0.25  # of many rows
MOST_HELD_OUT = 5_000  # more barely sharpen a p-value
SOME_ROWS = 500  # from here on fits take their time, and fewer of them suffice
N_PARTS = 5
N_PARTS_OF_SOME = 3
ORDINARY = 0.1  # p-value from which a row is unremarkable
N_DRAWN = 1_000  # rows, the ordinary ones of which stand in for what cannot be repaired


@dataclass(frozen=True)
class FittedScorers:
    """What was fitted to some rows of a table and says how normal others are.

    Attributes
    ----------
    density : TableDensity
    views : Views
    unfitted : ndarray of bool, shape (n_entries,)
        Of the labels of all columns, one column after the other and "never seen" the last of
        each: those that the columns are known to have, but no fitted row has.
    """

    density: TableDensity
    views: Views
    unfitted: NDArray[np.bool_]

    @classmethod
    def fit(cls, density: TableDensity, table: StoredTable, seed: int) -> Self:
        """Take a density, and fit the views to the same rows of a table."""
        views = Views.fit(density.codec, table, seed)
        return cls(density, views, ~_fitted_labels(density.codec, table))

    def measure(self, table: StoredTable, device: Device, *, warns: bool = False) -> FloatArray:
        """Return all measures of each row, ``(n_rows, n_measures)``; higher is more normal.

        A label that no fitted row has counts as one never seen, in rows that calibrate as in
        fresh ones: otherwise these could not be compared.
        """
        of_density = self.density.standardized_scores(table, device, self.unfitted, warns=warns)
        n_axes = self.views.coordinates.n_axes
        blocks = [self.views(table.take(rows)) for rows in row_blocks(table.n_rows, n_axes)]
        return np.column_stack((np.concatenate(blocks), of_density))


def _fitted_labels(codec: TableCodec, table: StoredTable) -> NDArray[np.bool_]:
    """Return which labels rows of the table have; all, of columns that have values as well.

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
    """A witness, and the normal rows that its word is measured by.

    Attributes
    ----------
    witness : Witness
    judge : Judge
    normal : ndarray of shape (n_normal,)
        Scores of these rows, sorted.
    """

    witness: FittedScorers
    judge: TailCombiner
    normal: FloatArray

    @classmethod
    def calibrate(cls, witness: FittedScorers, measures: FloatArray) -> Self:
        """Take the measures of normal rows that nothing was fitted to."""
        judge = TailCombiner(measures, witness.views.category_share)
        return cls(witness, judge, np.sort(judge.leave_one_out_log_prob(measures)))

    @property
    def density(self) -> TableDensity:
        """Of the rows."""
        return self.witness.density

    def score(self, table: StoredTable, device: Device, *, warns: bool = False) -> FloatArray:
        """Return the log tail probability of each row, what all measures say together.

        Where ``warns``, categories of which no cell has a label that was fitted are warned of.
        """
        return self.judge.log_prob(self.witness.measure(table, device, warns=warns))

    def p_values(self, scores: FloatArray) -> FloatArray:
        """Return the share of normal rows, the one that asks among them, at most as normal."""
        no_higher = np.searchsorted(self.normal, scores, side="right")
        return (1 + no_higher) / (1 + len(self.normal))

    @usual_torch()
    def explain(self, table: StoredTable, device: Device, verbose: int = 0) -> FloatArray:
        """Return the log tail probability of each cell given its row's others."""
        density = self.density
        joint = density.joint(device)
        return tail_log_probs(density.codec, density.model, joint, table, verbose)

    @usual_torch()
    def repair(
        self, table: StoredTable, device: Device, verbose: int = 0
    ) -> tuple[StoredTable, NDArray[np.intp]]:
        """Return rows that are as ordinary as nine in ten, and which were replaced whole."""
        density, joint = self.density, self.density.joint(device)

        def given(rows: EncodedRows, j: int) -> Conditional:
            return Conditional(density.codec, density.model, joint, rows, j)

        def score(rows: StoredTable) -> FloatArray:
            return self.score(rows, device)

        def ordinary_rows() -> StoredTable:
            drawn = density.sample(N_DRAWN, np.random.RandomState(0), device)
            rows = density.container.read(drawn)
            return rows.take(np.flatnonzero(score(rows) >= ordinary))

        # The least score whose p-value is as high.
        rank = math.ceil(ORDINARY * (1 + len(self.normal))) - 1
        ordinary = float(self.normal[rank - 1]) if rank else -math.inf
        coordinates = self.witness.views.coordinates
        repairer = Repairer(
            density.codec, given, score, ordinary, ordinary_rows, coordinates, verbose
        )
        return repairer(table)

    def threshold(self, false_alarms: float) -> float:
        """Return the score below which p-values are at most ``false_alarms``.

        Where none is so small, the quantile that the tail of normal scores is expected to have.
        """
        p_values = np.arange(1, len(self.normal) + 1) / (1 + len(self.normal))
        n_reached = np.count_nonzero(p_values <= false_alarms)
        if n_reached:
            return float(self.normal[n_reached - 1])
        return Tail(self.normal).quantile(false_alarms)


def plan_calibration(n_rows: int, generator: np.random.Generator) -> Sequence[NDArray]:
    """Return the rows that calibrate: one part of many rows, or all of few, in parts.

    Many rows are held out of the only fit. Of few none can be spared: each part is judged
    by a fit to the others.
    """
    order = generator.permutation(n_rows)
    if n_rows >= MANY_ROWS:
        return [np.sort(order[: min(MOST_HELD_OUT, round(HELD_OUT * n_rows))])]
    n_parts = min(N_PARTS if n_rows < SOME_ROWS else N_PARTS_OF_SOME, n_rows)
    return [np.sort(part) for part in np.array_split(order, n_parts)]
