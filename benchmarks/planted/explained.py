"""Rows made strange by one cell or by a block of dependent ones: does the first reason name them.

Three ways to plant an error in a fresh row whose p-value is 0.1 or more; kept are the rows that
then have a p-value of 0.01 or less.

swap
    A cell takes the value of another row: no column alone shows it.
slip
    A number is ten times as large, or four to ten standard deviations away.
block
    All numbers whose rank correlation with one of them is above 0.8, four at most, take the values
    of a row in which they are among the most extreme, moved away from their medians by the same
    factor: they agree with each other.
"""

import math
import time
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skflow import FlowOutlierDetector

Cells = list[set[str]]

USUAL, STRANGE = 0.1, 0.01  # p-values of rows before and after
N_PLANTED = 100  # rows of each kind, at most
N_TRIED = 8  # times as many are tried
FEWEST = 10  # rows that a share is measured from
DEPENDENT = 0.8  # rank correlation
MOST_OF_BLOCK = 4
N_EXTREME = 50
KINDS = ("swap", "slip", "block")


class Planted(NamedTuple):
    """Rows, and the columns of each that were planted."""

    rows: pd.DataFrame
    columns: Cells


def measure_explained(
    detector: FlowOutlierDetector, train: pd.DataFrame, fresh: pd.DataFrame, seed: int
) -> dict:
    """Return how often the first reason is a planted cell, for each kind of error.

    Beside the first line of ``explain`` are the lowest of ``score_features`` and the line with the
    highest marginal surprise. A first line is exact where it names the planted cells and no other.
    """
    plantings = {
        "swap": plant_single(fresh, fresh, seed, slips=False),
        "slip": plant_single(fresh, train, seed, slips=True),
        "block": plant_block(fresh, train, seed),
    }
    usual = detector.p_values(fresh) >= USUAL
    measured = {}
    for kind, plant in plantings.items():
        if plant is None:
            continue
        strange = detector.p_values(plant.rows) <= STRANGE
        chosen = np.flatnonzero(strange & usual[plant.rows.index])[:N_PLANTED]
        if len(chosen) < FEWEST:
            continue
        rows = plant.rows.iloc[chosen].reset_index(drop=True)
        measured[kind] = _judge(detector, rows, [plant.columns[i] for i in chosen])
    return measured


def _judge(detector: FlowOutlierDetector, rows: pd.DataFrame, planted: Cells) -> dict:
    start = time.process_time()
    reasons = detector.explain(rows)
    seconds = time.process_time() - start
    first = reasons.groupby("row").head(1)["column"]
    named = [set(columns.split(", ")) for columns in first]
    alone = reasons.sort_values("marginal_surprise", ascending=False).groupby("row").head(1)
    strangest = [set(columns.split(", ")) for columns in alone.sort_values("row")["column"]]
    features = detector.score_features(rows).idxmin(axis=1)
    lacking = reasons.groupby("row")["contribution"].sum() - detector.score_samples(rows)
    pairs = list(zip(named, planted, strict=True))
    return {
        "n": len(rows),
        "first": float(np.mean([bool(own & true) for own, true in pairs])),
        "exact": float(np.mean([own == true for own, true in pairs])),
        "score_features": float(
            np.mean([own in true for own, true in zip(features, planted, strict=True)])
        ),
        "marginal": float(
            np.mean([bool(own & true) for own, true in zip(strangest, planted, strict=True)])
        ),
        "error_of_sum": float(lacking.abs().max()),
        "seconds_per_row": seconds / len(rows),
    }


def numbers_of(table: pd.DataFrame) -> list[str]:
    """Return the columns of numbers that have more than two values."""
    numbers = table.select_dtypes("number")
    return [name for name in numbers if table[name].nunique() > 2]


def plant_single(
    fresh: pd.DataFrame, others: pd.DataFrame, seed: int, *, slips: bool
) -> Planted | None:
    """Replace one cell of rows by another row's, or let a number slip."""
    rng = np.random.default_rng(seed)
    names = numbers_of(others) if slips else list(fresh.columns)
    if not names:
        return None
    rows = fresh.iloc[rng.integers(len(fresh), size=N_TRIED * N_PLANTED)].astype(object)
    columns: Cells = []
    for i in range(len(rows)):
        name = names[rng.integers(len(names))]
        own = rows.iat[i, fresh.columns.get_loc(name)]
        if not slips:
            new = others[name].iloc[rng.integers(len(others))]
        elif rng.random() < 0.5 and own != 0:
            new = 10 * own
        else:
            new = own + rng.choice([-1, 1]) * others[name].std() * rng.uniform(4, 10)
        rows.iat[i, fresh.columns.get_loc(name)] = _as(fresh[name], new)
        columns.append({name})
    return Planted(rows.astype(fresh.dtypes.to_dict()), columns)


def plant_block(fresh: pd.DataFrame, train: pd.DataFrame, seed: int) -> Planted | None:
    """Replace dependent numbers of rows by extreme ones that agree; None where none depend."""
    rng = np.random.default_rng(seed)
    names = numbers_of(train)
    correlations = train[names].corr(method="spearman").abs().fillna(0.0)
    blocks = [
        list(own[own > DEPENDENT].nlargest(MOST_OF_BLOCK).index) for _, own in correlations.items()
    ]
    blocks = [block for block in blocks if len(block) > 1]
    if not blocks:
        return None
    medians, deviations = train[names].median(), train[names].std()
    rows = fresh.iloc[rng.integers(len(fresh), size=2 * N_PLANTED)].astype(object)
    columns: Cells = []
    for i in range(len(rows)):
        block = blocks[rng.integers(len(blocks))]
        complete = train[block].dropna()
        distances = ((complete - medians[block]) / deviations[block]).abs().sum(axis=1)
        extreme = complete.loc[distances.nlargest(N_EXTREME).index[rng.integers(N_EXTREME)]]
        factor = rng.uniform(1.5, 4)
        for name in block:
            new = medians[name] + factor * (extreme[name] - medians[name])
            rows.iat[i, fresh.columns.get_loc(name)] = _as(fresh[name], new)
        columns.append(set(block))
    return Planted(rows.astype(fresh.dtypes.to_dict()), columns)


def _as(column: pd.Series, number: NDArray | float) -> object:
    """Return a cell as its column has them: whole where it holds integers."""
    whole = pd.api.types.is_integer_dtype(column.dtype)
    is_number = isinstance(number, float) and not math.isnan(number)
    return round(number) if whole and is_number else number
