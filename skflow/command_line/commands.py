"""One function per command, each from parsed arguments."""

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skflow.archive.replacing import find_stream, find_target
from skflow.command_line.answers import (
    LOG_DENSITY,
    log_densities,
    names_of_verdicts,
    refuse_taken_names,
    verdicts,
)
from skflow.command_line.csv_files import CsvTable
from skflow.command_line.description import describe, describe_fit
from skflow.command_line.errors import explained
from skflow.command_line.files import open_table, open_writer
from skflow.command_line.formats import STANDARD
from skflow.command_line.headers import refuse_odd_names, refuse_other_delimiter
from skflow.command_line.messages import CommandError, naming, spell_names, tell
from skflow.command_line.model_columns import ModelColumns, density_of
from skflow.command_line.streaming import Plan, Task, progress_bar, stream
from skflow.estimators.density import FlowDensity
from skflow.estimators.loading import load
from skflow.estimators.outlier import FALSE_ALARMS, FlowOutlierDetector


def fit(arguments: Namespace) -> None:
    """Fit a model to a table, and save it."""
    estimator = _build_estimator(arguments)
    for path in (arguments.model, arguments.checkpoint):
        if path is not None:
            refuse_unwritable(path, arguments.table)
    if arguments.checkpoint is not None:
        refuse_same_target(arguments.checkpoint, arguments.model)
    path, frame = _read_training_table(arguments)
    # What the system refuses while a model is fitted is the writing of its checkpoint.
    with (
        naming(arguments.checkpoint or path),
        explained(path, "To do so here: --drop, --categorical."),
    ):
        estimator.fit(frame)
    with explained(arguments.model), naming(arguments.model):
        estimator.save(arguments.model)
    if not arguments.quiet:
        sys.stderr.write(describe_fit(estimator) + "\n")


def _read_training_table(arguments: Namespace) -> tuple[str, pd.DataFrame]:
    """Return what messages call the table, and its columns but for those dropped."""
    drop, categorical = arguments.drop, arguments.categorical
    with open_table(arguments.table, arguments.sep) as table:
        if isinstance(table, CsvTable):
            refuse_other_delimiter(table.names, table.path, table.delimiter)
        known = set(table.names)
        for option, names in {"--drop": drop, "--categorical": categorical}.items():
            unknown = [name for name in names if name not in known]
            if unknown:
                raise CommandError(
                    f"{option}: {table.path} has no columns {spell_names(unknown)}; "
                    f"it has {spell_names(table.names)}."
                )
        dropped = set(drop)
        both = [name for name in categorical if name in dropped]
        if both:
            raise CommandError(f"--drop and --categorical both name {spell_names(both)}.")
        kept = [name for name in table.names if name not in dropped]
        if not kept:
            raise CommandError(f"--drop leaves no column of {table.path}.")
        refuse_odd_names(kept, table.path)
        frame = table.read(kept, dict.fromkeys(categorical, ()))
    if not len(frame):
        raise CommandError(f"{table.path} has columns, but no rows.")
    return table.path, frame


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
    plan = Plan(arguments.batch_rows, arguments.n_jobs, arguments.keep, arguments.quiet)
    _stream(arguments, density_of(estimator), log_densities, [LOG_DENSITY], plan)


def outliers(arguments: Namespace) -> None:
    """Write p-values, and what is strange about strange rows."""
    estimator = _load(arguments)
    if not isinstance(estimator, FlowOutlierDetector):
        raise CommandError(
            f"{arguments.model} is a FlowDensity, which has no p-values; fit it with --outliers."
        )
    alpha, top = arguments.alpha, arguments.top
    smallest = 1 / (estimator.n_calibration_ + 1)
    if alpha is not None and alpha < smallest:
        tell(
            "warning",
            f"no p-value of this model is below {smallest:.3g}, because "
            f"{estimator.n_calibration_} rows calibrate it: with --alpha {alpha:g} no row is an "
            "outlier.",
        )
    elif alpha is None and estimator.contamination == "auto" and smallest > FALSE_ALARMS:
        tell(
            "warning",
            f"no p-value of this model is below {smallest:.3g}, because "
            f"{estimator.n_calibration_} rows calibrate it; the score decides what is an outlier.",
        )
    task = partial(verdicts, alpha=alpha, n_reasons=arguments.reasons, top=top)
    plan = Plan(
        arguments.batch_rows,
        arguments.n_jobs,
        arguments.keep,
        arguments.quiet,
        only="outlier" if arguments.only else None,
        ranked=arguments.only or top is not None,
        top=top,
    )
    _stream(arguments, estimator, task, names_of_verdicts(arguments.reasons), plan)


def sample(arguments: Namespace) -> None:
    """Write new rows."""
    refuse_same_file(arguments.output, arguments.model)
    density = density_of(_load(arguments))
    names = _names_of(density)
    generator = np.random.RandomState(arguments.random_state)
    n_rows, size = arguments.n_rows, arguments.batch_rows
    with (
        open_writer(arguments.output) as writer,
        progress_bar(n_rows, "row", quiet=arguments.quiet) as advance,
    ):
        for start in range(0, n_rows, size):
            rows = density.sample(min(size, n_rows - start), generator)
            writer.write(
                pd.DataFrame(rows, columns=names) if isinstance(rows, np.ndarray) else rows
            )
            advance(len(rows))


def inspect(arguments: Namespace) -> None:
    """Say what a model is."""
    sys.stdout.write(describe(_load(arguments), arguments.model) + "\n")


def _load(arguments: Namespace) -> Any:
    with naming(arguments.model):
        try:
            return load(arguments.model, device=arguments.device)
        except ValueError as error:  # of the file or the device, and names it
            raise CommandError(str(error)) from error


def _stream(
    arguments: Namespace,
    estimator: Any,
    task: Task,
    answers: Sequence[str],
    plan: Plan,
) -> None:
    """Answer a table batch by batch; ``answers`` are the columns that the task gives."""
    for path in (arguments.model, arguments.table):
        refuse_same_file(arguments.output, path)
    with open_table(arguments.table, arguments.sep) as table:
        if isinstance(table, CsvTable) and table.names[0] not in _names_of(estimator):
            refuse_other_delimiter(table.names, table.path, table.delimiter)
        columns = ModelColumns.match(estimator, table)
        if arguments.keep:
            refuse_taken_names(answers, [*table.index, *table.names], table.path)
        ignored = [name for name in columns.ignored if name not in table.index]
        if ignored and not arguments.keep and not arguments.quiet:
            tell(
                "note",
                f"columns that the model does not know are ignored: {spell_names(ignored)}.",
            )
        types = dict(columns.types) | dict(table.types) if plan.keep else {}
        with open_writer(arguments.output, types) as writer:
            stream(table, columns, estimator, task, writer, plan)


def _names_of(estimator: Any) -> list[str]:
    return [column.name for column in density_of(estimator).schema_.columns]


def refuse_unwritable(path: str, source: str) -> None:
    """Raise where a model could not be written: before a fit that takes hours, not after."""
    refuse_same_file(path, source)
    if find_stream(path) is not None:
        return
    folder = find_target(path).parent
    if not os.access(folder, os.W_OK):
        raise CommandError(f"{folder} is not yours to write to.")


def refuse_same_target(checkpoint: str, model: str) -> None:
    """Raise where a model would take the place of a checkpoint; detectors number further ones."""
    kept, target = find_target(checkpoint), find_target(model)
    if target == kept or (
        target.parent == kept.parent
        and target.stem == kept.name
        and target.suffix.removeprefix(".").isdigit()
    ):
        raise CommandError(f"{model} is where --checkpoint {checkpoint} writes; name another -o.")


def refuse_same_file(output: str, source: str) -> None:
    """Raise where the output would take the place of what is read."""
    there = os.path.exists(output) and os.path.exists(source) and source != STANDARD
    if there and Path(output).is_file() and os.path.samefile(output, source):
        raise CommandError(f"{output} is read here and would be replaced; name another output.")
