"""Parquet files, read whole or in batches, and written; needs pyarrow, imported on demand only."""

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from skflow.command_line.cells import as_plain
from skflow.command_line.errors import explained
from skflow.command_line.headers import refuse_unclear_names
from skflow.command_line.tables import Batch, Text, Types

BUFFER = 2**16  # bytes of each column that are read at a time
# Whole numbers and booleans keep their holes; floats would lose digits.
MASKED = {
    pa.bool_(): pd.BooleanDtype(),
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
}


class ParquetTable:
    """A table in a Parquet file.

    Parameters
    ----------
    file : binary file
    path : str
    """

    unit = "row"

    def __init__(self, file: BinaryIO, path: str) -> None:
        self.path = path
        with explained(f"{path} is no sound Parquet file"):
            # Through a buffer: by default Arrow holds all of a file's columns as it reads it, and
            # without pre_buffer still all of a row group's.
            self.file = pq.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER)
        schema = self.file.schema_arrow
        refuse_unclear_names(schema.names, path)
        stored = (schema.pandas_metadata or {}).get("index_columns", [])
        self.index = [name for name in schema.names if name in stored]
        self.names = [name for name in schema.names if name not in stored]
        self.total = self.file.metadata.num_rows
        self.types: Types = {name: schema.field(name).type for name in schema.names}

    def read(self, columns: Sequence[str], text: Text) -> pd.DataFrame:
        """Read all rows, of the types that the file declares.

        Parameters
        ----------
        columns : sequence of str
        text : mapping of str to collection of str
            Not asked: the file tells.

        Returns
        -------
        frame : DataFrame
        """
        with explained(self.path):
            return _to_frame(self.file.read(columns=list(columns)))

    def batches(self, n_rows: int, columns: Sequence[str], text: Text) -> Iterator[Batch]:
        """Read so many rows at a time; see :meth:`read`."""
        start = 0
        with explained(self.path):
            for batch in self.file.iter_batches(n_rows, columns=list(columns)):
                frame = _to_frame(pa.Table.from_batches([batch]))
                yield Batch(frame.set_axis(range(start, start + len(frame))), start, len(frame))
                start += len(frame)

    def close(self) -> None:
        """Let go of the file."""
        self.file.close()


def _to_frame(table: pa.Table) -> pd.DataFrame:
    frame = table.to_pandas(types_mapper=MASKED.get, date_as_object=False, ignore_metadata=True)
    return as_plain(frame)


class ParquetWriter:
    """Writes frames into a Parquet file.

    Parameters
    ----------
    file : binary file
    path : str
    types : mapping of str to DataType or its name
        Of columns whose first rows do not tell it; others are as in the first frame.
    """

    def __init__(self, file: BinaryIO, path: str, types: Types) -> None:
        self.file, self.path, self.types = file, path, types
        self.writer: pq.ParquetWriter | None = None

    def write(self, frame: Any) -> None:
        """Append rows of a pandas or polars frame."""
        with explained(f"{self.path} cannot hold these rows; write CSV instead"):
            table = self._convert(frame)
        if self.writer is None:
            self.writer = pq.ParquetWriter(self.file, table.schema)
        self.writer.write_table(table)

    def close(self) -> None:
        """Write the end of the file, without which it cannot be read."""
        if self.writer is not None:
            self.writer.close()

    def abandon(self) -> None:
        """Leave the file without an end; by itself it would be written at some later time."""
        if self.writer is not None:
            self.writer.is_open = False

    def _convert(self, frame: Any) -> pa.Table:
        if not isinstance(frame, pd.DataFrame):
            return frame.to_arrow()
        if self.writer is not None:
            return pa.Table.from_pandas(frame, self.writer.schema, preserve_index=False)
        first = pa.Schema.from_pandas(frame, preserve_index=False)
        fields = [(field.name, self.types.get(field.name, _lasting(field.type))) for field in first]
        schema = pa.schema(fields, first.metadata)
        return pa.Table.from_pandas(frame, schema, preserve_index=False)


def _lasting(kind: pa.DataType) -> pa.DataType:
    """Return a type that holds what later rows may have: longer decimals, texts after holes."""
    if pa.types.is_decimal(kind):
        return pa.decimal128(38, kind.scale)
    return pa.string() if pa.types.is_null(kind) else kind
