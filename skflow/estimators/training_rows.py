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
    sample_weight : array-like of shape (n_samples,), float, str or None
        The name of a column where X is a dataset.
    fewest_rows : int

    Returns
    -------
    encodable : EncodableTable or EncodableDataset
    weight : ndarray of shape (n_rows,), or None
        Scaled weights of the rows of positive weight, or of a sample of these.

    Raises
    ------
    ValueError, TypeError
        Where they are no rows to fit to.
    """
    warm = density.warm_start and hasattr(density, "_density")
    if is_dataset(X):
        files = open_dataset(X, sample_weight)
        if files.n_bytes > MOST_BYTES_IN_MEMORY:
            check_table(estimator, files.empty(), reset=not warm, fewest_rows=0)
            take_names(density, estimator)
            kind = import_module("skflow.fitted.dataset_rows").EncodableDataset
            known = kind.read(density._density, files) if warm else kind.learn(density, files)
            return known, known.sample.weight
        X, sample_weight = files.read()
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


def open_dataset(X: Any, sample_weight: Any) -> Any:
    """Open the files of a dataset, whose weights are one of its columns.

    Raises
    ------
    ValueError, TypeError
        Where ``sample_weight`` is neither None nor the name of a column of weights.
    """
    if not (sample_weight is None or isinstance(sample_weight, str)):
        raise TypeError(
            "sample_weight must be the name of a column where X is a dataset, or None; got "
            f"{type(sample_weight).__name__}. Rows that fit into memory can have an array of "
            "weights: X = X.to_table().to_pandas(date_as_object=False)."
        )
    return import_module("skflow.datasets.parquet_table").ParquetTable(X, sample_weight)


def in_memory(X: Any, sample_weight: Any) -> Any:
    """Return validation rows: of a large dataset about 131,072, drawn by their hashes.

    A smaller dataset is read, and every other table returned as it is. A dataset may hold the
    column of weights of the training rows, which is left out.
    """
    if not is_dataset(X):
        return X
    datasets = import_module("skflow.fitted.dataset_rows")
    if isinstance(sample_weight, str) and sample_weight in X.schema.names:
        X = X.replace_schema(X.schema.remove(X.schema.get_field_index(sample_weight)))
    files = open_dataset(X, None)
    if files.n_bytes <= MOST_BYTES_IN_MEMORY:
        return files.read()[0]
    return datasets.sample_rows(files, datasets.MOST_HELD_OUT).frame
