"""Rows for the benchmark of outliers: labelled, and planted by breaking a relation."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.tables import split

FloatArray = NDArray[np.floating]
Mask = NDArray[np.bool_]
Labelled = tuple[FloatArray, Mask]  # rows, and which of them are outliers
Split = tuple[FloatArray, FloatArray, Mask]  # rows to fit, rows to score, which are outliers

MOST_ROWS = 20_000  # fitted, and scored, by every method
N_PLANTED = 200
MOST_CELLS = 3  # planted in a row

# Columns and factors of tables of known density, and the share of a column that is its own.
FACTORS = {
    "6 columns of 3 factors": (6, 3, 0.05),
    "10 columns of 3 factors": (10, 3, 0.1),
    "10 columns of 5 factors": (10, 5, 0.05),
    "20 columns of 5 factors": (20, 5, 0.1),
}
N_KNOWN = 5_000  # rows of such a table


def load_labelled(data: Path) -> dict[str, Labelled]:
    """Return the tables of ``data/adbench`` by name, the smallest first.

    Rows are as they are kept, single precision, which shows the grid of their values.
    """
    tables = {}
    for path in (data / "adbench").glob("*.npz"):
        arrays = np.load(path)
        tables[path.stem] = arrays["X"], arrays["y"] == 1
    return dict(sorted(tables.items(), key=lambda item: item[1][0].size))


def load_splits(data: Path) -> dict[str, Split]:
    """Return the tables of ``data/oddbench``, with their own splits, by name, the smallest first.

    Rows to fit are normal.
    """
    tables = {}
    for path in (data / "oddbench").glob("*.npz"):
        arrays = np.load(path)
        tables[path.stem] = arrays["train"], arrays["test"], arrays["test_labels"] == 1
    return dict(sorted(tables.items(), key=lambda item: item[1][0].size))


def split_normal(labelled: Labelled, seed: int) -> Split:
    """Return a half of the normal rows to fit, and the others with all outliers to score.

    Where there are more than 20,000 of either, as many are drawn at random.
    """
    X, is_outlier = labelled
    rng = np.random.default_rng(seed)
    normal = rng.permutation(np.flatnonzero(~is_outlier))
    n_train = len(normal) // 2
    train = normal[: min(n_train, MOST_ROWS)]
    test = np.concatenate((normal[n_train:], np.flatnonzero(is_outlier)))
    test = rng.permutation(test)[:MOST_ROWS]
    return X[train], X[test], is_outlier[test]


def draw_all(labelled: Labelled, seed: int) -> Labelled:
    """Return all rows, 20,000 at random if there are more, and which are outliers."""
    X, is_outlier = labelled
    rows = np.random.default_rng(seed).permutation(len(X))[:MOST_ROWS]
    return X[rows], is_outlier[rows]


def draw_factors(name: str, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return normal rows, and the correlations of their columns, which share factors."""
    n_columns, n_factors, own = FACTORS[name]
    rng = np.random.default_rng(seed)
    loadings = rng.standard_normal((n_columns, n_factors))
    loadings *= np.sqrt((1 - own) / (loadings**2).sum(axis=1, keepdims=True))
    correlations = loadings @ loadings.T + own * np.eye(n_columns)
    return rng.multivariate_normal(np.zeros(n_columns), correlations, N_KNOWN), correlations


@dataclass(frozen=True)
class Planting:
    """Rows to fit, and fresh rows in which cells were replaced.

    Attributes
    ----------
    train : ndarray of shape (n_train, n_columns)
    truth : ndarray of shape (n_rows, n_columns)
        Fresh rows as they were.
    rows : ndarray of shape (n_rows, n_columns)
        The same with planted cells.
    is_planted : ndarray of bool, (n_rows, n_columns)
        One to three cells of each row.
    """

    train: FloatArray
    truth: FloatArray
    rows: FloatArray
    is_planted: Mask


def plant(table: NDArray[np.float64], seed: int) -> Planting:
    """Replace cells of fresh rows by those of other fresh rows, so that relations break.

    A planted value is one that its column takes, so no column alone shows it.
    """
    train, test = split(table, seed)
    rng = np.random.default_rng(seed)
    n_test, n_columns = test.shape
    chosen = rng.choice(n_test, N_PLANTED, replace=n_test < N_PLANTED)
    truth = test[chosen]
    n_cells = rng.integers(1, MOST_CELLS + 1, (N_PLANTED, 1))
    is_planted = rng.random(truth.shape).argsort(axis=1).argsort(axis=1) < n_cells
    others = (chosen[:, None] + rng.integers(1, n_test, truth.shape)) % n_test
    rows = np.where(is_planted, test[others, np.arange(n_columns)], truth)
    return Planting(train[:MOST_ROWS], truth, rows, is_planted)
