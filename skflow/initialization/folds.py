"""Folds of a table: what candidates of the initialization are fitted to, and scored on."""

from dataclasses import dataclass

import numpy as np
import torch

from skflow.rows import EncodedRows, concatenate

MANY_ROWS = 3_000  # from here on one split ranks candidates
SOME_ROWS = 1_000  # and from here on three folds do


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
