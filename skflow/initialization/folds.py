"""Folds of a table: what candidates of the initialization are fitted to, and scored on."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from skflow.rows import EncodedRows, concatenate, weighted_mean

MANY_ROWS = 3_000  # from here on one split ranks candidates
SOME_ROWS = 1_000  # and from here on three folds do
# Nats per row behind the best candidate, over one fold and over two, that end a candidate's race.
FAR_BEHIND = (1.0, 0.5)


@dataclass(frozen=True)
class Fold:
    """Rows to fit to, and rows to score."""

    train: EncodedRows
    held_out: EncodedRows


def make_folds(
    train: EncodedRows, validation: EncodedRows | None, generator: torch.Generator
) -> list[Fold]:
    """Return five folds of all rows of a small table, three of a larger one, one of a large one.

    The one of a large table holds ``validation`` out, or a third of the rows where that is None.
    """
    if validation is None:
        rows = train
    elif train.mass >= MANY_ROWS:
        return [Fold(train, validation)]
    else:
        rows = concatenate((train, validation))
    n_parts = 5 if train.mass < SOME_ROWS else 3
    n_folds = n_parts if train.mass < MANY_ROWS else 1
    order = torch.randperm(len(rows), generator=generator).numpy()
    parts = np.array_split(order, n_parts)
    return [Fold(rows.take(np.setdiff1d(order, part)), rows.take(part)) for part in parts[:n_folds]]


class Race:
    """Scores of candidates, of which those far behind are scored on few folds.

    Attributes
    ----------
    best : ndarray of shape (n_folds,)
        Scores of the best candidate so far.
    """

    def __init__(self) -> None:
        self.best: NDArray[np.float64] = np.empty(0)
        self.best_mean = -np.inf

    def mean_score(
        self, scores: Iterable[float], n_folds: int, masses: NDArray[np.float64] | None = None
    ) -> float:
        """Return the mean score of a candidate over folds, weighted by their masses.

        Far behind the best one, it takes the scores of that one on the folds that are left, less
        what it is behind on average.

        Parameters
        ----------
        scores : iterable of float
            Score on each fold, which is computed when it is taken.
        n_folds : int
        masses : ndarray of shape (n_folds,), optional
        """
        each = np.full(n_folds, np.nan)
        for i, score in enumerate(scores):
            each[i] = score
            if i < len(FAR_BEHIND) and len(self.best) == n_folds:
                behind = float(np.mean(self.best[: i + 1] - each[: i + 1]))
                if behind > FAR_BEHIND[i]:
                    each[i + 1 :] = self.best[i + 1 :] - behind
                    break
        mean = float(weighted_mean(each, masses))
        if mean > self.best_mean:
            self.best, self.best_mean = each, mean
        return mean
