"""Encoded rows on their way to a model, block by block."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray

from skflow.flow.model import Rows

FloatArray = NDArray[np.float64]

BLOCK_CELLS = 2**15
FEWEST_BLOCK_ROWS = 1024


@dataclass(frozen=True)
class EncodedRows:
    """Encoded rows; what a table's codec returns, row by row.

    Attributes
    ----------
    labels : ndarray of int64, shape (n_rows, n_labelled)
        The index after a column's last label means "never seen".
    rare : ndarray of shape (n_rows, n_labelled)
        Where a number was never seen, how far out it lies; NaN elsewhere.
    values : ndarray of shape (n_rows, n_valued)
        NaN where absent.
    cells : ndarray of shape (n_rows, n_valued)
        Widths of the cells of values on a grid, else 0.
    log_volume : ndarray of shape (n_rows,)
        Log-derivative of the encoding, in nats.
    """

    labels: NDArray[np.int64]
    rare: FloatArray
    values: FloatArray
    cells: FloatArray
    log_volume: FloatArray

    def __len__(self) -> int:
        return len(self.values)

    @property
    def gridded(self) -> list[int]:
        """Columns of values on a grid."""
        return np.flatnonzero(self.cells.any(axis=0)).tolist()

    def take(self, rows: Any) -> Self:
        """Return some of the rows, by slice or index."""
        return replace(self, **{name: array[rows] for name, array in vars(self).items()})

    def blurred(self, columns: list[int], generator: torch.Generator) -> Self:
        """Return the rows with values of some columns drawn uniformly within their cells."""
        noise = torch.rand((len(self), len(columns)), generator=generator, dtype=torch.float64)
        values = self.values.copy()
        values[:, columns] += (noise.numpy() - 0.5) * self.cells[:, columns]
        return replace(self, values=values)

    def tensors(self) -> Rows:
        """Return the rows as a model takes them, each a column."""

        def columns(array: NDArray) -> torch.Tensor:
            return torch.tensor(np.ascontiguousarray(array.T))

        return Rows(columns(self.labels), columns(self.rare), columns(self.values))


def index_dtype(n_rows: int) -> torch.dtype:
    """Return what numbers so many rows in as few bytes as torch indexes by."""
    return torch.int32 if n_rows <= torch.iinfo(torch.int32).max else torch.int64


def fork(generator: torch.Generator) -> torch.Generator:
    """Return a generator of its own for draws of which there may be any number.

    What ``generator`` draws next does not depend on how many columns lie on a grid.
    """
    device = generator.device
    seed = torch.randint(2**31, (1,), generator=generator, device=device)
    return torch.Generator(device).manual_seed(int(seed))


class RowSource(Protocol):
    """Rows that are encoded when they are asked for, lest a whole table be held twice.

    Attributes
    ----------
    gridded : list of int
        Columns of values on a grid.
    """

    @property
    def gridded(self) -> list[int]: ...  # noqa: D102

    def __len__(self) -> int: ...

    def take(self, rows: Any) -> EncodedRows:
        """Encode some of the rows, by slice or index."""
        ...


def row_blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Slices of rows, of so few cells each that arrays of them weigh nothing."""
    size = max(FEWEST_BLOCK_ROWS, BLOCK_CELLS // max(1, n_columns))
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


def encoded_blocks(source: RowSource, n_columns: int) -> Iterator[tuple[slice, EncodedRows]]:
    """Encode all rows of a source, in their order: ``(which, rows)``."""
    for block in row_blocks(len(source), n_columns):
        yield block, source.take(block)
