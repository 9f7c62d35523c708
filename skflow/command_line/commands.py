"""What each command does."""

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from tqdm.auto import tqdm

from skflow.command_line.reading import read_batches, read_table
from skflow.command_line.writing import writing
from skflow.estimators.density import FlowDensity
from skflow.estimators.loading import load
from skflow.estimators.outlier import FlowOutlierDetector

Model = FlowDensity | FlowOutlierDetector
Work = Callable[[pd.DataFrame], pd.DataFrame]


def fit(options: Namespace) -> None:
    """Fit a table and save the model."""
    table = read_table(options.table)
    unknown = [name for name in options.drop if name not in table.columns]
    if unknown:
        raise ValueError(f"--drop names {unknown}, which are no columns of {list(table.columns)}.")
    parameters: dict[str, Any] = {
        "max_time": options.max_time,
        "random_state": options.random_state,
        "device": options.device,
        "checkpoint_path": options.checkpoint,
        "verbose": int(sys.stderr.isatty() and not options.quiet),
    }
    if options.max_iter is not None:
        parameters["max_iter"] = options.max_iter
    rows = table.drop(columns=options.drop)
    if options.categorical is not None:
        parameters["categorical_features"] = _with_texts(rows, options.categorical)
    if options.robust and not options.outliers:
        raise ValueError("--robust goes with --outliers.")
    model: Model = (
        FlowOutlierDetector(robust=options.robust, **parameters)
        if options.outliers
        else FlowDensity(**parameters)
    )
    model.fit(rows).save(options.output)
    if not options.quiet:
        print(describe(load(options.output)), file=sys.stderr)  # noqa: T201


def _with_texts(rows: pd.DataFrame, named: list[str]) -> list[str]:
    """Add the columns that are categories without being named: all but numbers and dates."""
    told = pd.api.types
    others = [
        name
        for name, dtype in rows.dtypes.items()
        if not (told.is_numeric_dtype(dtype) or told.is_datetime64_any_dtype(dtype))
        or told.is_bool_dtype(dtype)
    ]
    return [*dict.fromkeys([*named, *map(str, others)])]


def score(options: Namespace) -> None:
    """Write log-densities."""
    model = load(options.model, options.device)
    density = model if isinstance(model, FlowDensity) else model.density_
    _stream(options, density, partial(score_batch, density, options.keep))


def score_batch(density: FlowDensity, keep: bool, batch: pd.DataFrame) -> pd.DataFrame:
    """Return the log-density of each row."""
    scores = pd.DataFrame({"log_density": density.score_samples(rows_of(density, batch))})
    return _beside(batch, scores) if keep else scores


def outliers(options: Namespace) -> None:
    """Write p-values, and reasons of those that are small."""
    detector = load(options.model, options.device)
    if not isinstance(detector, FlowOutlierDetector):
        raise ValueError(f"{options.model} is a FlowDensity; fit it with --outliers.")
    if not 0 < options.alpha <= 1:
        raise ValueError(f"--alpha must be in (0, 1]; it is {options.alpha}.")
    n_reasons = min(max(0, options.reasons), detector.n_features_in_)
    work = partial(judge_batch, detector, options.alpha, n_reasons, options.only, options.keep)
    _stream(options, detector, work)


def judge_batch(
    detector: FlowOutlierDetector,
    alpha: float,
    n_reasons: int,
    only: bool,
    keep: bool,
    batch: pd.DataFrame,
) -> pd.DataFrame:
    """Return number, p-value, verdict and reasons of each row."""
    rows = rows_of(detector, batch)
    p_values = detector.p_values(rows)
    is_outlier = p_values <= alpha
    judged = pd.DataFrame({"row": batch.index, "p_value": p_values, "outlier": is_outlier})
    names = np.full((len(batch), n_reasons), None, dtype=object)
    log_probs = np.full((len(batch), n_reasons), np.nan)
    if is_outlier.any() and n_reasons:
        reasons = np.asarray(detector.score_features(rows[is_outlier]))
        strangest = reasons.argsort(axis=1, kind="stable")[:, :n_reasons]
        names[is_outlier] = np.array(names_of(detector), dtype=object)[strangest]
        log_probs[is_outlier] = np.take_along_axis(reasons, strangest, axis=1)
    for k in range(n_reasons):
        judged[f"reason_{k + 1}"] = pd.array(names[:, k], dtype="string")
        judged[f"log_prob_{k + 1}"] = log_probs[:, k]
    judged = _beside(batch, judged) if keep else judged
    return judged[is_outlier] if only else judged


def sample(options: Namespace) -> None:
    """Write new rows."""
    model = load(options.model, options.device)
    density = model if isinstance(model, FlowDensity) else model.density_
    drawn = density.sample(options.n_rows, options.random_state)
    frame = pd.DataFrame(drawn.to_dict(as_series=False) if hasattr(drawn, "to_dicts") else drawn)
    if isinstance(drawn, np.ndarray):
        frame.columns = pd.Index(names_of(density))
    with writing(options.output) as writer:
        writer.write(frame)


def inspect(options: Namespace) -> None:
    """Tell what a model is."""
    print(describe(load(options.model)))  # noqa: T201


def describe(model: Model) -> str:
    """Return what a model is, in words."""
    density = model if isinstance(model, FlowDensity) else model.density_
    lines = [
        repr(model),
        repr(density.schema_),
        f"{density.n_iter_} epochs; {density.best_validation_score_:.4f} nats per row, of rows "
        "held out where there were enough",
    ]
    if isinstance(model, FlowOutlierDetector):
        lines.append(
            f"{model.n_calibration_} rows calibrate: no p-value is below "
            f"{1 / (1 + model.n_calibration_):.2g}"
        )
    return "\n".join(lines)


def names_of(model: Model) -> list[str]:
    """Return the names of the fitted columns, x0, x1, ... where they had none."""
    density = model if isinstance(model, FlowDensity) else model.density_
    return [column.name for column in density.schema_.columns]


def rows_of(model: Model, batch: pd.DataFrame) -> Any:
    """Return the fitted columns of a batch, in their order."""
    rows = batch[names_of(model)]
    return rows if hasattr(model, "feature_names_in_") else rows.to_numpy()


def _beside(batch: pd.DataFrame, results: pd.DataFrame) -> pd.DataFrame:
    taken = [name for name in results.columns if name in batch.columns]
    if taken:
        raise ValueError(f"--keep: the table has columns {taken} already. Rename or drop them.")
    return pd.concat([batch.reset_index(drop=True), results], axis=1)


def _stream(options: Namespace, model: Model, work: Work) -> None:
    """Read, work and write, batch by batch, in the order of the rows."""
    density = model if isinstance(model, FlowDensity) else model.density_
    columns = density.schema_.columns
    batches = read_batches(options.table, columns, options.batch_rows, others=options.keep)
    # Reading waits for work, lest the table piles up in memory.
    parallel = Parallel(n_jobs=options.n_jobs, return_as="generator", pre_dispatch="n_jobs")
    results = parallel(delayed(_count)(work, batch) for batch in _number(batches))
    bar = tqdm(unit=" rows", unit_scale=True, file=sys.stderr, disable=None)
    with writing(options.output) as writer, bar:
        for n_rows, result in results:
            writer.write(result)
            bar.update(n_rows)


def _count(work: Work, batch: pd.DataFrame) -> tuple[int, pd.DataFrame]:
    return len(batch), work(batch)


def _number(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Have the index number the rows of the whole table."""
    first = 0
    for batch in batches:
        yield batch.set_axis(pd.RangeIndex(first, first + len(batch)), axis=0)
        first += len(batch)


COMMANDS: dict[str, Callable[[Namespace], None]] = {
    command.__name__: command for command in (fit, score, outliers, sample, inspect)
}
