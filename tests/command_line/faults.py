"""Command lines that must fail, each with the small file that it reads and its message."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skflow import FlowDensity
from skflow.archive import files as archive
from tests.command_line.conftest import make_trips

HEADER = b"zone,fare,day,cash,riders,km\n"
GOOD_ROW = b"1,2,2024-01-01,True,1,0.5\n"
TWO_COLUMNS = b"a,b\n1,2\n"

# Writes a file, given the folder of the shared tables and models, and the file's path.
Write = Callable[[Path, Path], object]


@dataclass(frozen=True)
class Case:
    """One command line that ends with an error.

    ``{files}`` in it is the folder of the shared tables and models, ``{new}`` a folder that holds
    nothing but ``bad``, and ``{bad}`` that file.
    """

    command: str
    error: str  # a pattern that the message has
    content: bytes | Write | None = None  # of the file ``bad``; None where there is none
    bad: str = "bad.csv"

    def write(self, files: Path, new: Path) -> list[str]:
        """Write the file that the command reads; return the command's arguments."""
        path = new / self.bad
        if isinstance(self.content, bytes):
            path.write_bytes(self.content)
        elif self.content is not None:
            self.content(files, path)
        return [part.format(files=files, new=new, bad=path) for part in self.command.split()]


def write_damaged_model(files: Path, path: Path) -> None:
    path.write_bytes((files / "flow").read_bytes()[:-9] + b"damaged!!")


def write_model_of_later_version(files: Path, path: Path) -> None:
    document, arrays = archive.read(files / "flow")
    archive.write(path, document | {"version": 99}, arrays)


def write_model_of_array(files: Path, path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(30, 2))
    FlowDensity(n_layers=0, n_components=1, random_state=0).fit(X).save(path.with_name("array"))
    path.write_bytes(b"a,b,c\n1,2,3\n")


def write_rows_that_break_off(files: Path, path: Path) -> None:
    path.write_bytes((files / "new.csv").read_bytes()[:-30])


def write_compressed_rows_that_break_off(files: Path, path: Path) -> None:
    path.write_bytes(gzip.compress((files / "new.csv").read_bytes())[:-100])


def write_sound_rows(files: Path, path: Path) -> None:
    path.write_bytes((files / "new.csv").read_bytes())


def write_rows_with_a_taken_name(files: Path, path: Path) -> None:
    make_trips(9, 0).assign(log_density=1).to_csv(path, index=False)


SCORE = "score {files}/flow {bad}"
FIT = "fit {bad} -o {new}/model"

FAULTS = {
    # Paths and models
    "no table": Case("score {files}/flow nowhere.csv", "nowhere.csv"),
    "no model": Case("score nowhere {files}/new.csv", "nowhere"),
    "a folder": Case("score {files} {files}/new.csv", "is not a file"),
    "no model file": Case("score {files}/new.csv {files}/new.csv", "was not written by skflow"),
    "a damaged model": Case("inspect {bad}", "is damaged", write_damaged_model),
    "a later version": Case(
        "inspect {bad}",
        r"format version 99, written by skflow \S+; this skflow reads versions 1 to \d+\. "
        "Install a later skflow",
        write_model_of_later_version,
    ),
    "a density for a detector": Case(
        "outliers {files}/flow {files}/new.csv", "fit it with --outliers"
    ),
    "no such device": Case("score {files}/flow {files}/new.csv --device tpu", "device must be"),
    # Tables to score
    "columns that lack": Case(
        SCORE,
        "lacks columns that the model was fitted to: 'fare', 'day', 'cash', 'riders'",
        b"zone,km\n1,2\n",
    ),
    "dates that are none": Case(
        SCORE,
        "column 'day' holds 'soon', expected a date as 2026-01-31",
        HEADER + b"1,2,soon,True,1,2\n",
    ),
    "numbers that are none": Case(
        SCORE,
        "rows 0 to 0: column 'km' holds 'far', expected a number",
        HEADER + b"1,2,2024-01-01,True,1,far\n",
    ),
    "infinity, and where": Case(
        SCORE + " --batch-rows 2",
        r"bad.csv, rows 2 to 2: Input X contains infinity .* Columns: \['km'\]",
        HEADER + 2 * GOOD_ROW + b"1,2,2024-01-01,True,1,inf\n",
    ),
    "an array of fewer columns": Case(
        "score {new}/array {bad}",
        "bad.csv has 3 columns; the model was fitted to an array of 2",
        write_model_of_array,
    ),
    "a row that broke off": Case(
        SCORE, "bad.csv, line 61: . cells, where the header has 6", write_rows_that_break_off
    ),
    "a row that broke off, read by several": Case(
        SCORE + " --batch-rows 5 --n-jobs 2",
        "bad.csv, line 61: . cells, where the header has 6",
        write_rows_that_break_off,
    ),
    "a header alone": Case(SCORE, "bad.csv has columns, but no rows", HEADER),
    "a name that is taken": Case(
        SCORE + " --keep", r"has columns \['log_density'\] already", write_rows_with_a_taken_name
    ),
    # Tables to fit
    "an empty file": Case(FIT, "bad.csv is no CSV file: it is empty", b""),
    "no rows": Case(FIT, "bad.csv has columns, but no rows", b"a,b\n"),
    "ragged rows": Case(FIT, "bad.csv, line 3: 2 cells, where the header has 1", b"a\n1\n2,3\n"),
    "no text": Case(FIT, "bad.csv is no CSV file in UTF-8", b"a\n\xff\n"),
    "UTF-16": Case(
        FIT,
        "looks like UTF-16; convert it: iconv -f utf-16 -t utf-8",
        TWO_COLUMNS.decode().encode("utf-16"),
    ),
    "a quote that never ends": Case(
        FIT, "bad.csv, line 2: unexpected end of data", b'a,b\n1,"2\n3,4\n'
    ),
    "no header": Case(
        FIT, "first line holds numbers only .* Put a header above", b"1.5,2\n1,2\n3,4\n"
    ),
    "row numbers": Case(FIT, "column 1 has no name. Row numbers", b",a\n0,2\n1,4\n"),
    "a name twice": Case(FIT, r"names columns twice: \['a'\]", b"a,a\n0,2\n1,4\n"),
    "identifiers": Case(
        FIT,
        "'id' .*Drop them.*--drop",
        b"id\n" + b"".join(b"row %d\n" % i for i in range(99)),
    ),
    # Compressed files, Parquet and delimiters
    "compressed text": Case(
        FIT, r"looks compressed; unpack it: zcat FILE \| skflow", gzip.compress(TWO_COLUMNS)
    ),
    "a compressed file's ending": Case(
        FIT, r"not '.gz'. CSV compressed by gzip ends in .csv.gz", b"", "bad.parquet.gz"
    ),
    "a compressed file that is none": Case(
        FIT, "bad.csv.gz is no sound gzip file: Not a gzipped file", TWO_COLUMNS, "bad.csv.gz"
    ),
    "a compressed file that broke off": Case(
        SCORE,
        "bad.csv.gz is no sound gzip file: Compressed file ended",
        write_compressed_rows_that_break_off,
        "bad.csv.gz",
    ),
    "a compressed file that is damaged": Case(
        SCORE,
        "bad.csv.gz is no sound gzip file: CRC check failed",
        gzip.compress(HEADER + GOOD_ROW)[:-8] + bytes(8),
        "bad.csv.gz",
    ),
    "no Parquet": Case(SCORE, "bad.parquet is no sound Parquet file: ", b"PAR0", "bad.parquet"),
    "a delimiter of Parquet": Case(
        "score {files}/flow {files}/new.parquet --sep ;",
        "--sep: .*new.parquet is a Parquet file, which has no delimiter",
    ),
    "another delimiter": Case(
        FIT,
        "has one column, 'a;b'. Are its cells separated by ';'. Add --sep ';'",
        b"a;b\n1,5;2,5\n2,5;3,5\n",
    ),
    "another delimiter, of a table to score": Case(
        SCORE,
        "has one column, 'zone;fare;.*'. Are its cells separated by ';'. Add --sep ';'",
        (HEADER + GOOD_ROW).replace(b",", b";"),
    ),
    # Options that do not fit
    "all columns dropped": Case(
        FIT + " --drop a b", "--drop leaves no column of .*bad.csv", TWO_COLUMNS
    ),
    "dropped labels": Case(
        FIT + " --drop a --categorical a", "--drop and --categorical both name 'a'", TWO_COLUMNS
    ),
    "no such column": Case(
        "fit {files}/new.csv -o {new}/m --drop tip", "--drop: .* has no columns 'tip'"
    ),
    "robust density": Case(
        "fit {files}/new.csv -o {new}/m --robust", "--robust: .* add --outliers"
    ),
    # Where results go
    "an ending that says nothing": Case(
        "sample {files}/flow -o {new}/rows.xlsx",
        "its ending says what a table is: .csv, .tsv or .parquet, not '.xlsx'",
    ),
    "the input as output": Case(
        "fit {bad} -o {bad}", "bad.csv is read here and would be replaced", write_sound_rows
    ),
    "no folder for the model": Case(
        "fit {files}/new.csv -o {new}/none/model", "There is no folder"
    ),
    "a folder for the model": Case("fit {files}/new.csv -o {new}", "is a folder; name a file"),
    "no such folder": Case("sample {files}/flow -o {new}/none/rows.csv", "There is no folder"),
    "a checkpoint for a model": Case(
        "fit {files}/train.csv -o {new}/model --checkpoint {new}/../{new.name}/model",
        "model is where --checkpoint .*model writes; name another -o",
    ),
    "a detector's further checkpoint for a model": Case(
        "fit {files}/train.csv -o {new}/kept.3 --outliers --checkpoint {new}/kept",
        "kept.3 is where --checkpoint .*kept writes; name another -o",
    ),
    "a folder for a checkpoint": Case(
        "fit {files}/train.csv -o {new}/model --checkpoint {new}", "is a folder; name a file"
    ),
    "an empty checkpoint": Case(
        "fit {files}/train.csv -o {new}/model --checkpoint {bad}",
        "error: [^ ]*kept is no checkpoint to go on from. Delete it",
        b"",
        "kept",
    ),
    "no folder for a checkpoint": Case(
        "fit {files}/train.csv -o {new}/model --checkpoint {new}/none/kept", "There is no folder"
    ),
}
