r"""A mixture of labels and values, of which every marginal and conditional has a closed form.

Component k gives a row the density

.. math:: \prod_c \theta_{kc}(l_c) \; N(y; \mu_k, \Sigma_k),

labels independent, values Gaussian, absent values left out. What is known of a row changes the
weights of the components and, within each, the mean and covariance of the unknown values.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skflow.flow.floored_components import GaussianComponents
from skflow.flow.recipe import WIDE
from skflow.initialization.gaussian_mixture import (
    RIDGE,
    natural_parameters,
    sufficient_statistics,
)

LOG_2PI = math.log(2 * math.pi)
MOST_KEPT = 256  # sets of columns whose conditionals are kept
KEPT_ENTRIES = 2**24  # numbers in all of them, at most
MOST_BITS = 62  # of a whole number
Columns = tuple[int, ...]


class Regression(NamedTuple):
    """Unknown values given known ones, within each component.

    Attributes
    ----------
    gain : Tensor of shape (n_components, n_unknown, n_known)
        Coefficients of the known values.
    intercept : Tensor of shape (n_components, n_unknown)
    factor : Tensor of shape (n_components, n_unknown, n_unknown)
        Lower Cholesky factor of the conditional covariance.
    """

    gain: Tensor
    intercept: Tensor
    factor: Tensor


class MixedComponents:
    """Components of labels and values; see the module's text for the formula.

    Parameters
    ----------
    gaussians : GaussianComponents
        Weights, means and covariances of the gaussianized values.
    label_log_probs : Tensor of shape (n_components, n_entries)
        Log-probabilities of each column's labels, in the vocabulary of all columns.
    offsets : Tensor of int64, shape (n_labelled,)
        First entry of each column in the vocabulary.
    """

    def __init__(
        self, gaussians: GaussianComponents, label_log_probs: Tensor, offsets: Tensor
    ) -> None:
        self.gaussians = gaussians
        self.label_log_probs = label_log_probs
        self.offsets = offsets
        self._natural: dict[Columns, Tensor] = {}
        self._regressions: dict[tuple[Columns, Columns], Regression] = {}
        self._precisions: dict[Columns, tuple[Tensor, Tensor]] = {}

    def to(self, device: torch.device) -> "MixedComponents":
        """Return the components on a device."""
        if self.offsets.device == device:
            return self
        gaussians = GaussianComponents(*(part.to(device) for part in self.gaussians))
        parts = self.label_log_probs.to(device), self.offsets.to(device)
        return MixedComponents(gaussians, *parts)

    def log_weights(self) -> Tensor:
        """Log of the weights, ``(n_components,)``."""
        return self.gaussians.weights.log()

    def log_probs_of_labels(self, labels: Tensor, columns: Columns) -> Tensor:
        """Log-probability of the labels of some columns, ``(n_components, n_rows)``."""
        total = self.label_log_probs.new_zeros(len(self.label_log_probs), labels.shape[1])
        for c in columns:
            total += self.label_log_probs[:, labels[c] + self.offsets[c]]
        return total

    def log_probs_of_values(self, y: Tensor, columns: Columns) -> Tensor:
        """Log-density of the values of some columns, ``(n_components, n_rows)``."""
        if not columns:
            return y.new_zeros(len(self.gaussians.weights), y.shape[1])
        if columns not in self._natural:
            _, means, covariances = self._marginal(columns)
            unweighted = torch.ones_like(self.gaussians.weights)
            natural = natural_parameters(GaussianComponents(unweighted, means, covariances))
            natural[:, 0] -= len(columns) * LOG_2PI / 2
            _keep(self._natural, columns, natural)
        return self._natural[columns] @ sufficient_statistics(y[list(columns)])

    def log_probs_of_present(self, y: Tensor) -> Tensor:
        """Log-density of all values that are not NaN, ``(n_components, n_rows)``."""
        if not len(y):
            return self.log_probs_of_values(y, ())
        present = ~y.isnan()
        patterns, pattern = distinct_columns(present)
        if patterns.shape[1] == 1:
            return self.log_probs_of_values(y, columns_of(patterns[:, 0]))
        total = y.new_empty(len(self.gaussians.weights), y.shape[1])
        for number, columns in enumerate(patterns.unbind(dim=1)):
            rows = (pattern == number).nonzero().squeeze(1)
            total[:, rows] = self.log_probs_of_values(y[:, rows], columns_of(columns))
        return total

    def log_probs_of_known(self, y: Tensor, unknown: Columns, known: Columns) -> Tensor:
        """Log-density of known values, ``(n_components, n_rows)``.

        Where columns are many, it is the density of all values, with the unknown ones at their
        means given the others, divided by the density of the unknown ones there.
        """
        if not self._is_by_precision(unknown, known):
            return self.log_probs_of_values(y, known)
        log_det, precision, places = self._precision((*unknown, *known))
        gain, _, factor = self.regression(unknown, known)
        of_known = y[list(known)] - self.gaussians.means[:, list(known), None]
        deviations = torch.empty_like(precision[:, :, :1].expand(-1, -1, y.shape[1]))
        deviations[:, places[len(unknown) :]] = of_known
        deviations[:, places[: len(unknown)]] = gain @ of_known
        distances = (deviations * (precision @ deviations)).sum(dim=1)
        log_det_of_known = log_det - 2 * factor.diagonal(dim1=1, dim2=2).log().sum(dim=1)
        return -(distances + log_det_of_known[:, None] + len(known) * LOG_2PI) / 2

    def regression(self, unknown: Columns, known: Columns) -> Regression:
        """Return the regression of unknown values on known ones."""
        if (unknown, known) not in self._regressions:
            split, means = len(unknown), self.gaussians.means
            if self._is_by_precision(unknown, known):
                _, precision, places = self._precision((*unknown, *known))
                of_unknown = precision[:, places[:split]]
                root = torch.linalg.cholesky(of_unknown[:, :, places[:split]])
                conditional = torch.cholesky_inverse(root)
                gain = -(conditional @ of_unknown[:, :, places[split:]])
            else:
                covariances = self._marginal((*unknown, *known)).covariances
                own, cross = covariances[:, :split, :split], covariances[:, :split, split:]
                gain = torch.linalg.solve(covariances[:, split:, split:], cross, left=False)
                conditional = own - gain @ cross.transpose(1, 2)
            intercept = means[:, unknown] - (gain @ means[:, known, None]).squeeze(2)
            ridge = RIDGE * torch.eye(split, dtype=gain.dtype, device=gain.device)
            factor = torch.linalg.cholesky((conditional + conditional.mT) / 2 + ridge)
            _keep(self._regressions, (unknown, known), Regression(gain, intercept, factor))
        return self._regressions[unknown, known]

    @staticmethod
    def _is_by_precision(unknown: Columns, known: Columns) -> bool:
        """Whether unknown values are few of many: all sets of them then share one inverse."""
        return len(unknown) + len(known) > WIDE and len(unknown) < len(known)

    def _precision(self, columns: Columns) -> tuple[Tensor, Tensor, Tensor]:
        """Log-determinants of the covariances of some columns, their inverses, and places there.

        The inverses are of the columns in ascending order; places are those of ``columns``.
        """
        ordered = tuple(sorted(columns))
        if ordered not in self._precisions:
            root = torch.linalg.cholesky(self._marginal(ordered).covariances)
            log_det = 2 * root.diagonal(dim1=1, dim2=2).log().sum(dim=1)
            _keep(self._precisions, ordered, (log_det, torch.cholesky_inverse(root)))
        log_det, precision = self._precisions[ordered]
        places = torch.tensor(columns).argsort().argsort().to(log_det.device)
        return log_det, precision, places

    def _marginal(self, columns: Columns) -> GaussianComponents:
        weights, means, covariances = self.gaussians
        chosen = torch.tensor(columns, dtype=torch.int64, device=means.device)
        ridge = RIDGE * torch.eye(len(columns), dtype=means.dtype, device=means.device)
        covariances = covariances[:, chosen[:, None], chosen] + ridge
        return GaussianComponents(weights, means[:, chosen], covariances)


def _keep(kept: dict[Any, Any], key: Any, value: Any) -> None:
    """Keep a value, in place of the oldest ones where there are many, or large ones."""
    parts = (value,) if isinstance(value, Tensor) else value
    most = min(MOST_KEPT, KEPT_ENTRIES // max(1, sum(part.numel() for part in parts)))
    while len(kept) >= max(1, most):
        del kept[next(iter(kept))]
    kept[key] = value


def columns_of(mask: Tensor) -> Columns:
    """Return the positions where a mask is set."""
    return tuple(mask.nonzero().squeeze(1).tolist())


def distinct_columns(bits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distinct columns of a matrix of booleans, and which of them each column is.

    Returns
    -------
    columns : Tensor of bool, shape (n_bits, n_distinct)
    number : Tensor of int64, shape (n_columns,)
    """
    if len(bits) > MOST_BITS:
        return torch.unique(bits, dim=1, return_inverse=True)
    place = torch.arange(len(bits), device=bits.device)[:, None]
    codes, number = torch.unique((bits.long() << place).sum(dim=0), return_inverse=True)
    return (codes >> place) % 2 == 1, number
