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
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax
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
EVENT_ROWS = 5_000  # rows at once, of which each has one of several labels
N_OF_LEVEL = 50  # quantiles of each rounding level, where there are several
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
    log_probs = np.empty((table.n_rows, len(codec.columns)))
    for rows, j, given in conditionals(codec, joint, table, "score_features", verbose):
        log_probs[rows, j] = given.tail_log_prob()
    return log_probs


def conditionals(
    codec: TableCodec,
    joint: JointDensity,
    table: StoredTable,
    title: str,
    verbose: int = 0,
    own: StoredTable | None = None,
) -> Iterator[tuple[slice, int, "Conditional"]]:
    """Yield the conditional distribution of each column in some rows, with a progress bar.

    ``own`` holds the rows' own cells in the column, where they are not those of ``table``.

    Yields
    ------
    rows : slice
    j : int
        The column.
    given : Conditional
    """
    n_columns = len(codec.columns)
    size = max(1, min(BLOCK_ENTRIES // n_columns, BLOCK_FACTORS // max(1, joint.n_factors)))
    n_cells = table.n_rows * n_columns
    targets = {target for target, _ in codec.implied.positions}
    with tqdm(total=n_cells, desc=title, unit="cell", disable=not verbose, file=sys.stderr) as bar:
        for start in range(0, table.n_rows, size):
            block = slice(start, start + size)
            part = table.take(block)
            rows = codec.encode(part)
            cells = None if own is None else codec.encode(own.take(block))
            for j in range(n_columns):
                if own is None or cells is None:
                    whole = rows
                elif j not in targets:
                    whole = put_column(rows, cells, *codec.indices[j])
                else:  # which is implied by the row's other cells
                    columns = list(part.columns)
                    columns[j] = own.columns[j].take(block)
                    whole = codec.encode(replace(part, columns=tuple(columns)))
                yield block, j, Conditional(codec, joint, whole, j)
                bar.update(len(rows.labels))


def put_column(
    rows: EncodedRows, cells: EncodedRows, label: int | None, value: int | None
) -> EncodedRows:
    """Replace the cells of one column by those of other rows."""
    labels, novel, values = rows.labels.copy(), rows.novel.copy(), rows.values.copy()
    if label is not None:
        labels[:, label], novel[:, label] = cells.labels[:, label], cells.novel[:, label]
    if value is not None:
        values[:, value] = cells.values[:, value]
    return replace(rows, labels=labels, novel=novel, values=values)


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
        log_masses[:, self._events] = self._log_masses_of_events()
        for label, values in self._values.items():
            log_masses[:, label] = values.log_mass()
            log_masses[:, label] += joint.log_prob_labels(values.rows.labels, values.rows.novel)
        self._log_masses = log_masses
        self.log_probs = log_masses - logsumexp(log_masses, axis=1, keepdims=True)

    def log_total(self) -> FloatArray:
        """Log-density of the other columns in nats, per unit of their encoding, ``(n_rows,)``."""
        log_masses = self._log_masses.copy()
        log_masses[:, self._events] = self._log_masses_of_events(quantize=True)
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
        labels = self.event_log_probs().argmax(axis=1)
        values = np.full(len(labels), np.nan)
        if self._values:
            levels = np.array(list(self._values))
            likeliest = levels[self.log_probs[:, levels].argmax(axis=1)]
            labels = np.where(labels == levels[0], likeliest, labels)
        for label, of_label in self._values.items():
            values = np.where(labels == label, of_label.quantile(0.5), values)
        return labels, values

    def quantiles(self, shares: Sequence[float]) -> tuple[NDArray[np.int64], FloatArray] | None:
        """Values below which these shares of all values lie: labels, and encoded values.

        Both have shape ``(n_rows, n_shares)``. None of a column without values. Where values have
        several rounding levels, quantiles are among some of each level.
        """
        if not self._values:
            return None
        labels = np.array(list(self._values))
        if len(labels) == 1:
            own = [self._values[labels[0]].quantile(share) for share in shares]
            return np.full((len(self.log_probs), len(shares)), labels[0]), np.column_stack(own)
        at = (np.arange(N_OF_LEVEL) + 0.5) / N_OF_LEVEL
        values = np.column_stack(
            [own.quantile(share) for own in self._values.values() for share in at]
        )
        weights = np.repeat(
            softmax(self.log_probs[:, labels], axis=1) / N_OF_LEVEL, len(at), axis=1
        )
        order = np.argsort(values, axis=1)
        below = np.take_along_axis(weights, order, axis=1).cumsum(axis=1)
        places = np.stack([(below < share).sum(axis=1) for share in shares], axis=1)
        chosen = np.take_along_axis(order, places.clip(max=order.shape[1] - 1), axis=1)
        return labels[chosen // N_OF_LEVEL], np.take_along_axis(values, chosen, axis=1)

    def event_log_probs(self) -> FloatArray:
        """Log-probabilities of known labels, ``(n_rows, n_labels)``, values as one event.

        It has the first of the labels that stand for a value; the others are impossible.
        """
        log_probs = self.log_probs[:, : self._column.labels.n_labels].copy()
        if self._values:
            value_labels = list(self._values)
            log_probs[:, value_labels] = -np.inf
            log_probs[:, value_labels[0]] = logsumexp(self.log_probs[:, value_labels], axis=1)
        return log_probs

    def usual(
        self, low: float, high: float
    ) -> tuple[list[tuple[NDArray[np.int64], FloatArray]], FloatArray]:
        """Usual cells of each row, encoded: the likeliest known event, and quantiles of values.

        Returns
        -------
        ends : list of two (labels, values)
            The ``low`` and the ``high`` quantile where the event is "a value", whose values are
            NaN elsewhere; arrays of shape (n_rows,).
        probability : ndarray of shape (n_rows,)
            That of the event.
        """
        log_probs = self.event_log_probs()
        event, ends = log_probs.argmax(axis=1), self.quantiles((low, high))
        cells = [(event, np.full(len(event), np.nan))] * 2
        if ends is not None:
            is_value = event == next(iter(self._values))
            cells = [
                (np.where(is_value, labels, event), np.where(is_value, values, np.nan))
                for labels, values in zip(ends[0].T, ends[1].T, strict=True)
            ]
        return cells, np.exp(log_probs.max(axis=1))

    def _log_masses_of_events(self, *, quantize: bool = False) -> FloatArray:
        """Log-probabilities of labels without a value, times the density of the other columns.

        Rows of several labels are evaluated at once, ``(n_rows, n_events)`` in all.
        """
        n_rows, parts = len(self.rows.labels), [np.empty((0, len(self.rows.labels)))]
        n_labels = max(1, EVENT_ROWS // max(1, n_rows))
        for start in range(0, len(self._events), n_labels):
            events = self._events[start : start + n_labels]
            others = [self._labelled(label) for label in events]
            labels, novel, values = (
                np.concatenate([getattr(other, name) for other in others])
                for name in ("labels", "novel", "values")
            )
            log_masses = self._joint.log_prob_values(labels, values, quantize=quantize)
            log_masses += self._joint.log_prob_labels(labels, novel)
            parts.append(log_masses.reshape(len(events), n_rows))
        return np.concatenate(parts).T

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
