"""Values on a grid, drawn anew within their cells."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skflow.flow.marginals import Marginals
from skflow.rows import EncodedRows, row_blocks


class Blur:
    """Draws of values within the cells of their grid, sent through the marginals.

    A density fitted to bare grid points could be driven up without limit, and one
    fitted to the same draw again and again learns the draw.

    Parameters
    ----------
    marginals : Marginals
        Of all columns that have values.
    columns : list of int
        Those of them that lie on a grid.
    n_rows : int

    Attributes
    ----------
    values : Tensor of shape (n_gridded, n_rows)
        In float64, at the centres of their cells; NaN where absent.
    widths : Tensor of shape (n_gridded, 1)
        Of the cells of each column, where all are the same; else 1.
    own_widths : dict of Tensor, shape (n_rows,)
        Of each cell, in the other columns.
    """

    def __init__(self, marginals: Marginals, columns: list[int], n_rows: int) -> None:
        self.marginals = marginals.of_columns(columns)
        self.columns = torch.tensor(columns, dtype=torch.int64)
        self.values = torch.empty((len(columns), n_rows), dtype=torch.float64)
        self.widths = torch.zeros((len(columns), 1), dtype=torch.float64)
        self.own_widths: dict[int, Tensor] = {}

    def keep(self, block: slice, rows: EncodedRows) -> None:
        """Take in the centres and cells of some of the rows."""
        columns = self.columns.numpy()
        self.values[:, block] = torch.from_numpy(rows.values[:, columns].T)
        for j, cells in enumerate(rows.bin_widths[:, columns].T):
            if not self._share_width(j, cells[cells > 0]):
                self.own_widths[j][block] = torch.from_numpy(cells.copy())

    def _share_width(self, j: int, cells: NDArray[np.float64]) -> bool:
        """Whether these cells of column ``j`` are as wide as all before them."""
        if j in self.own_widths:
            return False
        width = self.widths[j]
        if cells.size and not width:
            width.fill_(float(cells[0]))
        if (cells == float(width)).all():
            return True
        self.own_widths[j] = width.float().repeat(self.values.shape[1])
        width.fill_(1.0)
        return False

    def to(self, device: torch.device) -> "Blur":
        """Move to where the draws are made."""
        self.marginals.to(device)
        self.columns, self.values = self.columns.to(device), self.values.to(device)
        self.widths = self.widths.to(device)
        self.own_widths = {j: widths.to(device) for j, widths in self.own_widths.items()}
        return self

    def draw(self, y: Tensor, generator: torch.Generator) -> None:
        """Write fresh scores of these columns into ``y``, ``(n_columns, n_rows)``."""
        for block in row_blocks(y.shape[1], len(self.columns)):
            values = self.values[:, block]
            with torch.no_grad():
                noise = torch.empty_like(values).uniform_(-0.5, 0.5, generator=generator)
                noise *= self.widths
                for j, widths in self.own_widths.items():
                    noise[j] *= widths[block]
                scores, _ = self.marginals.forward_and_log_det(values + noise)
            y[self.columns, block] = scores.to(y.dtype)
