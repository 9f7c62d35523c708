"""Columns that are linear functions of others, found block by block."""

import numpy as np
import pytest

from skflow.initialization.degenerate import TriangularFactor
from tests.tables import correlated


@pytest.mark.parametrize("size", [7, 64, 10_000])
def test_what_columns_leave_of_each_other(size: int) -> None:
    """By blocks as by a decomposition of standardised columns at once."""
    X = correlated(300, 4, seed=0)
    near, exact = X[:, 2] + 1e-4 * X[:, 3], X[:, 0] - 2 * X[:, 1] + 5
    X = np.column_stack((X, near, np.full(300, 2.0), exact))
    X[7, 3] = np.nan
    factor = TriangularFactor(X.shape[1])
    for first in range(0, 300, size):
        factor.add(X[first : first + size])
    assert factor.columns.tolist() == [0, 1, 2, 4, 6]
    columns = X[:, factor.columns]
    standardised = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    expected = np.diag(np.linalg.qr(standardised, mode="r")) ** 2 / 300
    np.testing.assert_allclose(factor.share_left(), expected, rtol=1e-8, atol=1e-20)
