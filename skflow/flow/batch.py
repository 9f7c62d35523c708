"""Rows as the trained parts of a model read them."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Labels and gaussianized values of rows, each row a column.

    Attributes
    ----------
    labels : Tensor of int, shape (n_labelled, n_rows)
        Index of each label in its column; the index after the last means a novel label. Those of
        a condition between levels are positions, in float64.
    y : Tensor of shape (n_valued, n_rows)
        Values sent through the marginals; NaN where a row has no value.
    given : Batch, optional
        The condition of each row: labels and gaussianized values of its own columns.
    weight : Tensor of shape (n_rows,), optional
        Weight of each row in the loss and in scores; None gives all rows the same weight.
    corners : tuple of Batch
        Conditions at levels, where this one lies between some; see
        :mod:`skflow.flow.between_levels`. Their weights are shares in probabilities.
    """

    labels: Tensor
    y: Tensor
    given: "Batch | None" = None
    weight: Tensor | None = None
    corners: tuple["Batch", ...] = ()

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.y.shape[1]

    def take(self, rows: Tensor) -> "Batch":
        """Return some of the rows, by index; labels as int64."""
        given = None if self.given is None else self.given.take(rows)
        weight = None if self.weight is None else self.weight[rows]
        labels, corners = self.labels[:, rows], tuple(c.take(rows) for c in self.corners)
        labels = labels if corners else labels.long()
        return Batch(labels, self.y[:, rows], given, weight, corners)
