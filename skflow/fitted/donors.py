"""Completed tables: missing cells filled with those of other rows, found by random trees.

Columns are filled by turns, several sweeps long. The rows that hold a value of a column grow
decision trees of it on all other columns, filled as they are by then; a row that lacks the value
takes that of a random row, its donor, in the same leaf of one of the trees (Doove, van Buuren,
Dusseldorp, "Recursive partitioning for missing data imputation in the presence of interaction
effects", Computational Statistics & Data Analysis 72, 2014). Trees are grown from all of these
rows, not from rows drawn with replacement: donors are then more alike. But two rows that each lack
what the other one holds could stay each other's donors, whatever they were filled with at first.
So a row counts by the share of its other cells that is known.

A donor differs from its row in what both are predicted from, most where values of one side are
missing: relations between columns would be flattened. So in columns that have an order a donor
gives its residual of a ridge regression, whose target and features are normal scores, and the row
takes the cell that is nearest to its own prediction and this residual (as matching is corrected
for bias by regression: Abadie, Imbens, "Bias-corrected matching estimators for average treatment
effects", Journal of Business & Economic Statistics 29 (1), 2011).

A tree of a column sees only rows that hold it: rounds of a joint density, refitted to its own
draws, would approach the same tables many times more slowly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge

from skflow.clock import Clock
from skflow.fitted.cells import put_cells
from skflow.table.codec import TableCodec
from skflow.table.column_codec import ColumnCodec
from skflow.table.storage import StoredColumn, StoredTable

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]

SWEEPS = 5
MOST_FORESTS = 300  # of all sweeps; where columns are many, there are fewer sweeps
N_TREES = 10
LEAF_ROWS = 2
MOST_DONORS = 10_000  # rows that grow the trees of a column
MOST_CATEGORIES = 30  # the most frequent ones are features
MOST_TRIED = 30  # features that a split chooses from; half of them where they are few
LEAST_SHARE = 1e-3  # of known cells, added to that of each row


def complete(
    table: StoredTable,
    codec: TableCodec,
    missing: Mask,
    generator: np.random.RandomState,
    clock: Clock,
) -> StoredTable:
    """Fill missing cells with those of donors.

    Where the time of the clock is over, donors are those found so far, at first any rows.

    Parameters
    ----------
    table : StoredTable
    codec : TableCodec
        Fitted to the table.
    missing : ndarray of bool, shape (n_rows, n_columns)
        Cells to be filled; each column holds a value that is not among them.
    generator : RandomState
    clock : Clock
    """
    features = [tree_features(*pair) for pair in zip(codec.columns, table.columns, strict=True)]
    donors = Donors(features, missing, table.weight, generator)
    by_missing = np.argsort(missing.sum(axis=0), kind="stable")
    varying = [int(j) for j in by_missing if missing[:, j].any() and np.ptp(features[j])]
    n_sweeps = max(1, min(SWEEPS, MOST_FORESTS // max(1, len(varying))))
    for j in varying * n_sweeps:
        if clock.is_over:
            break
        donors.draw(j)
    donated = [column.take(donors.rows[:, j]) for j, column in enumerate(table.columns)]
    columns = tuple(
        own if missing[:, j].any() else table.columns[j] for j, own in enumerate(donated)
    )
    filled = StoredTable(columns, table.n_rows, table.container, table.weight)
    return keep_constraints(codec, filled, missing)


def keep_constraints(codec: TableCodec, table: StoredTable, missing: Mask) -> StoredTable:
    """Replace filled cells so that constraints are kept: targets, and one operand of known ones."""
    for i, (target, operands) in enumerate(codec.implied.positions):
        is_open = missing[:, operands].any(axis=1) & ~missing[:, target]
        order = sorted(range(len(operands)), key=lambda k: codec.n_values_of(operands[k]))
        descending = missing[:, [operands[k] for k in order[::-1]]]
        last = np.array(order[::-1])[descending.argmax(axis=1)]  # the one of most values
        for place, j in enumerate(operands):
            rows = np.flatnonzero(is_open & (last == place))
            solved = codec.solve(i, (), j, table.take(rows))
            first = np.unique(solved.source, return_index=True)[1]
            table = put_cells(table, rows[solved.source[first]], j, solved.cells.take(first))
        values, is_implied = codec.implied.imply(i, table.columns)
        rows = np.flatnonzero(missing[:, target] & is_implied)
        table = put_cells(table, rows, target, table.columns[target].filled(values).take(rows))
    return table


def tree_features(codec: ColumnCodec, column: StoredColumn) -> FloatArray:
    """Return the column as trees read it, ``(n_rows, n_features)``; 0 where it is missing.

    Normal scores of what has an order, quantiles of the normal distribution at its mean ranks; else
    an indicator of each frequent category.
    """
    if codec.is_ordered:
        scores = np.zeros((len(column.missing), 1))
        ranks = rankdata(codec.numbers(column)[column.present])
        scores[column.present, 0] = ndtri((ranks - 0.5) / max(1, len(ranks)))
        return scores
    labels = codec.encode(column).labels
    counts = np.bincount(labels[column.present], minlength=1)
    frequent = np.argsort(-counts, kind="stable")[:MOST_CATEGORIES]
    return (labels[:, None] == frequent[counts[frequent] > 0]).astype(np.float64)


@dataclass
class Donors:
    """Which row each cell is taken from: its own where it is known.

    Parameters
    ----------
    features : sequence of ndarray, each of shape (n_rows, n_features of the column)
    missing : ndarray of bool, shape (n_rows, n_columns)
    weight : ndarray of shape (n_rows,), optional
    generator : RandomState

    Attributes
    ----------
    rows : ndarray of intp, shape (n_rows, n_columns)
    """

    features: Sequence[FloatArray]
    missing: Mask
    weight: FloatArray | None
    generator: np.random.RandomState

    def __post_init__(self) -> None:
        n_rows, n_columns = self.missing.shape
        self.rows = np.tile(np.arange(n_rows)[:, None], n_columns)
        self._owner = np.repeat(np.arange(n_columns), [own.shape[1] for own in self.features])
        for j in np.flatnonzero(self.missing.any(axis=0)).tolist():
            holders = self._holders(j)
            lacking = np.flatnonzero(self.missing[:, j])
            nowhere = np.zeros(len(lacking), dtype=np.intp)
            every = nowhere[:1].repeat(len(holders))
            weight = np.ones(len(holders)) if self.weight is None else self.weight[holders]
            self.rows[lacking, j] = holders[self._choose(weight, every, nowhere)]
        filled = [own[self.rows[:, j]] for j, own in enumerate(self.features)]
        self._filled = np.hstack(filled)

    def draw(self, j: int) -> None:
        """Draw other donors of column j, given all other columns."""
        others, holders = self._filled[:, self._owner != j], self._holders(j)
        lacking = np.flatnonzero(self.missing[:, j])
        if not others.shape[1]:
            return  # no other column holds anything
        forest = RandomForestRegressor(
            N_TREES,
            min_samples_leaf=LEAF_ROWS,
            max_features=max(1, min(others.shape[1] // 2, MOST_TRIED)),
            bootstrap=False,
            random_state=self.generator.randint(2**31 - 1),
        )
        weight = LEAST_SHARE + (~np.delete(self.missing[holders], j, axis=1)).mean(axis=1)
        if self.weight is not None:
            weight *= self.weight[holders]
        target = self.features[j][holders]
        is_ordered = target.shape[1] == 1
        if is_ordered:
            predicted = Ridge().fit(others[holders], target.ravel(), weight).predict(others)
            scores, target = target.ravel(), target.ravel() - predicted[holders]
        forest.fit(others[holders], target, weight)
        tree_of = self.generator.randint(N_TREES, size=len(lacking))
        for k, tree in enumerate(forest.estimators_):
            own = lacking[tree_of == k]
            if len(own):
                leaf, its = (tree.apply(others[rows]) for rows in (holders, own))
                donor = self._choose(weight, leaf, its)
                if is_ordered:
                    donor = find_nearest(scores, predicted[own] + target[donor])
                self.rows[own, j] = holders[donor]
        self._filled[:, self._owner == j] = self.features[j][self.rows[:, j]]

    def _holders(self, j: int) -> NDArray[np.intp]:
        """Return rows that hold a value of column j: all, or some where they are many."""
        rows = np.flatnonzero(~self.missing[:, j])
        if len(rows) > MOST_DONORS:
            rows = np.sort(self.generator.choice(rows, MOST_DONORS, replace=False))
        return rows

    def _choose(
        self, weight: FloatArray, leaf: NDArray[np.intp], its: NDArray[np.intp]
    ) -> NDArray[np.intp]:
        """Choose an entry of ``leaf`` that equals each of ``its``, with odds of their weights."""
        order = np.argsort(leaf, kind="stable")
        mass = np.concatenate([[0.0], np.cumsum(weight[order])])
        first, end = (np.searchsorted(leaf[order], its, side) for side in ("left", "right"))
        at = mass[first] + self.generator.random_sample(len(its)) * (mass[end] - mass[first])
        place = np.searchsorted(mass, at, "right") - 1
        return np.asarray(order[np.clip(place, first, end - 1)])


def find_nearest(numbers: FloatArray, wanted: FloatArray) -> NDArray[np.intp]:
    """Return an entry of ``numbers`` that is nearest to each of those wanted."""
    order = np.argsort(numbers, kind="stable")
    middles = (numbers[order[1:]] + numbers[order[:-1]]) / 2
    return np.asarray(order[np.searchsorted(middles, wanted)])
