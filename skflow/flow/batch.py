"""Rows as the trained parts of a model read them."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Labels and gaussianized values of rows, each row a column.

    Attributes
    ----------
    labels : Tensor of int64, shape (n_labelled, n_rows)
        Index of each label in its column; the index after the last means a novel label.
    y : Tensor of shape (n_valued, n_rows)
        Values sent through the marginals; NaN where a row has no value.
    given : Batch, optional
        The condition of each row: labels and gaussianized values of its own columns.
    """

    labels: Tensor
    y: Tensor
    given: "Batch | None" = None
