"""Tables answered batch by batch: read, work and write go hand in hand, in the file's order."""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd
from joblib import Parallel, delayed
from tqdm import tqdm

from skflow.command_line.csv_files import MISSING
from skflow.command_line.errors import explained
from skflow.command_line.messages import CommandError
from skflow.command_line.model_columns import ModelColumns
from skflow.command_line.tables import Batch, Table, Text, Writer
from skflow.exceptions import StrangeLabelsWarning

Task = Callable[[Any, Any], pd.DataFrame]  # estimator and rows to answers


@dataclass(frozen=True)
class Plan:
    """How a table is answered.

    Attributes
    ----------
    batch_rows : int
        Rows in memory at a time, for each job.
    n_jobs : int
        Processes, as joblib counts them.
    keep : bool
        Whether the input's columns are written in front of the answers.
    quiet : bool
        Whether no bar is shown.
    only : str or None
        A column of the answers: only rows where it is true are written.
    ranked : bool
        Whether rows are written by the index of the answers, the lowest first, once all are
        there. Only these are in memory until then.
    top : int or None
        Rows to write at most, of those that are ranked.
    """

    batch_rows: int
    n_jobs: int
    keep: bool
    quiet: bool
    only: str | None = None
    ranked: bool = False
    top: int | None = None


class Answers(NamedTuple):
    """What is said about a batch, and the warnings on the way.

    ``known`` says of columns of labels whether some of theirs was fitted.
    """

    frame: pd.DataFrame
    size: int
    known: dict[str, bool]
    warned: list[Warning | str]


class Ranking:
    """Rows of many frames by their index, the lowest first; equal ones in the order they came.

    Parameters
    ----------
    most : int or None
        Rows to keep; None keeps all.
    """

    def __init__(self, most: int | None) -> None:
        self.most = most
        self.frames: list[pd.DataFrame] = []

    def add(self, frame: pd.DataFrame) -> None:
        """Add the rows of a frame, of those to keep."""
        self.frames.append(frame)
        if self.most is not None:
            self.frames = [self.lowest()]

    def lowest(self) -> pd.DataFrame:
        """Return the rows that were kept."""
        filled = [frame for frame in self.frames if len(frame)] or self.frames[:1]
        return pd.concat(filled).sort_index(kind="stable")[: self.most]


def stream(
    table: Table, columns: ModelColumns, estimator: Any, task: Task, writer: Writer, plan: Plan
) -> None:
    """Write the answers for all rows of a table; never more than a few batches are in memory."""
    # What is only kept stays as it is spelled, "NA" too.
    ignored = dict.fromkeys(columns.ignored if plan.keep else (), MISSING)
    text: Text = ignored | dict(columns.text)
    wanted = [*table.index, *table.names] if plan.keep else columns.names
    batches = table.batches(plan.batch_rows, wanted, text)
    # Each worker has one batch at work and one at hand, and none is put on the disk.
    parallel = Parallel(
        plan.n_jobs, return_as="generator", pre_dispatch="2*n_jobs", batch_size=1, max_nbytes=None
    )
    work = (delayed(_answer)(batch, columns, estimator, task, plan) for batch in _caught(batches))
    empty, seen = True, set()
    known: dict[str, bool] = {}
    ranking = Ranking(plan.top)
    with progress_bar(table.total, table.unit, quiet=plan.quiet) as advance:
        for answers in parallel(work):
            for warning in answers.warned:
                if str(warning) not in seen:
                    warnings.warn(warning, stacklevel=2)
                seen.add(str(warning))
            for name, found in answers.known.items():
                known[name] = known.get(name, False) or found
            if plan.ranked:
                ranking.add(answers.frame)
            else:
                writer.write(answers.frame)
            advance(answers.size)
            empty = False
    if empty:
        raise CommandError(f"{table.path} has columns, but no rows.")
    if plan.ranked:
        writer.write(ranking.lowest())
    _warn_of_strange_labels(columns, known)


def _warn_of_strange_labels(columns: ModelColumns, known: dict[str, bool]) -> None:
    """Tell of columns where nothing was as at fit: another spelling, rather than other labels."""
    for name in [name for name, found in known.items() if not found]:
        warnings.warn(
            f"no cell of column {name!r} in {columns.path} is a label that the model was fitted "
            f"to, which are {columns.spell_levels(name)}; all are taken for labels never seen.",
            stacklevel=2,
        )


def _caught(batches: Iterator[Batch]) -> Iterator[Batch | Exception]:
    """Yield an error of reading instead of raising it: joblib would lose it in a thread."""
    try:
        yield from batches
    except Exception as error:  # raised again by whoever takes it for a batch
        yield error


def _answer(
    batch: Batch | Exception, columns: ModelColumns, estimator: Any, task: Task, plan: Plan
) -> Answers:
    if isinstance(batch, Exception):
        raise batch
    last = batch.start + len(batch.frame) - 1
    with (
        explained(f"{columns.path}, rows {batch.start} to {last}"),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always", UserWarning)
        # Of a batch; what is so of all batches is said at the end.
        warnings.simplefilter("ignore", StrangeLabelsWarning)
        rows = columns.typed(batch.frame)
        answers = task(estimator, columns.as_input(rows))
        known = columns.known(rows)
    if "row" in answers:
        answers["row"] += batch.start
    if plan.keep:
        kept = batch.frame.assign(**{name: rows[name] for name in columns.types})
        answers = pd.concat([kept.set_axis(answers.index), answers], axis=1)
    if plan.only is not None:
        answers = answers[answers[plan.only]]
    return Answers(answers, batch.size, known, [warning.message for warning in caught])


@contextmanager
def progress_bar(total: int | None, unit: str, *, quiet: bool) -> Iterator[Callable[[int], object]]:
    """Show how far it is, on a terminal only; yield what advances the bar."""
    hidden = True if quiet else None  # None: where standard error is no terminal
    bar = tqdm(total=total, unit=unit, unit_scale=True, disable=hidden, file=sys.stderr)
    with bar:
        yield bar.update
