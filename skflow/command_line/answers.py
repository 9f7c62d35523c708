"""What is said about rows, as columns of a file."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from skflow.command_line.messages import CommandError

OURS = ("log_density", "row", "p_value", "outlier")


def log_densities(density: Any, X: Any) -> pd.DataFrame:
    """Return the log-density of each row."""
    return pd.DataFrame({"log_density": density.score_samples(X)})


def verdicts(detector: Any, X: Any, alpha: float | None, n_reasons: int) -> pd.DataFrame:
    """Return number and p-value of each row, whether it is an outlier, and if so the reasons.

    Parameters
    ----------
    detector : FlowOutlierDetector
    X : DataFrame or array
    alpha : float or None
        Largest p-value of an outlier; None asks the detector's own threshold.
    n_reasons : int
        Columns to name, the strangest first.

    Returns
    -------
    answers : DataFrame
    """
    scores = detector.score_samples(X)
    # Not detector.p_values: it would score the rows a second time.
    p_values = detector._detector.p_values(scores)
    outlier = scores < detector.offset_ if alpha is None else p_values <= alpha
    answers = pd.DataFrame({"row": range(len(X)), "p_value": p_values, "outlier": outlier})
    return answers.assign(**_reasons(detector, X, np.flatnonzero(outlier), n_reasons))


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


def refuse_taken_names(names: Sequence[str], path: str) -> None:
    """Raise where a file has columns called as the answers that are to stand beside them."""
    taken = [name for name in names if name in OURS or name.startswith(("reason_", "log_prob_"))]
    if taken:
        raise CommandError(
            f"--keep: {path} has columns {taken} already, as the answers are called. Rename or "
            "drop them."
        )
