"""Rows of which some cells are unknown, and the patterns of what is known."""

from typing import NamedTuple

import torch
from torch import Tensor

from skflow.conditioning.components import Columns, columns_of, distinct_columns


class Pattern(NamedTuple):
    """What is known in some rows: positions among labelled and among valued columns.

    Known values are present; a value that is known to be absent is in neither tuple.
    """

    known_labels: Columns
    unknown_labels: Columns
    known_values: Columns
    unknown_values: Columns

    @property
    def is_on_line(self) -> bool:
        """Whether one value is unknown, and no label."""
        return len(self.unknown_values) == 1 and not self.unknown_labels


class PartialRows(NamedTuple):
    """Labels and gaussianized values of rows, each row a column, and which of them are known.

    Attributes
    ----------
    labels : Tensor of int64, shape (n_labelled, n_rows)
        Any label where unknown.
    y : Tensor of shape (n_valued, n_rows)
        NaN where a value is absent or unknown.
    label_is_known : Tensor of bool, shape (n_labelled, n_rows)
    value_is_known : Tensor of bool, shape (n_valued, n_rows)
        True also where a value is known to be absent.
    """

    labels: Tensor
    y: Tensor
    label_is_known: Tensor
    value_is_known: Tensor

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.y.shape[1]

    @property
    def is_on_line(self) -> Tensor:
        """Whether one value of each row is unknown, and no label, ``(n_rows,)``."""
        return self.label_is_known.all(dim=0) & ((~self.value_is_known).sum(dim=0) == 1)

    def take(self, rows: Tensor) -> "PartialRows":
        """Return some of the rows, by index."""
        return PartialRows(*(part[:, rows] for part in self))

    def to(self, device: torch.device) -> "PartialRows":
        """Return the rows on a device."""
        return PartialRows(*(part.to(device) for part in self))

    def patterns(self) -> Tensor:
        """Number the patterns of the rows: equal numbers for equal patterns, ``(n_rows,)``."""
        present = ~self.y.isnan()
        bits = torch.cat((self.label_is_known, self.value_is_known, present))
        return distinct_columns(bits)[1]

    def pattern_of(self, row: int) -> Pattern:
        """Return the pattern of a row."""
        label, value = self.label_is_known[:, row], self.value_is_known[:, row]
        present = ~self.y[:, row].isnan()
        return Pattern(*map(columns_of, (label, ~label, value & present, ~value)))
