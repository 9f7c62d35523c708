"""What a file of a table is, by its name: CSV, compressed or not, or Parquet."""

import os
from pathlib import Path
from typing import NamedTuple

from skflow.command_line.messages import CommandError

STANDARD = "-"  # standard input and output
DELIMITERS = {"": ",", ".csv": ",", ".tsv": "\t"}  # without an ending, as pipes are, it is CSV
PARQUET = (".parquet", ".pq")
PACKED = ".gz"


class Format(NamedTuple):
    """How a table is stored.

    Attributes
    ----------
    delimiter : str or None
        Between the cells of a CSV file; None where it is a Parquet file.
    packed : bool
        Whether it is compressed by gzip.
    """

    delimiter: str | None
    packed: bool


def format_of(path: str, delimiter: str | None = None) -> Format:
    """Return the format of a file; a ``delimiter`` that is given overrules that of its ending.

    Raises
    ------
    CommandError
        Where its ending says nothing.
    """
    name = Path("" if path == STANDARD else path)
    packed = name.suffix.lower() == PACKED
    suffix = (Path(name.stem) if packed else name).suffix.lower()
    if suffix in DELIMITERS and not (packed and not suffix):
        return Format(delimiter or DELIMITERS[suffix], packed)
    if packed or suffix not in PARQUET:
        raise CommandError(
            f"{path}: its ending says what a table is: .csv, .tsv or .parquet, not "
            f"{name.suffix!r}. CSV compressed by gzip ends in .csv.gz or .tsv.gz."
        )
    if delimiter is not None:
        raise CommandError(f"--sep: {path} is a Parquet file, which has no delimiter.")
    return Format(None, packed=False)


def refuse_missing(path: str) -> None:
    """Raise what the system does where there is no file to read, at the cost of a look."""
    if path != STANDARD:
        os.stat(path)
