"""The joint model: log-density, latents, inverse and samples of whole rows."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from skflow.flow.batch import Batch
from skflow.flow.between_levels import Corners
from skflow.flow.categorical import AutoregressiveCategorical
from skflow.flow.conditional_flow import ConditionalFlow
from skflow.flow.context import Context
from skflow.flow.floored_components import Residuals
from skflow.flow.marginals import Marginals
from skflow.rows import EncodedRows, LevelValues

Part = AutoregressiveCategorical | ConditionalFlow


class Rows(NamedTuple):
    """Encoded rows of a table as tensors, each row a column.

    Attributes
    ----------
    labels : Tensor of int64, shape (n_labelled, n_rows)
        Index of each label in its column; the index after the last means a novel label.
    novel : Tensor of shape (n_labelled, n_rows)
        Coordinate of a novel number in a column of levels; NaN elsewhere.
    values : Tensor of shape (n_valued, n_rows)
        NaN where a row has no value.
    """

    labels: Tensor
    novel: Tensor
    values: Tensor

    @classmethod
    def of(cls, rows: EncodedRows) -> "Rows":
        """Return encoded rows as tensors."""
        arrays = (rows.labels, rows.novel, rows.values)
        return cls(*(torch.tensor(np.ascontiguousarray(array.T)) for array in arrays))


class Latents(NamedTuple):
    """Latents of rows: one per label, ``(n_labelled, n_rows)``, one per value, ``(n_valued, ...)``.

    A missing value has latent 0.
    """

    labels: Tensor
    values: Tensor


class Model(nn.Module):
    r"""Joint density of labels :math:`l` and values :math:`x`, given a condition :math:`c`.

    .. math:: \log p(l, x \mid c) = \log P(l \mid c) + \log |\det \partial m / \partial x|
              + \log p(m(x) \mid l, c),

    with the marginals :math:`m`, which are fixed once fitted, and two trained parts: the
    probabilities of labels and the conditional flow of gaussianized values.

    Every method takes rows, or latents, and the condition of each: ``given``, rows of
    another table with columns of its own. A model without conditions takes None. Labels of
    conditions may be positions between two levels, in float64; see
    :mod:`skflow.flow.between_levels`.

    Parameters
    ----------
    labels : AutoregressiveCategorical
        Probabilities of the labels.
    flow : ConditionalFlow
        Density of the gaussianized values given the labels.
    marginals : Marginals
        Maps of the values to about N(0, 1); float64 always.
    value_labels : Tensor of int64, shape (n_valued, 3)
        The labelled column of each value, and the first and the end of the labels there that say
        "a value"; -1 for a column of values alone, without labels.
    given_marginals : Marginals, optional
        Maps of the condition's values; None for a model without conditions.
    given_levels : sequence of LevelValues
        Levels of the conditions that are labels and values.
    """

    value_labels: Tensor

    def __init__(
        self,
        labels: AutoregressiveCategorical,
        flow: ConditionalFlow,
        marginals: Marginals,
        value_labels: Tensor,
        given_marginals: Marginals | None = None,
        given_levels: Sequence[LevelValues] = (),
    ) -> None:
        super().__init__()
        self.corners = Corners(given_levels)
        self.labels = labels
        self.flow = flow
        self.marginals = marginals
        self.given_marginals = given_marginals
        self.register_buffer("value_labels", value_labels)

    @property
    def parts(self) -> tuple[Part, Part]:
        """The trained parts: each has parameters of its own and a term of the log-density."""
        return self.labels, self.flow

    @property
    def entries_per_row(self) -> int:
        """Number of entries, per row, of the largest intermediate array."""
        knots = self.marginals.x_knots
        of_marginals = max(1, knots.shape[1]) * len(knots)
        return max(of_marginals, self.flow.entries_per_row, self.labels.entries_per_row)

    def log_prob(self, rows: Rows, given: Rows | None = None) -> Tensor:
        """Log-density of each row in nats, probabilities of labels included, ``(n_rows,)``."""
        batch, offset = self.gaussianize(rows, given)
        return offset + self.labels.log_prob(batch) + self.flow.log_prob(batch)

    def gaussianize(self, rows: Rows, given: Rows | None = None) -> tuple[Batch, Tensor]:
        """Send values through the marginals: rows as the trained parts read them.

        Returns
        -------
        batch : Batch
        offset : Tensor of shape (n_rows,)
            The part of the log-density that is not trained, in nats: the marginals'
            log-determinant and the log-density of novel numbers.
        """
        y, log_det = self.marginals.forward_and_log_det(rows.values)
        batch = Batch(rows.labels, y, self._gaussianize_condition(given))
        return batch, log_det + self.labels.novel_log_prob(rows.novel)

    def context(self, labels: Tensor, given: Rows | None = None) -> Context:
        """Context of each row's values: its labels and its condition."""
        return self.flow.context(labels, self._gaussianize_condition(given))

    def first_label_log_probs(self, n_rows: int, given: Rows | None = None) -> Tensor:
        """Log-probability of each known label of the first column, ``(n_labels, n_rows)``."""
        return self.labels.first_log_probs(n_rows, self._gaussianize_condition(given))

    def label_log_probs(self, labels: Tensor, given: Rows | None = None) -> Tensor:
        """Log-probability of each label given those before it, ``(n_labelled, n_rows)``."""
        return self.labels.column_log_probs(labels, self._gaussianize_condition(given))

    def novel_log_prob(self, novel: Tensor) -> Tensor:
        """Log-density of the novel numbers of each row, given that they are novel."""
        return self.labels.novel_log_prob(novel)

    def value_log_prob(
        self, labels: Tensor, values: Tensor, given: Rows | None = None, *, quantize: bool = False
    ) -> Tensor:
        """Log-density of each row's values given its labels, ``(n_rows,)``, in nats.

        Where ``quantize`` is not set, the mixture's inputs are not rounded, as only an exact
        inverse needs: half the work. The density is then accurate to 1e-5 nats, but for rows with
        a value so far out that other columns read it clamped.
        """
        y, log_det = self.marginals.forward_and_log_det(values)
        batch = Batch(labels, y, self._gaussianize_condition(given))
        log_prob = self.flow.log_prob if quantize else self.flow.approximate_log_prob
        return log_det + log_prob(batch)

    def residuals(
        self, labels: Tensor, values: Tensor, given: Rows | None = None
    ) -> tuple[Residuals, Tensor]:
        """Factors of the mixture at each row's values, and the log-determinant before it."""
        y, log_det = self.marginals.forward_and_log_det(values)
        batch = Batch(labels, y, self._gaussianize_condition(given))
        residuals, log_det_of_couplings = self.flow.residuals(batch)
        return residuals, log_det + log_det_of_couplings

    def log_peaks(self) -> Tensor:
        """Log of the mixture's Gaussian factors at their means, ``(n_components, n_valued)``."""
        return self.flow.mixture.log_peaks()

    def latents(self, rows: Rows, given: Rows | None = None) -> Latents:
        """Send rows to independent standard normal variables."""
        batch, _ = self.gaussianize(rows, given)
        of_labels = self.labels.latents(rows.labels, rows.novel, batch.given)
        return Latents(of_labels, self.flow.latents(batch))

    def inverse(self, latents: Latents, given: Rows | None = None) -> Rows:
        """Send latents back to rows.

        A value is missing where the labels say so, or its latent is NaN.
        """
        condition = self._gaussianize_condition(given)
        labels, novel = self.labels.inverse(latents.labels, condition)
        z = self._without_missing(latents.values, labels)
        y = self.flow.inverse(z, labels, condition)
        return Rows(labels, novel, self.marginals.inverse(y))

    def draw(self, z: Latents, u: Tensor, given: Rows | None = None) -> Rows:
        """Turn random numbers into draws of rows with known labels.

        Parameters
        ----------
        z : Latents
            Standard normal, independent.
        u : Tensor of shape (n_valued, n_rows)
            Uniform on [0, 1), independent.
        given : Rows, optional
        """
        condition = self._gaussianize_condition(given)
        labels, novel = self.labels.inverse(self.labels.known_latents(z.labels), condition)
        y = self.flow.draw(self._without_missing(z.values, labels), u, labels, condition)
        return Rows(labels, novel, self.marginals.inverse(y))

    def _without_missing(self, z: Tensor, labels: Tensor) -> Tensor:
        """Latents with NaN where the labels say that there is no value."""
        if not len(labels):
            return z
        column, first, end = self.value_labels[:, :, None].unbind(1)
        own = labels[column[:, 0].clamp_min(0)]
        has_value = (column < 0) | ((own >= first) & (own < end))
        return z.masked_fill(~has_value, torch.nan)

    def is_within_reach(self, rows: Rows) -> Tensor:
        """Whether no value lies beyond all that fitted rows make likely, bool ``(n_rows,)``.

        Such a draw comes from the floor of the mixture.
        """
        return self.marginals.is_within_reach(rows.values)

    def with_novel(self, rows: Rows, entries: Tensor) -> Rows:
        """Replace labels by the novel label of their column.

        ``entries``, bool of shape ``(n_entries,)``, marks labels in the vocabulary of all
        columns, the novel label of each included.
        """
        is_marked = entries[self.labels.vocabulary(rows.labels)]
        labels = torch.where(is_marked, self.labels.sizes[:, None], rows.labels)
        return rows._replace(labels=labels)

    def column_marginals(self, columns: list[int]) -> Marginals:
        """Return the marginals of some of the columns of values."""
        return self.marginals.of_columns(columns)

    def _gaussianize_condition(self, given: Rows | None) -> Batch | None:
        if given is None and self.given_marginals is None:
            return None
        if given is None or self.given_marginals is None:
            takes = "no condition" if self.given_marginals is None else "a condition for each row"
            raise ValueError(f"The model takes {takes}; given is {type(given).__name__}.")
        send = self.given_marginals
        y, _ = send.forward_and_log_det(given.values)
        corners = tuple(
            Batch(labels, send.forward_and_log_det(values)[0], weight=share)
            for share, labels, values in self.corners(given.labels, given.values)
        )
        return Batch(given.labels if corners else given.labels.long(), y, corners=corners)
