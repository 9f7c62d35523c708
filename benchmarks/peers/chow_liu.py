"""Densities of labels: a Chow-Liu tree, and independent columns."""

from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from scipy.special import xlogy

FloatArray = NDArray[np.float64]

SMOOTHING = (0.01, 0.1, 0.5, 1.0)  # counts added to each label; a tenth of the rows chooses


class ChowLiuTree:
    """Tree of columns with the largest sum of mutual information (Chow and Liu, 1968).

    Parameters
    ----------
    n_labels : int
        Labels of each column, from 0.
    smoothing : float
        Added to each count (Laplace).
    is_tree : bool, default=True
        Otherwise columns are independent.
    """

    def __init__(self, n_labels: int, smoothing: float, *, is_tree: bool = True) -> None:
        self.n_labels = n_labels
        self.smoothing = smoothing
        self.is_tree = is_tree

    def fit(self, rows: FloatArray) -> Self:
        """Fit to labels, ``(n_rows, n_columns)``."""
        labels, n_columns = rows.astype(np.int64), rows.shape[1]
        indicators = np.eye(self.n_labels, dtype=np.float32)[labels]
        flat = indicators.reshape(len(rows), -1)
        counts = (flat.T @ flat).astype(np.float64)
        counts = counts.reshape(n_columns, self.n_labels, n_columns, self.n_labels)
        counts = counts.transpose(0, 2, 1, 3)  # (column, column, label, label)
        of_one = indicators.sum(axis=0, dtype=np.float64)
        self.root_log_probs = self._log_probs(of_one)
        self.parents = np.full(n_columns, -1)
        if not self.is_tree:
            return self
        information = xlogy(counts, counts).sum(axis=(2, 3))
        own = xlogy(of_one, of_one).sum(axis=1)
        information += xlogy(len(rows), len(rows)) - own[:, None] - own
        # The tree has all edges: weights are positive, and the least is that of most information.
        tree = minimum_spanning_tree(information.max() + 1 - information)
        parents = breadth_first_order(tree, 0, directed=False)[1]
        self.parents[1:] = parents[1:]
        children = np.arange(1, n_columns)
        self.log_probs = self._log_probs(counts[self.parents[children], children])
        return self

    def score(self, rows: FloatArray) -> float:
        """Mean log-probability of rows, in nats."""
        labels, columns = rows.astype(np.int64), np.arange(rows.shape[1])
        if not self.is_tree:
            return float(self.root_log_probs[columns, labels].sum(axis=1).mean())
        given = self.log_probs[columns[:-1], labels[:, self.parents[1:]], labels[:, 1:]]
        return float((self.root_log_probs[0, labels[:, 0]] + given.sum(axis=1)).mean())

    def _log_probs(self, counts: FloatArray) -> FloatArray:
        counts = counts + self.smoothing
        log_probs: FloatArray = np.log(counts / counts.sum(axis=-1, keepdims=True))
        return log_probs
