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
    estimator: Any, density: Any, X: Any, sample_weight: Any, fewest_rows: int
) -> tuple[Any, NDArray[np.float64] | None]:
    """Read rows to fit to, and learn their columns; or take the columns of the fit before.

    Parameters
    ----------
    estimator : FlowDensity or FlowOutlierDetector
        Checks names and number of columns, and is named in errors.
    density : FlowDensity
        That of the estimator, or the estimator itself: its parameters say what columns are. A
        fitted one with ``warm_start`` keeps its columns.
    X : array, DataFrame or pyarrow Dataset
        A dataset of more than a gigabyte is not read into memory.
    sample_weight : array-like of shape (n_samples,), float or None
    fewest_rows : int

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
    warm = density.warm_start and hasattr(density, "_density")
    if is_dataset(X):
        if sample_weight is not None:
            raise TypeError(
                "sample_weight must be None where X is a dataset. Rows that fit into memory can "
                "have weights: X = X.to_table().to_pandas()."
            )
        datasets = import_module("skflow.fitted.dataset_rows")
        files = datasets.ParquetTable(X)
        if files.n_bytes > MOST_BYTES_IN_MEMORY:
            check_table(estimator, files.empty(), reset=not warm, fewest_rows=0)
            take_names(density, estimator)
            known = datasets.EncodableDataset
            if warm:
                return known.read(density._density, files), None
            return known.learn(density, files), None
        X = files.read()
    table = check_table(estimator, X, reset=not warm, fewest_rows=fewest_rows)
    take_names(density, estimator)
    table, weight = weighted_rows(estimator, table, sample_weight, fewest_rows)
    if warm:
        return EncodableTable.read(density._density, table, weight), weight
    return EncodableTable.learn(density, table, weight), weight


def take_names(density: Any, estimator: Any) -> None:
    """Set the names and the number of the columns of a density to those of an estimator."""
    for name in {"n_features_in_", "feature_names_in_"} & vars(estimator).keys():
        setattr(density, name, getattr(estimator, name))


def in_memory(X: Any) -> Any:
    """Return validation rows: of a large dataset about 131,072, drawn by their hashes.

    A smaller dataset is read, and every other table returned as it is.
    """
    if not is_dataset(X):
        return X
    datasets = import_module("skflow.fitted.dataset_rows")
    files = datasets.ParquetTable(X)
    if files.n_bytes <= MOST_BYTES_IN_MEMORY:
        return files.read()
    return datasets.sample_rows(files, datasets.MOST_HELD_OUT)[0]
