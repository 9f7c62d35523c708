"""The interface of a column's codec: rows to a label and, perhaps, a value, and back."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from skflow.table.specification import ColumnSpecification
from skflow.table.storage import IMPLIED, StoredColumn, code_of

FloatArray = NDArray[np.float64]
LabelArray = NDArray[np.int64]

SHOWN = 3  # faulty values of a column in an error
MIN_PROBABILITY = 1e-9  # of events without any evidence in the training rows


class EncodedColumn(NamedTuple):
    """Encoded rows of one column; each array has shape ``(n_rows,)``.

    Attributes
    ----------
    labels : ndarray of int64, or of float64 where they are positions between levels
    novel : ndarray of float64
        Coordinate of a number that is no level; NaN of others.
    values : ndarray of float64
        Encoded value; NaN where there is none.
    bin_widths : ndarray of float64
        Width of the grid at the value, in its encoded unit; 0 off any grid.
    log_volume : ndarray of float64
        Log of encoded units per unit of the column, in nats.
    """

    labels: NDArray[Any]
    novel: FloatArray
    values: FloatArray
    bin_widths: FloatArray
    log_volume: FloatArray


@dataclass(frozen=True)
class LabelSet:
    """The labels of one column, in order: known ones, "a value", "implied", missing markers.

    Attributes
    ----------
    n_known : int
        Levels, or atoms.
    n_values : int
        Labels "a value" that follow them: 0, or one for each rounding level.
    markers : tuple of str
        Missing markers, which come last.
    has_implied : bool
        Whether a label says that the cell is the one that a constraint implies.
    """

    n_known: int
    n_values: int
    markers: tuple[str, ...]
    has_implied: bool = False

    @property
    def n_labels(self) -> int:
        """Number of known labels; their index for "never seen"."""
        return self.first_marker + len(self.markers)

    @property
    def valued(self) -> bool:
        """Whether a label says "a value"."""
        return self.n_values > 0

    @property
    def value_labels(self) -> range:
        """The labels "a value", of the finest rounding level first."""
        return range(self.n_known, self.n_known + self.n_values)

    @property
    def has_values(self) -> bool:
        """Whether a label is a known number or category, or says "a value" or "implied"."""
        return self.first_marker > 0

    @property
    def is_trivial(self) -> bool:
        """Whether "a value" is the only label, which then needs no model."""
        return self.n_values == self.n_labels == 1

    @property
    def implied(self) -> range:
        """The label "implied", if there is one."""
        return range(self.first_marker - self.has_implied, self.first_marker)

    @property
    def first_marker(self) -> int:
        """The label of the first missing marker: the number of labels of present cells."""
        return self.n_known + self.n_values + self.has_implied

    @property
    def _codes(self) -> dict[int, int]:
        """Missing codes of the labels that have one."""
        codes = dict.fromkeys(self.implied, int(IMPLIED))
        return codes | dict(enumerate(map(code_of, self.markers), self.first_marker))

    def of_missing(self, missing: NDArray[np.int8]) -> LabelArray:
        """Return labels of missing codes; "never seen" of 0, where a value is present."""
        table = np.full(1 + IMPLIED, self.n_labels)
        for label, code in self._codes.items():
            table[code] = label
        return table[missing]

    def to_missing(self, labels: LabelArray) -> NDArray[np.int8]:
        """Return the missing codes of labels: 0 where a value is present."""
        table = np.zeros(self.n_labels + 1, dtype=np.int8)
        for label, code in self._codes.items():
            table[label] = code
        return table[labels]


class ColumnCodec(ABC):
    """A reversible encoding of one column. It holds no row.

    Parameters
    ----------
    stored : StoredColumn
        Storage of the fitted column; its rows are not kept.
    labels : LabelSet
    unseen : float
        Probability of an event never seen.
    rarest : ndarray of int64
        Labels with the fewest training rows, one at least.

    Attributes
    ----------
    scale : float
        Typical magnitude, in the column's unit; NaN of categories.
    is_ordered : bool
        Whether rows have a place among numbers, in :meth:`numbers`.
    """

    scale: float
    is_ordered: ClassVar[bool] = False

    def __init__(
        self, stored: StoredColumn, labels: LabelSet, unseen: float, rarest: LabelArray
    ) -> None:
        self.stored = stored.blank()
        self.labels = labels
        self.unseen = unseen
        self.rarest = rarest

    @classmethod
    @abstractmethod
    def fit(
        cls,
        column: StoredColumn,
        schema: ColumnSpecification,
        weight: FloatArray | None = None,
        *,
        is_counted: bool,
    ) -> Self:
        """Fit the codec to training rows.

        Parameters
        ----------
        column : StoredColumn
            Training rows.
        schema : ColumnSpecification
        weight : ndarray of shape (n_rows,), optional
            Weight of each row in probabilities; scales and vocabularies are those of all rows.
        is_counted : bool
            Whether stored integers are counted from an origin, rather than read as floats.
        """

    @classmethod
    @abstractmethod
    def restore(
        cls, stored: StoredColumn, schema: ColumnSpecification, state: Mapping[str, Any]
    ) -> Self:
        """Return the codec whose :meth:`state` is given."""

    def state(self) -> dict[str, Any]:
        """Return what was fitted beside the schema, as numbers, lists and dicts."""
        return {"unseen": self.unseen, "rarest": self.rarest.tolist()}

    @abstractmethod
    def encode(self, column: StoredColumn) -> EncodedColumn:
        """Encode rows."""

    @abstractmethod
    def decode(
        self, labels: LabelArray, novel: FloatArray, values: FloatArray, *, on_grid: bool
    ) -> StoredColumn:
        """Return rows in the fitted storage.

        Parameters
        ----------
        labels, novel, values : ndarray of shape (n_rows,)
            As :meth:`encode` returns them, up to a relative error of 1e-13. A label never seen
            becomes one of the rarest known, in turn.
        on_grid : bool
            Whether rows are random draws: values are then snapped to the grid, and
            reflected at the support.
        """

    def encode_condition(self, column: StoredColumn) -> EncodedColumn:
        """Encode rows of a condition, which need not come back."""
        return self.encode(column)

    def numbers(self, column: StoredColumn) -> FloatArray:
        """Return encoded numbers of all rows, known or not, of ordered columns; NaN where missing.

        Raises
        ------
        TypeError
            Where the column is not ordered.
        """
        raise TypeError(f"column {self.stored.name!r} has no order")

    def irreversible(self, column: StoredColumn) -> str | None:
        """Name the values and markers of ``column`` that have no latent; None if all have one."""
        new = [marker for marker in column.markers() if marker not in self.labels.markers]
        if new:
            rows = int((~column.present).sum())
            return f"{column.name!r}: {rows} missing ({', '.join(new)}), with no such at fit"
        unseen = self._without_latent(column)
        if not unseen.any():
            return None
        shown = list(dict.fromkeys(column.take(unseen).spell()))
        more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
        return f"{column.name!r}: {', '.join(shown[:SHOWN])}{more}, never seen"

    def _without_latent(self, column: StoredColumn) -> NDArray[np.bool_]:
        """Whether each row holds a value without a latent: a category never seen."""
        return column.present & (self.encode(column).labels == self.labels.n_labels)

    def some_cell(self) -> StoredColumn:
        """Return one cell that the column may hold: a number of its scale, else the first level."""
        label = 0
        if self.labels.valued:
            label = self.labels.value_labels.start
        elif not self.labels.n_known:
            label = self.labels.n_labels  # never seen, with a coordinate
        value = np.full(1, 0.5)
        return self.decode(np.array([label]), value, value, on_grid=True)

    def is_unknown(
        self, labels: LabelArray, novel: FloatArray, values: FloatArray
    ) -> NDArray[np.bool_]:
        """Whether each encoded row is an event never seen, without a value of its own."""
        return labels == self.labels.n_labels

    def strangeness(self, column: StoredColumn) -> str | None:
        """Explain how categories, none of which is known, differ; None if nothing is strange."""
        return None

    def _replace_unseen(self, labels: LabelArray, unseen: NDArray[np.bool_]) -> LabelArray:
        """Replace labels never seen by the rarest, in turn: one would get all probability."""
        replaced = labels.copy()
        replaced[unseen] = np.resize(self.rarest, unseen.sum())
        return replaced


def good_turing(
    is_single: NDArray[np.bool_], present: NDArray[np.bool_], weight: FloatArray | None
) -> float:
    r"""Return the probability of a new value: the share of rows whose value occurs once.

    .. math:: r = \sum_{i \text{ single}} w_i \Big/ \Bigl(\sum_i w_i + 1\Bigr)

    Parameters
    ----------
    is_single : ndarray of bool, shape (n_present,)
        Whether no other row has the value, of the rows that have one.
    present : ndarray of bool, shape (n_rows,)
        Which rows have one.
    weight : ndarray of shape (n_rows,) or None
        Weights of all rows; None gives all rows the same weight.
    """
    singles, mass = float(is_single.sum()), float(len(present))
    if weight is not None:
        singles, mass = float(weight[present][is_single].sum()), float(weight.sum())
    return good_turing_of(singles, mass)


def good_turing_of(singles: float, mass: float) -> float:
    """Return the probability of a new value from the weight of single ones and of all rows."""
    return max(MIN_PROBABILITY, singles / (mass + 1))


def rarest_labels(labels: Sequence[int] | LabelArray, known: LabelSet) -> LabelArray:
    """Return the labels, other than "a value", with the fewest training rows, whatever they weigh.

    They share what falls to labels never seen: the one of the least weight would get all of it.
    """
    return rarest_of_counts(np.bincount(labels, minlength=known.n_labels), known)


def rarest_of_counts(counts: NDArray[np.int64], known: LabelSet) -> LabelArray:
    """Return the labels with the fewest training rows by the count of each label."""
    counts = counts[: known.n_labels]
    possible = counts > 0
    possible[known.value_labels] = False
    possible[known.implied] = False  # there may be nothing that a constraint implies
    if not possible.any():
        return np.zeros(1, dtype=np.int64)
    return np.flatnonzero(possible & (counts == counts[possible].min()))
