"""Degenerate columns: linear functions of others, whose density has no finite limit."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from skflow.exceptions import DegenerateDensityWarning, warn_caller

FloatArray = NDArray[np.float64]

COLLINEAR = 1e-12  # share of a column's variance that the columns before it leave


class TriangularFactor:
    """R of the QR decomposition of rows that come block by block.

    A column of ones stands before the others: what it explains is their mean. R of the rows so
    far stands for them (Golub and Van Loan, "Matrix Computations", section 5.2), once they are
    more than the columns.

    Attributes
    ----------
    factor : ndarray of shape (at most n_columns + 1, n_columns + 1)
        Factor of the rows less the first one, or these rows.
    n_rows : int
        Rows so far.
    """

    def __init__(self, n_columns: int) -> None:
        self.factor = np.empty((0, n_columns + 1))
        self.n_rows = 0
        self.varies = np.zeros(n_columns, dtype=bool)
        self.whole = np.ones(n_columns, dtype=bool)

    def add(self, values: FloatArray) -> None:
        """Take in rows, ``(n_rows, n_columns)``; NaN is missing."""
        if not self.n_rows:
            self.origin = values[:1]
        self.n_rows += len(values)
        shifted = values - self.origin
        self.whole &= ~np.isnan(shifted).any(axis=0)
        self.varies |= (shifted != 0).any(axis=0)
        design = np.column_stack((np.ones(len(shifted)), np.nan_to_num(shifted)))
        rows = np.concatenate((self.factor, design))
        self.factor = rows if len(rows) <= rows.shape[1] else _qr(rows)

    @property
    def columns(self) -> NDArray[np.intp]:
        """Columns that vary and have a value in every row."""
        return np.flatnonzero(self.varies & self.whole)

    def share_left(self) -> FloatArray:
        """Return the share of the variance of :attr:`columns` that those before them leave."""
        centred = _qr(self.factor[:, [0, *(self.columns + 1)]])[1:, 1:]
        centred = centred / np.abs(centred).max(axis=0)
        share: FloatArray = np.diag(centred) ** 2 / (centred**2).sum(axis=0)
        return share


def warn_if_degenerate(rows: TriangularFactor, names: Sequence[str], n_given: int = 0) -> None:
    """Warn of columns that are exact linear functions of the columns before them.

    Only of columns that have a value in every row. The first ``n_given`` columns are
    conditions, which have no density; ``names`` are those of the others.
    """
    columns = rows.columns
    if not len(columns) or rows.n_rows <= len(columns) + 1:
        return  # so few rows always lie in a plane
    collinear = columns[rows.share_left() < COLLINEAR]
    names = [names[j - n_given] for j in collinear if j >= n_given]
    if names:
        warn_caller(
            f"Columns {names} are linear functions of the columns before them: their density "
            "has no finite limit, and scores are high by an arbitrary amount. Drop them.",
            DegenerateDensityWarning,
        )


def _qr(matrix: FloatArray) -> FloatArray:
    """Return R alone."""
    return np.asarray(np.linalg.qr(matrix, mode="r"))
