"""Reasons and repairs of planted outliers: cells that are found, values that are restored."""

import math
import time
from collections.abc import Callable
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from benchmarks.planted.tables import Mask, Planting
from skflow import FlowOutlierDetector

FloatArray = NDArray[np.floating]
Score = Callable[[FloatArray], FloatArray]

FLAGGED = 0.05  # p-value below which a row is an outlier
UNREMARKABLE = 0.1  # p-value from which a row is a repaired one
N_BLAMED = 3  # columns among which all planted ones are looked for
N_PERMUTATIONS = 50
MOST_EXPLAINED = 50  # rows; Shapley values are dear


def measure_blame(planting: Planting, detector: FlowOutlierDetector, seed: int) -> dict:
    """Return how often planted cells are found, by the detector and by three others.

    The others are the standard score of a cell in its column, and Shapley values of two
    scores: the detector's own and an isolation forest's. Shares are of flagged rows; those
    of Shapley values, and of all methods beside them, of the first 50. A planted cell is
    tellable where it is strange beside the true values of its row's others: what fits in
    with them nobody can find.
    """
    flagged = detector.p_values(planting.rows) < FLAGGED
    rows, is_planted = planting.rows[flagged], planting.is_planted[flagged]
    counts = {"flagged": float(flagged.mean()), "n_explained": min(len(rows), MOST_EXPLAINED)}
    if not len(rows):
        return counts
    forest = IsolationForest(random_state=seed).fit(planting.train)
    mean, deviation = planting.train.mean(axis=0), planting.train.std(axis=0)
    background = planting.train

    def explain(score: Score) -> Score:
        return lambda rows: shapley(score, rows, background, np.random.default_rng(seed))

    start = time.process_time()
    by_features = np.asarray(detector.score_features(rows))
    seconds = (time.process_time() - start) / len(rows)
    is_single = is_planted.sum(axis=1) == 1
    is_tellable = find_tellable(rows, planting.truth[flagged], is_planted, detector)
    tells = is_tellable.any(axis=1)
    few, few_planted = rows[:MOST_EXPLAINED], is_planted[:MOST_EXPLAINED]
    strangeness = {
        "score_features": by_features[:MOST_EXPLAINED],
        "Shapley, detector": explain(detector.score_samples)(few),
        "Shapley, IsolationForest": explain(forest.score_samples)(few),
        "standard score": -np.abs((few - mean) / deviation),
    }
    return {
        **counts,
        "found_of_all": share_found(by_features, is_planted),
        "found_any": share_found_any(by_features, is_planted),
        "found_single": share_found(by_features[is_single], is_planted[is_single]),
        "single": int(is_single.sum()),
        "tellable": float(is_tellable.sum() / is_planted.sum()),
        "found_tellable": share_found(by_features[tells], is_tellable[tells]),
        "found": {name: share_found(of, few_planted) for name, of in strangeness.items()},
        "found_by_chance": share_by_chance(few_planted),
        "seconds_per_row": seconds,
    }


def measure_known_blame(
    planting: Planting, correlations: FloatArray, detector: FlowOutlierDetector
) -> dict:
    """Return how often planted cells are found, beside what can be found at all.

    Rows are standard normal with ``correlations``, so the true density itself is known:
    the tail probability of each cell given the others of its row, which is what
    ``score_features`` estimates, and for the three cells without which the others are
    likeliest.
    """
    flagged = detector.p_values(planting.rows) < FLAGGED
    rows, is_planted = planting.rows[flagged], planting.is_planted[flagged]
    strangeness = {
        "score_features": np.asarray(detector.score_features(rows)),
        "true conditionals": true_log_tails(rows, correlations),
        "best three": -find_best_three(rows, correlations).astype(float),
    }
    is_single = is_planted.sum(axis=1) == 1
    return {
        "flagged": float(flagged.mean()),
        "found": {name: share_found(of, is_planted) for name, of in strangeness.items()},
        "found_single": {
            name: share_found(of[is_single], is_planted[is_single])
            for name, of in strangeness.items()
        },
        "single": int(is_single.sum()),
    }


def true_log_tails(rows: FloatArray, correlations: FloatArray) -> FloatArray:
    """Return the log tail probability of each cell given the others, under a normal density."""
    precision = np.linalg.inv(correlations)
    return math.log(2) + norm.logsf(np.abs(rows @ precision) / np.sqrt(np.diag(precision)))


def find_best_three(rows: FloatArray, correlations: FloatArray) -> Mask:
    """Mark the three cells of each row without which the others have the highest density."""
    n_columns = len(correlations)
    lowest, best = np.full(len(rows), np.inf), np.zeros(rows.shape, dtype=bool)
    for three in combinations(range(n_columns), N_BLAMED):
        left = np.delete(np.arange(n_columns), three)
        cells = rows[:, left]
        solved = np.linalg.solve(correlations[np.ix_(left, left)], cells.T).T
        distances = (cells * solved).sum(axis=1)
        better = distances < lowest
        lowest[better], best[better] = distances[better], np.isin(np.arange(n_columns), three)
    return best


def find_tellable(
    rows: FloatArray, truth: FloatArray, is_planted: Mask, detector: FlowOutlierDetector
) -> Mask:
    """Mark the planted cells that are strange where all others of their row are true."""
    of_row, column = np.nonzero(is_planted)
    alone = truth[of_row]
    cells = np.arange(len(alone)), column
    alone[cells] = rows[of_row, column]
    log_probs = np.asarray(detector.score_features(alone))[cells]
    is_tellable = np.zeros_like(is_planted)
    is_tellable[of_row, column] = log_probs < math.log(FLAGGED)
    return is_tellable


def shapley(
    score: Score, rows: FloatArray, background: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Return what each cell adds to the score of its row, by sampling.

    For a random order of the columns and a random row of ``background``, cells of the
    background are replaced by those of the row one after the other; a cell's value is the
    mean change of the score at its turn.
    """
    n_rows, n_columns = rows.shape
    total = np.zeros(rows.shape)
    for _ in range(N_PERMUTATIONS):
        turn = rng.random(rows.shape).argsort(axis=1)
        others = background[rng.integers(len(background), size=n_rows)]
        replaced = turn[:, None, :] < np.arange(n_columns + 1)[None, :, None]
        mixed = np.where(replaced, rows[:, None, :], others[:, None, :])
        scores = score(mixed.reshape(-1, n_columns)).reshape(n_rows, n_columns + 1)
        total += np.take_along_axis(np.diff(scores, axis=1), turn, axis=1)
    return total / N_PERMUTATIONS


def share_found(strangeness: FloatArray, is_planted: Mask) -> float:
    """Return the share of rows whose planted cells are all among the three strangest."""
    found = (find_blamed(strangeness) | ~is_planted).all(axis=1)
    return float(found.mean()) if len(found) else math.nan


def share_found_any(strangeness: FloatArray, is_planted: Mask) -> float:
    """Return the share of rows of which a planted cell is among the three strangest."""
    return float((find_blamed(strangeness) & is_planted).any(axis=1).mean())


def find_blamed(strangeness: FloatArray) -> Mask:
    """Mark the three strangest cells of each row."""
    return strangeness.argsort(axis=1).argsort(axis=1) < N_BLAMED


def share_by_chance(is_planted: Mask) -> float:
    """Return the share that three columns drawn at random would find."""
    n_columns = is_planted.shape[1]
    n_cells = is_planted.sum(axis=1)
    ways = [math.comb(n_columns - n, N_BLAMED - n) for n in n_cells]
    return float(np.mean(ways) / math.comb(n_columns, N_BLAMED))


def measure_repair(planting: Planting, detector: FlowOutlierDetector) -> dict:
    """Return what repairs of flagged rows are worth, beside the nearest unremarkable row."""
    flagged = detector.p_values(planting.rows) < FLAGGED
    rows, truth = planting.rows[flagged], planting.truth[flagged]
    is_planted = planting.is_planted[flagged]
    counts = {"flagged": float(flagged.mean()), "n_repaired": len(rows)}
    if not len(rows):
        return counts
    start = time.process_time()
    repaired = np.asarray(detector.repair(rows))
    seconds = (time.process_time() - start) / len(rows)
    unremarkable = detector.p_values(planting.train) >= UNREMARKABLE
    nearest = nearest_rows(rows, planting.train[unremarkable], planting.train)
    candidates = {"repair": repaired, "nearest row": nearest, "as planted": rows}
    medians = np.median(planting.train, axis=0)
    return {
        **counts,
        "unremarkable": float((detector.p_values(repaired) >= UNREMARKABLE).mean()),
        "planted_cells": float(is_planted.sum(axis=1).mean()),
        "changed": {
            name: float((candidates[name] != rows).sum(axis=1).mean())
            for name in ("repair", "nearest row")
        },
        "restored": {
            name: restoration(values[is_planted], truth[is_planted], (truth - medians)[is_planted])
            for name, values in candidates.items()
        },
        "seconds_per_row": seconds,
    }


def nearest_rows(rows: FloatArray, among: FloatArray, train: FloatArray) -> FloatArray:
    """Return the row of ``among`` nearest to each of ``rows``, columns standardised."""
    scaler = StandardScaler().fit(train)
    neighbours = NearestNeighbors(n_neighbors=1).fit(scaler.transform(among))
    return among[neighbours.kneighbors(scaler.transform(rows), return_distance=False)[:, 0]]


def restoration(values: FloatArray, truth: FloatArray, errors_of_median: FloatArray) -> dict:
    """Return how near values are to the true ones, relative to their columns' medians."""
    errors, errors_of_median = np.abs(values - truth), np.abs(errors_of_median)
    return {
        "nearer": float((errors < errors_of_median).mean()),
        "error_ratio": float(np.median(errors / errors_of_median)),
    }
