"""What is said about rows, as columns of a file."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from skflow.command_line.messages import CommandError

LOG_DENSITY = "log_density"
VERDICTS = ("row", "p_value", "outlier")


def log_densities(density: Any, X: Any) -> pd.DataFrame:
    """Return the log-density of each row."""
    return pd.DataFrame({LOG_DENSITY: density.score_samples(X)})


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
        Give reasons to that many strangest rows, instead of outliers.

    Returns
    -------
    answers : DataFrame
        Its index is the score, lower is stranger; p-values have 4 significant digits.
    """
    scores = detector.score_samples(X)
    # Not detector.p_values: it would score the rows a second time.
    p_values = detector._detector.p_values(scores)
    outlier = scores < detector.offset_ if alpha is None else p_values <= alpha
    columns = (range(len(X)), _round(p_values), outlier)
    answers = pd.DataFrame(dict(zip(VERDICTS, columns, strict=True)))
    rows = np.flatnonzero(outlier) if top is None else np.argsort(scores, kind="stable")[:top]
    return answers.assign(**_reasons(detector, X, rows, n_reasons)).set_axis(scores)


def _round(p_values: Any, n_digits: int = 4) -> Any:
    """Return numbers above 0 to so many significant digits."""
    power = 10.0 ** (n_digits - 1 - np.floor(np.log10(p_values)))
    return np.rint(p_values * power) / power


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
    for k, (reason, log_prob) in enumerate(_names_of_reasons(n_reasons)):
        answers[reason] = pd.array(names[:, k], dtype="string")
        answers[log_prob] = log_probs[:, k]
    return answers


def _names_of_reasons(n_reasons: int) -> list[tuple[str, str]]:
    return [(f"reason_{k}", f"log_prob_{k}") for k in range(1, n_reasons + 1)]


def names_of_verdicts(n_reasons: int) -> list[str]:
    """Return the columns of :func:`verdicts`, at most."""
    return [*VERDICTS, *chain.from_iterable(_names_of_reasons(n_reasons))]


def refuse_taken_names(answers: Sequence[str], names: Sequence[str], path: str) -> None:
    """Raise where a file has columns called as the answers that are to stand beside them."""
    taken = [name for name in names if name in answers]
    if taken:
        raise CommandError(
            f"--keep: {path} has columns {taken} already, as the answers are called. Rename or "
            "drop them."
        )
