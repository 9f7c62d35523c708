"""Outliers among rows of mixed columns: planted, since no such tables have labels."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

FloatArray = NDArray[np.float64]
Score = Callable[[pd.DataFrame], FloatArray]

MOST_ROWS = 5_000  # of a table, drawn once
MOST_CELLS = 3
DATES = ["datetime", "datetimetz"]


def measure_planted(score: Score, fresh: pd.DataFrame, seed: int) -> dict:
    """Return how well fresh rows are separated from the same with something planted: AUROCs.

    A cell that is replaced by an equal one is no outlier: rows that are as they were are
    not scored.
    """
    normal = score(fresh)
    measured = {}
    for kind, plant in KINDS.items():
        planted = plant(fresh, seed)
        is_equal = (planted == fresh) | (planted.isna() & fresh.isna())
        strange = score(planted[~is_equal.all(axis=1)])
        is_planted = np.repeat([False, True], [len(normal), len(strange)])
        scores = np.concatenate((normal, strange))
        measured[kind] = float(roc_auc_score(is_planted, -scores))
    return measured


def plant_cells(fresh: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Replace one to three cells of each row by those of other rows."""
    rng = np.random.default_rng(seed)
    n_cells = rng.integers(1, MOST_CELLS + 1, (len(fresh), 1))
    is_planted = rng.random(fresh.shape).argsort(axis=1).argsort(axis=1) < n_cells
    others = plant_rows(fresh, seed)
    return fresh.where(~is_planted, others)


def plant_rows(fresh: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Take each cell of a row from another row: all that is left are the columns."""
    rng = np.random.default_rng(seed)
    columns = {name: fresh[name].iloc[rng.permutation(len(fresh))].array for name in fresh}
    return pd.DataFrame(columns, index=fresh.index)


def plant_values(fresh: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Replace one cell of each row by any value of its column, rare ones as often as others."""
    rng = np.random.default_rng(seed)
    columns = {
        name: fresh[name].drop_duplicates().sample(len(fresh), replace=True, random_state=seed)
        for name in fresh
    }
    others = pd.DataFrame({name: values.array for name, values in columns.items()}, fresh.index)
    chosen = rng.integers(fresh.shape[1], size=(len(fresh), 1))
    return fresh.where(chosen != np.arange(fresh.shape[1]), others)


KINDS: dict[str, Callable[[pd.DataFrame, int], pd.DataFrame]] = {
    "cells": plant_cells,
    "rows": plant_rows,
    "values": plant_values,
}


def _seconds(dates: pd.Series) -> pd.Series:
    return (dates - pd.Timestamp(0, tz=dates.dt.tz)).dt.total_seconds()


def encoder() -> ColumnTransformer:
    """Return what makes numbers of a frame for detectors that take no other.

    Categories become an indicator each, of which 100 at most; dates seconds; a missing value the
    median, with an indicator.
    """
    numbers = SimpleImputer(strategy="median", add_indicator=True)
    seconds = FunctionTransformer(lambda X: X.apply(_seconds))
    levels = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=100)
    return ColumnTransformer(
        [
            ("numbers", numbers, make_column_selector(dtype_include="number")),
            ("dates", make_pipeline(seconds, numbers), make_column_selector(dtype_include=DATES)),
            ("levels", levels, make_column_selector(dtype_exclude=["number", *DATES])),
        ],
        sparse_threshold=0.0,
    )
