"""CSV files, read whole or in batches: UTF-8, a header, rows as long as it, cells as text."""

import csv
import gzip
import io
import os
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, BinaryIO, NamedTuple, cast

import pandas as pd

from skflow.command_line.messages import CommandError

# Cells that pandas takes for missing values; a label of the model may be spelled as one.
MISSING = frozenset(
    [
        *("", "#N/A", "#N/A N/A", "#NA", "<NA>", "N/A", "n/a", "NA", "NULL", "null", "None"),
        *("NaN", "nan", "-NaN", "-nan", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
    ]
)
Labels = Mapping[str, Collection[str]]
Write = Callable[[Any], None]  # appends the rows of a pandas or polars frame to a file
MAX_CELL = 2**26  # letters of a cell: a quote that is never closed must not fill the memory
BATCH_ROWS = 50_000  # rows that are split at a time when a file is read whole
REMEDY = "Convert it (iconv -f latin1 -t utf-8), or name it .parquet if it is that."
REMEDIES = {  # by the first bytes of a file
    b"\xff\xfe": "It looks like UTF-16; convert it: iconv -f utf-16 -t utf-8.",
    b"\xfe\xff": "It looks like UTF-16; convert it: iconv -f utf-16 -t utf-8.",
    b"\x1f\x8b": "It looks compressed; unpack it: zcat FILE | skflow ... -, or name it .csv.gz.",
    b"PAR1": "It looks like Parquet; name it .parquet.",
}


class Batch(NamedTuple):
    """Some rows of a file.

    Attributes
    ----------
    frame : DataFrame
    start : int
        Number of its first row, counted from 0.
    size : int
        Progress of reading them, in the table's unit.
    """

    frame: pd.DataFrame
    start: int
    size: int


class CsvTable:
    """A table in a CSV file.

    Parameters
    ----------
    file : binary file
    path : str
        Name of the file in messages.
    delimiter : str
    packed : bool
        Whether the file is compressed by gzip.

    Attributes
    ----------
    names : list of str
        Names of the columns.
    index : sequence of str
        Names of columns that number or name the rows, as pandas stores them in Parquet files.
    types : mapping of str to type
        Arrow types of the columns, as far as the file declares them.
    total : int or None
        Size of the file, in ``unit``; None where it is unknown.
    """

    unit = "B"
    index: Sequence[str] = ()
    types: Mapping[str, Any] = {}

    def __init__(self, file: BinaryIO, path: str, delimiter: str, *, packed: bool = False) -> None:
        self.file, self.path, self.delimiter = file, path, delimiter
        self.start = 0
        self.total: int | None = None
        if file.seekable():
            self.start = file.tell()  # others may have read before
            self.total = file.seek(0, os.SEEK_END) - self.start
            file.seek(self.start)
        content = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if packed else file
        self.text = io.TextIOWrapper(content, encoding="utf-8-sig", newline="")
        csv.field_size_limit(MAX_CELL)  # one limit for the process; there is no other way
        self.reader = csv.reader(self.text, delimiter=delimiter, strict=True)
        self.names: list[str] = []
        self.names = next(self._rows(), [])
        if not self.names:
            raise CommandError(
                f"{path} is no CSV file: it is empty. Its first line should name the columns."
            )

    def read(self, columns: Sequence[str], labels: Labels) -> pd.DataFrame:
        """Read all rows as text, NA where a cell is missing.

        Cells that are ``labels`` of their column are no missing values: "NA" is a country, too.
        """
        frames = [batch.frame for batch in self.batches(BATCH_ROWS, columns, labels)]
        return pd.concat(frames) if frames else pd.DataFrame(columns=list(columns), dtype="string")

    def batches(self, n_rows: int, columns: Sequence[str], labels: Labels) -> Iterator[Batch]:
        """Read ``n_rows`` rows at a time; see :meth:`read`."""
        missing = {name: MISSING - (set(labels.get(name, ())) - {""}) for name in columns}
        rows, start, done = self._rows(), 0, 0
        while batch := list(islice(rows, n_rows)):
            cells = dict(zip(self.names, zip(*batch, strict=True), strict=True))
            marked = {
                name: [None if cell in missing[name] else cell for cell in cells[name]]
                for name in columns
            }
            frame = pd.DataFrame(marked, range(start, start + len(batch)), dtype="string")
            at = self.file.tell() - self.start if self.total is not None else 0
            yield Batch(frame, start, at - done)
            start, done = start + len(batch), at

    def close(self) -> None:
        """Release the file, which stays open: who opened it closes it."""
        self.text.detach()

    def _rows(self) -> Iterator[list[str]]:
        """Yield the cells of each row, as many as in the header.

        Blank lines are no rows, but in a file of one column, where they are empty cells.
        """
        line = self.reader.line_num + 1
        try:
            for cells in self.reader:
                first, line = line, self.reader.line_num + 1
                if len(cells) <= 1 and not "".join(cells).strip(" "):
                    if len(self.names) != 1:
                        continue
                    cells = [""]
                if self.names and len(cells) != len(self.names):
                    raise CommandError(
                        f"{self.path}, line {first}: {len(cells)} cells, where the header has "
                        f"{len(self.names)}. A copy that broke off, or a delimiter in a cell that "
                        "is not quoted?"
                    )
                yield cells
        except csv.Error as error:
            raise CommandError(f"{self.path}, line {line}: {error}.") from error
        except UnicodeDecodeError as error:
            start = error.object if line == 1 else b""
            remedies = (remedy for mark, remedy in REMEDIES.items() if start.startswith(mark))
            raise CommandError(
                f"{self.path} is no CSV file in UTF-8: byte 0x{error.object[error.start]:02x} "
                f"near line {line}. {next(remedies, REMEDY)}"
            ) from error
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise CommandError(f"{self.path} is no sound gzip file: {error}.") from error


def csv_writer(file: BinaryIO, delimiter: str) -> Write:
    """Return what appends frames to a CSV file, below a header; numbers with all their digits."""
    header = True

    def write(frame: Any) -> None:
        nonlocal header
        text = as_pandas(frame).to_csv(
            sep=delimiter, index=False, header=header, lineterminator="\n"
        )
        file.write(text.encode())
        header = False

    return write


def as_pandas(frame: Any) -> pd.DataFrame:
    """Convert a polars frame, whose own conversion needs pyarrow, to a pandas frame."""
    if isinstance(frame, pd.DataFrame):
        return frame
    return pd.DataFrame({column.name: _from_polars(column) for column in frame})


def _from_polars(column: Any) -> pd.Series:
    if not column.dtype.is_temporal():
        return pd.Series(column.to_list(), dtype=object)
    times = pd.Series(column.to_numpy())
    zone = getattr(column.dtype, "time_zone", None)
    return times if zone is None else times.dt.tz_localize("UTC").dt.tz_convert(zone)
