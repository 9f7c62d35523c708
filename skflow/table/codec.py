"""The codec of a table: rows to labels and values, and back, exactly."""

from collections.abc import Container, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from skflow.rows import EncodedRows, Layout, LevelValues
from skflow.table.column_codec import ColumnCodec
from skflow.table.constraints.composed import ComposedConstraint, Solvable
from skflow.table.constraints.implied_cells import ImpliedCells
from skflow.table.constraints.numbers import numbers_in
from skflow.table.constraints.solving import Operand, Solutions, solve
from skflow.table.kinds import kind_of
from skflow.table.number_codecs import LevelCodec, ValueCodec
from skflow.table.schema import Schema
from skflow.table.storage import IMPLIED, StoredColumn, StoredTable, code_of

FloatArray = NDArray[np.float64]


class ColumnIndex(NamedTuple):
    """Position of a column among labelled columns, and among valued ones.

    None if neither, as all conditions, which another codec encodes.
    """

    label: int | None
    value: int | None


class TableCodec:
    """Reversible encoding of every column, fitted on the training rows.

    Holds no row: vocabularies, repeated values, and scales averaged over several rows.
    Columns that are conditions of the others have a codec of their own, ``given``.

    Parameters
    ----------
    schema : Schema
    columns : list of ColumnCodec
        Fitted, one for each column.
    are_conditions : bool, default=False
        Whether these columns are conditions of others. Levels and atoms are then values as well as
        labels: what depends on them may be smooth, or differ from each one to the next. The label
        of a number between two levels is a position between theirs.

    Attributes
    ----------
    layout : Layout
    targets, conditions : list of int
        Positions of the columns that have a density, and of those that are given.
    given : TableCodec or None
        Codec of the conditions.
    labelled : list of int
        Positions of the columns that have labels.
    value_codecs : list of ValueCodec
        Codecs of the columns that have values.
    indices : list of ColumnIndex
        Positions of each column among the labelled and the valued ones.
    latent_names : list of str
        A column's own name; ``<name>_label`` and ``<name>`` where it has a label and a value.
    latent_is_label : ndarray of bool
    """

    def __init__(
        self, schema: Schema, columns: list[ColumnCodec], *, are_conditions: bool = False
    ) -> None:
        self.schema = schema
        self.columns = columns
        self.implied = ImpliedCells(schema.constraints, [codec.stored for codec in columns])
        is_given = [column.is_given for column in schema.columns]
        self.targets = [j for j, given in enumerate(is_given) if not given]
        self.conditions = [j for j, given in enumerate(is_given) if given]
        self.given: TableCodec | None = None
        if self.conditions:
            own = tuple(replace(schema.columns[j], is_given=False) for j in self.conditions)
            of_conditions = [columns[j] for j in self.conditions]
            self.given = TableCodec(Schema(own), of_conditions, are_conditions=True)
        targets = [columns[j] for j in self.targets]
        self.value_codecs = [codec for codec in targets if isinstance(codec, ValueCodec)]
        labels, values = count(), count()
        self._are_conditions = are_conditions
        have_numbers = [
            are_conditions
            and codec.is_ordered
            # The label says all where there are two levels.
            and (codec.labels.valued or codec.labels.n_known > 2)
            for codec in columns
        ]
        self.indices = [
            ColumnIndex(
                None if given or codec.labels.is_trivial else next(labels),
                next(values) if not given and (codec.labels.valued or has_number) else None,
            )
            for codec, given, has_number in zip(columns, is_given, have_numbers, strict=True)
        ]
        self.labelled = [j for j, index in enumerate(self.indices) if index.label is not None]
        self.layout = self._lay_out()
        taken = {column.name for column in schema.columns}
        self.latent_names: list[str] = []
        is_label: list[bool] = []
        for column, (label, value) in zip(schema.columns, self.indices, strict=True):
            if label is not None:
                name = column.name if value is None else _label_name(column.name, taken)
                self.latent_names.append(name)
                is_label.append(True)
            if value is not None:
                self.latent_names.append(column.name)
                is_label.append(False)
        self.latent_is_label = np.array(is_label, dtype=bool)

    @classmethod
    def fit(cls, table: StoredTable, schema: Schema) -> Self:
        """Fit the codec of each column to training rows."""
        left = ImpliedCells(schema.constraints, table.columns).leave_out(table)
        pairs, weight = zip(left.columns, schema.columns, strict=True), table.weight
        return cls(schema, [kind_of(s).fit(column, s, weight) for column, s in pairs])

    def _lay_out(self) -> Layout:
        labelled, given = [self.columns[j] for j in self.labelled], None
        if self.given is not None:
            of_given = self.given.layout
            given = of_given.n_labels, len(of_given.value_labels), self.given.level_values
        return Layout(
            n_labels=tuple(codec.labels.n_labels for codec in labelled),
            unseen=tuple(codec.unseen for codec in labelled),
            value_labels=tuple(
                (index.label, codec.labels.value_labels.start, codec.labels.value_labels.stop)
                if index.label is not None and codec.labels.valued
                else (-1, 0, 1)
                for codec, index in zip(self.columns, self.indices, strict=True)
                if index.value is not None
            ),
            bounds=tuple(codec.bounds for codec in self.value_codecs),
            given=given,
            joint_parents=self._joint_parents(),
        )

    def _joint_parents(self) -> tuple[tuple[tuple[int, int, int], ...], ...]:
        """Return for each target which labels of operands before it say "missing"."""
        found: list[tuple[tuple[int, int, int], ...]] = [()] * len(self.labelled)
        for target, operands in self.implied.positions:
            own = self.indices[target].label
            pairs = [(self.indices[j].label, self.columns[j].labels) for j in operands]
            if own is not None:
                found[own] = tuple(
                    (label, labels.first_marker, labels.n_labels)
                    for label, labels in pairs
                    if label is not None and label < own and labels.markers
                )
        return tuple(found) if any(len(each) > 1 for each in found) else ()

    @property
    def level_values(self) -> tuple[LevelValues, ...]:
        """Levels of the columns that are both labels and values, as conditions may be."""
        found = []
        for codec, (label, value) in zip(self.columns, self.indices, strict=True):
            if isinstance(codec, LevelCodec) and label is not None and value is not None:
                found.append(LevelValues(label, value, tuple(codec.encoded_levels.tolist())))
        return tuple(found)

    @property
    def value_names(self) -> list[str]:
        """Names of the columns that have values."""
        pairs = zip(self.latent_names, self.latent_is_label, strict=True)
        return [name for name, is_label in pairs if not is_label]

    @property
    def ambiguous(self) -> list[int]:
        """Constraints whose target has labels at fit, one of which may say the implied cell."""
        return [
            i
            for i, (target, _) in enumerate(self.implied.positions)
            if self.columns[target].labels.n_known and self.schema.columns[target].n_not_implied
        ]

    @property
    def n_encoded(self) -> int:
        """Number of columns of encoded rows: labels and values, also of conditions."""
        return len(self.latent_names) + (0 if self.given is None else self.given.n_encoded)

    @property
    def quantized_columns(self) -> list[int]:
        """Positions, among the valued columns, of those whose values lie on a grid."""
        return [k for k, codec in enumerate(self.value_codecs) if codec.step > 0]

    @property
    def scales(self) -> FloatArray:
        """Typical magnitude of each column, in its unit; NaN for categories."""
        return np.array([codec.scale for codec in self.columns])

    def encode(
        self,
        table: StoredTable,
        known: NDArray[np.bool_] | None = None,
        broken: Container[int] = (),
    ) -> EncodedRows:
        """Encode rows, and their conditions.

        A cell is implied where it and its operands are ``known``, ``(n_rows, n_columns)``; never by
        a constraint that is ``broken``.
        """
        left = self.implied.leave_out(table, known, broken)
        pairs = [(self.columns[j], left.columns[j]) for j in self.targets]
        if self._are_conditions:
            encoded = [codec.encode_condition(column) for codec, column in pairs]
        else:
            encoded = [codec.encode(column) for codec, column in pairs]
        indexed = list(zip([self.indices[j] for j in self.targets], encoded, strict=True))
        given = None
        if self.given is not None:
            given = self.given.encode(table.select(self.conditions))
        labelled = [part for index, part in indexed if index.label is not None]
        valued = [part for index, part in indexed if index.value is not None]
        return EncodedRows(
            labels=_stack(
                [part.labels for part in labelled],
                table.n_rows,
                np.float64 if self._are_conditions else np.int64,
            ),
            novel=_stack([part.novel for part in labelled], table.n_rows, np.float64),
            values=_stack([part.values for part in valued], table.n_rows, np.float64),
            bin_widths=_stack([part.bin_widths for part in valued], table.n_rows, np.float64),
            log_volume=np.sum([part.log_volume for part in encoded], axis=0),
            weight=table.weight,
            given=given,
        )

    def refuse_irreversible(self, table: StoredTable) -> None:
        """Raise where some cell has no latent that leads back to it.

        Raises
        ------
        ValueError
            Listing all columns that hold a category never seen, or a missing value where
            there was none.
        """
        pairs = {j: (self.columns[j], table.columns[j]) for j in self.targets}
        faults = {j: codec.irreversible(column) for j, (codec, column) in pairs.items()}
        found = [fault for fault in faults.values() if fault is not None]
        for j, (codec, column) in pairs.items():
            if faults[j] and not (codec.encode(column).labels < codec.labels.n_known).any():
                found += filter(None, [self.strangeness(table, j)])
        if found:
            raise ValueError(
                "These values cannot be transformed, because they could not be given back:\n  "
                + "\n  ".join(found)
                + "\nDrop or replace them, or fit on rows that hold them. They can be scored."
            )

    def strangeness(self, table: StoredTable, j: int) -> str | None:
        """Explain how the categories of column j differ, if none of them is known."""
        return self.columns[j].strangeness(table.columns[j])

    def decode(
        self,
        labels: NDArray[np.int64],
        novel: FloatArray,
        values: FloatArray,
        *,
        on_grid: bool,
        unknown: Sequence[str] | None = None,
        given: StoredTable | None = None,
    ) -> list[StoredColumn]:
        """Return the columns, each in the dtype it was stored in.

        Parameters
        ----------
        labels, novel, values : ndarray
            As :meth:`encode` returns them, up to a relative error of 1e-13.
        on_grid : bool
            Whether rows are random draws: values are then snapped to their grid, and
            reflected at their support.
        unknown : sequence of str, default=None
            Missing marker of each column, which replaces labels never seen, and NaN in
            columns without labels. None replaces them by the rarest known labels, in turn.
        given : StoredTable, default=None
            The conditions of the rows, which are returned as they are.

        Returns
        -------
        columns : list of StoredColumn
        """
        columns = []
        conditions = iter(() if given is None else given.columns)
        for j, (codec, index) in enumerate(zip(self.columns, self.indices, strict=True)):
            if self.schema.columns[j].is_given:
                columns.append(next(conditions))
                continue
            own, own_novel, own_values = cells_of(index, labels, novel, values)
            if unknown is None:
                columns.append(codec.decode(own, own_novel, own_values, on_grid=on_grid))
                continue
            lost = codec.is_unknown(own, own_novel, own_values)
            own_values = np.where(lost, 0.0, own_values)
            column = codec.decode(own, own_novel, own_values, on_grid=on_grid)
            missing = np.where(lost, np.int8(code_of(unknown[j])), column.missing)
            columns.append(replace(column, missing=missing))
        return self._compute_implied(columns)

    def find_unfounded(
        self, labels: NDArray[np.int64], novel: FloatArray, values: FloatArray
    ) -> NDArray[np.bool_]:
        """Whether each encoded row has an implied cell that its operands do not imply."""
        unfounded = np.zeros(len(labels), dtype=bool)
        cells = [codec.stored for codec in self.columns]
        for j in {j for target, operands in self.implied.positions for j in (target, *operands)}:
            own = cells_of(self.indices[j], labels, novel, values)
            cells[j] = self.columns[j].decode(*own, on_grid=True)
        computed = self.implied.compute(cells)
        for target, _ in self.implied.positions:
            unfounded |= computed[target].missing == IMPLIED
        return unfounded

    def _compute_implied(self, columns: Sequence[StoredColumn]) -> list[StoredColumn]:
        """Compute implied cells; those that nothing implies are any cell of their column."""
        computed = self.implied.compute(columns)
        for target, _ in self.implied.positions:
            own = computed[target]
            unfounded = own.missing == IMPLIED
            if unfounded.any():
                other = self.columns[target].some_cell().take(np.zeros(len(unfounded), dtype=int))
                values = np.where(unfounded, other.values, own.values)
                missing = np.where(unfounded, np.int8(0), own.missing)
                computed[target] = replace(own, values=values, missing=missing)
        return computed

    def n_values_of(self, j: int) -> float:
        """Return about how many values column j may have; infinity where it has no grid."""
        codec, step = self.columns[j], self.schema.columns[j].step
        if np.isnan(codec.scale):
            return codec.labels.n_known
        return np.inf if step is None else codec.scale / float(step)

    def solve(self, i: int, inner: Sequence[int], j: int, rows: StoredTable) -> Solutions:
        """Solve constraint i for column j, given the other cells of rows.

        Its operands that the constraints ``inner`` imply are computed, whatever their cells hold.
        """
        outer = self.implied.constraints[i]
        constraint: Solvable = outer
        target = self.implied.positions[i][0]
        if inner:
            others = [self.implied.constraints[k] for k in inner]
            likes = [self.columns[self.implied.positions[k][0]].stored for k in inner]
            constraint = ComposedConstraint.compose(outer, others, likes)
        of_name = {column.name: column for column in rows.columns}
        codec = self.columns[j]
        start = float(np.nan_to_num(numbers_in(codec.some_cell())[0])) if codec.is_ordered else 0.0
        place = constraint.operands.index(codec.stored.name)
        schema = self.schema.columns[j]
        every = kind_of(schema).every(schema)
        operand = Operand(place, codec.stored, schema.step, start, codec.scale, every)
        operands = [of_name[name] for name in constraint.operands]
        return solve(constraint, operand, operands, rows.columns[target])

    def decode_cells(
        self, j: int, labels: NDArray[np.int64], values: FloatArray, rows: StoredTable
    ) -> StoredColumn:
        """Return cells of column j, drawn from a model, of rows that hold the operands."""
        cells = self.columns[j].decode(labels, np.full(len(labels), np.nan), values, on_grid=True)
        columns = [*rows.columns[:j], cells, *rows.columns[j + 1 :]]
        return self._compute_implied(columns)[j]


def cells_of(
    index: ColumnIndex, labels: NDArray[np.int64], novel: FloatArray, values: FloatArray
) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """Return the labels, novel numbers and values of one column of encoded rows."""
    nothing = np.full(len(labels), np.nan)
    own_values = nothing if index.value is None else values[:, index.value]
    if index.label is None:
        return np.zeros(len(labels), dtype=np.int64), nothing, own_values
    return labels[:, index.label], novel[:, index.label], own_values


def _stack(columns: list[NDArray[Any]], n_rows: int, dtype: type) -> NDArray[Any]:
    return np.column_stack(columns) if columns else np.empty((n_rows, 0), dtype=dtype)


def _label_name(name: str, taken: set[str]) -> str:
    label = f"{name}_label"
    while label in taken:
        label += "_"
    taken.add(label)
    return label
