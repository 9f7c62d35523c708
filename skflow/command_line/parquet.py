"""Parquet files, read whole or in batches, and written; needs pyarrow, imported on demand only."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from skflow.command_line.csv_files import Batch, Labels, Write
from skflow.command_line.messages import as_command_error
from skflow.datasets.arrow import to_frame
from skflow.datasets.parquet_table import BUFFER, index_of

DIGITS = 15  # after the point, of decimals: as many as float64 holds


class ParquetTable:
    """A table in a Parquet file, with the attributes of a CsvTable."""

    unit = "row"

    def __init__(self, file: BinaryIO, path: str) -> None:
        self.path = path
        with as_command_error(f"{path} is no sound Parquet file"):
            # Through a buffer: by default Arrow holds all of a file's columns as it reads it, and
            # without pre_buffer still all of a row group's.
            self.file = pq.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER)
        schema = self.file.schema_arrow
        stored = index_of(schema)
        self.index = [name for name in schema.names if name in stored]
        self.names = [name for name in schema.names if name not in stored]
        self.total = self.file.metadata.num_rows
        self.types: Mapping[str, Any] = dict(zip(schema.names, schema.types, strict=True))

    def read(self, columns: Sequence[str], labels: Labels) -> pd.DataFrame:
        """Read all rows, of the types that the file declares, whatever the ``labels``."""
        with as_command_error(self.path):
            return to_frame(self.file.read(columns=list(columns)))

    def batches(self, n_rows: int, columns: Sequence[str], labels: Labels) -> Iterator[Batch]:
        """Read ``n_rows`` rows at a time; see :meth:`read`."""
        start = 0
        with as_command_error(self.path):
            for batch in self.file.iter_batches(n_rows, columns=list(columns)):
                frame = to_frame(pa.Table.from_batches([batch]))
                yield Batch(frame.set_axis(range(start, start + len(frame))), start, len(frame))
                start += len(frame)

    def close(self) -> None:
        """Close the file."""
        self.file.close()


@contextmanager
def parquet_writer(file: BinaryIO, path: str, types: Mapping[str, Any]) -> Iterator[Write]:
    """Yield what appends frames to a Parquet file, which is left without an end by an error.

    ``types`` are types, or their names, of columns whose first rows do not show them; others are
    as in the first frame.
    """
    writer: pq.ParquetWriter | None = None

    def write(frame: Any) -> None:
        nonlocal writer
        with as_command_error(f"{path} cannot hold these rows; write CSV instead"):
            table = _convert(frame, types if writer is None else writer.schema)
        if writer is None:
            writer = pq.ParquetWriter(file, table.schema)
        writer.write_table(table)

    try:
        yield write
    except BaseException:
        if writer is not None:
            writer.is_open = False  # by itself it would write the end at some later time
        raise
    if writer is not None:
        writer.close()


def _convert(frame: Any, schema: pa.Schema | Mapping[str, Any]) -> pa.Table:
    """Return a table of this schema, or of that of the frame but for some types."""
    if not isinstance(frame, pd.DataFrame):
        return frame.to_arrow()
    if not isinstance(schema, pa.Schema):
        first = pa.Schema.from_pandas(frame, preserve_index=False)
        fields = [(field.name, schema.get(field.name, _lasting(field.type))) for field in first]
        schema = pa.schema(fields, first.metadata)
    return pa.Table.from_pandas(frame, schema, preserve_index=False)


def _lasting(kind: pa.DataType) -> pa.DataType:
    """Return a type that holds what later rows may have: longer decimals, text after nulls."""
    if pa.types.is_decimal(kind):
        return pa.decimal128(38, max(kind.scale, DIGITS))
    return pa.string() if pa.types.is_null(kind) else kind


def open_dataset(files: Sequence[str]) -> Any:
    """Open several Parquet files as one table."""
    with as_command_error(f"{files[0]} is no sound Parquet file"):
        return ds.dataset(list(files), format="parquet")
