"""One reversible codec per column: a label and, perhaps, a value."""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from skflow.table.known import KnownNumbers
from skflow.table.lines import (
    FloatLine,
    GridLine,
    Precision,
    fit_line,
    stored_limits,
    support_within,
)
from skflow.table.scaling import (
    NOISE,
    FloatArray,
    Scaling,
    decoding_error,
    fit_lens,
    fit_rare_scaling,
    fit_scaling,
)
from skflow.table.schema import ColumnSchema
from skflow.table.storage import MARKERS, StoredColumn, as_objects, keys_of

LabelArray = NDArray[np.int64]

SHOWN = 3  # faulty values of a column in an error
MIN_PROBABILITY = 1e-9  # probability of what training rows say nothing about


class EncodedColumn(NamedTuple):
    """Label, coordinate of a number never seen, value, its cell and log-volume of each row."""

    labels: LabelArray
    novel: FloatArray
    values: FloatArray
    bin_widths: FloatArray
    log_volume: FloatArray


@dataclass(frozen=True)
class LabelSet:
    """The labels of one column, in order: what is known, "a number", missing markers.

    Attributes
    ----------
    n_known : int
        Levels, or atoms.
    valued : bool
        Whether "a number" follows them.
    markers : tuple of str
        Missing markers, which come last.
    """

    n_known: int
    valued: bool
    markers: tuple[str, ...]

    @property
    def n_labels(self) -> int:
        """Number of known labels; their index for "never seen"."""
        return self.n_known + self.valued + len(self.markers)

    @property
    def number(self) -> int:
        """The label that says "a number"."""
        return self.n_known

    @property
    def idle(self) -> bool:
        """Whether rows are told apart by their values alone."""
        return self.valued and self.n_labels == 1

    def of_missing(self, missing: NDArray[np.int8]) -> LabelArray:
        """Return labels of missing codes; of 0 as well, which means nothing there."""
        table = np.full(1 + len(MARKERS), self.n_labels)
        for i, marker in enumerate(self.markers):
            table[1 + MARKERS.index(marker)] = self.n_known + self.valued + i
        return table[missing]

    def to_missing(self, labels: LabelArray) -> NDArray[np.int8]:
        """Return the missing codes of labels: 0 where there is a value."""
        table = np.zeros(self.n_labels + 1, dtype=np.int8)
        for i, marker in enumerate(self.markers):
            table[self.n_known + self.valued + i] = 1 + MARKERS.index(marker)
        return table[labels]


class CategoryColumn:
    """Categories: labels alone.

    Parameters
    ----------
    stored : StoredColumn
        What the fitted column was stored as; its rows are not kept.
    schema : ColumnSchema
    unseen : float
        Probability of a category never seen.
    rarest : ndarray of int64
        Labels that fewest training rows have, one at least.
    """

    scale = math.nan
    bounds = (-math.inf, math.inf)
    quantized_columns = False

    def __init__(
        self, stored: StoredColumn, schema: ColumnSchema, unseen: float, rarest: LabelArray
    ) -> None:
        self.stored = stored.blank()
        self.unseen = unseen
        self.rarest = rarest
        self.labels = LabelSet(len(schema.levels), False, schema.missing)
        self.levels = as_objects(schema.levels)
        self._label_of = _index(schema.levels)

    def __getstate__(self) -> dict[str, Any]:
        # skops stores no dict whose keys are tuples.
        return {name: value for name, value in vars(self).items() if name != "_label_of"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _label_of=_index(state["levels"].tolist()))

    @classmethod
    def fit(cls, column: StoredColumn, schema: ColumnSchema) -> Self:
        """Count the categories of the training rows."""
        codec = cls(column, schema, MIN_PROBABILITY, np.zeros(1, dtype=np.int64))
        labels = codec.encode(column).labels
        repeats = Counter(keys_of(column.values[column.present].tolist()))
        codec.unseen = _good_turing(repeats.values(), len(labels))
        codec.rarest = _rarest(labels, codec.labels)
        return codec

    def encode(self, column: StoredColumn) -> EncodedColumn:
        """Look categories up."""
        labels = self.labels.of_missing(column.missing)
        keys = keys_of(column.values[column.present].tolist())
        never = repeat(self.labels.n_labels)
        labels[column.present] = list(map(self._label_of.get, keys, never))
        nothing, zeros = np.full(len(labels), np.nan), np.zeros(len(labels))
        return EncodedColumn(labels, nothing, nothing, zeros, zeros)

    def decode(
        self, labels: LabelArray, novel: FloatArray, values: FloatArray, *, on_grid: bool
    ) -> StoredColumn:
        """Return the categories; one never seen becomes one of the rarest known, in turn."""
        labels = _replace_unseen(labels, labels == self.labels.n_labels, self.rarest)
        missing = self.labels.to_missing(labels)
        objects = np.empty(len(labels), dtype=object)
        objects[missing == 0] = self.levels[labels[missing == 0]]
        return replace(self.stored, values=objects, missing=missing)

    def fault(self, column: StoredColumn) -> str | None:
        """Say what ``column`` holds that could not come back; None if nothing."""
        labels = self.encode(column).labels
        unseen = column.present & (labels == self.labels.n_labels)
        return _fault(column, self.labels, unseen, "never seen")


def _index(levels: Sequence[Any]) -> dict[Hashable, int]:
    """Return the label of each category."""
    label_of = {key: label for label, key in enumerate(keys_of(levels))}
    for label, level in enumerate(levels):
        # A hole turns a column of integers into floats: they are the same categories.
        if type(level) in (int, float) and abs(level) < 2**53 and level % 1 == 0:
            for key in keys_of([int(level), float(level)]):
                label_of.setdefault(key, label)
    return label_of


class NumberColumn:
    """Numbers, dates, durations: known ones are labels, others values.

    In a column of levels, a number that is none of them is "never seen", and its
    coordinate kept apart.

    Parameters
    ----------
    stored, schema, unseen, rarest
        As of :class:`CategoryColumn`.
    line : Line
        Coordinates of the numbers.
    scaling : Scaling
        Coordinates to encoded values.
    smallest : float
        Magnitude from which on narrow floats come back; 0 for other numbers.
    """

    def __init__(
        self,
        stored: StoredColumn,
        schema: ColumnSchema,
        unseen: float,
        rarest: LabelArray,
        line: FloatLine | GridLine,
        scaling: Scaling,
        smallest: float,
    ) -> None:
        self.stored = stored.blank()
        self.unseen = unseen
        self.rarest = rarest
        self.line = line
        self.scaling = scaling
        self.smallest = smallest
        self.scale = scaling.scale * math.exp(-line.log_unit)
        self.categorical = schema.kind == "categorical"
        self.known = KnownNumbers(schema.atoms if schema.valued else schema.levels, stored)
        self.labels = LabelSet(len(self.known), schema.valued, schema.missing)
        low, high = support_within(schema, stored)
        self.support = (
            -math.inf if low is None else line.at(low),
            math.inf if high is None else line.at(high),
        )
        self.limits = stored_limits(low, high, stored)

    @classmethod
    def fit(cls, column: StoredColumn, schema: ColumnSchema) -> Self:
        """Fit scales to the numbers of the training rows that are no labels."""
        line = fit_line(column, schema)
        known = KnownNumbers(schema.atoms if schema.valued else schema.levels, column)
        index = known.find(column)
        others = line.read(column)[column.present & (index < 0)]
        levels = np.array([line.at(number) for number in known.numbers], dtype=np.float64)
        scaling: Scaling = (
            fit_scaling(others, line.resolution)
            if schema.valued
            else fit_rare_scaling(levels, others)
        )
        smallest = 0.0
        if line.epsilon:
            off_grid = others[:0] if line.step else others
            scaling, smallest = fit_lens(scaling, off_grid, line.epsilon)
        counts = np.unique(column.values[column.present], return_counts=True)[1]
        unseen = MIN_PROBABILITY if schema.valued else _good_turing(counts, len(index))
        nothing = np.zeros(1, dtype=np.int64)
        codec = cls(column, schema, unseen, nothing, line, scaling, smallest)
        codec.rarest = _rarest(codec._label(column, index), codec.labels)
        return codec

    @property
    def quantized_columns(self) -> bool:
        """Whether values lie on a grid."""
        return self.line.step > 0

    @property
    def bounds(self) -> tuple[float, float]:
        """The support of encoded values, half a step beyond the last of the grid."""
        low, high = np.array(self.support) + np.array([-0.5, 0.5]) * self.line.step
        ends = self.scaling.encode(np.array([max(low, -1e308), min(high, 1e308)]))[0]
        return (
            float(ends[0]) if np.isfinite(low) else -math.inf,
            float(ends[1]) if np.isfinite(high) else math.inf,
        )

    def _label(self, column: StoredColumn, index: LabelArray) -> LabelArray:
        """Labels, where ``index`` is that of known numbers and -1 of others."""
        unknown = self.labels.number if self.labels.valued else self.labels.n_labels
        present = np.where(index < 0, unknown, index)
        return np.where(column.present, present, self.labels.of_missing(column.missing))

    def encode(self, column: StoredColumn) -> EncodedColumn:
        """Label known and missing ones, encode others."""
        x = self.line.read(column)
        index = self.known.find(column)
        other = column.present & (index < 0)
        labels = self._label(column, index)
        novel, values = np.full((2, len(x)), np.nan)
        bin_widths, log_volume = np.zeros((2, len(x)))
        if self.labels.idle:
            log_volume[~column.present] = math.log(MIN_PROBABILITY)
        elif self.categorical:
            return EncodedColumn(labels, novel, values, bin_widths, log_volume)
        encoded, log_derivative = self.scaling.encode(x[other])
        (values if self.labels.valued else novel)[other] = encoded
        if self.line.step:
            bin_widths[other] = self.line.step * np.exp(log_derivative)
        log_volume[other] = log_derivative + self.line.log_unit
        return EncodedColumn(labels, novel, values, bin_widths, log_volume)

    def decode(
        self, labels: LabelArray, novel: FloatArray, values: FloatArray, *, on_grid: bool
    ) -> StoredColumn:
        """Return the numbers, snapped to the grid, to the dtype or to 13 digits."""
        encoded = values if self.labels.valued else novel
        never = (labels == self.labels.n_labels) & (self.labels.valued | np.isnan(novel))
        labels = _replace_unseen(labels, never, self.rarest)
        missing = self.labels.to_missing(labels)
        is_known = labels < self.labels.n_known
        x = np.zeros(len(labels))
        other = ~is_known & (missing == 0)
        x[other] = self._settle(self.scaling.decode(encoded[other]), on_grid=on_grid)
        numbers = self.line.write(x)
        if on_grid:
            numbers = numbers.clip(*self.limits).astype(numbers.dtype, copy=False)
        numbers[is_known] = self.known.values[labels[is_known]]
        return replace(self.stored, values=numbers, missing=missing)

    def _precision(self, x: FloatArray) -> Precision:
        # Of a value near 0, a flow's error is relative to the column. Twice, to be sure.
        error = 2 * decoding_error(self.scaling, x) + NOISE * self.scaling.scale
        return Precision(self.scaling.scale, self.smallest, error)

    def _settle(self, x: FloatArray, *, on_grid: bool) -> FloatArray:
        precision = self._precision(x)
        if not on_grid:
            return self.line.settle(x, precision, on_grid=False)
        low, high = self.support
        low_edge, high_edge = low - self.line.step / 2, high + self.line.step / 2
        x = np.where(x < low_edge, 2 * low_edge - x, x)
        x = np.where(x > high_edge, 2 * high_edge - x, x)
        # No negative zeros.
        return self.line.settle(x, precision, on_grid=True).clip(low, high) + 0.0

    def fault(self, column: StoredColumn) -> str | None:
        """Say what ``column`` holds that has no latent; None if nothing.

        A number always has one, unless the column is categorical.
        """
        unseen = column.present & self.categorical
        if self.categorical:
            unseen &= self.known.find(column) < 0
        return _fault(column, self.labels, unseen, "never seen")


ColumnCodec = CategoryColumn | NumberColumn


def fit_column(column: StoredColumn, schema: ColumnSchema) -> ColumnCodec:
    """Choose the codec of a column and fit it to its training rows."""
    if column.family == "category":
        return CategoryColumn.fit(column, schema)
    return NumberColumn.fit(column, schema)


def _good_turing(counts: Iterable[int], n_rows: int) -> float:
    """Probability that the next value is a new one: the share of those that came once."""
    singles = sum(1 for count in counts if count == 1)
    return max(MIN_PROBABILITY, singles / (n_rows + 1))


def _rarest(labels: LabelArray, known: LabelSet) -> LabelArray:
    """Labels, other than "a number", that fewest training rows have."""
    counts = np.bincount(labels, minlength=known.n_labels)[: known.n_labels]
    possible = counts > 0
    if known.valued:
        possible[known.number] = False
    if not possible.any():
        return np.zeros(1, dtype=np.int64)
    return np.flatnonzero(possible & (counts == counts[possible].min()))


def _replace_unseen(
    labels: LabelArray, unseen: NDArray[np.bool_], rarest: LabelArray
) -> LabelArray:
    # In turn: one label alone would get all of their probability.
    replaced = labels.copy()
    replaced[unseen] = np.resize(rarest, unseen.sum())
    return replaced


def _fault(
    column: StoredColumn, labels: LabelSet, faulty: NDArray[np.bool_], reason: str
) -> str | None:
    new = [marker for marker in column.markers() if marker not in labels.markers]
    if new:
        rows = int((~column.present).sum())
        return f"{column.name!r}: {rows} missing ({', '.join(new)}), with no such at fit"
    if not faulty.any():
        return None
    shown = list(dict.fromkeys(column.take(faulty).spell()))
    more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
    return f"{column.name!r}: {', '.join(shown[:SHOWN])}{more}, {reason}"
