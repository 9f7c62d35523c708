"""The joint model: log-density, latents, inverse and samples of whole rows."""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from skflow.flow.categorical import AutoregressiveCategorical
from skflow.flow.conditional_flow import ConditionalFlow
from skflow.rows import EncodedRows


class Rows(NamedTuple):
    """Rows of a table, each a column of these.

    Attributes
    ----------
    labels : Tensor of int64, shape (n_labelled, n_rows)
        The index after a column's last label means "never seen".
    novel : Tensor of shape (n_labelled, n_rows)
        Where a number was never seen, how far out it lies; NaN elsewhere.
    values : Tensor of shape (n_valued, n_rows)
        NaN where absent.
    """

    labels: Tensor
    novel: Tensor
    values: Tensor

    @classmethod
    def of(cls, rows: EncodedRows) -> "Rows":
        """Return encoded rows as tensors, each row a column."""
        arrays = (rows.labels, rows.novel, rows.values)
        return cls(*(torch.tensor(np.ascontiguousarray(array.T)) for array in arrays))


class Latents(NamedTuple):
    """Latents of rows: one per label, ``(n_labelled, n_rows)``, one per value, ``(n_valued, ...)``.

    A value that is absent has latent 0.
    """

    labels: Tensor
    values: Tensor


class Model(nn.Module):
    r"""Labels, then the values given the labels.

    .. math:: \log p(l, x) = \log P(l) + \log p(x \mid l).

    Parameters
    ----------
    labels : Labels
        Probabilities of the labels.
    values : Values
        Density of the values given the labels.
    value_label : Tensor of int64, shape (n_valued, 2)
        The labelled column of each value, and its label that says there is one;
        -1 for a value that is always there.
    """

    value_label: Tensor

    def __init__(
        self, labels: AutoregressiveCategorical, values: ConditionalFlow, value_label: Tensor
    ) -> None:
        super().__init__()
        self.labels = labels
        self.values = values
        self.register_buffer("value_label", value_label)

    @property
    def entries_per_row(self) -> int:
        """Size of the largest array that one row takes."""
        return max(self.values.entries_per_row, self.labels.entries_per_row)

    def log_prob(self, rows: Rows) -> Tensor:
        """Log-density of each row in nats, probabilities of labels included."""
        of_labels = self.labels.log_prob(rows.labels) + self.labels.novel_log_prob(rows.novel)
        return of_labels + self.values.log_prob(rows.labels, rows.values)

    def standardized_scores(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Two measures of each row's normality that no column's unit changes, in nats.

        Returns
        -------
        log_prob : Tensor of shape (n_rows,)
            Log-density where every column of values is measured by its own normal score.
        least : Tensor of shape (n_rows,)
            The lowest, over columns, of a label's log-probability and a value's two-sided
            log tail probability, given the columns before.
        """
        of_labels = self.labels.column_log_probs(rows.labels)
        novel = self.labels.novel_log_prob(rows.novel)
        y, _ = self.values.marginals.forward_and_log_det(rows.values)
        z, log_prob = self.values.latents_gaussianized(rows.labels, y)
        tails = (torch.special.log_ndtr(-z.abs()) + math.log(2)).nan_to_num(0.0)
        none = log_prob.new_zeros(1, log_prob.shape[0])
        least = torch.cat((of_labels, tails, none)).amin(dim=0) + novel.clamp_max(0.0)
        return of_labels.sum(dim=0) + novel + log_prob, least

    def latents(self, rows: Rows) -> Latents:
        """Send rows to independent standard normal variables."""
        return Latents(
            self.labels.latents(rows.labels, rows.novel),
            self.values.latents(rows.labels, rows.values),
        )

    def inverse(self, latents: Latents) -> Rows:
        """Send latents back to rows; values are absent where labels say so, or latents are NaN."""
        labels, novel = self.labels.inverse(latents.labels)
        z = latents.values.masked_fill(~self._is_present(labels), torch.nan)
        return Rows(labels, novel, self.values.inverse(labels, z))

    def _is_present(self, labels: Tensor) -> Tensor:
        column, label = self.value_label[:, 0], self.value_label[:, 1, None]
        if not len(labels):
            return labels.new_ones(len(column), labels.shape[1], dtype=torch.bool)
        return (column[:, None] < 0) | (labels[column.clamp_min(0)] == label)
