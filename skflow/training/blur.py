"""Values on a grid, drawn anew within their cells."""

import torch
from torch import Tensor

from skflow.flow.marginals import Marginals


class Blur:
    """Draws of values within the cells of their grid, sent through the marginals.

    A density fitted to bare grid points could be driven up without limit, and one
    fitted to the same draw again and again learns the draw.

    Parameters
    ----------
    marginals : Marginals
    values : Tensor of shape (n_columns, n_rows)
        In float64, at the centres of their cells; NaN where absent.
    cells : Tensor of shape (n_columns, n_rows)
        Widths of the cells; 0 where there is no grid.
    dtype : torch.dtype
        Of what is drawn.
    """

    def __init__(
        self, marginals: Marginals, values: Tensor, cells: Tensor, dtype: torch.dtype
    ) -> None:
        self.marginals = marginals
        self.values = values
        self.cells = cells
        self.dtype = dtype

    def draw(self, generator: torch.Generator) -> Tensor:
        """Return fresh scores, ``(n_columns, n_rows)``."""
        with torch.no_grad():
            noise = torch.empty_like(self.values).uniform_(-0.5, 0.5, generator=generator)
            scores, _ = self.marginals.forward_and_log_det(self.values + noise * self.cells)
        return scores.to(self.dtype)
