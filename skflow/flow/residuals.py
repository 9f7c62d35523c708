"""Factors of a mixture at some rows, from which densities of parts of a row are composed."""

from typing import NamedTuple

import torch
from torch import Tensor


class Residuals(NamedTuple):
    r"""Factors of a mixture's joint sum at some rows.

    The factor of column j under component k is
    :math:`\exp(\text{log\_peaks}_{kj} - r_{kj}^2 / 2) + \exp(\text{log\_floors}_j)`.

    Attributes
    ----------
    standardised : Tensor of shape (n_components, n_columns, n_rows)
        The residuals r; 0 where a value is missing.
    log_peaks : Tensor of shape (n_components, n_columns)
        Log of each Gaussian part at its mean.
    log_floors : Tensor of shape (n_columns, n_rows)
        Log of the broad part; -inf where a value is missing: its factor is 1.
    log_weights : Tensor of shape (n_components, n_rows)
        Log of the components' weights.
    """

    standardised: Tensor
    log_peaks: Tensor
    log_floors: Tensor
    log_weights: Tensor

    def log_factors(self, columns: slice = slice(None)) -> Tensor:
        """Log of the factors of some columns, ``(n_components, n_columns, n_rows)``, in nats."""
        standardised, log_floors = self.standardised[:, columns], self.log_floors[columns]
        normal = torch.exp(self.log_peaks[:, columns, None] - standardised.square() / 2)
        return (normal + log_floors.exp()).log().masked_fill(log_floors.isneginf(), 0.0)

    def log_prob(self) -> Tensor:
        """Log-density of each row, in nats."""
        return torch.logsumexp(self.log_factors().sum(dim=1) + self.log_weights, dim=0)
