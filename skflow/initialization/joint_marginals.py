"""Marginals of rows and of their conditions, which the mixture of the initialization joins."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skflow.flow.marginals import Marginals
from skflow.initialization.marginals import fit_marginals
from skflow.rows import EncodedRows, row_blocks


@dataclass(frozen=True)
class JointMarginals:
    """Marginals of the values of rows and, where rows have a condition, of its values.

    Attributes
    ----------
    own : Marginals
    given : Marginals or None
    """

    own: Marginals
    given: Marginals | None = None

    @classmethod
    def fit(
        cls,
        rows: EncodedRows,
        n_bins: int,
        bounds: Sequence[tuple[float, float]] | None = None,
        lines: Sequence[int] = (),
    ) -> Self:
        """Fit all maps; ``bounds`` are those of the rows' own columns.

        ``lines`` are columns of the condition that are sent along a line: levels.
        """
        own = fit_marginals(rows.values, n_bins, bounds, rows.weight)
        if rows.given is None:
            return cls(own)
        values = rows.given.values
        return cls(own, fit_marginals(values, n_bins, weight=rows.weight, lines=lines))

    @property
    def n_given(self) -> int:
        """Number of columns of the condition."""
        return 0 if self.given is None else self.given.x_knots.shape[1]

    def gaussianize(self, rows: EncodedRows) -> tuple[Tensor, Tensor]:
        """Return gaussianized values, and log-determinants of the rows' own in nats.

        Values are ``(n_given + n_valued, n_rows)``: those of the condition come first.
        """
        y, log_det = _gaussianize(rows.values, self.own)
        if rows.given is None or self.given is None:
            return y, log_det
        return torch.cat((_gaussianize(rows.given.values, self.given)[0], y)), log_det


def _gaussianize(values: NDArray[np.float64], marginals: Marginals) -> tuple[Tensor, Tensor]:
    y = torch.empty(values.shape[::-1], dtype=torch.float64)
    log_det = torch.empty(len(values), dtype=torch.float64)
    for block in row_blocks(*values.shape):
        x = torch.tensor(np.ascontiguousarray(values[block].T))
        with torch.no_grad():
            y[:, block], log_det[block] = marginals.forward_and_log_det(x)
    return y, log_det
