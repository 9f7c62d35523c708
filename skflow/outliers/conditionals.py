r"""One column given a row's others, from the exact joint density.

A column is a label and, perhaps, a value. Its labels are enumerated: each changes the
probability of other labels, and what the values are conditioned on. Its values are
integrated over by quadrature, on the line where the column alone is standard normal.

What is told of a cell is the probability that a draw of its column, given the others, is
no likelier. Probabilities of labels and densities of values have no common unit, so they
are compared by the mass that is no likelier among their own kind: a label counts with its
probability, a value with that of all values of no higher density. With
:math:`m` the mass of the cell,

.. math:: P = \sum_{k: P(k) \le m} P(k) + \min(m, P(\text{a value})),

which is uniform at most: of normal cells, a share of at most :math:`\alpha` has
:math:`P \le \alpha`.
"""

import math
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp

from skflow.flow import student
from skflow.flow.model import Model
from skflow.outliers.value_densities import Joint, ValueDensity
from skflow.rows import EncodedRows
from skflow.table.codec import TableCodec
from skflow.table.column_codec import MIN_PROBABILITY

FloatArray = NDArray[np.float64]

TIE = 1e-9  # difference of log-probabilities that rounding may cause


class Conditional:
    """One column of some rows, given their other columns.

    Parameters
    ----------
    codec : TableCodec
    model : Model
        Of the rows, on the CPU.
    joint : Joint
    rows : EncodedTable
    j : int
        The column.

    Attributes
    ----------
    log_probs : ndarray of shape (n_rows, n_labels + 1)
        Log-probability of each label, "never seen" the last; of the label that says "a
        value", that of all values. A column without labels has this one only.
    """

    def __init__(
        self, codec: TableCodec, model: Model, joint: Joint, rows: EncodedRows, j: int
    ) -> None:
        self.rows = rows
        self._column = codec.columns[j]
        self._label, self._value = codec.indices[j]
        labels = self._column.labels
        log_masses = np.full(
            (len(rows.labels), 1 if labels.is_trivial else labels.n_labels + 1), -np.inf
        )
        if self._label is not None:
            for label in range(labels.n_labels + 1):
                if self._value is None or label != labels.value_label:
                    other = self._labelled(label)
                    log_masses[:, label] = joint.of_labels(other.labels, other.novel)
                    log_masses[:, label] += joint.of_values(other.labels, other.values)
        if self._value is not None:
            valued = (
                rows if self._label is None else self._labelled(labels.value_label, self._value)
            )
            marginal = model.values.marginals.of_columns([self._value])
            column = codec.value_codecs[self._value]
            self._values = ValueDensity(column, marginal, joint, valued, self._value)
            log_masses[:, labels.value_label] = self._values.log_mass()
            log_masses[:, labels.value_label] += joint.of_labels(valued.labels, valued.novel)
        self.log_probs = log_masses - logsumexp(log_masses, axis=1, keepdims=True)

    def tail_log_prob(self) -> FloatArray:
        """Log-probability that a draw of the column is no likelier, ``(n_rows,)``."""
        own_label = self._own_labels()
        own = self.log_probs[np.arange(len(own_label)), own_label] + self._log_share_of_rare()
        labels = self._column.labels
        of_labels, of_values = self.log_probs, np.full(len(own), -np.inf)
        if self._value is not None:
            of_values = self.log_probs[:, labels.value_label]
            own = np.where(
                own_label == labels.value_label,
                of_values + self._values.log_share_no_likelier(),
                own,
            )
            of_labels = np.delete(self.log_probs, labels.value_label, axis=1)
        if self._label is None:  # a missing value where there was none at fit
            own = np.where(
                np.isnan(self.rows.values[:, self._value]), math.log(MIN_PROBABILITY), own
            )
        no_likelier = np.where(of_labels <= own[:, None] + TIE, of_labels, -np.inf)
        of_rare = np.where(self._is_rare(), own, -np.inf)
        both = np.column_stack((no_likelier, np.minimum(own, of_values), of_rare))
        log_probs = logsumexp(both, axis=1)
        return np.where(log_probs > -TIE, 0.0, log_probs)  # all draws, but for rounding

    def usual(self) -> tuple[NDArray[np.int64], FloatArray]:
        """Return what would be usual: the likeliest label known, or the median of values."""
        known = self.log_probs[:, : self._column.labels.n_labels]
        labels = known.argmax(axis=1)
        values = np.full(len(labels), np.nan)
        if self._value is not None:
            values = np.where(
                labels == self._column.labels.value_label, self._values.median(), values
            )
        return labels, values

    def _own_labels(self) -> NDArray[np.int64]:
        if self._label is None:
            return np.full(len(self.rows.labels), self._column.labels.value_label)
        return self.rows.labels[:, self._label]

    def _log_share_of_rare(self) -> FloatArray:
        """Of a number never seen, log-share of those that lie no nearer; 0 for others."""
        if self._label is None:
            return np.zeros(len(self.rows.labels))
        tail = torch.minimum(*student.tails(torch.tensor(self.rows.novel[:, self._label])))
        return np.where(self._is_rare(), torch.log(2 * tail).numpy(), 0.0)

    def _is_rare(self) -> NDArray[np.bool_]:
        """Whether the row holds a number never seen."""
        if self._label is None:
            return np.zeros(len(self.rows.labels), dtype=bool)
        return ~np.isnan(self.rows.novel[:, self._label])

    def _labelled(self, label: int, value: int | None = None) -> EncodedRows:
        """Return the rows with another label in the column, and no value but that of ``value``."""
        labels, novel, values = self.rows.labels.copy(), self.rows.novel.copy(), self.rows.values
        labels[:, self._label], novel[:, self._label] = label, np.nan
        if value is None and self._value is not None:
            values = values.copy()
            values[:, self._value] = np.nan
        return replace(self.rows, labels=labels, novel=novel, values=values)
