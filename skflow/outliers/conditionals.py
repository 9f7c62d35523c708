r"""Conditional distribution of one column given a row's others, from the exact joint density.

A column is a label and, perhaps, a value. Its labels are enumerated: each changes the
probability of other labels, and the condition of the values. Its values are integrated over by
quadrature, on the line where the column alone is standard normal.

The conditional tail probability of a cell is that of a draw of its column, given the others, which
is no likelier. Probabilities of labels and densities of values have no common unit, so they are
compared by the mass that is no likelier among their own kind: a label counts with its
probability, a value with that of all values of no higher density on its rounding level :math:`v`
(mostly the only one). With :math:`m` the mass of the cell,

.. math:: P = \sum_{k: P(k) \le m} P(k) + \sum_v \min(m, P(v)),

which is at most uniform: among normal cells, a share of at most :math:`\alpha` has
:math:`P \le \alpha`.
"""

import math
import sys
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp
from tqdm.auto import tqdm

from skflow.flow.heavy_tails import student_tails
from skflow.outliers.joint_density import JointDensity
from skflow.outliers.value_densities import ValueDensity
from skflow.rows import EncodedRows
from skflow.table.codec import TableCodec
from skflow.table.column_codec import MIN_PROBABILITY
from skflow.table.storage import StoredTable

FloatArray = NDArray[np.float64]

BLOCK_ENTRIES = 20_000  # of rows at once: each is evaluated at a hundred nodes
BLOCK_FACTORS = 60_000  # of rows at once, likewise: factors of the density
TIE = 1e-9  # difference of log-probabilities that may be due to rounding


def tail_log_probs(
    codec: TableCodec, joint: JointDensity, table: StoredTable, verbose: int = 0
) -> FloatArray:
    """Conditional log tail probability of each cell, given the others of its row.

    Returns
    -------
    log_probs : ndarray of shape (n_rows, n_columns), float64
        Log-probability that a draw of the cell is no likelier: at most 0, lower is stranger.
    """
    n_columns = len(codec.columns)
    size = max(1, min(BLOCK_ENTRIES // n_columns, BLOCK_FACTORS // max(1, joint.n_factors)))
    log_probs = np.empty((table.n_rows, n_columns))
    with tqdm(
        total=log_probs.size,
        desc="score_features",
        unit="cell",
        disable=not verbose,
        file=sys.stderr,
    ) as bar:
        for start in range(0, table.n_rows, size):
            rows = codec.encode(table.take(slice(start, start + size)))
            for j in range(n_columns):
                given = Conditional(codec, joint, rows, j)
                log_probs[start : start + size, j] = given.tail_log_prob()
                bar.update(len(rows.labels))
    return log_probs


class Conditional:
    """Conditional distribution of one column of some rows, given their other columns.

    Parameters
    ----------
    codec : TableCodec
    joint : JointDensity
    rows : EncodedRows
    j : int
        The column.

    Attributes
    ----------
    log_probs : ndarray of shape (n_rows, n_labels + 1)
        Log-probability of each label, "never seen" the last; that of a label which stands for
        a value is the mass of all its values.
    """

    def __init__(self, codec: TableCodec, joint: JointDensity, rows: EncodedRows, j: int) -> None:
        self.rows = rows
        self._column, self._joint = codec.columns[j], joint
        self._label, self._value = codec.indices[j]
        labels = self._column.labels
        log_masses = np.full((len(rows.labels), labels.n_labels + 1), -np.inf)
        # Events without a value: all labels, the novel one included, but "a value".
        events = [] if self._label is None else range(labels.n_labels + 1)
        #: Densities of the column's values, by their label.
        self._values: dict[int, ValueDensity] = {}
        if self._value is not None:
            for level, label in enumerate(labels.value_labels):
                valued = rows if self._label is None else self._labelled(label, self._value)
                own = codec.value_codecs[self._value]
                self._values[label] = ValueDensity(own, joint, valued, self._value, level)
        self._events = [label for label in events if label not in self._values]
        for label in self._events:
            log_masses[:, label] = self._log_mass_of(label)
        for label, values in self._values.items():
            log_masses[:, label] = values.log_mass()
            log_masses[:, label] += joint.log_prob_labels(values.rows.labels, values.rows.novel)
        self._log_masses = log_masses
        self.log_probs = log_masses - logsumexp(log_masses, axis=1, keepdims=True)

    def log_total(self) -> FloatArray:
        """Log-density of the other columns in nats, per unit of their encoding, ``(n_rows,)``."""
        log_masses = self._log_masses.copy()
        for label in self._events:
            log_masses[:, label] = self._log_mass_of(label, quantize=True)
        for label, values in self._values.items():
            log_masses[:, label] += values.log_integral() - values.log_mass()
        return logsumexp(log_masses, axis=1)

    def tail_log_prob(self) -> FloatArray:
        """Log-probability that a draw of the column is no likelier, ``(n_rows,)``."""
        own_label = self._own_labels()
        own = self.log_probs[np.arange(len(own_label)), own_label] + self._log_share_of_novel()
        value_labels = list(self._values)
        of_labels = np.delete(self.log_probs, value_labels, axis=1)
        of_values = self.log_probs[:, value_labels]
        for label, values in self._values.items():
            own = np.where(own_label == label, own + values.log_share_no_likelier(), own)
        if self._label is None:  # a missing value where there was none at fit
            own = np.where(
                np.isnan(self.rows.values[:, self._value]), math.log(MIN_PROBABILITY), own
            )
        no_likelier = np.where(of_labels <= own[:, None] + TIE, of_labels, -np.inf)
        of_novel = np.where(self._is_novel(), own, -np.inf)
        of_values = np.minimum(own[:, None], of_values)
        both = np.column_stack((no_likelier, of_values, of_novel))
        log_probs = logsumexp(both, axis=1)
        return np.where(log_probs > -TIE, 0.0, log_probs)  # all draws, but for rounding

    def typical(self) -> tuple[NDArray[np.int64], FloatArray]:
        """Typical cell of each row, encoded: the likeliest known label, or the median of values.

        Values are one event, whatever their rounding level; the likeliest level has the median.
        """
        known = self.log_probs[:, : self._column.labels.n_labels]
        labels = known.argmax(axis=1)
        values = np.full(len(labels), np.nan)
        if self._values:
            value_labels = np.array(list(self._values))
            of_events = np.delete(known, value_labels, axis=1).max(axis=1, initial=-np.inf)
            is_value = logsumexp(known[:, value_labels], axis=1) >= of_events
            likeliest = value_labels[known[:, value_labels].argmax(axis=1)]
            labels = np.where(is_value, likeliest, labels)
        for label, of_label in self._values.items():
            values = np.where(labels == label, of_label.median(), values)
        return labels, values

    def _log_mass_of(self, label: int, *, quantize: bool = False) -> FloatArray:
        """Log-probability of a label without a value, times the density of the other columns."""
        other = self._labelled(label)
        of_values = self._joint.log_prob_values(other.labels, other.values, quantize=quantize)
        return self._joint.log_prob_labels(other.labels, other.novel) + of_values

    def _own_labels(self) -> NDArray[np.int64]:
        if self._label is None:
            return np.full(len(self.rows.labels), self._column.labels.value_labels.start)
        return self.rows.labels[:, self._label]

    def _log_share_of_novel(self) -> FloatArray:
        """Log-share of novel values that lie no nearer than the row's own; 0 for other cells."""
        if self._label is None:
            return np.zeros(len(self.rows.labels))
        tail = torch.minimum(*student_tails(torch.tensor(self.rows.novel[:, self._label])))
        return np.where(self._is_novel(), torch.log(2 * tail).numpy(), 0.0)

    def _is_novel(self) -> NDArray[np.bool_]:
        """Whether the cell of each row is a novel value."""
        if self._label is None:
            return np.zeros(len(self.rows.labels), dtype=bool)
        return ~np.isnan(self.rows.novel[:, self._label])

    def _labelled(self, label: int, value: int | None = None) -> EncodedRows:
        """Rows with another label in the column, and without its value unless it is ``value``."""
        labels, novel, values = self.rows.labels.copy(), self.rows.novel.copy(), self.rows.values
        labels[:, self._label], novel[:, self._label] = label, np.nan
        if value is None and self._value is not None:
            values = values.copy()
            values[:, self._value] = np.nan
        return replace(self.rows, labels=labels, novel=novel, values=values)
