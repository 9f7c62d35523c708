"""Several tables answered one after the other, each into a file of its own.

A table that cannot be answered does not keep the others from it. A journal in the folder of the
answers says from what each of them was written. So a command that was stopped goes on where it was,
and what has changed since is answered again.
"""

import glob
import hashlib
import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from skflow.archive.replacing import remove_parts
from skflow.command_line.formats import JOURNAL, STANDARD, format_of
from skflow.command_line.messages import (
    CommandError,
    EmptyTableError,
    attach_filename,
    log,
    spell_names,
)

# What does not change the answers.
FREE = (
    *("table", "output", "model", "inputs", "tables", "files"),
    *("n_jobs", "batch_rows", "device", "quiet"),
)


class Journal:
    """What each file of a folder was written from: a line of JSON for each, the last one counts.

    Parameters
    ----------
    path : Path
    by : str
        Digest of the model and of the options.
    """

    def __init__(self, path: Path, by: str) -> None:
        self.path = path
        self.by = by
        self.entries: dict[str, Any] = {}
        for line in path.read_bytes().splitlines() if path.exists() else ():
            try:
                entry = json.loads(line)
                self.entries[entry["output"]] = entry
            except (ValueError, KeyError, TypeError):  # cut off when the machine stopped
                continue

    def entry(self, name: str, source: str) -> dict[str, Any]:
        """Return what identifies model, rows and answers as they are now."""
        written = self.path.parent / name
        answers = mark(written) if written.exists() else None
        return {"output": name, "by": self.by, "rows": mark(source), "answers": answers}

    def changed(self, now: dict[str, Any]) -> str | None:
        """Return what has changed since a file was written; None where nothing has."""
        then = self.entries.get(now["output"])
        if now["answers"] is None or then is None:
            return "there was none"
        changes = {
            "by": "the model or an option has changed",
            "rows": "the rows have changed",
            "answers": "it has changed",
        }
        return next((said for key, said in changes.items() if then.get(key) != now[key]), None)

    def append(self, entry: dict[str, Any]) -> None:
        """Append a line, which is on the disk when this returns."""
        with self.path.open("ab") as file:
            file.write(b"\n" + json.dumps(entry).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def mark(path: str | Path) -> list[int]:
    """Return what changes when a file does: its size, and the time it was written."""
    found = os.stat(path)
    return [found.st_size, found.st_mtime_ns]


def answer_each(
    arguments: Namespace, files: Sequence[str], answer: Callable[[Namespace], None]
) -> None:
    """Answer tables one after the other; those that have been are left as they are.

    Parameters
    ----------
    arguments : Namespace
        ``output`` is a folder, which is made where there is none.
    files : sequence of str
        The tables that ``table``, a folder or a pattern, leads to.
    answer : callable
        Takes the arguments for one table.

    Raises
    ------
    CommandError
        Where the output is no folder of its own; at the end, where tables cannot be answered.
    """
    if getattr(arguments, "top", None) is not None:
        raise CommandError(f"--top: for one table, not for the {len(files)} of {arguments.table}.")
    if arguments.output == STANDARD or os.path.isfile(arguments.output):
        raise CommandError(
            f"{arguments.table} is {len(files)} tables: name a folder for as many files, "
            "such as -o answers/."
        )
    folder, root = Path(arguments.output), root_of(arguments.table)
    inside = folder.resolve()
    outside = [file for file in files if not Path(file).resolve().is_relative_to(inside)]
    if not outside:
        raise CommandError(f"{folder} is the folder of the tables; name another one.")
    for file in outside:
        format_of(file, arguments.sep)
    options = {name: value for name, value in vars(arguments).items() if name not in FREE}
    digest = hashlib.sha256(Path(arguments.model).read_bytes())
    digest.update(json.dumps(options, sort_keys=True).encode())
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(folder / JOURNAL, digest.hexdigest())
    failed = []
    for file in outside:
        name = os.path.relpath(file, root)
        of_one = vars(arguments) | {"table": file, "output": str(folder / name)}
        try:
            said = answer_file(Namespace(**of_one), journal, name, answer)
        except (CommandError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None and error.filename != file:
                raise  # not of this table: a full disk, for instance
            log("error", error)
            failed.append(file)
            said = "left as it was" if (folder / name).exists() else "not written"
        if not arguments.quiet:
            sys.stdout.write(f"{folder / name}: {said}\n")
            sys.stdout.flush()
    if failed:
        raise CommandError(
            f"{len(failed)} of {len(outside)} tables have no answers: {spell_names(failed)}. All "
            "others have; the same command tries these again."
        )


def answer_file(
    arguments: Namespace, journal: Journal, name: str, answer: Callable[[Namespace], None]
) -> str:
    """Answer one of several tables unless it has been answered; return what was done."""
    output = Path(arguments.output)
    now = journal.entry(name, arguments.table)
    reason = journal.changed(now)
    if reason is None:
        return "skipped; it was written from these rows by this model"
    output.parent.mkdir(parents=True, exist_ok=True)
    remove_parts(output)
    try:
        answer(arguments)
    except EmptyTableError:
        output.unlink(missing_ok=True)  # answers to rows that are there no more
        done = "not written" if now["answers"] is None else "removed"
        return f"{done}; {arguments.table} has no rows"
    with attach_filename(str(journal.path)):
        journal.append(now | {"answers": mark(output)})
    return "written" if now["answers"] is None else f"written again; {reason}"


def root_of(path: str) -> str:
    """Return the folder below which a folder or a pattern finds its files."""
    if os.path.isdir(path):
        return path
    plain = takewhile(lambda part: not glob.has_magic(part), Path(path).parts)
    return str(Path(*plain))
