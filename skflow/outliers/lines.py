"""Density of rows along the line of one column, the others fixed.

Without coupling layers a point of the line costs few factors
(:mod:`skflow.outliers.column_line`); with them it costs a whole row.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skflow.flow.batch import Batch
from skflow.flow.floored_components import Residuals
from skflow.flow.model import Model
from skflow.outliers.column_line import ColumnLine

FloatArray = NDArray[np.float64]
LabelArray = NDArray[np.int64]
Rows = NDArray[np.intp]


class Factors(NamedTuple):
    """Factors of the density at some points of lines.

    Attributes
    ----------
    standardised : ndarray of shape (n_points, n_components, n_columns)
        Residuals in units of their standard deviations.
    log_floors : ndarray of shape (n_points, n_columns)
    log_weights : ndarray of shape (n_points, n_components)
    log_peaks : ndarray of shape (n_components, n_columns)
        See :class:`skflow.flow.floored_components.Residuals`.
    """

    standardised: FloatArray
    log_floors: FloatArray
    log_weights: FloatArray
    log_peaks: FloatArray

    @classmethod
    def of(cls, residuals: Residuals) -> "Factors":
        """Return factors as arrays, in which points come first."""
        standardised, log_peaks, *rest = (part.cpu().numpy() for part in residuals)
        log_floors, log_weights = (part.T for part in rest)
        return cls(standardised.transpose(2, 0, 1), log_floors, log_weights, log_peaks)

    def take(self, points: Rows) -> "Factors":
        """Return the factors at some of the points."""
        return self._replace(
            standardised=self.standardised[points],
            log_floors=self.log_floors[points],
            log_weights=self.log_weights[points],
        )


@dataclass(frozen=True)
class Scan:
    """Density at many points of lines, and which residuals may change much between them.

    Attributes
    ----------
    log_density : ndarray of shape (n_points,)
        Log-density of the values, in nats.
    log_jacobian : ndarray of shape (n_points,)
        Its part that belongs to no factor.
    columns : ndarray of intp
        Columns whose residuals may change by more than the scan asks for.
    standardised : ndarray of shape (n_points, n_components, len(columns))
        Their residuals.
    factors_at : callable
        Factors of all columns at some of the points, by index.
    """

    log_density: FloatArray
    log_jacobian: FloatArray
    columns: Rows
    standardised: FloatArray
    factors_at: Callable[[Rows], Factors]


class Line(Protocol):
    """Lines of rows: points are rows, by index, with encoded values of the column."""

    def log_prob(self, rows: Rows, encoded: FloatArray) -> FloatArray:
        """Log-density of the values of rows at points, ``(n_points,)``, to 1e-5 nats."""

    def standardised(self, rows: Rows, encoded: FloatArray) -> FloatArray:
        """Return residuals at points, ``(n_points, n_components, n_columns)``."""

    def scan(self, rows: Rows, encoded: FloatArray, widest: float, change: float) -> Scan:
        """Evaluate points, and residuals that may change by ``change`` over a cell of ``widest``.

        The width is in units of the gaussianized column.
        """


class LineOfMixture:
    """Lines of rows under a model without coupling layers.

    Parameters
    ----------
    model : Model
    labels : Tensor of int64, shape (n_labelled, n_rows)
    values : Tensor of shape (n_valued, n_rows)
        Those of the column do not matter.
    k : int
        The column, among those with values.
    """

    def __init__(self, model: Model, labels: Tensor, values: Tensor, k: int) -> None:
        self._device = values.device
        others = values.index_fill(0, torch.tensor(k, device=values.device), torch.nan)
        y, self._log_det = model.marginals.forward_and_log_det(others)
        batch = Batch(labels, y)
        self._line = ColumnLine(model.flow.mixture, y, k, model.flow.context(batch.labels))
        self._marginal = model.column_marginals([k])

    @torch.inference_mode()
    def log_prob(self, rows: Rows, encoded: FloatArray) -> FloatArray:  # noqa: D102
        which, y, log_det = self._gaussianize(rows, encoded)
        return (self._line.log_prob(which, y) + log_det).cpu().numpy()

    @torch.inference_mode()
    def standardised(self, rows: Rows, encoded: FloatArray) -> FloatArray:  # noqa: D102
        return self._factors(rows, encoded).standardised

    @torch.inference_mode()
    def scan(  # noqa: D102
        self, rows: Rows, encoded: FloatArray, widest: float, change: float
    ) -> Scan:
        line = self._line
        is_steep = (line.slopes.abs() * min(widest, 2 * line.bound) > change).any(dim=0)
        is_steep[line.j] = True
        columns = is_steep.nonzero().squeeze(1)
        which, y, log_det = self._gaussianize(rows, encoded)
        standardised = line.standardised(which, y, columns).permute(2, 0, 1)
        return Scan(
            (line.log_prob(which, y) + log_det).cpu().numpy(),
            log_det.cpu().numpy(),
            columns.cpu().numpy(),
            standardised.cpu().numpy(),
            lambda points: self._factors(rows[points], encoded[points]),
        )

    @torch.inference_mode()
    def _factors(self, rows: Rows, encoded: FloatArray) -> Factors:
        return Factors.of(self._line.residuals(*self._gaussianize(rows, encoded)[:2]))

    def _gaussianize(self, rows: Rows, encoded: FloatArray) -> tuple[Tensor, Tensor, Tensor]:
        """Points as tensors: rows, gaussianized values, and log-determinants of whole rows."""
        which = torch.tensor(rows, device=self._device)
        y, log_det = self._marginal.forward_and_log_det(
            torch.tensor(encoded, device=self._device)[None]
        )
        return which, y[0], log_det + self._log_det[which]


class LineOfWholeRows:
    """Lines of rows under any model.

    Parameters
    ----------
    evaluate : callable
        Returns the log-densities of rows of labels and values.
    factorize : callable
        Returns the factors of such rows, their log-densities, and the parts of these that belong
        to no factor.
    labels : ndarray of int64, shape (n_rows, n_labelled)
    values : ndarray of shape (n_rows, n_valued)
    k : int
        The column, among those with values.
    """

    def __init__(
        self,
        evaluate: Callable[[LabelArray, FloatArray], FloatArray],
        factorize: Callable[[LabelArray, FloatArray], tuple[Factors, FloatArray, FloatArray]],
        labels: LabelArray,
        values: FloatArray,
        k: int,
    ) -> None:
        self._evaluate = evaluate
        self._factorize = factorize
        self._labels, self._values, self._k = labels, values, k

    def log_prob(self, rows: Rows, encoded: FloatArray) -> FloatArray:  # noqa: D102
        return self._evaluate(*self._whole(rows, encoded))

    def standardised(self, rows: Rows, encoded: FloatArray) -> FloatArray:  # noqa: D102
        return self._factorize(*self._whole(rows, encoded))[0].standardised

    def scan(  # noqa: D102
        self, rows: Rows, encoded: FloatArray, widest: float, change: float
    ) -> Scan:
        factors, log_density, log_jacobian = self._factorize(*self._whole(rows, encoded))
        every = np.arange(factors.standardised.shape[2])
        return Scan(log_density, log_jacobian, every, factors.standardised, factors.take)

    def _whole(self, rows: Rows, encoded: FloatArray) -> tuple[LabelArray, FloatArray]:
        """Labels and values of rows, with these values in the column."""
        values = self._values[rows]
        values[:, self._k] = encoded
        return self._labels[rows], values
