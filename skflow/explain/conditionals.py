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
from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp

from skflow.explain.quadrature import log_cell_masses, log_mass_below, quantile, refine
from skflow.flow import student
from skflow.flow.model import Model
from skflow.table.codec import EncodedTable, TableCodec
from skflow.table.columns import RAREST, NumberColumn

FloatArray = NDArray[np.float64]
# Log-density of rows, of labels, rare and values as they are encoded.
LogProb = Callable[[NDArray[np.int64], FloatArray, FloatArray], FloatArray]

INNER = np.linspace(-4.5, 4.5, 46)
OUTER = np.array([1.3, 2.0, 4.0, 10.0, 40.0])  # times the last inner node, or the value
REFINEMENTS = (16, 16)
LOWEST = 700.0  # below the highest log-density: the rest of the line weighs nothing
FARTHEST = 1e300  # encoded: beyond it numbers overflow
TIE = 1e-9  # difference of log-probabilities that rounding may cause


class Conditional:
    """One column of some rows, given their other columns.

    Parameters
    ----------
    codec : TableCodec
    model : Model
        Of the rows, on the CPU.
    log_prob : callable
        The joint log-density of rows as they are encoded.
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
        self, codec: TableCodec, model: Model, log_prob: LogProb, rows: EncodedTable, j: int
    ) -> None:
        self.rows = rows
        self._column = codec.columns[j]
        self._label, self._value = codec.places[j]
        self._joint = log_prob
        labels = self._column.labels
        nothing = np.full((len(rows.labels), 1), np.nan)
        log_masses = np.full((len(rows.labels), 1 if labels.idle else labels.n_labels + 1), -np.inf)
        if self._label is not None:
            for label in range(labels.n_labels + 1):
                if not (labels.valued and label == labels.number):
                    log_masses[:, label] = self._replaced(label, nothing)[:, 0]
        if self._value is not None:
            self._marginal = model.values.marginals.of_columns([self._value])
            self._nodes, self._log_density = self._find_nodes()
            masses = log_cell_masses(self._nodes, self._log_density)
            log_masses[:, labels.number] = self._log_mass = logsumexp(masses, axis=1)
        self.log_probs = log_masses - logsumexp(log_masses, axis=1, keepdims=True)

    def tail_log_prob(self) -> FloatArray:
        """Log-probability that a draw of the column is no likelier, ``(n_rows,)``."""
        own_label = self._own_labels()
        own = self.log_probs[np.arange(len(own_label)), own_label] + self._log_share_of_rare()
        labels = self._column.labels
        of_labels, of_values = self.log_probs, np.full(len(own), -np.inf)
        if labels.valued:
            of_values = self.log_probs[:, labels.number]
            own = np.where(own_label == labels.number, of_values + self._log_share_of_value(), own)
            of_labels = np.delete(self.log_probs, labels.number, axis=1)
        if self._label is None:  # a missing value where there was none at fit
            own = np.where(np.isnan(self.rows.values[:, self._value]), math.log(RAREST), own)
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
            median = quantile(self._nodes, self._log_density, 0.5)
            median = self._encoded(median[:, None])[0][:, 0]
            values = np.where(labels == self._column.labels.number, median, values)
        return labels, values

    def _own_labels(self) -> NDArray[np.int64]:
        if self._label is None:
            return np.full(len(self.rows.labels), self._column.labels.number)
        return self.rows.labels[:, self._label]

    def _log_share_of_rare(self) -> FloatArray:
        """Of a number never seen, log-share of those that lie no nearer; 0 for others."""
        if self._label is None:
            return np.zeros(len(self.rows.labels))
        tail = torch.minimum(*student.tails(torch.tensor(self.rows.rare[:, self._label])))
        return np.where(self._is_rare(), torch.log(2 * tail).numpy(), 0.0)

    def _is_rare(self) -> NDArray[np.bool_]:
        """Whether the row holds a number never seen."""
        if self._label is None:
            return np.zeros(len(self.rows.labels), dtype=bool)
        return ~np.isnan(self.rows.rare[:, self._label])

    def _log_share_of_value(self) -> FloatArray:
        """Log-share of values whose density is no higher than the row's own value's."""
        own = self.rows.values[:, self._value]
        present = ~np.isnan(own)
        heights = self._heights(self._nodes, self._log_density)
        at_own = self._scores(np.nan_to_num(own))
        place = (self._nodes < at_own[:, None]).sum(axis=1).clip(max=self._nodes.shape[1] - 1)
        level = heights[np.arange(len(own)), place]
        below = log_mass_below(self._nodes, self._log_density, heights, level)
        return np.where(present, np.minimum(below - self._log_mass, 0.0), 0.0)

    def _find_nodes(self) -> tuple[FloatArray, FloatArray]:
        """Nodes over the whole line, densest where the column given others may lie."""
        own = self._scores(np.nan_to_num(self.rows.values[:, self._value]))[:, None]
        beyond = np.sign(own) * np.maximum(np.abs(own), INNER[-1]) * OUTER
        fixed = np.concatenate((-INNER[-1] * OUTER[::-1], INNER, INNER[-1] * OUTER))
        fixed = np.broadcast_to(fixed, (len(own), len(fixed)))
        nodes = np.sort(np.concatenate((own, beyond, fixed), axis=1), axis=1)
        log_density = self._log_density_at(nodes)
        for n_added in REFINEMENTS:
            nodes, log_density = refine(nodes, log_density, self._log_density_at, n_added)
        return nodes, log_density

    def _log_density_at(self, nodes: FloatArray) -> FloatArray:
        """Joint log-density, up to a constant, per unit of the nodes."""
        encoded, log_derivative = self._encoded(nodes)
        log_density = self._replaced(self._column.labels.number, encoded) + log_derivative
        log_density = np.where(np.abs(encoded) < FARTHEST, log_density, -np.inf)
        return np.maximum(log_density, log_density.max(axis=1, keepdims=True) - LOWEST)

    def _heights(self, nodes: FloatArray, log_density: FloatArray) -> FloatArray:
        """Log-density per unit of the column."""
        encoded, log_derivative = self._encoded(nodes)
        scaling = cast(NumberColumn, self._column).scaling
        log_volume = scaling.encode(scaling.decode(encoded.ravel()))[1].reshape(encoded.shape)
        return log_density - log_derivative + log_volume

    def _replaced(self, label: int, values: FloatArray) -> FloatArray:
        """Joint log-density of each row with another label, and several values, in the column."""
        labels = np.repeat(self.rows.labels, values.shape[1], axis=0)
        rare = np.repeat(self.rows.rare, values.shape[1], axis=0)
        others = np.repeat(self.rows.values, values.shape[1], axis=0)
        if self._label is not None:
            labels[:, self._label], rare[:, self._label] = label, np.nan
        if self._value is not None:
            others[:, self._value] = values.ravel()
        return self._joint(labels, rare, others).reshape(values.shape)

    def _scores(self, encoded: FloatArray) -> FloatArray:
        return self._marginal.forward_and_log_det(torch.tensor(encoded)[None])[0][0].numpy()

    def _encoded(self, nodes: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Encoded values at nodes, and the log of their derivative."""
        flat = torch.tensor(nodes.ravel())[None]
        encoded, log_derivative = self._marginal.inverse_and_log_det(flat)
        return encoded[0].numpy().reshape(nodes.shape), log_derivative.numpy().reshape(nodes.shape)
