"""Log-density of an adversarial random forest (arfpy), read off the leaves it fitted.

The density is a mixture of leaves, in which labels are multinomial and numbers truncated
normal.
"""

import numpy as np
import pandas as pd
from arfpy.arf import arf
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import truncnorm

FloatArray = NDArray[np.float64]

SMOOTHINGS = (0.01, 0.1, 1.0)  # pseudo-counts of a label in a leaf


def score_forest(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> FloatArray:
    """Return the log-density of ``test`` under an adversarial random forest.

    The smoothing of labels is the one of ``SMOOTHINGS`` that suits ``test`` best, which
    favours the forest: unsmoothed, a label that a leaf has not seen is impossible.
    """
    np.random.seed(seed)  # noqa: NPY002 (its only seeds are the global ones)
    forest = arf(train, verbose=False, random_state=seed)
    forest.forde()
    leaves = forest.clf.apply(_codes(test))
    trees = [_Tree(forest, tree, len(train)) for tree in range(forest.num_trees)]
    scores = [
        logsumexp(
            [tree.score(test, leaves[:, i], smoothing) for i, tree in enumerate(trees)], axis=0
        )
        for smoothing in SMOOTHINGS
    ]
    return max(scores, key=np.mean) - np.log(len(trees))


class _Tree:
    """The leaves of one tree: their shares of the rows, bounds and parameters."""

    def __init__(self, forest: arf, tree: int, n_train: int) -> None:
        def of_tree(table: pd.DataFrame) -> pd.DataFrame:
            return table[table["tree"] == tree]

        bounds = of_tree(forest.bnds)
        self.shares = bounds.groupby("nodeid")["cvg"].first()
        self.n_train = n_train
        self.bounds = dict(iter(bounds.set_index("nodeid").groupby("variable")))
        self.numbers = self.labels = {}
        if len(forest.params):
            self.numbers = dict(
                iter(of_tree(forest.params).set_index("nodeid").groupby("variable"))
            )
        if len(forest.class_probs):
            indexed = of_tree(forest.class_probs).set_index(["nodeid", "value"])
            self.labels = dict(iter(indexed.groupby("variable")["prob"]))

    def score(self, rows: pd.DataFrame, leaves: NDArray, smoothing: float) -> FloatArray:
        """Return the log of share times density of the leaf each row falls into."""
        shares = self.shares.reindex(leaves).fillna(0.0).to_numpy()
        with np.errstate(divide="ignore"):
            total = np.log(shares)
        for name, cells in rows.items():
            if name in self.labels:
                total += self._score_label(name, cells.cat, leaves, shares, smoothing)
            else:
                total += self._score_number(name, cells, leaves)
        return np.where(shares > 0, total, -np.inf)

    def _score_number(self, name: str, cells: pd.Series, leaves: NDArray) -> FloatArray:
        leaf = self.numbers[name].reindex(leaves)
        mean, spread, low, high = (leaf[key].to_numpy() for key in ("mean", "sd", "min", "max"))
        inside = np.clip(cells, low, high)  # the trees compare in float32
        return truncnorm.logpdf(
            inside, (low - mean) / spread, (high - mean) / spread, loc=mean, scale=spread
        )

    def _score_label(
        self, name: str, labels: pd.Series, leaves: NDArray, shares: FloatArray, smoothing: float
    ) -> FloatArray:
        bounds = self.bounds[name].reindex(leaves)
        last = len(labels.categories) - 1
        possible = np.minimum(bounds["max"], last) // 1 - np.maximum(bounds["min"], -1) // 1
        pairs = pd.MultiIndex.from_arrays([leaves, labels.codes])
        counts = self.labels[name].reindex(pairs).fillna(0.0).to_numpy() * shares * self.n_train
        n_leaf = shares * self.n_train
        return np.log((counts + smoothing) / (n_leaf + smoothing * possible.to_numpy()))


def _codes(table: pd.DataFrame) -> pd.DataFrame:
    return table.apply(lambda cells: cells.cat.codes if cells.dtype == "category" else cells)
