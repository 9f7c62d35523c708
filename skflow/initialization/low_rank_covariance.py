r"""Covariances of low rank, up to variances of single columns, and their triangular regressions.

With :math:`\Sigma = D + F C F^T`, where :math:`D` and :math:`C` are diagonal, a block :math:`B` of
columns has, given the values :math:`x` of the columns before it, the mean and the covariance

.. math::

    F_B P F^T D^{-1} x, \quad D_B + F_B P F_B^T, \qquad P = (C^{-1} + F^T D^{-1} F)^{-1},

with :math:`F` and :math:`D` of the columns before it in the first and in :math:`P`, which the
formula of Sherman, Morrison and Woodbury takes from one block to the next.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from skflow.flow.floored_components import MIN_SCALE, regressions

BLOCK_COLUMNS = 64
MOST_FACTORS = 0.4  # per column, for which less is computed than with the matrix as a whole


class LowRankCovariance(NamedTuple):
    """A covariance of d columns, by r factors.

    Attributes
    ----------
    variances : Tensor of shape (d,)
        The diagonal of D, above 0.
    factors : Tensor of shape (d, r)
    weights : Tensor of shape (r,)
        The diagonal of C, of either sign.
    """

    variances: Tensor
    factors: Tensor
    weights: Tensor

    def dense(self) -> Tensor:
        """Return the matrix, ``(d, d)``."""
        matrix = (self.factors * self.weights) @ self.factors.T
        matrix.diagonal().add_(self.variances)
        return matrix

    def regressions(self) -> tuple[Tensor, Tensor]:
        """Return what :func:`regressions` makes of the matrix."""
        variances, factors, weights = self
        if factors.shape[1] > MOST_FACTORS * len(factors):
            return regressions(self.dense()[None])
        variances = variances + MIN_SCALE**2
        scaled, posterior = factors / variances[:, None], weights.diag()
        coefficients = factors.new_zeros(len(factors), len(factors))
        scale = torch.empty_like(variances)
        for start in range(0, len(factors), BLOCK_COLUMNS):
            block = slice(start, start + BLOCK_COLUMNS)
            known = factors[block] @ posterior
            factor = torch.linalg.cholesky(variances[block].diag() + known @ factors[block].T)
            own = factor.diagonal()
            whitening = torch.linalg.inv(factor)
            whitened = whitening @ known
            coefficients[block, :start] = (own[:, None] * whitened) @ scaled[:start].T
            coefficients[block, block] = (-own[:, None] * whitening).tril(-1)
            scale[block] = own
            posterior = posterior - whitened.T @ whitened
        return coefficients[None], scale[None]
