"""A dataset of Parquet files as a table: rows with numbers, read batch by batch in flat memory."""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

from skflow.datasets.arrow import MASKED, unmask

BATCH_ROWS = 2**16
BUFFER = 2**16  # bytes of each column that are read at a time
TEXT_BYTES = 64  # of a cell that is no number, about


class ParquetTable:
    """The rows of a dataset, in the order of the paths of its files.

    Integers and booleans are nullable ones, so that no batch's dtype depends on whether it has
    missing values; categories that files declare are read as their values, because each file may
    declare its own. What pandas wrote as an index is no column.

    Parameters
    ----------
    dataset : pyarrow.dataset.Dataset

    Attributes
    ----------
    names : list of str
        Columns.
    n_rows : int
        By the footers of the files.
    """

    def __init__(self, dataset: Any) -> None:
        schema = dataset.schema
        index = (schema.pandas_metadata or {}).get("index_columns", [])
        self.names = [name for name in schema.names if name not in index]
        self.schema = schema
        self.fragments = sorted(dataset.get_fragments(), key=lambda part: getattr(part, "path", ""))
        refuse_disagreement(self.fragments, schema, self.names)
        self.n_rows = sum(fragment.count_rows() for fragment in self.fragments)
        self._marks = self._mark()

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

    def frames(self, names: Sequence[str] | None = None) -> Iterator[tuple[int, pd.DataFrame]]:
        """Yield the number of the first row of each batch, and its rows; of some columns, or all.

        All calls yield the same batches, none of them empty.

        Raises
        ------
        OSError
            Where a file cannot be read, or has changed since the table was made.
        """
        start = 0
        options = {
            "batch_readahead": 1,
            "fragment_readahead": 1,
            "use_threads": False,
            # By default Arrow holds all of a file's columns as it reads it.
            "fragment_scan_options": ds.ParquetFragmentScanOptions(
                use_buffered_stream=True, buffer_size=BUFFER, pre_buffer=False
            ),
        }
        columns = self.names if names is None else list(names)
        for fragment in self.fragments:
            own = options if isinstance(fragment, ds.ParquetFileFragment) else {}
            batches = fragment.to_batches(
                self.schema, columns=columns, batch_size=BATCH_ROWS, **own
            )
            while (batch := self._next(batches, fragment)) is not None:
                if batch.num_rows:
                    yield start, _to_masked(batch)
                    start += batch.num_rows
        self._refuse_changed()

    def _next(self, batches: Iterator[pa.RecordBatch], fragment: Any) -> pa.RecordBatch | None:
        """Return the next batch of a file; None at its end."""
        try:
            return next(batches, None)
        except (pa.ArrowException, OSError) as error:
            self._refuse_changed()
            path = getattr(fragment, "path", "The dataset")
            raise OSError(f"{path} cannot be read as a Parquet file: {error}") from error

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

    def read(self) -> pd.DataFrame:
        """Read all rows; integers and booleans without missing values are NumPy's."""
        frames = [frame for _, frame in self.frames()]
        return unmask(pd.concat([self.empty(), *frames], ignore_index=True))


def refuse_disagreement(fragments: Sequence[Any], schema: pa.Schema, names: Sequence[str]) -> None:
    """Raise where files differ in their columns, or in their types from the dataset's.

    Arrow would fill in missing values, leave columns out and cast what can be cast. Columns
    that no file holds are known by the files' paths.
    """
    physical = [
        {field.name: _plain(field.type) for field in fragment.physical_schema}
        for fragment in fragments
    ]
    held: dict[str, Any] = {}
    for types in physical:
        held = types | held
    held |= {name: _plain(schema.field(name).type) for name in held if name in names}
    for fragment, types in zip(fragments, physical, strict=True):
        for name, expected in held.items():
            found = types.get(name, "nothing")
            if found != expected and (name in names or found == "nothing"):
                raise ValueError(
                    f"Column {name!r} is {found} in "
                    f"{getattr(fragment, 'path', 'a part of the dataset')}, and {expected} "
                    "elsewhere. Write all files with the same columns, of the same types."
                )


def _plain(kind: Any) -> Any:
    """Return the type of a column's values."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _to_masked(batch: pa.RecordBatch) -> pd.DataFrame:
    columns = [
        column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        for column in batch.columns
    ]
    table = pa.Table.from_arrays(columns, names=batch.schema.names)
    return table.to_pandas(types_mapper=MASKED.get, date_as_object=False)
