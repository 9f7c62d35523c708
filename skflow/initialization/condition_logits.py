"""The initial fit of labels to conditions: a regularised multinomial logistic regression."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import log_softmax

from skflow.clock import Clock
from skflow.flow.context import Vocabulary
from skflow.flow.effects import ConditionStart, condition_inputs
from skflow.flow.label_start import JOINT, LabelStart, joint_labels
from skflow.initialization.joint_marginals import JointMarginals
from skflow.rows import EncodedRows

FloatArray = NDArray[np.float64]

PENALTIES = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1)  # rows that pull a coefficient to 0
HELD_OUT = 5  # one of so many rows chooses the penalty
FEWEST_ROWS = 20
MOST_ROWS = 20_000
MOST_ENTRIES = 50_000_000  # rows times inputs times labels: a step's work
MOST_STEPS = 60
MARGIN = 2.0  # nats over the rows held out that conditions must gain


class _Rows(NamedTuple):
    """Rows of one logistic regression.

    Attributes
    ----------
    inputs : sparse array of shape (n_rows, n_inputs)
    offset : ndarray of shape (n_rows, n_labels)
        Logits without a condition.
    labels : ndarray of int64, shape (n_rows,)
    weight : ndarray of shape (n_rows,)
    """

    inputs: sparse.csr_array
    offset: FloatArray
    labels: NDArray[np.int64]
    weight: FloatArray

    def take(self, rows: NDArray[np.intp]) -> "_Rows":
        inputs, offset, labels, weight = self
        return _Rows(inputs[rows], offset[rows], labels[rows], weight[rows])

    def log_prob(self, coefficients: FloatArray) -> FloatArray:
        """Log-probability of each label, ``(n_rows, n_labels)``."""
        scores: FloatArray = log_softmax(self.offset + self.inputs @ coefficients, axis=1)
        return scores

    def score(self, coefficients: FloatArray) -> float:
        """Weighted sum of the log-probabilities of the labels, in nats."""
        own = self.log_prob(coefficients)[np.arange(len(self.labels)), self.labels]
        return float(self.weight @ own)


def fit_condition_logits(
    encoded: EncodedRows,
    marginals: JointMarginals,
    start: LabelStart,
    n_given_labels: tuple[int, ...],
    bound: float,
    clock: Clock,
) -> ConditionStart:
    r"""Fit what conditions add to the logits of each column's labels.

    .. math:: \max_W \sum_i w_i \log \operatorname{softmax}(o_i + W u_i)_{l_i}
              - \lambda \lVert W \rVert^2 / 2

    The offsets :math:`o_i` are the log-probabilities of the tree of labels. A fifth of the rows
    chooses the penalty :math:`\lambda`, and whether there is any effect; then all rows are fitted.

    Parameters
    ----------
    encoded : EncodedRows
        Rows with conditions.
    marginals : JointMarginals
        They gaussianize values of conditions.
    start : LabelStart
    n_given_labels : tuple of int
        Known labels of each labelled column of the condition.
    bound : float
        Values are clamped to ``[-bound, bound]``.
    clock : Clock
        Columns that come after the end of its time have no effect.
    """
    n_labels = [len(frequencies) for frequencies in start.log_frequencies]
    result = ConditionStart.none(sum(n_labels), n_given_labels, marginals.n_given)
    y = marginals.gaussianize(encoded)[0][: marginals.n_given]
    values = sparse.csr_array(condition_inputs(y, bound).T.numpy())
    inputs = sparse.hstack((values, _indicators(encoded, n_given_labels)), format="csr")
    weights = np.ones(len(encoded)) if encoded.weight is None else encoded.weight
    first, n_values = 0, result.of_values.shape[1]
    for j, size in enumerate(n_labels):
        columns = slice(first, first + size)
        first += size
        own, parent = encoded.labels[:, j], start.parents[j]
        chosen = np.flatnonzero((own < size) & (weights > 0))
        most = min(MOST_ROWS, max(1, MOST_ENTRIES // (size * inputs.shape[1])))
        chosen = chosen[:: max(1, -(-len(chosen) // most))]
        above = encoded.labels[chosen, parent] if parent >= 0 else np.zeros_like(chosen)
        if parent == JOINT:
            labels = torch.from_numpy(encoded.labels[chosen].T)
            above = joint_labels(labels, start.joint_parents[j]).numpy()
        offset = start.log_tables[j].numpy()[above]
        rows = _Rows(inputs[chosen], offset, own[chosen], weights[chosen])
        if size < 2 or rows.weight.sum() < FEWEST_ROWS or clock.is_over:
            continue
        coefficients = torch.from_numpy(_fit(rows))
        result.of_values[columns] = coefficients[:n_values].T
        result.of_labels[:, columns] = coefficients[n_values:]
    return result


def _indicators(encoded: EncodedRows, n_labels: Sequence[int]) -> sparse.csr_array:
    """Return an indicator of each label of the condition, ``(n_rows, n_entries)``."""
    assert encoded.given is not None
    vocabulary = Vocabulary(n_labels)
    codes = vocabulary(torch.tensor(encoded.given.at_levels().labels.T)).T.numpy()
    n_rows, n_columns = codes.shape
    return sparse.csr_array(
        (np.ones(codes.size), codes.ravel(), np.arange(n_rows + 1) * n_columns),
        shape=(n_rows, vocabulary.n_entries),
    )


def _fit(rows: _Rows) -> FloatArray:
    """Return coefficients ``(n_inputs, n_labels)``; all are 0 where conditions gain nothing."""
    nothing = np.zeros((rows.inputs.shape[1], rows.offset.shape[1]))
    is_held_out = np.arange(len(rows.labels)) % HELD_OUT == HELD_OUT - 1
    train, held_out = (rows.take(np.flatnonzero(mask)) for mask in (~is_held_out, is_held_out))
    best, chosen, coefficients = -np.inf, PENALTIES[0], nothing
    for penalty in PENALTIES:
        coefficients = _maximize(train, penalty, coefficients)
        score = held_out.score(coefficients)
        if score <= best:
            break
        best, chosen = score, penalty
    if best < held_out.score(nothing) + MARGIN:
        return nothing
    return _maximize(rows, chosen, coefficients)


def _maximize(rows: _Rows, penalty: float, start: FloatArray) -> FloatArray:
    """Return the coefficients of the penalised maximum, from a start."""
    indicators = np.zeros_like(rows.offset)
    indicators[np.arange(len(rows.labels)), rows.labels] = 1.0

    def loss(flat: FloatArray) -> tuple[float, FloatArray]:
        coefficients = flat.reshape(start.shape)
        log_prob = rows.log_prob(coefficients)
        residual = rows.weight[:, None] * (np.exp(log_prob) - indicators)
        gradient = rows.inputs.T @ residual + penalty * coefficients
        score = rows.weight @ (log_prob * indicators).sum(axis=1)
        return penalty * (flat @ flat) / 2 - score, gradient.ravel()

    options = {"maxiter": MOST_STEPS}
    found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    fitted: FloatArray = found.x.reshape(start.shape)
    return fitted
