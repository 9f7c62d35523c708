"""Answers about rows, as columns of a file, and descriptions of models, as text."""

import math
from typing import Any

import numpy as np
import pandas as pd

from skflow.archive.files import read
from skflow.command_line.messages import one_line
from skflow.estimators.density import FlowDensity
from skflow.estimators.meta import density_of
from skflow.estimators.outlier import FlowOutlierDetector
from skflow.table.schema import Schema


def log_densities(density: Any, X: Any) -> pd.DataFrame:
    """Return the log-density of each row."""
    return pd.DataFrame({"log_density": density.score_samples(X)})


def verdicts(
    detector: Any, X: Any, alpha: float | None, n_reasons: int, top: int | None = None
) -> pd.DataFrame:
    """Return number and p-value of each row, whether it is an outlier, and if so the reasons.

    Parameters
    ----------
    detector : FlowOutlierDetector
    X : DataFrame or array
    alpha : float or None
        Largest p-value of an outlier; None decides as the detector's ``predict`` does.
    n_reasons : int
        Columns to name, the strangest first.
    top : int or None
        Number of strangest rows that get reasons, instead of outliers.

    Returns
    -------
    answers : DataFrame
        Indexed by the score, lower is stranger; p-values have 4 significant digits.
    """
    scores = detector.score_samples(X)
    p_values = detector.p_values_of_scores(scores)
    outlier = scores < detector.offset_ if alpha is None else p_values <= alpha
    power = 10.0 ** (3 - np.floor(np.log10(p_values)))
    rounded = np.rint(p_values * power) / power
    answers = pd.DataFrame({"row": range(len(X)), "p_value": rounded, "outlier": outlier})
    rows = np.flatnonzero(outlier) if top is None else np.argsort(scores, kind="stable")[:top]
    return answers.assign(**_reasons(detector, X, rows, n_reasons)).set_axis(scores)


def _reasons(detector: Any, X: Any, rows: Any, n_reasons: int) -> dict[str, Any]:
    """Return the strangest columns of some rows, and how improbable their cells are."""
    columns = np.array([column.name for column in detector.density_.schema_.columns], dtype=object)
    n_reasons = min(n_reasons, len(columns))
    names = np.full((len(X), n_reasons), None, dtype=object)
    log_probs = np.full((len(X), n_reasons), np.nan)
    if len(rows) and n_reasons:
        few = X.iloc[rows] if isinstance(X, pd.DataFrame) else X[rows]
        found = np.asarray(detector.score_features(few))
        order = np.argsort(found, axis=1, kind="stable")[:, :n_reasons]
        names[rows] = columns[order]
        log_probs[rows] = np.take_along_axis(found, order, axis=1)
    answers: dict[str, Any] = {}
    for k in range(n_reasons):
        answers[f"reason_{k + 1}"] = pd.array(names[:, k], dtype="string")
        answers[f"log_prob_{k + 1}"] = log_probs[:, k]
    return answers


def describe_fit(estimator: Any) -> str:
    """Describe the columns' kinds and the score of a fitted model."""
    density = density_of(estimator)
    return f"{density.schema_}\n{_score(density)}"


def describe(estimator: Any, path: str) -> str:
    """Describe the model in a file."""
    density, kind = density_of(estimator), type(estimator)
    is_detector = isinstance(estimator, FlowOutlierDetector)
    defaults = (kind(FlowDensity()) if is_detector else kind()).get_params()
    given = {
        name: value
        for name, value in estimator.get_params().items()
        # Compared as text: arrays do not compare to a truth value. The device is that of now, and a
        # density's parameters follow it.
        if name not in ("density", "device", "density__device")
        and repr(value) != repr(defaults[name])
    }
    parameters = ", ".join(_spell(*pair) for pair in given.items())
    lines = [
        f"{kind.__name__}, written by skflow {read(path)[0]['written_by']}",
        f"parameters: {parameters or 'all as by default'}",
        _score(density),
        f"trained on: {density.device_}",
    ]
    if is_detector:
        m = estimator.n_calibration_
        auto = estimator.contamination == "auto" and m >= 99
        rule = ", where p-values are at most 0.01" if auto else ""
        lines.append(f"outliers: scores below {estimator.offset_:.4f}{rule}")
        lines.append(f"p-values: down to {1 / (m + 1):.3g}, counted among {m} rows")
    return "\n".join([*lines, repr(density.schema_)])


def _spell(name: str, value: Any) -> str:
    """Return a parameter in one line; a schema, which follows anyhow, by its size."""
    if isinstance(value, Schema):
        return f"{name}=schema of {len(value.columns)} columns"
    return f"{name}={one_line(repr(value))}"


def _score(density: Any) -> str:
    held_out = any(not math.isnan(score) for score in density.history_["validation_score"])
    n_epochs = len(density.history_["train_score"])
    return (
        f"score: {density.best_validation_score_:.4f} nats per "
        f"{'held-out' if held_out else 'training'} row, "
        f"after {n_epochs} {'epoch' if n_epochs == 1 else 'epochs'}"
    )
