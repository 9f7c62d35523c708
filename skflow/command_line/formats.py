"""Formats of tables by the endings of their paths: CSV, compressed or not, and Parquet."""

from pathlib import Path
from typing import NamedTuple

from skflow.command_line.messages import CommandError

STANDARD = "-"  # standard input and output
DELIMITERS = {"": ",", ".csv": ",", ".tsv": "\t"}  # without an ending, as pipes are, it is CSV
PARQUET = (".parquet", ".pq")


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
    """Return the format of a file; a given ``delimiter`` overrules that of its ending.

    Raises
    ------
    CommandError
        Where the ending is unknown.
    """
    name = Path("" if path == STANDARD else path)
    packed = name.suffix.lower() == ".gz"
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
