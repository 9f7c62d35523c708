"""Training rows of a density: in memory, or in files larger than memory."""

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skflow.estimators.validation import check_table, weighted_rows
from skflow.fitted.table_rows import EncodableTable

MOST_BYTES_IN_MEMORY = 2**30  # of a dataset


def is_dataset(X: Any) -> bool:
    """Whether a table is a dataset of pyarrow."""
    return type(X).__module__.startswith("pyarrow.") and hasattr(X, "get_fragments")


def read_training_rows(
    density: Any, X: Any, sample_weight: Any, fewest_rows: int, *, warm: bool
) -> tuple[Any, NDArray[np.float64] | None]:
    """Read rows to fit to, and learn their columns; or take the columns of the fit before.

    Parameters
    ----------
    density : FlowDensity
    X : array, DataFrame or pyarrow Dataset
        A dataset of more than a gigabyte is not read into memory.
    sample_weight : array-like of shape (n_samples,), float or None
    fewest_rows : int
    warm : bool
        Whether the columns are those of the fit before.

    Returns
    -------
    encodable : EncodableTable or EncodableDataset
    weight : ndarray of shape (n_positive,), or None
        Scaled weights of the rows.

    Raises
    ------
    ValueError, TypeError
        Where they are no rows to fit to.
    """
    if is_dataset(X):
        datasets = import_module("skflow.fitted.dataset_rows")
        table = datasets.ParquetTable(X)
        if table.n_bytes > MOST_BYTES_IN_MEMORY:
            if sample_weight is not None:
                raise ValueError(
                    "sample_weight must be None where X is a dataset that is larger than memory."
                )
            check_table(density, table.empty(), reset=not warm, fewest_rows=0)
            known = datasets.EncodableDataset
            if warm:
                return known.read(density._density, table), None
            return known.learn(density, table), None
        X = table.read()
    table = check_table(density, X, reset=not warm, fewest_rows=fewest_rows)
    table, weight = weighted_rows(density, table, sample_weight, fewest_rows)
    if warm:
        return EncodableTable.read(density._density, table, weight), weight
    return EncodableTable.learn(density, table, weight), weight
