"""A table to labels and values, and back, exactly."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from skflow.rows import EncodedRows
from skflow.table.columns import ColumnCodec, fit_column
from skflow.table.schema import Schema
from skflow.table.storage import StoredColumn, StoredTable, code_of
from skflow.table.vocabularies import strange_labels

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Layout:
    """What a model must know of the columns.

    Attributes
    ----------
    n_labels : tuple of int
        Known labels of each labelled column.
    unseen : tuple of float
        Probability of a label never seen, of each labelled column.
    value_label : tuple of (int, int)
        Of each valued column: the labelled column, and its label, that say whether a
        row has a value; (-1, 0) where every row has.
    bounds : tuple of (float, float)
        Support of each valued column, of encoded values.
    """

    n_labels: tuple[int, ...]
    unseen: tuple[float, ...]
    value_label: tuple[tuple[int, int], ...]
    bounds: tuple[tuple[float, float], ...]


class Place(NamedTuple):
    """Where a column stands among those with labels, and among those with values."""

    label: int | None
    value: int | None


class TableCodec:
    """Reversible encoding of every column, fitted on the training rows.

    Holds no row: vocabularies, repeated values, and scales averaged over several rows.

    Parameters
    ----------
    schema : Schema
        What the columns are taken for.
    columns : list of ColumnCodec
        Fitted, one for each.

    Attributes
    ----------
    layout : Layout
    labelled : list of int
        Columns that have labels.
    places : list of Place
        Of each column; None where it has no label, or no value.
    latent_names : list of str
        A column's own name; ``<name>_label`` and ``<name>`` where it has a label and a value.
    latent_is_label : ndarray of bool
    """

    def __init__(self, schema: Schema, columns: list[ColumnCodec]) -> None:
        self.schema = schema
        self.columns = columns
        self.labelled = [j for j, c in enumerate(self.columns) if not c.labels.idle]
        self._labelled = [self.columns[j] for j in self.labelled]
        self._valued = [c for c in self.columns if c.labels.valued]
        self.places = self._number_parts()
        self.layout = self._lay_out()
        taken = {column.name for column in schema.columns}
        self.latent_names: list[str] = []
        is_label: list[bool] = []
        for column, codec in zip(schema.columns, self.columns, strict=True):
            labelled, valued = not codec.labels.idle, codec.labels.valued
            if labelled:
                self.latent_names.append(_label_name(column.name, taken) if valued else column.name)
            if valued:
                self.latent_names.append(column.name)
            is_label += [True] * labelled + [False] * valued
        self.latent_is_label = np.array(is_label, dtype=bool)

    @classmethod
    def fit(cls, table: StoredTable, schema: Schema) -> Self:
        """Fit the codec of each column to training rows."""
        pairs = zip(table.columns, schema.columns, strict=True)
        return cls(schema, [fit_column(*pair) for pair in pairs])

    def _number_parts(self) -> list[Place]:
        labels, values = count(), count()
        return [
            Place(
                None if codec.labels.idle else next(labels),
                next(values) if codec.labels.valued else None,
            )
            for codec in self.columns
        ]

    def _lay_out(self) -> Layout:
        pairs = list(zip(self.columns, self.places, strict=True))
        return Layout(
            n_labels=tuple(codec.labels.n_labels for codec in self._labelled),
            unseen=tuple(codec.unseen for codec in self._labelled),
            value_label=tuple(
                (-1, 0) if place.label is None else (place.label, codec.labels.number)
                for codec, place in pairs
                if place.value is not None
            ),
            bounds=tuple(codec.bounds for codec in self._valued),
        )

    @property
    def value_names(self) -> list[str]:
        """Names of the columns that have values."""
        pairs = zip(self.latent_names, self.latent_is_label, strict=True)
        return [name for name, is_label in pairs if not is_label]

    @property
    def quantized_columns(self) -> list[int]:
        """Those of the columns that have values whose values lie on a grid."""
        return [j for j, codec in enumerate(self._valued) if codec.quantized_columns]

    @property
    def scales(self) -> FloatArray:
        """Typical magnitude of each column, in its unit; NaN for categories."""
        return np.array([codec.scale for codec in self.columns])

    def encode(self, table: StoredTable) -> EncodedRows:
        """Encode rows."""
        encoded = [
            codec.encode(column) for column, codec in zip(table.columns, self.columns, strict=True)
        ]
        pairs = list(zip(self.columns, encoded, strict=True))
        labelled = [part for codec, part in pairs if not codec.labels.idle]
        valued = [part for codec, part in pairs if codec.labels.valued]
        return EncodedRows(
            labels=_stack([part.labels for part in labelled], table.n_rows, np.int64),
            novel=_stack([part.novel for part in labelled], table.n_rows, np.float64),
            values=_stack([part.values for part in valued], table.n_rows, np.float64),
            bin_widths=_stack([part.bin_widths for part in valued], table.n_rows, np.float64),
            log_volume=np.sum([part.log_volume for part in encoded], axis=0),
        )

    def refuse_irreversible(self, table: StoredTable) -> None:
        """Raise where some cell would not come back.

        Raises
        ------
        ValueError
            Listing all columns that hold a category never seen, or a missing value where
            there was none.
        """
        faults = [
            codec.fault(column) for column, codec in zip(table.columns, self.columns, strict=True)
        ]
        found = [fault for fault in faults if fault is not None]
        for j, (codec, column) in enumerate(zip(self.columns, table.columns, strict=True)):
            if faults[j] and not (codec.encode(column).labels < codec.labels.n_known).any():
                found += filter(None, [self.strangeness(table, j)])
        if found:
            raise ValueError(
                "These values cannot be transformed, because they could not be given back:\n  "
                + "\n  ".join(found)
                + "\nDrop or replace them, or fit on rows that hold them. They can be scored."
            )

    def strangeness(self, table: StoredTable, j: int) -> str | None:
        """Say what is strange about categories, none of which is known; None of other columns."""
        schema = self.schema.columns[j]
        is_category = schema.kind == "categorical"
        return strange_labels(table.columns[j], schema.levels) if is_category else None

    def decode(
        self,
        labels: NDArray[np.int64],
        novel: FloatArray,
        values: FloatArray,
        *,
        on_grid: bool,
        unknown: Sequence[str] | None = None,
    ) -> list[StoredColumn]:
        """Return the columns, each in the dtype it was stored in.

        Parameters
        ----------
        labels, rare, values : ndarray
            As :meth:`encode` gave them, up to a relative error of 1e-13.
        on_grid : bool
            For rows drawn at random: whether to snap values to their grid and to
            reflect them at their support.
        unknown : sequence of str, default=None
            Missing marker of each column, for labels never seen and for values that are
            NaN in a column without labels; None for the rarest known labels, in turn.

        Returns
        -------
        columns : list of StoredColumn
        """
        nothing = np.full(len(labels), np.nan)
        no_label = np.zeros(len(labels), dtype=np.int64)
        columns = []
        for j, (codec, place) in enumerate(zip(self.columns, self.places, strict=True)):
            own = no_label if place.label is None else labels[:, place.label]
            own_rare = nothing if place.label is None else novel[:, place.label]
            own_values = nothing if place.value is None else values[:, place.value]
            if unknown is None:
                columns.append(codec.decode(own, own_rare, own_values, on_grid=on_grid))
                continue
            lost = np.isnan(own_values) if codec.labels.idle else own == codec.labels.n_labels
            if not codec.labels.valued and np.isfinite(codec.scale):
                lost &= np.isnan(own_rare)  # a number that is no level has a place
            own_values = np.where(lost & codec.labels.idle, 0.0, own_values)
            column = codec.decode(own, own_rare, own_values, on_grid=on_grid)
            missing = np.where(lost, np.int8(code_of(unknown[j])), column.missing)
            columns.append(replace(column, missing=missing))
        return columns


def _stack(columns: list[NDArray[Any]], n_rows: int, dtype: type) -> NDArray[Any]:
    return np.column_stack(columns) if columns else np.empty((n_rows, 0), dtype=dtype)


def _label_name(name: str, taken: set[str]) -> str:
    label = f"{name}_label"
    while label in taken:
        label += "_"
    taken.add(label)
    return label
