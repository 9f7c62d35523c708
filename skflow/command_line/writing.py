"""Results to CSV and Parquet files, batch by batch, whole or not at all."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from io import TextIOWrapper
from typing import Any, Protocol

import pandas as pd

from skflow.archive.files import replacing
from skflow.command_line.reading import is_parquet, parquet


class Writer(Protocol):
    """Takes frames of the same columns, one after the other."""

    def write(self, frame: pd.DataFrame) -> None:
        """Write the rows of a frame."""
        ...


class _CsvWriter:
    def __init__(self, file: Any) -> None:
        self.file = file
        self.has_header = False

    def write(self, frame: pd.DataFrame) -> None:
        frame.to_csv(self.file, index=False, header=not self.has_header)
        self.has_header = True


class _ParquetWriter:
    def __init__(self, file: Any, stack: ExitStack) -> None:
        self.file = file
        self.stack = stack
        self.writer: Any = None

    def write(self, frame: pd.DataFrame) -> None:
        arrow = import_module("pyarrow")
        schema = None if self.writer is None else self.writer.schema
        table = arrow.Table.from_pandas(frame, schema=schema, preserve_index=False)
        if self.writer is None:
            self.writer = self.stack.enter_context(parquet().ParquetWriter(self.file, table.schema))
        self.writer.write_table(table)


@contextmanager
def writing(path: str | None) -> Iterator[Writer]:
    """Open what results go to: a file that is there once it is whole, or standard output."""
    if path is None:
        yield _CsvWriter(sys.stdout)
        return
    with replacing(path) as file, ExitStack() as stack:
        if is_parquet(path):
            yield _ParquetWriter(file, stack)
            return
        text = TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        stack.callback(text.detach)  # lest it closes the file, which is yet to reach the disk
        yield _CsvWriter(text)
