"""CSV files, read whole or in batches: UTF-8, a header, rows as long as it."""

import csv
import gzip
import io
import os
import zlib
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, BinaryIO, cast

import pandas as pd

from skflow.command_line.cells import as_inferred, as_pandas, as_plain
from skflow.command_line.errors import explained
from skflow.command_line.headers import refuse_unclear_names
from skflow.command_line.messages import CommandError
from skflow.command_line.tables import NO_TYPES, Batch, Text, Types

# Cells that are missing values: what pandas takes for such, told here so that a label may be one.
_EMPTY = "", "#N/A", "#N/A N/A", "#NA", "<NA>", "N/A", "n/a", "NA", "NULL", "null", "None"
_NO_NUMBER = "NaN", "nan", "-NaN", "-nan", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"
MISSING = frozenset(_EMPTY + _NO_NUMBER)
# Numbers are read to the last digit: by default from pandas 3.1 on, before by an option.
_VERSION = tuple(int(part) for part in pd.__version__.split(".")[:2])
EXACT: dict[str, Any] = {} if _VERSION >= (3, 1) else {"float_precision": "round_trip"}

MOST_LETTERS = 2**26  # of a cell in quotes: a quote that never ends must not fill the memory
REMEDY = "Convert it (iconv -f latin1 -t utf-8), or name it .parquet if it is that."
REMEDIES = {  # by how files begin
    b"\xff\xfe": "It looks like UTF-16; convert it: iconv -f utf-16 -t utf-8.",
    b"\xfe\xff": "It looks like UTF-16; convert it: iconv -f utf-16 -t utf-8.",
    b"\x1f\x8b": "It looks compressed; unpack it: zcat FILE | skflow ... -, or name it .csv.gz.",
    b"PAR1": "It looks like Parquet; name it .parquet.",
}


class CsvRows(io.TextIOBase):
    """Text of a CSV file below its header; refuses rows of another length than that.

    pandas would fill up short rows, as of a copy that broke off, with missing values.

    Parameters
    ----------
    file : binary file
    path : str
        What messages call it.
    delimiter : str
    """

    def __init__(self, file: BinaryIO, path: str, delimiter: str) -> None:
        self.path, self.delimiter = path, delimiter
        csv.field_size_limit(MOST_LETTERS)  # of all in this process; there is no other way
        self.text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        self.line = 0
        self.records = self._records()
        self.names: list[str] = []
        header = next(self.records, None)
        if header is None:
            raise CommandError(
                f"{path} is no CSV file: it is empty. Its first line should name the columns."
            )
        self.names = next(csv.reader(io.StringIO(header, newline=""), delimiter=delimiter))

    def readable(self) -> bool:
        """Say that it is a file to read from."""
        return True

    def read(self, size: int | None = -1) -> str:
        """Return whole rows, about as many characters as asked for; all without a size."""
        rows, length = [], 0
        for record in self.records:
            rows.append(record)
            length += len(record)
            if size is not None and 0 <= size <= length:
                break
        return "".join(rows)

    def release(self) -> None:
        """Leave the file open: who opened it closes it."""
        self.text.detach()

    def _records(self) -> Iterator[str]:
        """Yield rows, over several lines where cells are.

        Blank lines are no rows, but in a file of one column, where they are empty cells.
        """
        lines = self._lines()
        for line in lines:
            first, record = self.line, line
            if '"' in line:
                taken = [line]
                record, length = self._take(taken, lines)
            elif line.strip(" \r\n"):
                length = line.count(self.delimiter) + 1
            elif len(self.names) == 1:  # an empty cell, which pandas would pass over
                record, length = '""\n', 1
            else:
                continue
            if self.names and length != len(self.names):
                raise CommandError(
                    f"{self.path}, line {first}: {length} cells, where the header has "
                    f"{len(self.names)}. A copy that broke off, or a delimiter in a cell that is "
                    "not quoted?"
                )
            yield record

    def _take(self, taken: list[str], lines: Iterator[str]) -> tuple[str, int]:
        """Return the row that begins with the line taken, and its number of cells."""

        def further() -> Iterator[str]:
            for line in lines:
                taken.append(line)
                yield line

        first = self.line
        reader = csv.reader(chain(list(taken), further()), delimiter=self.delimiter, strict=True)
        try:
            length = len(next(reader))  # takes further lines, so it goes first
            return "".join(taken), length
        except csv.Error as error:
            raise CommandError(f"{self.path}, line {first}: {error}.") from error

    def _lines(self) -> Iterator[str]:
        try:
            for line in self.text:
                self.line += 1
                yield line
        except UnicodeDecodeError as error:
            wrong = error.object[error.start]
            starts = error.object if self.line == 0 else b""
            remedies = (remedy for start, remedy in REMEDIES.items() if starts.startswith(start))
            raise CommandError(
                f"{self.path} is no CSV file in UTF-8: byte 0x{wrong:02x} near line "
                f"{self.line + 1}. {next(remedies, REMEDY)}"
            ) from error
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise CommandError(f"{self.path} is no sound gzip file: {error}.") from error


class CsvTable:
    """A table in a CSV file.

    Parameters
    ----------
    file : binary file
    path : str
    delimiter : str
    packed : bool
        Whether the file is compressed by gzip.
    """

    unit = "B"
    index: Sequence[str] = ()
    types: Types = NO_TYPES

    def __init__(self, file: BinaryIO, path: str, delimiter: str, *, packed: bool = False) -> None:
        self.file, self.path, self.delimiter = file, path, delimiter
        self.start = file.tell() if file.seekable() else 0  # others may have read before
        self.total = _size(file) if file.seekable() else None
        content = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if packed else file
        self.rows = CsvRows(content, path, delimiter)
        self.names = self.rows.names
        refuse_unclear_names(self.names, path)

    def read(self, columns: Sequence[str], text: Text) -> pd.DataFrame:
        """Read all rows.

        Parameters
        ----------
        columns : sequence of str
        text : mapping of str to collection of str
            Columns that are text whatever they look like, and labels of theirs that are no
            missing values: "NA" is a country, too.

        Returns
        -------
        frame : DataFrame
        """
        with explained(self.path):
            frame = self._parse(columns, text)
            return as_inferred(frame, text)

    def batches(self, n_rows: int, columns: Sequence[str], text: Text) -> Iterator[Batch]:
        """Read so many rows at a time; see :meth:`read`."""
        with explained(self.path), self._parse(columns, text, chunksize=n_rows) as frames:
            done = 0
            for frame in frames:
                at = self.file.tell() - self.start if self.total is not None else 0
                if len(frame):
                    yield Batch(as_plain(frame), int(frame.index[0]), at - done)
                done = at

    def close(self) -> None:
        """Let go of the file, which stays open."""
        self.rows.release()

    def _parse(self, columns: Sequence[str], text: Text, **options: Any) -> Any:
        labels = {name: MISSING & set(text.get(name, ())) - {""} for name in columns}
        return pd.read_csv(
            self.rows,
            sep=self.delimiter,
            header=None,
            names=self.names,
            usecols=list(columns),
            index_col=False,
            dtype=dict.fromkeys(text, "string"),
            dtype_backend="numpy_nullable",
            low_memory=False,
            keep_default_na=False,
            na_values={name: sorted(MISSING - labels[name]) for name in columns},
            **EXACT,
            **options,
        )


def _size(file: BinaryIO) -> int:
    """Return how many bytes are left to read."""
    start = file.tell()
    size = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    return size


class CsvWriter:
    """Writes frames into a CSV file; numbers with all their digits.

    Parameters
    ----------
    file : binary file
    delimiter : str
    """

    def __init__(self, file: BinaryIO, delimiter: str) -> None:
        self.file, self.delimiter = file, delimiter
        self.header = True

    def write(self, frame: Any) -> None:
        """Append rows of a pandas or polars frame, below the header where they are the first."""
        text = as_pandas(frame).to_csv(
            sep=self.delimiter, index=False, header=self.header, lineterminator="\n"
        )
        self.file.write(text.encode())
        self.header = False

    def close(self) -> None:
        """Do nothing: a CSV file has no end of its own."""

    def abandon(self) -> None:
        """Do nothing."""
