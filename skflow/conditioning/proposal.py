r"""Proposals for the unknown cells of rows: mixed components, conditioned in closed form.

.. math:: q(x_A \mid x_B) = \sum_k w_k(x_B) \, q_k(x_A \mid x_B), \qquad
          w_k(x_B) \propto \pi_k \, q_k(x_B),

but that the broad component, the last, has a weight of 5 % whatever is known: the ratio of the
flow's density to the proposal's is then bounded where the other components miss a region.
"""

import math
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

from skflow.conditioning.components import (
    LOG_2PI,
    MixedComponents,
    Regression,
    distinct_columns,
)
from skflow.conditioning.partial_rows import PartialRows, Pattern

BROAD_WEIGHT = 0.05
SMALLEST = 1e-12  # least uniform number that a normal quantile is taken from


class LabelRules:
    """Which labels may be drawn, and which of them go with a value.

    Parameters
    ----------
    log_probs : Tensor of shape (n_components, n_entries)
        Log-probabilities of labels in each component.
    allowed : Tensor of bool, shape (n_entries,)
        Labels that may be drawn, in the vocabulary of all columns.
    offsets : Tensor of int64, shape (n_labelled,)
        First entry of each column in the vocabulary.
    value_labels : Tensor of int64, shape (n_valued, 3)
        The labelled column of each value, and the first and the end of its labels "a value".
    """

    def __init__(
        self, log_probs: Tensor, allowed: Tensor, offsets: Tensor, value_labels: Tensor
    ) -> None:
        self.value_labels = value_labels
        self.log_probs: list[Tensor] = []
        self.cumulative: list[Tensor] = []
        self.allowed: list[Tensor] = []
        masked = log_probs.masked_fill(~allowed, -torch.inf)
        for start, end in pairwise([*offsets.tolist(), len(allowed)]):
            own = torch.log_softmax(masked[:, start:end], dim=1)
            self.log_probs.append(own)
            self.cumulative.append(own.exp().cumsum(dim=1))
            self.allowed.append(allowed[start:end].nonzero().squeeze(1))

    def draw(self, column: int, component: Tensor, uniform: Tensor) -> Tensor:
        """Draw labels of a column, given the component of each, by uniform numbers."""
        cumulative = self.cumulative[column]
        n_components, n_labels = cumulative.shape
        # One search in the distribution functions of all components, one after the other.
        shifts = torch.arange(n_components, device=cumulative.device)
        line = (cumulative / cumulative[:, -1:] + shifts[:, None]).flatten()
        place = torch.searchsorted(line, uniform + component, right=True)
        last = self.allowed[column][-1]
        return (place - component * n_labels).clamp(self.allowed[column][0], last)


class Conditional:
    """Proposal for the unknown cells of rows of one pattern; rows have several draws each.

    Parameters
    ----------
    components : MixedComponents
        The last one is broad.
    rules : LabelRules
    rows : PartialRows
        Rows of one pattern.
    pattern : Pattern
    """

    def __init__(
        self, components: MixedComponents, rules: LabelRules, rows: PartialRows, pattern: Pattern
    ) -> None:
        self.components = components
        self.rules = rules
        self.rows = rows
        self.pattern = pattern
        unknown, known = pattern.unknown_values, pattern.known_values
        log_weights = components.log_weights()[:, None]
        log_weights = log_weights + components.log_probs_of_labels(
            rows.labels, pattern.known_labels
        )
        log_weights = log_weights + components.log_probs_of_known(rows.y, unknown, known)
        narrow = torch.log_softmax(log_weights[:-1], dim=0) + math.log1p(-BROAD_WEIGHT)
        broad = torch.full_like(narrow[:1], math.log(BROAD_WEIGHT))
        #: Log-weights given what is known, ``(n_components, n_rows)``.
        self.log_weights = torch.cat((narrow, broad))

    def draw(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Draw whole rows.

        Parameters
        ----------
        points : Tensor of shape (n_rows, n_draws, 1 + n_labelled + n_valued)
            Uniform numbers: of the component, of each label, of each value.

        Returns
        -------
        labels : Tensor of int64, shape (n_labelled, n_rows, n_draws)
        y : Tensor of shape (n_valued, n_rows, n_draws)
        """
        n_draws = points.shape[1]
        cumulative = self.log_weights.exp().cumsum(dim=0).T.contiguous()
        component = torch.searchsorted(cumulative, points[:, :, 0].contiguous())
        component = component.clamp_max(cumulative.shape[1] - 1)
        labels = self.rows.labels[:, :, None].repeat(1, 1, n_draws)
        for c in self.pattern.unknown_labels:
            labels[c] = self.rules.draw(c, component, points[:, :, 1 + c].contiguous())
        y = self.rows.y[:, :, None].repeat(1, 1, n_draws)
        unknown = list(self.pattern.unknown_values)
        if unknown:
            drawn = self.draw_values(component, points[:, :, 1 + len(labels) :][:, :, unknown])
            for v, own in zip(unknown, drawn, strict=True):
                column, first, end = self.rules.value_labels[v].tolist()
                if column >= 0:
                    has_value = (labels[column] >= first) & (labels[column] < end)
                    own = own.masked_fill(~has_value, torch.nan)
                y[v] = own
        return labels, y

    def log_prob(self, labels: Tensor, y: Tensor) -> Tensor:
        """Log-density of whole rows given what is known, ``(n_rows, n_draws)``.

        Parameters
        ----------
        labels : Tensor of int64, shape (n_labelled, n_rows, n_draws)
        y : Tensor of shape (n_valued, n_rows, n_draws)
        """
        log_joint = self.log_weights[:, :, None].repeat(1, 1, y.shape[2])
        for c in self.pattern.unknown_labels:
            log_joint += self.rules.log_probs[c][:, labels[c]]
        if self.pattern.unknown_values:
            log_joint += self.log_probs_of_unknown(y[list(self.pattern.unknown_values)])
        return torch.logsumexp(log_joint, dim=0)

    def draw_values(self, component: Tensor, points: Tensor) -> Tensor:
        """Draw all unknown values, ``(n_unknown, n_rows, n_draws)``."""
        factor, means = self._regression.factor, self._means
        row = torch.arange(means.shape[2], device=means.device)[:, None].expand_as(component)
        z = torch.special.ndtri(points.clamp(SMALLEST, 1 - SMALLEST))
        noise = (factor[component] @ z[:, :, :, None]).squeeze(3)
        return (means[component, :, row] + noise).permute(2, 0, 1)

    @property
    def _regression(self) -> Regression:
        return self.components.regression(self.pattern.unknown_values, self.pattern.known_values)

    @cached_property
    def _means(self) -> Tensor:
        """Means of the unknown values, ``(n_components, n_unknown, n_rows)``."""
        gain, intercept, _ = self._regression
        return gain @ self.rows.y[list(self.pattern.known_values)] + intercept[:, :, None]

    def log_probs_of_unknown(self, y: Tensor) -> Tensor:
        """Log-density of unknown values given the known ones, those that are NaN left out.

        ``(n_components, n_rows, n_draws)``, of values ``(n_unknown, n_rows, n_draws)``.
        """
        deviations = (y - self._means[:, :, :, None]).flatten(2)
        present, factor = ~y.flatten(1).isnan(), self._regression.factor
        log_probs = deviations.new_zeros(len(deviations), deviations.shape[2])
        patterns, pattern = distinct_columns(present)
        for number, columns in enumerate(patterns.unbind(dim=1)):
            of_present = factor
            if not columns.all():
                rows = factor[:, columns]
                of_present = torch.linalg.cholesky(rows @ rows.mT)
            which = (pattern == number).nonzero().squeeze(1)
            own = deviations[:, columns][:, :, which]
            z = torch.linalg.solve_triangular(of_present, own, upper=False)
            log_scales = of_present.diagonal(dim1=1, dim2=2).log() + LOG_2PI / 2
            own = -z.square().sum(dim=1) / 2 - log_scales.sum(dim=1, keepdim=True)
            log_probs[:, which] = own
        return log_probs.view(-1, *y.shape[1:])
