"""Formats of tables by the endings of their paths: CSV, compressed or not, and Parquet."""

import glob
import os
from pathlib import Path

from skflow.command_line.messages import CommandError

STANDARD = "-"  # standard input and output
DELIMITERS = {"": ",", ".csv": ",", ".tsv": "\t"}  # without an ending, as pipes are, it is CSV
PARQUET = (".parquet", ".pq")
# In folders of answers; engines that read a folder of tables leave out files that begin so.
JOURNAL = "_skflow.jsonl"


def files_of(path: str) -> list[str] | None:
    """Return the Parquet files of a folder, or those of a pattern such as ``*.parquet``, sorted.

    Folders of answers below a folder of tables are left out. None where the path is that of one
    file; an error where there are no files.
    """
    if os.path.isdir(path):
        pattern = os.path.join(glob.escape(path), "**", "*.parquet")
    elif glob.has_magic(path) and not os.path.exists(path):
        pattern = path
    else:
        return None
    found = sorted(filter(os.path.isfile, glob.glob(pattern, recursive=True)))
    if os.path.isdir(path):
        journals = glob.glob(os.path.join(glob.escape(path), "**", JOURNAL), recursive=True)
        answers = [Path(journal).parent for journal in journals]
        below = [folder for folder in answers if folder != Path(path)]
        found = [file for file in found if not any(Path(file).is_relative_to(b) for b in below)]
    if not found:
        raise CommandError(f"{path}: there are no {'' if pattern == path else 'Parquet '}files.")
    return found


def format_of(path: str, delimiter: str | None = None) -> tuple[str | None, bool]:
    """Return delimiter of a CSV file, None for Parquet, and whether gzip compresses it.

    A given ``delimiter`` overrules that of the file's ending. An unknown ending is an error.
    """
    name = Path("" if path == STANDARD else path)
    packed = name.suffix.lower() == ".gz"
    suffix = (Path(name.stem) if packed else name).suffix.lower()
    if suffix in DELIMITERS and not (packed and not suffix):
        return delimiter or DELIMITERS[suffix], packed
    if packed or suffix not in PARQUET:
        raise CommandError(
            f"{path}: its ending says what a table is: .csv, .tsv or .parquet, not "
            f"{name.suffix!r}. CSV compressed by gzip ends in .csv.gz or .tsv.gz."
        )
    if delimiter is not None:
        raise CommandError(f"--sep: {path} is a Parquet file, which has no delimiter.")
    return None, False
