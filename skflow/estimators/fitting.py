"""What every fit owes its caller: held-out rows, an earlier fit kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from skflow.table.codec import TableCodec
from skflow.table.storage import StoredTable
from skflow.training.rows import EncodedRows

FEWEST_ROWS_TO_SPLIT = 100


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


@dataclass(frozen=True)
class TableRows:
    """Rows of a table to learn from, or to judge by, encoded when they are asked for.

    Attributes
    ----------
    codec : TableCodec
    table : StoredTable
    rows : ndarray of int64
        Which of the table's rows these are.
    """

    codec: TableCodec
    table: StoredTable
    rows: NDArray[np.int64]

    @classmethod
    def all_of(cls, codec: TableCodec, table: StoredTable) -> Self:
        """Return all rows of a table."""
        return cls(codec, table, np.arange(table.n_rows))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def gridded(self) -> list[int]:
        """Columns of values on a grid."""
        return self.codec.gridded

    def stored(self, rows: Any) -> StoredTable:
        """Return some of the rows, as they are stored."""
        return self.table.take(self.rows[rows])

    def take(self, rows: Any) -> EncodedRows:
        """Encode some of the rows, by slice or index."""
        encoded = self.codec.encode(self.stored(rows))
        return EncodedRows(
            encoded.labels, encoded.rare, encoded.values, encoded.cells, encoded.log_volume
        )

    def split(self, fraction: float, generator: torch.Generator) -> tuple[Self, Self]:
        """Split off a fraction of the rows at random: ``(train, held out)``."""
        n_rows = len(self)
        n_held_out = min(max(1, round(fraction * n_rows)), n_rows - 1)
        order = self.rows[torch.randperm(n_rows, generator=generator).numpy()]
        return replace(self, rows=order[n_held_out:]), replace(self, rows=order[:n_held_out])
