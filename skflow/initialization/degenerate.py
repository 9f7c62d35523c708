"""Columns whose density has no finite limit."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from skflow.exceptions import DegenerateDensityWarning, warn_caller
from skflow.rows import RowSource, encoded_blocks

FloatArray = NDArray[np.float64]

COLLINEAR = 1e-12  # share of a column's variance that the columns before it leave


def warn_if_degenerate(rows: RowSource, names: Sequence[str]) -> None:
    """Warn of values that are exact linear functions of the values before them.

    Only of columns that have a value in every row.
    """
    factor, varying = _triangular_factor(rows, len(names))
    if not len(varying) or len(rows) <= len(varying) + 1:
        return  # so few rows always lie in a plane
    left = _share_left(factor, varying)
    names = [names[j] for j in varying[left < COLLINEAR]]
    if names:
        warn_caller(
            f"Columns {names} are linear functions of the columns before them: their density "
            "has no finite limit, and scores are high by an arbitrary amount. Drop them.",
            DegenerateDensityWarning,
        )


def _triangular_factor(rows: RowSource, n_columns: int) -> tuple[FloatArray, NDArray[np.intp]]:
    """Return R of the rows' QR decomposition, and the columns that vary and are whole.

    A column of ones stands before the others: what it explains is their mean. Block by
    block, R of what came so far stands for it (Golub and Van Loan, "Matrix
    Computations", section 5.2).
    """
    origin = rows.take(slice(1)).values
    factor = np.empty((0, n_columns + 1))
    varies, whole = np.zeros(n_columns, dtype=bool), np.ones(n_columns, dtype=bool)
    for _, block in encoded_blocks(rows, n_columns):
        shifted = block.values - origin
        whole &= ~np.isnan(shifted).any(axis=0)
        varies |= (shifted != 0).any(axis=0)
        design = np.column_stack((np.ones(len(shifted)), np.nan_to_num(shifted)))
        factor = _qr(np.concatenate((factor, design)))
    return factor, np.flatnonzero(varies & whole)


def _share_left(factor: FloatArray, columns: NDArray[np.intp]) -> FloatArray:
    """Return the share of each column's variance that the columns before it leave."""
    centred = _qr(factor[:, [0, *(columns + 1)]])[1:, 1:]
    centred = centred / np.abs(centred).max(axis=0)
    share: FloatArray = np.diag(centred) ** 2 / (centred**2).sum(axis=0)
    return share


def _qr(matrix: FloatArray) -> FloatArray:
    """Return R alone."""
    return np.asarray(np.linalg.qr(matrix, mode="r"))
