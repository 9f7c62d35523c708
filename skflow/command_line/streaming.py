"""Tables read, answered and written batch by batch, in the file's order."""

import gzip
import sys
import warnings
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Union, cast

import pandas as pd
from joblib import Parallel, delayed
from tqdm import tqdm

from skflow.archive.replacing import replacing
from skflow.command_line.csv_files import MISSING, Batch, CsvTable, Labels, Write, csv_writer
from skflow.command_line.formats import STANDARD, format_of
from skflow.command_line.matching import ModelColumns
from skflow.command_line.messages import (
    CommandError,
    EmptyTableError,
    as_command_error,
    attach_filename,
)
from skflow.exceptions import StrangeLabelsWarning

if TYPE_CHECKING:  # of an extra, and imported when a file needs it
    from skflow.command_line.parquet import ParquetTable

Table = Union[CsvTable, "ParquetTable"]
Task = Callable[[Any, Any], pd.DataFrame]  # estimator and rows to answers


class BatchResult(NamedTuple):
    """The answers of a batch and the warnings on the way.

    ``known`` holds for columns of labels whether one of theirs was fitted.
    """

    frame: pd.DataFrame
    size: int
    known: dict[str, bool]
    warned: list[Warning | str]


@contextmanager
def open_table(path: str, delimiter: str | None = None) -> Iterator[Table]:
    """Open a table to read it; a given ``delimiter`` overrules that of the file's ending."""
    delimiter, packed = format_of(path, delimiter)
    name = "standard input" if path == STANDARD else path
    with nullcontext(sys.stdin.buffer) if path == STANDARD else open(path, "rb") as file:
        with attach_filename(name):
            table: Table = (
                CsvTable(file, name, delimiter, packed=packed)
                if delimiter is not None
                else import_parquet(path).ParquetTable(file, path)
            )
        refuse_unclear_names([*table.index, *table.names], name)
        try:
            yield table
        finally:
            table.close()


def refuse_unclear_names(names: list[str], path: str) -> None:
    """Raise where columns cannot be distinguished by their names, or there are none."""
    if not names:
        raise CommandError(f"{path} has no columns.")
    twice = sorted(name for name, n in Counter(names).items() if n > 1)
    if twice:
        raise CommandError(f"{path} names columns twice: {twice}. Give each its own name.")


@contextmanager
def open_writer(path: str, types: Mapping[str, Any] | None = None) -> Iterator[Write]:
    """Open a table and yield what appends rows to it; it is there as a whole, or not at all.

    ``types`` are Arrow types of columns whose first rows do not show them; CSV has none.
    """
    delimiter, packed = format_of(path)
    name = "standard output" if path == STANDARD else path
    with attach_filename(name), _open_output(path, packed=packed) as file:
        if delimiter is not None:
            yield csv_writer(file, delimiter)
            return
        with import_parquet(path).parquet_writer(file, path, types or {}) as write:
            yield write


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


def import_parquet(path: str) -> Any:
    """Import what reads and writes Parquet files."""
    try:
        return import_module("skflow.command_line.parquet")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        raise CommandError(
            f'{path}: Parquet files need pyarrow. Install it: pip install "pyarrow>=17"'
        ) from error


def stream(
    table: Table,
    columns: ModelColumns,
    estimator: Any,
    task: Task,
    write: Write,
    arguments: Namespace,
) -> None:
    """Write the answers for all rows of a table; never more than a few batches are in memory.

    With ``only`` or ``top`` the rows to write are in memory until all are read: those called
    outliers, or the strangest, ranked by the index of the answers.
    """
    # Columns that are only kept stay as they are spelled, "NA" too.
    ignored: Labels = dict.fromkeys(columns.ignored if arguments.keep else (), MISSING)
    wanted = [*table.index, *table.names] if arguments.keep else columns.names
    batches = table.batches(arguments.batch_rows, wanted, {**ignored, **columns.text})
    # Each worker has one batch at work and one at hand, and none is put on the disk.
    parallel = Parallel(
        arguments.n_jobs,
        return_as="generator",
        pre_dispatch="2*n_jobs",
        batch_size=1,
        max_nbytes=None,
    )
    work = (
        delayed(_answer)(batch, columns, estimator, task, arguments) for batch in _caught(batches)
    )
    seen: set[str] = set()
    known: dict[str, bool] = {}
    ranked: pd.DataFrame | None = None
    is_empty, is_ranked = True, arguments.only or arguments.top is not None
    with progress_bar(table.total, table.unit, quiet=arguments.quiet) as advance:
        for result in parallel(work):
            is_empty = False
            for warning in result.warned:
                if str(warning) not in seen:
                    warnings.warn(warning, stacklevel=2)
                seen.add(str(warning))
            for name, found in result.known.items():
                known[name] = known.get(name, False) or found
            if is_ranked:
                ranked = merge_ranked(ranked, result.frame, arguments.top)
            else:
                write(result.frame)
            advance(result.size)
    if is_empty:
        raise EmptyTableError(f"{table.path} has columns, but no rows.")
    if ranked is not None:
        write(ranked)
    for name in [name for name, found in known.items() if not found]:
        warnings.warn(
            f"no cell of column {name!r} in {columns.path} is a label that the model was fitted "
            f"to, which are {columns.spell_levels(name)}; all are taken for labels never seen.",
            stacklevel=2,
        )


def merge_ranked(
    ranked: pd.DataFrame | None, frame: pd.DataFrame, most: int | None
) -> pd.DataFrame:
    """Return the rows of both by their index, the lowest first, ``most`` at most.

    Equal ones stay in the order they came.
    """
    parts = [part for part in (ranked, frame) if part is not None and len(part)]
    return pd.concat(parts or [frame]).sort_index(kind="stable").iloc[:most]


def _caught(batches: Iterator[Batch]) -> Iterator[Batch | Exception]:
    """Yield an error of reading instead of raising it: joblib would lose it in a thread."""
    try:
        yield from batches
    except Exception as error:  # raised again where it is taken for a batch
        yield error


def _answer(
    batch: Batch | Exception,
    columns: ModelColumns,
    estimator: Any,
    task: Task,
    arguments: Namespace,
) -> BatchResult:
    if isinstance(batch, Exception):
        raise batch
    last = batch.start + len(batch.frame) - 1
    with (
        as_command_error(f"{columns.path}, rows {batch.start} to {last}"),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always", UserWarning)
        # A batch says little: the warning about all batches comes at the end.
        warnings.simplefilter("ignore", StrangeLabelsWarning)
        rows = columns.typed(batch.frame)
        answers = task(estimator, rows if columns.named else rows.to_numpy())
        known = columns.known(rows)
    if "row" in answers:
        answers["row"] += batch.start
    if arguments.keep:
        kept = batch.frame.assign(**{name: rows[name] for name in columns.types})
        taken = [name for name in kept if name in answers]
        if taken:
            raise CommandError(
                f"--keep: {columns.path} has columns {taken} already, as the answers are called. "
                "Rename or drop them."
            )
        answers = pd.concat([kept.set_axis(answers.index), answers], axis=1)
    if arguments.only:
        answers = answers[answers["outlier"]]
    return BatchResult(answers, batch.size, known, [warning.message for warning in caught])


@contextmanager
def progress_bar(total: int | None, unit: str, *, quiet: bool) -> Iterator[Callable[[int], object]]:
    """Show a progress bar, on a terminal only; yield what advances it."""
    hidden = True if quiet else None  # None: where standard error is no terminal
    bar = tqdm(total=total, unit=unit, unit_scale=True, disable=hidden, file=sys.stderr)
    with bar:
        yield bar.update
