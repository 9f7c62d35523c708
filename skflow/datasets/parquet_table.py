"""A dataset of Parquet files as a table: rows with numbers, read batch by batch in flat memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from numpy.typing import NDArray

from skflow.datasets.arrow import MASKED, unmask
from skflow.rows import WeightScale

BATCH_ROWS = 2**16
BUFFER = 2**16  # bytes of each column that are read at a time
TEXT_BYTES = 64  # of a cell that is no number, about


@dataclass(frozen=True)
class TablePart:
    """Rows that are read at once.

    Attributes
    ----------
    numbers : ndarray of int64, shape (n_rows,)
        Their numbers in the table.
    frame : DataFrame
    weight : ndarray of float64, shape (n_rows,), or None
        Scaled weights; None gives all rows the same weight.
    """

    numbers: NDArray[np.int64]
    frame: pd.DataFrame
    weight: NDArray[np.float64] | None = None

    def take(self, rows: NDArray[np.bool_]) -> Self:
        """Return the rows of a mask."""
        weight = None if self.weight is None else self.weight[rows]
        return type(self)(self.numbers[rows], self.frame[rows], weight)


class ParquetTable:
    """The rows of a dataset, in the order of the paths of its files.

    Integers and booleans are nullable ones, so that no batch's dtype depends on whether it has
    missing values; categories that files declare are read as their values, because each file may
    declare its own. Where files differ in the type of a column, it is read as the type that holds
    all of their values. What pandas wrote as an index is no column. Rows of weight 0 are as if
    they were not there.

    Parameters
    ----------
    dataset : pyarrow.dataset.Dataset
    weight : str, optional
        Name of the column that holds the weights of the rows; it is none of ``names``.

    Attributes
    ----------
    names : list of str
        Columns.
    n_rows : int
        By the footers of the files; with weights, the rows of positive weight.
    mass : float
        Sum of the scaled weights: the number of rows if all weights are equal.

    Raises
    ------
    ValueError
        Where the dataset is filtered, its files differ in their columns or in what was an index of
        pandas, or weights are none.
    OSError
        Where a file is no Parquet file.
    """

    def __init__(self, dataset: Any, weight: str | None = None) -> None:
        try:
            fragments = list(dataset.get_fragments())
        except ValueError as error:
            raise ValueError(
                "X is a filtered dataset, whose rows are not those of its files. Write them to "
                'files: pyarrow.dataset.write_dataset(X, "rows/", format="parquet"); then fit to '
                'pyarrow.dataset.dataset("rows/"). Or read them, where they fit into memory: '
                "X = X.to_table().to_pandas(date_as_object=False)."
            ) from error
        self.fragments = sorted(fragments, key=lambda part: getattr(part, "path", ""))
        index = index_of(dataset.schema)
        self.names = [name for name in dataset.schema.names if name not in index]
        for fragment in self.fragments:
            path = getattr(fragment, "path", "a part")
            try:
                own = fragment.physical_schema
            except pa.ArrowException as error:
                raise OSError(f"{path} cannot be read as a Parquet file: {error}") from error
            columns = [name for name in own.names if name in index and name not in index_of(own)]
            if columns:
                raise ValueError(
                    f"{columns[0]!r} is a column in {path}, and an index of pandas elsewhere, "
                    "which is not fitted. Write all files alike."
                )
        self.schema = common_schema(self.fragments, dataset.schema, self.names)
        self.n_rows = sum(fragment.count_rows() for fragment in self.fragments)
        self.mass = float(self.n_rows)
        self._marks = self._mark()
        self._weight = weight
        self._scale: WeightScale | None = None
        if weight is not None:
            self.refuse_weight(weight)
            self.names.remove(weight)
            self._scale = WeightScale.fit(self._weights)
            self.n_rows, self.mass = self._scale.n_positive, self._scale.mass

    @property
    def n_bytes(self) -> int:
        """About how much memory all rows take as a frame."""
        numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
        kinds = (*numbers, pa.types.is_temporal)
        types = [self.schema.field(name).type for name in self.names]
        cells = (8 if any(is_kind(kind) for is_kind in kinds) else TEXT_BYTES for kind in types)
        return self.n_rows * sum(cells)

    def empty(self) -> pd.DataFrame:
        """Return a frame of no rows, of the dtypes of all batches."""
        schema = pa.schema([self.schema.field(name) for name in self.names])
        return _to_masked(pa.RecordBatch.from_pylist([], schema=schema))

    def parts(self, names: Sequence[str] | None = None) -> Iterator[TablePart]:
        """Yield the rows batch by batch; of some columns, or all.

        All calls yield the same batches, none of them empty.

        Raises
        ------
        OSError
            Where a file cannot be read, or has changed since the table was made.
        """
        start = 0
        columns = self.names if names is None else list(names)
        read = columns if self._weight is None else [*columns, self._weight]
        for batch in self._batches(read):
            frame, weight = _to_masked(batch.select(columns)), None
            if self._weight is not None and self._scale is not None:
                is_positive, weight = self._scale.apply(_as_floats(batch[self._weight]))
                frame = frame[is_positive]
            if len(frame):
                yield TablePart(np.arange(start, start + len(frame)), frame, weight)
                start += len(frame)

    def _batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        options = {
            "batch_readahead": 1,
            "fragment_readahead": 1,
            "use_threads": False,
            # By default Arrow holds all of a file's columns as it reads it.
            "fragment_scan_options": ds.ParquetFragmentScanOptions(
                use_buffered_stream=True, buffer_size=BUFFER, pre_buffer=False
            ),
        }
        for fragment in self.fragments:
            own = options if isinstance(fragment, ds.ParquetFileFragment) else {}
            batches = fragment.to_batches(
                self.schema, columns=columns, batch_size=BATCH_ROWS, **own
            )
            while (batch := self._next(batches, fragment)) is not None:
                if batch.num_rows:
                    yield batch
        self._refuse_changed()

    def refuse_weight(self, name: str) -> None:
        """Raise where a column does not hold weights."""
        if name not in self.names:
            raise ValueError(
                f"sample_weight: the dataset has no column {name!r}; it has {self.names}."
            )
        kind = self.schema.field(name).type
        is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        if not (is_number or pa.types.is_decimal(kind)):
            raise ValueError(
                f"sample_weight: column {name!r} holds {kind}, where a number from 0 on is "
                "expected in each row."
            )
        largest = 0.0
        for weight in self._weights():
            is_faulty = ~((weight >= 0) & np.isfinite(weight))
            if is_faulty.any():
                raise ValueError(
                    f"sample_weight: column {name!r} holds {weight[is_faulty][0]}, where a number "
                    "from 0 on is expected in each row."
                )
            largest = max(largest, weight.max())
        if not largest:
            raise ValueError(f"sample_weight: no row has a positive number in column {name!r}.")

    def _weights(self) -> Iterator[NDArray[np.float64]]:
        return (_as_floats(batch[0]) for batch in self._batches([str(self._weight)]))

    def _next(self, batches: Iterator[pa.RecordBatch], fragment: Any) -> pa.RecordBatch | None:
        """Return the next batch of a file; None at its end."""
        try:
            return next(batches, None)
        except (pa.ArrowException, OSError) as error:
            self._refuse_changed()
            path = getattr(fragment, "path", "The dataset")
            raise OSError(
                f"{path} cannot be read as a Parquet file{self.spell_types(fragment)}: {error}"
            ) from error

    def spell_types(self, fragment: Any) -> str:
        """Spell the types of those columns of a file that are read as those of other files."""
        own = {field.name: _plain(field.type) for field in fragment.physical_schema}
        common = {name: self.schema.field(name).type for name in self.names}
        differing = [
            f"column {name!r}, which is {own[name]}, as {kind}"
            for name, kind in common.items()
            if own.get(name, kind) != kind
        ]
        return f" with {', '.join(differing)} for other files" if differing else ""

    def _mark(self) -> dict[str, tuple[Any, ...]]:
        """Return what changes when a file does, by its path."""
        marks = {}
        for fragment in self.fragments:
            if hasattr(fragment, "path"):
                found = fragment.filesystem.get_file_info(fragment.path)
                marks[fragment.path] = (found.type, found.size, found.mtime_ns)
        return marks

    def _refuse_changed(self) -> None:
        """Raise where files are no longer those that the table was made of."""
        now = self._mark()
        changed = [path for path, mark in self._marks.items() if now[path] != mark]
        if changed:
            more = f" and {len(changed) - 1} more files" if len(changed) > 1 else ""
            raise OSError(
                f"{changed[0]}{more} changed during the fit, which reads each file several times. "
                "Write new rows to new files, and fit again."
            )

    def read(self) -> tuple[pd.DataFrame, NDArray[np.float64] | None]:
        """Read all rows and their weights; integers and booleans without missing values NumPy's."""
        parts = list(self.parts())
        frames = [part.frame for part in parts]
        weights = [part.weight for part in parts if part.weight is not None]
        frame = unmask(pd.concat([self.empty(), *frames], ignore_index=True))
        return frame, np.concatenate(weights) if weights else None


def index_of(schema: pa.Schema) -> list[Any]:
    """Return the names of the columns that were an index of pandas."""
    names: list[Any] = (schema.pandas_metadata or {}).get("index_columns", [])
    return names


def common_schema(fragments: Sequence[Any], schema: pa.Schema, names: Sequence[str]) -> pa.Schema:
    """Return the schema of a dataset with types that hold the values of all files.

    Raises
    ------
    ValueError
        Where files differ in their columns, or a column in types that no one type holds: Arrow
        would fill in missing values, and leave columns out.
    """
    physical = [
        {field.name: _plain(field.type) for field in fragment.physical_schema}
        for fragment in fragments
    ]
    held: dict[str, Any] = {}
    for types in physical:
        held = types | held
    common = {name: _plain(schema.field(name).type) for name in held if name in names}
    for fragment, types in zip(fragments, physical, strict=True):
        for name, first in held.items():
            found = types.get(name)
            joined = None if found is None else join_types(common.get(name, first), found)
            if joined is None and (name in names or found is None):
                raise ValueError(
                    f"Column {name!r} is {found or 'nothing'} in "
                    f"{getattr(fragment, 'path', 'a part of the dataset')}, and "
                    f"{common.get(name, first)} elsewhere. Write all files with the same columns, "
                    "of types that one type can hold."
                )
            if name in common:
                common[name] = joined
    fields = [field.with_type(common.get(field.name, field.type)) for field in schema]
    return pa.schema(fields, schema.metadata)


def join_types(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """Return the type that holds the values of both; None where there is none.

    Values that a float cannot hold, such as integers beyond 2^53, are refused where they are read.
    """
    fields = [pa.schema([pa.field("x", kind)]) for kind in (one, other)]
    try:
        joined = pa.unify_schemas(fields, promote_options="permissive").field(0).type
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return None
    types = pa.types
    rounds = types.is_floating(joined) and (types.is_decimal(one) or types.is_decimal(other))
    is_bytes = types.is_binary(joined) or types.is_large_binary(joined)
    return None if rounds or (is_bytes and one != other) else joined


def _plain(kind: Any) -> Any:
    """Return the type of a column's values."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _as_floats(column: pa.Array) -> NDArray[np.float64]:
    """Return numbers as float64, NaN where there is none."""
    floats: NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy(
        zero_copy_only=False
    )
    return floats


def _to_masked(batch: pa.RecordBatch) -> pd.DataFrame:
    columns = [
        column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        for column in batch.columns
    ]
    table = pa.Table.from_arrays(columns, names=batch.schema.names)
    return table.to_pandas(types_mapper=MASKED.get, date_as_object=False)
