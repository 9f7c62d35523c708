"""Tables from CSV and Parquet files, whole or in batches.

A CSV file does not say what its columns hold, so later rows are read as those that were fitted:
a text column stays one where a batch happens to hold nothing but digits.
"""

import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from skflow.table.schema import ColumnSchema

STANDARD = "-"
DATE = r"\d{4}-\d{2}-\d{2}([T ].*)?"  # what ISO 8601 dates look like, years alone left out


def is_parquet(path: str) -> bool:
    """Say whether a file is Parquet, by its name."""
    return Path(path).suffix.lower() in (".parquet", ".pq")


def parquet() -> Any:
    """Return Arrow's module for Parquet.

    Raises
    ------
    ImportError
        Where it is not installed.
    """
    try:
        return import_module("pyarrow.parquet")
    except ImportError as error:
        raise ImportError('Parquet needs pyarrow: pip install "skflow[parquet]".') from error


def read_table(path: str) -> pd.DataFrame:
    """Read a whole table to be fitted."""
    if is_parquet(path):
        with _named(path):
            frame: pd.DataFrame = parquet().read_table(path).to_pandas()
        return frame
    with _named(path):
        frame = read_csv(_source(path))
    for name in frame.columns:
        if pd.api.types.is_string_dtype(frame[name].dtype) and _are_dates(frame[name]):
            frame[name] = _as_dates(frame[name])
    return frame


def read_batches(
    path: str, columns: Sequence[ColumnSchema], batch_rows: int, *, others: bool
) -> Iterator[pd.DataFrame]:
    """Read a table in batches, the fitted columns as what they were fitted as.

    ``others`` says whether columns that were not fitted are wanted.

    Raises
    ------
    ValueError
        Where the table lacks some of them, or cells are not what their column holds.
    """
    if batch_rows < 1:
        raise ValueError(f"--batch-rows must be 1 at least; it is {batch_rows}.")
    read = _read_parquet if is_parquet(path) else _read_csv
    with _named(path):
        yield from read(path, columns, batch_rows, others)


@contextmanager
def _named(path: str) -> Iterator[None]:
    """Have errors of those who read a file say which."""
    try:
        yield
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{path} is no CSV file in UTF-8: {error}") from error
    except ValueError as error:
        raise error if path in str(error) else ValueError(f"{path}: {error}") from error


def _read_parquet(
    path: str, columns: Sequence[ColumnSchema], batch_rows: int, others: bool
) -> Iterator[pd.DataFrame]:
    with parquet().ParquetFile(path) as file:
        _refuse_lack(file.schema_arrow.names, columns, path)
        wanted = None if others else [column.name for column in columns]
        for batch in file.iter_batches(batch_size=batch_rows, columns=wanted):
            yield batch.to_pandas()


def _read_csv(
    path: str, columns: Sequence[ColumnSchema], batch_rows: int, others: bool
) -> Iterator[pd.DataFrame]:
    names = {column.name for column in columns}
    as_text = ("category", "date", "duration")
    with read_csv(
        _source(path),
        chunksize=batch_rows,
        usecols=None if others else lambda name: name in names,
        dtype={column.name: str for column in columns if column.family in as_text},
    ) as batches:
        for batch in batches:
            _refuse_lack(batch.columns, columns, path)
            yield _as_fitted(batch, columns)


def read_csv(source: Any, **options: Any) -> Any:
    """Read CSV with each column of one type, and numbers to the last digit.

    Without the latter, decimals would be off by a digit that no grid explains.
    """
    with warnings.catch_warnings():
        # Of pandas that need not be asked any more.
        warnings.filterwarnings("ignore", ".*float_precision.*", DeprecationWarning)
        return pd.read_csv(source, low_memory=False, float_precision="round_trip", **options)


def _source(path: str) -> Any:
    return sys.stdin.buffer if path == STANDARD else path


def _refuse_lack(found: Iterable[str], columns: Sequence[ColumnSchema], path: str) -> None:
    there = set(found)
    missing = [column.name for column in columns if column.name not in there]
    if missing:
        raise ValueError(
            f"{path} lacks columns {missing}, which the model was fitted to. Add or rename them."
        )


def _as_fitted(frame: pd.DataFrame, columns: Sequence[ColumnSchema]) -> pd.DataFrame:
    for column in columns:
        values = frame[column.name]
        if column.family == "date":
            if not _are_dates(values):
                raise ValueError(f"Column {column.name!r} was fitted as dates; not all are.")
            frame[column.name] = _as_dates(values)
        elif column.family == "duration":
            frame[column.name] = pd.to_timedelta(values)
    return frame


def _are_dates(values: "pd.Series[Any]") -> bool:
    """Say whether all texts are dates that can be read."""
    present = values.dropna()
    if present.empty or not present.astype(str).str.fullmatch(DATE).all():
        return values.notna().sum() == 0 and values.dtype.kind in "Of"
    try:
        _as_dates(present)
    except ValueError:  # a 31st of June, or time zones that differ
        return False
    return True


def _as_dates(values: "pd.Series[Any]") -> "pd.Series[Any]":
    return pd.to_datetime(values, format="ISO8601")
