"""Fitted detector: scorers of rows, and their conformal calibration."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from skflow.fitted.table_density import TableDensity
from skflow.fitted.table_rows import EncodableTable, TableRows
from skflow.outliers.conditionals import tail_log_probs
from skflow.outliers.ensemble import ClusterEnsemble, TailCombiner
from skflow.outliers.joint_density import JointDensity
from skflow.outliers.marginal_tails import label_log_tails
from skflow.outliers.tails import Tail
from skflow.outliers.trimming import FITTED, NORMAL, Trimmer, log_tail_probs
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
    label_log_tails : ndarray of shape (n_entries,)
        Log tail probability of each entry in its column alone.
    """

    density: TableDensity
    clusters: ClusterEnsemble
    unfitted: NDArray[np.bool_]
    label_log_tails: FloatArray

    @classmethod
    def fit(cls, density: TableDensity, rows: Any, seed: int) -> Self:
        """Fit clusters to rows that the density was fitted to, TableRows or DatasetRows.

        Those of a dataset are fitted to its sample.
        """
        clusters = ClusterEnsemble.fit(density.codec, rows.stored(slice(None)), seed)
        counts = count_labels(density.codec, rows)
        unfitted = (counts == 0) & may_be_unfitted(density.codec)
        return cls(density, clusters, unfitted, label_log_tails(density.codec, counts))

    def measure(self, table: StoredTable, device: Device, *, warns: bool = False) -> FloatArray:
        """All measures of each row, ``(n_rows, n_measures)``; higher is more normal.

        A label without a fitted row counts as one never seen, in calibration rows as in fresh
        ones: otherwise these could not be compared.
        """
        of_density = self.density.standardized_scores(
            table, device, self.unfitted, self.label_log_tails, warns=warns
        )
        return np.column_stack((self.clusters.log_density(table), of_density))


def count_labels(codec: TableCodec, rows: Any) -> FloatArray:
    """Rows of each entry of the vocabulary, or their weights, ``(n_entries,)``."""
    n_labels = np.array(codec.layout.n_labels, dtype=np.int64)
    n_entries = int((n_labels + 1).sum())
    first = np.cumsum(n_labels + 1) - (n_labels + 1)
    counts = np.zeros(n_entries)
    if n_entries:
        for block in rows.blocks():
            weight = None if block.weight is None else np.repeat(block.weight, len(n_labels))
            counts += np.bincount((block.labels + first).ravel(), weight, n_entries)
    return counts


def may_be_unfitted(codec: TableCodec) -> NDArray[np.bool_]:
    """Mask of the labels of columns without values, "never seen" apart.

    Those of columns with values are few, and "never seen" is next to impossible there.
    """
    n_labels = np.array(codec.layout.n_labels, dtype=np.int64)
    has_none = [index.value is None for index in codec.indices if index.label is not None]
    may_be = np.repeat(has_none, n_labels + 1).astype(bool)
    may_be[np.cumsum(n_labels + 1) - 1] = False
    return may_be


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


@dataclass(frozen=True)
class CalibrationPlan:
    """Which rows a detector is fitted to, and which calibrate it.

    Attributes
    ----------
    fitted : TableRows or DatasetRows
        Rows of the fit whose density the detector has.
    cross_fitted : list of TableRows
        Rows of fits that calibrate alone; none where the first fit does.
    calibrating : list of StoredTable
        Rows that each of these fits scores: those that it holds out.
    sample : StoredTable
        All training rows, or a sample of a dataset's.
    """

    fitted: Any
    cross_fitted: list[TableRows]
    calibrating: list[StoredTable]
    sample: StoredTable

    @classmethod
    def of_table(cls, known: EncodableTable, seed: int, *, robust: bool) -> Self:
        """Plan the fits to rows in memory: one to many rows, cross-fits as well to few.

        A part of many rows is held out of the only fit, as in split conformal prediction. Few
        rows are cross-fitted: each part is scored by a fit to the others. Where rows have
        weights, their effective number counts. With ``robust``, rows that are improbable under
        others are left out.
        """
        table = known.table
        fitted = normal = np.arange(table.n_rows)
        if robust:
            log_probs = log_tail_probs(known.codec, table, seed)
            fitted = np.flatnonzero(log_probs >= np.log(FITTED))
            normal = np.flatnonzero(log_probs >= np.log(NORMAL))
        order = np.random.default_rng(seed).permutation(table.n_rows)
        if table.mass >= MANY_ROWS:
            parts = [held_out_rows(order)]
        else:
            n_parts = min(N_PARTS if table.mass < SOME_ROWS else N_PARTS_OF_SOME, table.n_rows)
            parts = [np.sort(part) for part in np.array_split(order, n_parts)]
        calibrating = [table.take(np.intersect1d(part, normal)) for part in parts]
        kept = [replace(known.rows, rows=np.setdiff1d(fitted, part)) for part in parts]
        if len(parts) == 1:
            return cls(kept[0], [], calibrating, table)
        return cls(replace(known.rows, rows=fitted), kept, calibrating, table)

    @classmethod
    def of_dataset(cls, known: Any, seed: int, *, robust: bool) -> Self:
        """Plan the fit to an EncodableDataset: some rows of its sample are held out of it.

        With ``robust``, the sample decides which rows are improbable.
        """
        sample, rows = known.sample, known.rows
        order = np.random.default_rng(seed).permutation(sample.n_rows)
        part = excluded = held_out_rows(order)
        if robust:
            trimmer = Trimmer.fit(known.codec, sample, seed)
            log_probs = trimmer.log_tail_probs(sample)
            excluded = np.union1d(part, np.flatnonzero(log_probs < np.log(FITTED)))
            part = part[log_probs[part] >= np.log(NORMAL)]
            rows = replace(rows, is_fitted=trimmer.is_fitted)
        rows = replace(rows, excluded=excluded)
        return cls(rows, [], [sample.take(part)], sample)


def held_out_rows(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows of a random order that calibrate, ascending: no fit is to them."""
    return np.sort(order[: min(MOST_HELD_OUT, round(HELD_OUT * len(order)))])
