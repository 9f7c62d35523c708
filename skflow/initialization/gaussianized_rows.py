"""Rows sent through fitted marginals once, to be scored by any number of mixtures."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skflow.flow.context import Context
from skflow.flow.mixture import Mixture
from skflow.initialization.joint_marginals import JointMarginals
from skflow.rows import EncodedRows, row_blocks, weighted_mean


@dataclass(frozen=True)
class GaussianizedRows:
    """Gaussianized values of rows, and what else their density under a mixture depends on.

    Attributes
    ----------
    y : Tensor of shape (n_columns, n_rows)
        Columns of the condition come before the rows' own.
    n_given : int
        Number of columns of the condition.
    log_det : ndarray of shape (n_rows,)
        Of the rows' own columns, in nats.
    codes : Tensor of int64, shape (n_labelled, n_rows), or None
    weight : ndarray of shape (n_rows,) or None
    """

    y: Tensor
    n_given: int
    log_det: NDArray[np.float64]
    codes: Tensor | None
    weight: NDArray[np.float64] | None

    @classmethod
    def through(cls, marginals: JointMarginals, rows: EncodedRows, codes: Tensor | None) -> Self:
        """Send rows through marginals."""
        y, log_det = marginals.gaussianize(rows)
        return cls(y, marginals.n_given, log_det.numpy(), codes, rows.weight)

    def mean_log_density(self, mixture: Mixture) -> float:
        """Return the weighted mean of the log-density, in nats per row.

        The joint sum is taken, which needs no step per column.
        """
        log_prob = np.empty(len(self.log_det))
        for block in row_blocks(len(log_prob), mixture.intercept.numel()):
            codes = None if self.codes is None else self.codes[:, block]
            condition, own = self.y[: self.n_given, block], self.y[self.n_given :, block]
            with torch.inference_mode():
                of_mixture = mixture.log_prob(
                    own, Context(codes, condition=condition, quantize=False)
                )
            log_prob[block] = self.log_det[block] + of_mixture.numpy()
        return float(weighted_mean(log_prob, self.weight))
