"""Files of tables by their names: CSV or Parquet, ``-`` for standard input and output."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from skflow.archive.files import replacing
from skflow.command_line.csv_files import CsvTable, CsvWriter
from skflow.command_line.messages import CommandError, naming
from skflow.command_line.tables import NO_TYPES, Table, Types, Writer

STANDARD = "-"
DELIMITERS = {"": ",", ".csv": ",", ".tsv": "\t"}  # without an ending, as pipes are, it is CSV
PARQUET = (".parquet", ".pq")


@contextmanager
def open_table(path: str) -> Iterator[Table]:
    """Open a table to read it, batch by batch or whole."""
    parquet, delimiter = _format_of(path)
    with _open_input(path) as file:
        name = _spell(path, "input")
        with naming(name):
            table: Table = (
                CsvTable(file, name, delimiter)
                if parquet is None
                else parquet.ParquetTable(file, path)
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
    parquet, delimiter = _format_of(path)
    with naming(_spell(path, "output")), _open_output(path) as file:
        writer: Writer = (
            CsvWriter(file, delimiter)
            if parquet is None
            else parquet.ParquetWriter(file, path, types)
        )
        try:
            yield writer
        except BaseException:
            writer.abandon()
            raise
        writer.close()


def _format_of(path: str) -> tuple[Any, str]:
    """Return the module for Parquet, where it is that, and the delimiter."""
    suffix = "" if path == STANDARD else Path(path).suffix.lower()
    if suffix in DELIMITERS:
        return None, DELIMITERS[suffix]
    if suffix not in PARQUET:
        packed = f" Unpack it: zcat {path} | skflow ... -." if suffix == ".gz" else ""
        raise CommandError(
            f"{path}: its ending says what a table is: .csv, .tsv or .parquet, not {suffix!r}."
            f"{packed}"
        )
    try:
        return import_module("skflow.command_line.parquet"), ""
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
def _open_output(path: str) -> Iterator[BinaryIO]:
    if path == STANDARD:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    else:
        with replacing(path) as file:
            yield file


def _spell(path: str, what: str) -> str:
    return f"standard {what}" if path == STANDARD else path
