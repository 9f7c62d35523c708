"""What every fit owes its caller: held-out rows, warnings, an earlier fit kept."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from skflow.exceptions import DegenerateDensityWarning
from skflow.table.codec import TableCodec
from skflow.table.storage import StoredTable
from skflow.training.rows import EncodedRows

FloatArray = NDArray[np.float64]

FEWEST_ROWS_TO_SPLIT = 100
COLLINEAR = 1e-12  # share of a column's variance that the columns before it leave


@contextmanager
def keep_earlier_fit(estimator: Any) -> Iterator[None]:
    """Put an estimator's state back where a fit fails.

    A first fit that is interrupted by the user stays, with the best weights so
    far; a later one gives way to the fit before it.
    """
    before = vars(estimator).copy()
    try:
        yield
    except BaseException as error:
        interrupted_first = isinstance(error, KeyboardInterrupt) and "n_iter_" not in before
        if not (interrupted_first and "n_iter_" in vars(estimator)):
            vars(estimator).clear()
            vars(estimator).update(before)
        raise


def hold_out_rows(
    table: StoredTable,
    early_stopping: bool | str,
    validation_fraction: float,
    generator: torch.Generator,
) -> tuple[StoredTable, StoredTable | None]:
    """Split off rows for early stopping, or none: ``(train, held out)``."""
    n_rows = table.n_rows
    if early_stopping == "auto":
        early_stopping = n_rows >= FEWEST_ROWS_TO_SPLIT
    if not early_stopping:
        return table, None
    n_held_out = min(max(1, round(validation_fraction * n_rows)), n_rows - 1)
    rows = torch.randperm(n_rows, generator=generator).numpy()
    return table.take(rows[n_held_out:]), table.take(rows[:n_held_out])


def encode_rows(codec: TableCodec, table: StoredTable) -> EncodedRows:
    """Encode rows to learn from."""
    encoded = codec.encode(table)
    return EncodedRows(
        encoded.labels, encoded.rare, encoded.values, encoded.cells, encoded.log_volume
    )


def warn_if_degenerate(values: FloatArray, names: Sequence[str]) -> None:
    """Warn of values that are exact linear functions of the values before them.

    Only of columns that have a value in every row.
    """
    varying = np.flatnonzero((values != values[0]).any(axis=0) & ~np.isnan(values).any(axis=0))
    if len(values) <= len(varying) + 1:
        return  # so few rows always lie in a plane
    columns = values[:, varying]
    standardised = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    left = np.diag(np.linalg.qr(standardised, mode="r")) ** 2 / len(values)
    names = [names[j] for j in varying[left < COLLINEAR]]
    if names:
        warnings.warn(
            f"Columns {names} are linear functions of the columns before them: their density "
            "has no finite limit, and scores are high by an arbitrary amount. Drop them.",
            DegenerateDensityWarning,
            stacklevel=5,
        )
