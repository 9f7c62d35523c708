"""Codecs of numbers, dates and durations: as values, as levels, and as categories."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from skflow.table.column_codec import (
    MIN_PROBABILITY,
    ColumnCodec,
    EncodedColumn,
    FloatArray,
    LabelArray,
    LabelSet,
    good_turing,
    rarest_labels,
)
from skflow.table.coordinates import (
    CoordinateSystem,
    FloatCoordinates,
    IntegerGrid,
    Precision,
    stored_limits,
    support_within,
)
from skflow.table.known import KnownNumbers
from skflow.table.rounding.cells import Cells
from skflow.table.scaling import (
    NOISE,
    Scaling,
    decoding_error,
    fit_near_zero,
    fit_novel_scaling,
    fit_scaling,
)
from skflow.table.specification import ColumnSpecification
from skflow.table.storage import IMPLIED, StoredColumn
from skflow.table.units import Number
from skflow.table.vocabularies import strange_labels


class NumberCodec(ColumnCodec):
    """Numbers, dates or durations: known ones have a label, others a coordinate.

    Parameters
    ----------
    stored, unseen, rarest
        As for :class:`~skflow.table.column_codec.ColumnCodec`.
    schema : ColumnSpecification
    coordinates : CoordinateSystem
        Stored numbers to coordinates.
    scaling : Scaling
        Coordinates to encoded values.
    smallest : float
        Magnitude from which on narrow floats come back; 0 of other numbers.

    Attributes
    ----------
    known : KnownNumbers
        Numbers with a label of their own.
    support : tuple of (float, float)
        In coordinates.
    cells : Cells
        Positions of other numbers, each among those of its rounding level; a column of values has
        a label "a value" for each level. Where ``fills_gaps`` is False, as in models of version
        0.1.0, the cells of atoms remain empty, except among rounding levels.
    """

    is_ordered = True
    uncounted: ClassVar[type[FloatCoordinates]] = FloatCoordinates  # of numbers without an origin
    _is_valued = False

    def __init__(
        self,
        stored: StoredColumn,
        schema: ColumnSpecification,
        unseen: float,
        rarest: LabelArray,
        coordinates: CoordinateSystem,
        scaling: Scaling,
        smallest: float,
        fills_gaps: bool = True,
    ) -> None:
        self.known = KnownNumbers(self._known_of(schema), stored)
        low, high = support_within(schema, stored)
        self.support = (
            -math.inf if low is None else coordinates.coordinate_of(low),
            math.inf if high is None else coordinates.coordinate_of(high),
        )
        self.limits = stored_limits(low, high, stored.tick, stored.values.dtype)
        fills_gaps = fills_gaps or bool(schema.rounding)
        atoms = self.known.numbers if self._is_valued and fills_gaps else ()
        self.cells = Cells(
            schema, coordinates, self.support, [coordinates.coordinate_of(x) for x in atoms]
        )
        n_values = self.cells.n_levels if self._is_valued else 0
        labels = LabelSet(len(self.known), n_values, schema.missing, schema.is_implied)
        super().__init__(stored, labels, unseen, rarest)
        self.coordinates = coordinates
        self.scaling = scaling
        self.smallest = smallest
        self.scale = scaling.scale * math.exp(-coordinates.log_unit)

    @classmethod
    def fit(
        cls,
        column: StoredColumn,
        schema: ColumnSpecification,
        weight: FloatArray | None = None,
        *,
        is_counted: bool,
    ) -> Self:
        """Fit scales to the numbers of the training rows that have no label."""
        coordinates: CoordinateSystem = (
            IntegerGrid.fit(column, schema, is_exact=cls._is_exact(schema))
            if is_counted
            else cls.uncounted(column, schema)
        )
        known = KnownNumbers(cls._known_of(schema), column)
        index, x = known.find(column), coordinates.read(column)
        others = x[column.present & (index < 0)]
        scaling = cls._fit_scaling(others, known, coordinates)
        smallest = 0.0
        if coordinates.epsilon:
            off_grid = others[:0] if coordinates.step else others
            scaling, smallest = fit_near_zero(scaling, off_grid, coordinates.epsilon)
        unseen = cls._probability_of_unseen(column, weight)
        codec = cls(column, schema, unseen, np.zeros(1, np.int64), coordinates, scaling, smallest)
        level = codec.cells.locate(x).level
        codec.rarest = rarest_labels(codec._label(column, index, level), codec.labels)
        return codec

    @classmethod
    def restore(
        cls, stored: StoredColumn, schema: ColumnSpecification, state: Mapping[str, Any]
    ) -> Self:
        """Return the codec whose state is given; its scaling is an object already."""
        origin, narrow = state["origin"], state["narrow"]
        coordinates: CoordinateSystem = (
            cls.uncounted(stored, schema)
            if origin is None
            else IntegerGrid(stored, schema, origin, narrow=narrow, is_exact=cls._is_exact(schema))
        )
        rarest = np.array(state["rarest"], dtype=np.int64)
        rest = (coordinates, state["scaling"], state["smallest"], state["fills_gaps"])
        return cls(stored, schema, state["unseen"], rarest, *rest)

    def state(self) -> dict[str, Any]:
        """Return what was fitted beside the schema, as numbers, lists and dicts."""
        scales = {"scaling": self.scaling.state(), "smallest": self.smallest}
        cells = {"fills_gaps": not self.cells.are_even}
        return super().state() | self.coordinates.state() | scales | cells

    @classmethod
    def _known_of(cls, schema: ColumnSpecification) -> tuple[Number, ...]:
        """Return the numbers that have a label of their own."""
        return schema.levels

    @classmethod
    def _is_exact(cls, schema: ColumnSpecification) -> bool:
        """Whether stored integers come back exactly, off the grid as well."""
        return True

    @classmethod
    def _fit_scaling(
        cls, others: FloatArray, known: KnownNumbers, coordinates: CoordinateSystem
    ) -> Scaling:
        levels = [coordinates.coordinate_of(number) for number in known.numbers]
        return fit_novel_scaling(np.array(levels, dtype=np.float64), others)

    @classmethod
    def _probability_of_unseen(cls, column: StoredColumn, weight: FloatArray | None) -> float:
        present = column.values[column.present]
        _, number, counts = np.unique(present, return_inverse=True, return_counts=True)
        return good_turing(counts[number] == 1, column.present, weight)

    @property
    def step(self) -> float:
        """Width of the grid in coordinates; 0 where there is none."""
        return self.coordinates.step

    def numbers_at(self, x: FloatArray) -> FloatArray:
        """Return the numbers at coordinates, in the unit of the column, on a grid or not."""
        return math.exp(-self.coordinates.log_unit) * (x - self.coordinates.coordinate_of(0))

    def encode_condition(self, column: StoredColumn) -> EncodedColumn:
        """Label as :meth:`encode` does; all numbers have a value."""
        return self.encode(column)._replace(values=self.numbers(column))

    def numbers(self, column: StoredColumn) -> FloatArray:
        """Return encoded numbers of all rows, known or not; NaN where missing."""
        numbers = self.scaling.encode(self.coordinates.read(column))[0]
        return np.where(column.present, numbers, np.nan)

    def _label(self, column: StoredColumn, index: LabelArray, level: LabelArray) -> LabelArray:
        """Return labels; ``index`` is that of known numbers, -1 of others, which have a level."""
        unknown = self.labels.n_known + level if self._is_valued else self.labels.n_labels
        present = np.where(index < 0, unknown, index)
        return np.where(column.present, present, self.labels.of_missing(column.missing))

    def _encode_others(
        self, column: StoredColumn
    ) -> tuple[LabelArray, FloatArray, FloatArray, FloatArray]:
        """Return labels, and encoded numbers, bin widths and log-volume of unknown numbers."""
        level, position, width = self.cells.locate(self.coordinates.read(column))
        index = self.known.find(column)
        other = column.present & (index < 0)
        encoded = np.full(len(position), np.nan)
        bin_widths, log_volume = np.zeros((2, len(position)))
        encoded[other], log_derivative = self.scaling.encode(position[other])
        log_volume[other] = log_derivative + self.coordinates.log_unit
        if self.step:
            bin_widths[other] = width[other] * np.exp(log_derivative)
            # Times the step of the grid, a density is the probability of a cell.
            log_volume[other] += np.log(width[other] / self.step)
        return self._label(column, index, level), encoded, bin_widths, log_volume

    @abstractmethod
    def decode(
        self, labels: LabelArray, novel: FloatArray, values: FloatArray, *, on_grid: bool
    ) -> StoredColumn:
        """Return the numbers, snapped to the grid, to the dtype or to 13 digits."""

    def _decode_others(
        self, labels: LabelArray, never: NDArray[np.bool_], encoded: FloatArray, on_grid: bool
    ) -> StoredColumn:
        """Return known numbers by their labels, others by their encoded numbers."""
        labels = self._replace_unseen(labels, never)
        missing = self.labels.to_missing(labels)
        is_known = labels < self.labels.n_known
        x = np.zeros(len(labels))
        other = ~is_known & (missing == 0)
        level = (labels[other] - self.labels.n_known).clip(0, self.cells.n_levels - 1)
        position = self.scaling.decode(encoded[other])
        # Near 0 a flow's error is relative to the column's scale. Twice, to be sure.
        error = 2 * decoding_error(self.scaling, position) + NOISE * self.scaling.scale
        precision = Precision(self.scaling.scale, self.smallest, error)
        x[other] = self.cells.snap(position, level, precision, on_grid=on_grid)
        numbers = self.coordinates.write(x)
        if on_grid:
            numbers = numbers.clip(*self.limits).astype(numbers.dtype, copy=False)
        numbers[is_known] = self.known.values[labels[is_known]]
        return replace(self.stored, values=numbers, missing=missing)

    def _without_latent(self, column: StoredColumn) -> NDArray[np.bool_]:
        return np.zeros(len(column.values), dtype=bool)


class ValueCodec(NumberCodec):
    """Numbers as values; atoms and missing markers are labels."""

    _is_valued = True

    @classmethod
    def _known_of(cls, schema: ColumnSpecification) -> tuple[Number, ...]:
        return schema.atoms

    @classmethod
    def _is_exact(cls, schema: ColumnSpecification) -> bool:
        return schema.step is not None

    @classmethod
    def _fit_scaling(
        cls, others: FloatArray, known: KnownNumbers, coordinates: CoordinateSystem
    ) -> Scaling:
        return fit_scaling(others, coordinates.resolution)

    @classmethod
    def _probability_of_unseen(cls, column: StoredColumn, weight: FloatArray | None) -> float:
        return MIN_PROBABILITY

    @property
    def bounds(self) -> tuple[float, float]:
        """The support of encoded values: the ends of the outermost cells of the grid."""
        low, high = self.cells.edges
        ends = self.scaling.encode(np.array([max(low, -1e308), min(high, 1e308)]))[0]
        return (
            float(ends[0]) if np.isfinite(low) else -math.inf,
            float(ends[1]) if np.isfinite(high) else math.inf,
        )

    def encode(self, column: StoredColumn) -> EncodedColumn:
        """Label atoms and missing values, encode other numbers as values."""
        labels, values, bin_widths, log_volume = self._encode_others(column)
        if self.labels.is_trivial:
            log_volume[~column.present] = math.log(MIN_PROBABILITY)
        return EncodedColumn(labels, np.full(len(labels), np.nan), values, bin_widths, log_volume)

    def decode(
        self, labels: LabelArray, novel: FloatArray, values: FloatArray, *, on_grid: bool
    ) -> StoredColumn:
        """Return the numbers, snapped to the grid, to the dtype or to 13 digits."""
        never = labels == self.labels.n_labels
        return self._decode_others(labels, never, values, on_grid)

    def is_unknown(
        self, labels: LabelArray, novel: FloatArray, values: FloatArray
    ) -> NDArray[np.bool_]:
        """Whether each row is an event never seen; a missing value where there are no labels."""
        if self.labels.is_trivial:
            return np.isnan(values)
        return super().is_unknown(labels, novel, values)


class LevelCodec(NumberCodec):
    """Few numbers, each a label; other numbers are "never seen", with a novel coordinate."""

    @property
    def levels(self) -> FloatArray:
        """Coordinate of each level, ascending."""
        levels = [self.coordinates.coordinate_of(number) for number in self.known.numbers]
        return np.array(levels, dtype=np.float64)

    @property
    def encoded_levels(self) -> FloatArray:
        """Encoded number of each level, ascending."""
        return self.scaling.encode(self.levels)[0]

    def encode_condition(self, column: StoredColumn) -> EncodedColumn:
        """Place numbers between levels between their labels, and as far between their values.

        A number beyond all levels has the label of the outermost one, and a value of its own.
        """
        encoded = super().encode_condition(column)
        other = column.present & (encoded.labels == self.labels.n_labels)
        if not len(self.known) or not other.any():
            return encoded
        x, levels = self.coordinates.read(column), self.levels
        positions = np.interp(x, levels, np.arange(len(levels)))
        between = other & (x > levels[0]) & (x < levels[-1])
        values = np.where(between, np.interp(x, levels, self.encoded_levels), encoded.values)
        return encoded._replace(labels=np.where(other, positions, encoded.labels), values=values)

    def encode(self, column: StoredColumn) -> EncodedColumn:
        """Label levels and missing values, encode other numbers as novel coordinates."""
        labels, novel, bin_widths, log_volume = self._encode_others(column)
        return EncodedColumn(labels, novel, np.full(len(labels), np.nan), bin_widths, log_volume)

    def decode(
        self, labels: LabelArray, novel: FloatArray, values: FloatArray, *, on_grid: bool
    ) -> StoredColumn:
        """Return the numbers, snapped to the grid, to the dtype or to 13 digits."""
        never = self.is_unknown(labels, novel, values)
        return self._decode_others(labels, never, novel, on_grid)

    def is_unknown(
        self, labels: LabelArray, novel: FloatArray, values: FloatArray
    ) -> NDArray[np.bool_]:
        """Whether each row is an event never seen, without a novel coordinate."""
        return super().is_unknown(labels, novel, values) & np.isnan(novel)


class ImpliedCodec(LevelCodec):
    """Numbers that a constraint implies: a label. Others are "never seen", with a coordinate."""

    @classmethod
    def fit(
        cls,
        column: StoredColumn,
        schema: ColumnSpecification,
        weight: FloatArray | None = None,
        *,
        is_counted: bool,
    ) -> Self:
        """Fit the scale of coordinates to all numbers, implied or not."""
        is_implied = column.missing == IMPLIED
        whole = replace(column, missing=np.where(is_implied, np.int8(0), column.missing))
        codec = super().fit(whole, schema, weight, is_counted=is_counted)
        # Each number that is not implied counts as one that occurs once, whether or not it does.
        is_single = np.ones(np.count_nonzero(column.present), dtype=bool)
        codec.unseen = good_turing(is_single, column.present, weight)
        codec.rarest = rarest_labels(codec.labels.of_missing(column.missing), codec.labels)
        return codec


class NumberCategoryCodec(LevelCodec):
    """Numbers as categories: labels alone, without an order."""

    is_ordered = False

    def encode_condition(self, column: StoredColumn) -> EncodedColumn:
        """Label known numbers and missing values; others are never seen."""
        return self.encode(column)

    def encode(self, column: StoredColumn) -> EncodedColumn:
        """Label known numbers and missing values; others are never seen."""
        nothing, zeros = np.full(len(column.values), np.nan), np.zeros(len(column.values))
        labels = self._label(column, self.known.find(column), zeros.astype(np.int64))
        return EncodedColumn(labels, nothing, nothing, zeros, zeros)

    def strangeness(self, column: StoredColumn) -> str | None:
        """Explain how categories, none of which is known, differ from the known ones."""
        return strange_labels(column, self.known.numbers)

    def _without_latent(self, column: StoredColumn) -> NDArray[np.bool_]:
        return column.present & (self.known.find(column) < 0)
