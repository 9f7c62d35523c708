"""Files of tables by their names: CSV or Parquet, ``-`` for standard input and output."""

import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, BinaryIO, cast

from skflow.archive.replacing import replacing
from skflow.command_line.csv_files import CsvTable, CsvWriter
from skflow.command_line.formats import STANDARD, format_of
from skflow.command_line.messages import CommandError, naming
from skflow.command_line.tables import NO_TYPES, Table, Types, Writer


@contextmanager
def open_table(path: str, delimiter: str | None = None) -> Iterator[Table]:
    """Open a table to read it, batch by batch or whole.

    A ``delimiter`` that is given overrules that of the file's ending.
    """
    delimiter, packed = format_of(path, delimiter)
    with _open_input(path) as file:
        name = _spell(path, "input")
        with naming(name):
            table: Table = (
                CsvTable(file, name, delimiter, packed=packed)
                if delimiter is not None
                else _import_parquet(path).ParquetTable(file, path)
            )
        try:
            yield table
        finally:
            table.close()


@contextmanager
def open_writer(path: str, types: Types = NO_TYPES) -> Iterator[Writer]:
    """Open a table to write it, batch by batch; it is there once all is written, or not at all.

    ``types`` are those of columns whose first rows do not tell; CSV files have none.
    """
    delimiter, packed = format_of(path)
    with naming(_spell(path, "output")), _open_output(path, packed=packed) as file:
        writer: Writer = (
            CsvWriter(file, delimiter)
            if delimiter is not None
            else _import_parquet(path).ParquetWriter(file, path, types)
        )
        try:
            yield writer
        except BaseException:
            writer.abandon()
            raise
        writer.close()


def _import_parquet(path: str) -> Any:
    try:
        return import_module("skflow.command_line.parquet")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        raise CommandError(
            f'{path}: Parquet files need pyarrow. Install it: pip install "pyarrow>=17"'
        ) from error


@contextmanager
def _open_input(path: str) -> Iterator[BinaryIO]:
    if path == STANDARD:
        yield sys.stdin.buffer
    else:
        with open(path, "rb") as file:
            yield file


@contextmanager
def _open_output(path: str, *, packed: bool) -> Iterator[BinaryIO]:
    if path == STANDARD:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with replacing(path) as file:
        if not packed:
            yield file
            return
        # Without name and time: equal rows give equal files.
        with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as compressed:
            yield cast(BinaryIO, compressed)


def _spell(path: str, what: str) -> str:
    return f"standard {what}" if path == STANDARD else path
