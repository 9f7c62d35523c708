"""One function per command, each from parsed arguments."""

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch.distributed as dist
from pandas.api.types import is_numeric_dtype

from skflow.archive.replacing import find_target, is_written_through
from skflow.command_line import report
from skflow.command_line.csv_files import CsvTable
from skflow.command_line.formats import STANDARD
from skflow.command_line.matching import ModelColumns, as_inferred
from skflow.command_line.messages import (
    CommandError,
    as_command_error,
    attach_filename,
    log,
    spell_names,
)
from skflow.command_line.several_files import answer_each
from skflow.command_line.streaming import (
    Table,
    Task,
    import_parquet,
    open_table,
    open_writer,
    progress_bar,
    stream,
)
from skflow.estimators.density import FlowDensity
from skflow.estimators.loading import load
from skflow.estimators.meta import density_of
from skflow.estimators.outlier import FALSE_ALARMS, FlowOutlierDetector
from skflow.exceptions import ModelFileError

DELIMITERS = (",", ";", "\t", "|")


def fit(arguments: Namespace) -> None:
    """Fit a model to a table, and save it."""
    estimator = _build_estimator(arguments)
    for path in (arguments.model, arguments.checkpoint):
        if path is not None:
            _refuse_unwritable(path, arguments.table)
    if arguments.checkpoint is not None:
        _refuse_same_target(arguments.checkpoint, arguments.model)
    files = arguments.files
    is_launched = files is not None and os.environ.get("WORLD_SIZE", "1") != "1"
    if is_launched:  # by torchrun
        dist.init_process_group("gloo")
    path, rows, weight = (
        _read_training_table(arguments) if files is None else open_training_files(arguments, files)
    )
    # Errors of the system during a fit come from writing its checkpoint.
    with (
        attach_filename(arguments.checkpoint or path),
        as_command_error(path, "To do so here: --drop, --categorical."),
    ):
        try:
            estimator.fit(rows, sample_weight=weight)
        except ModelFileError as error:  # of the checkpoint, and names it
            raise CommandError(str(error)) from error
    if is_launched and dist.get_rank():
        return
    with as_command_error(arguments.model), attach_filename(arguments.model):
        estimator.save(arguments.model)
    if not arguments.quiet:
        sys.stderr.write(report.describe_fit(estimator) + "\n")


def _read_training_table(arguments: Namespace) -> tuple[str, pd.DataFrame, pd.Series | None]:
    """Return the table's name in messages, its columns but for those dropped, and its weights."""
    with open_table(arguments.table, arguments.sep) as table:
        if isinstance(table, CsvTable):
            _refuse_other_delimiter(table)
        kept, weight = _choose_columns(arguments, table.names, table.path)
        _refuse_odd_names(kept, table.path)
        frame = table.read([*kept, *weight], {})
        if isinstance(table, CsvTable):
            frame = as_inferred(frame, arguments.categorical)
    if not len(frame):
        raise CommandError(f"{table.path} has columns, but no rows.")
    if not weight:
        return table.path, frame, None
    of_rows = frame.pop(arguments.weight)
    if not is_numeric_dtype(of_rows):
        raise CommandError(
            f"--weight: column {arguments.weight!r} of {table.path} holds {of_rows.dtype}, where "
            "a number from 0 on is expected in each row."
        )
    return table.path, frame, of_rows


def _choose_columns(
    arguments: Namespace, names: list[str], path: str
) -> tuple[list[str], list[str]]:
    """Return the columns of a table that are fitted, and the one of the weights, if any."""
    drop, weight = arguments.drop, [] if arguments.weight is None else [arguments.weight]
    options = {"--drop": drop, "--categorical": arguments.categorical, "--weight": weight}
    for option, chosen in options.items():
        unknown = [name for name in chosen if name not in set(names)]
        if unknown:
            raise CommandError(
                f"{option}: {path} has no columns {spell_names(unknown)}; it has "
                f"{spell_names(names)}."
            )
    for one, other in combinations(options, 2):
        both = [name for name in options[other] if name in set(options[one])]
        if both:
            raise CommandError(f"{one} and {other} both name {spell_names(both)}.")
    kept = [name for name in names if name not in {*drop, *weight}]
    if not kept:
        used = " and ".join(option for option in ("--drop", "--weight") if options[option])
        raise CommandError(f"{used} leaves no column of {path}.")
    return kept, weight


def open_training_files(arguments: Namespace, files: list[str]) -> tuple[str, Any, str | None]:
    """Return several Parquet files' name in messages, their columns and that of the weights."""
    path = arguments.table
    if arguments.sep:
        raise CommandError(f"--sep: for one CSV file, not for {path}.")
    of_csv = [file for file in files if file.lower().endswith((".csv", ".tsv", ".gz"))]
    if of_csv:
        raise CommandError(
            f"{of_csv[0]} is CSV: several files are fitted as Parquet; convert them."
        )
    dataset = import_parquet(path).open_dataset(files)
    kept, weight = _choose_columns(arguments, dataset.schema.names, path)
    schema = dataset.schema.empty_table().select([*kept, *weight]).schema
    return path, dataset.replace_schema(schema), arguments.weight


def _build_estimator(arguments: Namespace) -> Any:
    of_detector = {"robust": arguments.robust or None, "contamination": arguments.contamination}
    if not arguments.outliers:
        useless = [f"--{name}" for name, value in of_detector.items() if value is not None]
        if useless:
            raise CommandError(f"{' and '.join(useless)}: for a model of outliers; add --outliers.")
    given = {
        "max_iter": arguments.max_iter,
        "max_time": arguments.max_time,
        "checkpoint_path": arguments.checkpoint,
        "column_kinds": dict.fromkeys(arguments.categorical, "categorical") or None,
        "device": arguments.device,
    }
    density = FlowDensity(**{name: value for name, value in given.items() if value is not None})
    given = {name: value for name, value in of_detector.items() if value is not None}
    estimator = FlowOutlierDetector(density, **given) if arguments.outliers else density
    verbose = int(sys.stderr.isatty() and not arguments.quiet)
    return estimator.set_params(random_state=arguments.random_state, verbose=verbose)


def score(arguments: Namespace) -> None:
    """Write the log-density of each row."""
    estimator = _load(arguments)
    _stream(arguments, density_of(estimator), report.log_densities)


def outliers(arguments: Namespace) -> None:
    """Write p-values, and the strangest columns of outliers."""
    estimator = _load_detector(arguments)
    alpha, top = arguments.alpha, arguments.top
    smallest = 1 / (estimator.n_calibration_ + 1)
    if alpha is None:
        is_out_of_reach = estimator.contamination == "auto" and smallest > FALSE_ALARMS
        follows = "the score decides what is an outlier"
    else:
        is_out_of_reach = alpha < smallest
        follows = f"with --alpha {alpha:g} no row is an outlier"
    if is_out_of_reach:
        log(
            "warning",
            f"no p-value of this model is below {smallest:.3g}, because "
            f"{estimator.n_calibration_} rows calibrate it; {follows}.",
        )
    task = partial(report.verdicts, alpha=alpha, n_reasons=arguments.reasons, top=top)
    _stream(arguments, estimator, task)


def write_report(arguments: Namespace) -> None:
    """Write a page about the outliers of a table."""
    for path in (arguments.model, arguments.table):
        _refuse_unwritable(arguments.output, path)
    detector = _load_detector(arguments)
    detector.set_params(verbose=int(sys.stderr.isatty() and not arguments.quiet))
    with open_table(arguments.table, arguments.sep) as table:
        columns = _match(arguments, detector, table)
        frame = table.read(columns.names, columns.text)
        if not len(frame):
            raise CommandError(f"{table.path} has columns, but no rows.")
        with as_command_error(columns.path):
            rows = columns.typed(frame)
            X = rows if columns.named else rows.to_numpy()
            page = detector.report(X, title=arguments.title)
    with attach_filename(arguments.output):
        page.save("/dev/stdout" if arguments.output == STANDARD else arguments.output)


def sample(arguments: Namespace) -> None:
    """Write new rows."""
    _refuse_same_file(arguments.output, arguments.model)
    density = density_of(_load(arguments))
    names = _names_of(density)
    generator = np.random.RandomState(arguments.random_state)
    n_rows, size = arguments.n_rows, arguments.batch_rows
    with (
        open_writer(arguments.output) as write,
        progress_bar(n_rows, "row", quiet=arguments.quiet) as advance,
    ):
        for start in range(0, n_rows, size):
            rows = density.sample(min(size, n_rows - start), generator)
            is_array = isinstance(rows, np.ndarray)
            write(pd.DataFrame(rows, columns=names) if is_array else rows)
            advance(len(rows))


def inspect(arguments: Namespace) -> None:
    """Write a description of a model."""
    sys.stdout.write(report.describe(_load(arguments), arguments.model) + "\n")


def _load(arguments: Namespace) -> Any:
    with attach_filename(arguments.model):
        try:
            return load(arguments.model, device=arguments.device)
        except ValueError as error:  # of the file or the device, and names it
            raise CommandError(str(error)) from error


def _load_detector(arguments: Namespace) -> FlowOutlierDetector:
    estimator = _load(arguments)
    if not isinstance(estimator, FlowOutlierDetector):
        raise CommandError(
            f"{arguments.model} is a {type(estimator).__name__}, which has no p-values; fit it "
            "with --outliers."
        )
    return estimator


def _match(arguments: Namespace, estimator: Any, table: Table) -> ModelColumns:
    """Find the model's columns in a table."""
    if isinstance(table, CsvTable) and table.names[0] not in _names_of(estimator):
        _refuse_other_delimiter(table)
    return ModelColumns.match(estimator, table)


def _stream(arguments: Namespace, estimator: Any, task: Task) -> None:
    """Answer a table, or several ones, batch by batch."""
    answer = partial(answer_table, estimator=estimator, task=task, shown=set())
    if arguments.files is None:
        answer(arguments)
    else:
        answer_each(arguments, arguments.files, answer)


def answer_table(arguments: Namespace, estimator: Any, task: Task, shown: set[str]) -> None:
    """Answer a table batch by batch; notes that were ``shown`` before are not repeated."""
    for path in (arguments.model, arguments.table):
        _refuse_same_file(arguments.output, path)
    with open_table(arguments.table, arguments.sep) as table:
        columns = _match(arguments, estimator, table)
        ignored = [name for name in columns.ignored if name not in table.index]
        note = f"columns that the model does not know are ignored: {spell_names(ignored)}."
        if ignored and not arguments.keep and not arguments.quiet and note not in shown:
            log("note", note)
            shown.add(note)
        types = dict(columns.types) | dict(table.types) if arguments.keep else {}
        with open_writer(arguments.output, types) as write:
            stream(table, columns, estimator, task, write, arguments)


def _names_of(estimator: Any) -> list[str]:
    return [column.name for column in density_of(estimator).schema_.columns]


def _refuse_unwritable(path: str, source: str) -> None:
    """Raise where a model could not be written: before a fit that takes hours, not after."""
    _refuse_same_file(path, source)
    if is_written_through(path):
        return
    folder = find_target(path).parent
    if not os.access(folder, os.W_OK):
        raise CommandError(f"{folder} is not yours to write to.")


def _refuse_same_target(checkpoint: str, model: str) -> None:
    """Raise where a model would take the place of a checkpoint; detectors number further ones."""
    kept, target = find_target(checkpoint), find_target(model)
    if target == kept or (
        target.parent == kept.parent
        and target.stem == kept.name
        and target.suffix.removeprefix(".").isdigit()
    ):
        raise CommandError(f"{model} is where --checkpoint {checkpoint} writes; name another -o.")


def _refuse_same_file(output: str, source: str) -> None:
    """Raise where the output would take the place of what is read."""
    there = os.path.exists(output) and os.path.exists(source) and source != STANDARD
    if there and Path(output).is_file() and os.path.samefile(output, source):
        raise CommandError(f"{output} is read here and would be replaced; name another output.")


def _refuse_other_delimiter(table: CsvTable) -> None:
    """Raise where the one name of a CSV file looks like several."""
    name = table.names[0]
    other = [mark for mark in DELIMITERS if mark in name and mark != table.delimiter]
    if len(table.names) == 1 and other:
        raise CommandError(
            f"{table.path} has one column, {name!r}. Are its cells separated by {other[0]!r}? Add "
            f"--sep {other[0]!r}. If it is one column, give it another name."
        )


def _refuse_odd_names(names: Sequence[str], path: str) -> None:
    """Raise where a table to fit has no header, or a column of row numbers without a name.

    Headers of numbers that ascend, as of years or places, are accepted.
    """
    if "" in names:
        raise CommandError(
            f"{path}: column {names.index('') + 1} has no name. Row numbers, perhaps? They say "
            "nothing about a row; write the file without them (pandas: to_csv(index=False))."
        )
    try:
        numbers = [float(name) for name in names]
    except ValueError:
        return
    if any(number % 1 for number in numbers) or numbers != sorted(set(numbers)):
        raise CommandError(
            f"{path}: its first line holds numbers only ({', '.join(names[:4])}, ...), where the "
            "columns' names are expected. Put a header above the rows."
        )
