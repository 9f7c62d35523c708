"""Encoded rows on their way to a model."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from skflow.flow.model import Rows

FloatArray = NDArray[np.float64]


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

    def blurred(self, generator: torch.Generator) -> "EncodedRows":
        """Return the rows with values drawn uniformly within their cells."""
        noise = torch.rand(self.values.shape, generator=generator, dtype=torch.float64).numpy()
        return replace(self, values=self.values + (noise - 0.5) * self.cells)

    def tensors(self, device: torch.device | str = "cpu") -> Rows:
        """Return the rows as a model takes them, each a column."""

        def columns(array: NDArray) -> torch.Tensor:
            return torch.tensor(np.ascontiguousarray(array.T), device=device)

        return Rows(columns(self.labels), columns(self.rare), columns(self.values))
