r"""Density of rows along the line of one column, the others fixed, without coupling layers.

Under component k the residual of a later column i is linear in the clamped value of column j,

.. math:: r_{ki}(y_j) = r_{ki}(0) - \frac{A_{kij}}{s_{ki}} \, \mathrm{clamp}(y_j),

and the factors of earlier columns are constant. So a point of the line costs the factors of the
column and the later ones, and no product of matrices.
"""

import torch
from torch import Tensor

from skflow.flow.context import NO_CONTEXT, Context
from skflow.flow.floored_components import MIN_SCALE, Residuals
from skflow.flow.heavy_tails import broad_density
from skflow.flow.mixture import Mixture

HALVINGS = 3  # as many times factors are multiplied in pairs before logarithms are taken
BLOCK_ENTRIES = 2**16  # factors at once on a CPU, whose caches count
CUDA_ENTRIES = 2**25


class ColumnLine:
    """Joint sum of a mixture along the line of one column in some rows.

    Parameters
    ----------
    mixture : Mixture
        Without conditions.
    y : Tensor of shape (n_columns, n_rows)
        Gaussianized values, NaN where absent; those of column ``j`` do not matter.
    j : int
        The column.
    context : Context

    Attributes
    ----------
    slopes : Tensor of shape (n_components, n_columns)
        Changes of the later columns' residuals per unit of the clamped column; 0 for others.
    precisions : Tensor of shape (n_components,)
        Change of the column's own residual per unit.
    """

    def __init__(self, mixture: Mixture, y: Tensor, j: int, context: Context = NO_CONTEXT) -> None:
        self.j = j
        self.bound = mixture.bound
        column = torch.tensor(j, device=y.device)
        self.at_zero = mixture.residuals(y.index_fill(0, column, 0.0), context)
        scale = mixture.log_scale.exp().clamp_min(MIN_SCALE)
        self.slopes = mixture.coefficients.tril(-1)[:, :, j] / -scale
        self.precisions = 1 / scale[:, j]
        before = self.at_zero.log_factors(slice(j)).sum(dim=1) + self.at_zero.log_weights
        self._log_weights = before.T.contiguous()
        # Padding is factors of 1, like those of absent columns: infinite residuals, floors at 1.
        n_later = len(y) - 1 - j
        self._padding = (0, -n_later % 2**HALVINGS)
        residuals = self.at_zero.standardised[:, j + 1 :].permute(2, 0, 1)
        log_floors = self.at_zero.log_floors[j + 1 :].T
        is_absent = log_floors.isneginf()
        self._later = (
            self._pad(residuals.masked_fill(is_absent[:, None], torch.inf), torch.inf),
            self._pad(log_floors.exp().masked_fill(is_absent, 1.0), 1.0),
            self._pad(self.slopes[:, j + 1 :], 0.0),
            self._pad(self.at_zero.log_peaks[:, j + 1 :], 0.0),
        )

    def log_prob(self, rows: Tensor, y: Tensor) -> Tensor:
        """Log-density of rows, by index, at values of the column, ``(n_points,)``, in nats."""
        entries = CUDA_ENTRIES if y.is_cuda else BLOCK_ENTRIES
        size = max(1, entries // max(1, self._later[2].numel()))
        pairs = zip(rows.split(size), y.split(size), strict=True)
        return torch.cat([y.new_empty(0), *(self._log_prob(*pair) for pair in pairs)])

    def standardised(self, rows: Tensor, y: Tensor, columns: Tensor) -> Tensor:
        """Return residuals of some columns, ``(n_components, len(columns), n_points)``."""
        residuals = self.at_zero.standardised[:, columns[:, None], rows]
        residuals = residuals + self.slopes[:, columns, None] * self._read(y)
        residuals.masked_fill_(self.at_zero.log_floors[columns[:, None], rows].isneginf(), 0.0)
        residuals[:, columns == self.j] = self._own_residuals(rows, y)[:, None]
        return residuals

    def residuals(self, rows: Tensor, y: Tensor) -> Residuals:
        """Return the factors of the joint sum at values of the column."""
        every = torch.arange(self.slopes.shape[1], device=y.device)
        log_floors = self.at_zero.log_floors[:, rows]
        log_floors[self.j] = self._own_log_floors(rows, y)
        return self.at_zero._replace(
            standardised=self.standardised(rows, y, every),
            log_floors=log_floors,
            log_weights=self.at_zero.log_weights[:, rows],
        )

    def _log_prob(self, rows: Tensor, y: Tensor) -> Tensor:
        residuals, floors, slopes, log_peaks = self._later
        at = torch.addcmul(residuals[rows], slopes, self._read(y)[:, None, None])
        factors = torch.addcmul(log_peaks, at, at, value=-0.5).exp_().add_(floors[rows, None])
        for _ in range(HALVINGS):
            left, right = factors.tensor_split(2, dim=2)
            factors = left * right
        own = self.at_zero.log_peaks[:, self.j, None] - self._own_residuals(rows, y).square() / 2
        own = torch.logaddexp(own, self._own_log_floors(rows, y)).T
        log_factors = factors.log_().sum(dim=2)
        return torch.logsumexp(log_factors + own + self._log_weights[rows], dim=1)

    def _read(self, y: Tensor) -> Tensor:
        return y.clamp(-self.bound, self.bound)

    def _own_residuals(self, rows: Tensor, y: Tensor) -> Tensor:
        return self.at_zero.standardised[:, self.j, rows] + self.precisions[:, None] * y

    def _own_log_floors(self, rows: Tensor, y: Tensor) -> Tensor:
        at_zero = self.at_zero.log_floors[self.j, rows]
        return at_zero + broad_density(y).log() - broad_density(torch.zeros_like(y)).log()

    def _pad(self, array: Tensor, value: float) -> Tensor:
        return torch.nn.functional.pad(array, self._padding, value=value)
