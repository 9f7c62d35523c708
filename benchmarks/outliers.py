"""FlowOutlierDetector beside other detectors; its p-values, reasons, repairs and cost.

    python -m pip install . aderh
    python -m benchmarks.outliers --data DIR [--parts detection] [--seeds 0 1 2] [--tables 45_wine]
    python -m benchmarks.outliers --fresh FlowOutlierDetector --data DIR [--parts detection]
    python -m benchmarks.outliers --page

Parts:

detection
    Trained on a half of the normal rows of a labelled table, 20,000 at most; the other
    half and all outliers are scored, or 20,000 of them drawn at random. AUROC and average
    precision. The detector gets rows as they are, the others standardised columns.
contaminated
    Trained on all rows, outliers among them unlabelled, or 20,000 drawn at random; the
    same rows are scored.
oddbench
    Trained on the training rows of a table of OddBench, all of them normal; its test rows are
    scored. The split is its own; the seed is that of the method. Each fit of a density ends after
    three seconds of the clock, of which a busy machine gives it a part; ``--methods
    "FlowOutlierDetector()"`` measures it without this limit as well.
calibration
    p-values of the fresh half of the normal rows, which should be uniform.
blame, repair
    Fresh rows of continuous tables in which one to three cells were replaced by values of
    other fresh rows: see ``planted/reasons.py``.
explain
    Fresh rows made strange by one cell, or by a block of dependent ones: how often the first
    reason names it; see ``planted/explained.py``.
mixed
    Fresh rows of tables of mixed columns, and the same with cells of other rows, with all
    cells of other rows, or with one value of its column, rare ones as often as others: see
    ``planted/mixed.py``. AUROC. Beside the detector its own density, and the others on
    indicators of categories.
known
    The same of rows of a known density, beside that density's own conditionals: what can
    be found at all.
cost
    Processor seconds of a fit over those of FlowDensity() on the same rows, where there are
    2,000 or more, and of scoring 100,000 made rows of 10 columns beside nearest neighbours.

Every method has its defaults (``peers/detectors.py`` lists the exceptions) and one thread; seconds
are the processor's. What is measured is kept in ``results/outliers.jsonl``, one result a
line, and not measured twice, so the work can be stopped, resumed and shared out.
``--fresh`` drops the results of a method before measuring it again. ``--page`` writes the
pages of all there is; without ``--data`` nothing is measured.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import kolmogorov
from scipy.stats import kstest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from benchmarks.common import report
from benchmarks.common.mixed_tables import load_mixed
from benchmarks.common.mixed_tables import split as split_mixed
from benchmarks.common.records import add_arguments, drop_records, measure_missing, read_records
from benchmarks.common.tables import load_tables
from benchmarks.common.tables import split as split_continuous
from benchmarks.pages import outliers as pages
from benchmarks.peers.detectors import PEERS, SCORED_TOGETHER
from benchmarks.planted.explained import measure_explained
from benchmarks.planted.mixed import MOST_ROWS as MOST_MIXED_ROWS
from benchmarks.planted.mixed import encoder, measure_planted
from benchmarks.planted.reasons import measure_blame, measure_known_blame, measure_repair
from benchmarks.planted.tables import (
    FACTORS,
    MOST_ROWS,
    Labelled,
    Planting,
    Split,
    draw_all,
    draw_factors,
    load_labelled,
    load_splits,
    plant,
    split_normal,
)
from skflow import FlowDensity, FlowOutlierDetector

DETECTOR, ROBUST, LIMITED = pages.DETECTOR, pages.ROBUST, pages.LIMITED
DENSITY = pages.DENSITY
CALIBRATED = (  # the fresh half has more than 1,000 rows
    "2_annthyroid",
    "5_campaign",
    "10_cover",
    "11_donors",
    "19_landsat",
    "23_mammography",
    "27_PageBlocks",
    "32_shuttle",
    "38_thyroid",
    "41_Waveform",
)
PLANTED = (  # 5 to 30 columns, more than 200 fresh rows
    "airfoil",
    "bike",
    "concrete",
    "elevators",
    "kin8nm",
    "parkinsons",
    "pol",
    "power-plant",
    "skillcraft",
    "wine-quality-red",
)
MIXED = (  # categories among the columns
    "abalone",
    "adult",
    "bank_full",
    "california_housing",
    "cps_sw8",
    "diamonds",
    "dutch_census",
    "law_school",
    "movies",
    "nyc_weather",
    "nycflights_sample",
    "penguins",
    "taxis",
    "telco_churn",
    "titanic",
    "wage",
)
EXPLAINED = (  # five columns or more, some of numbers that depend on each other
    *("airfoil", "bike", "concrete", "elevators", "parkinsons", "power-plant"),
    *("abalone", "adult", "california_housing", "diamonds", "nyc_weather", "taxis"),
)
FEWEST_TIMED = 2_000  # rows; from here on a fit of the detector is one fit of the density
MADE = pages.MADE
N_MADE, N_MADE_COLUMNS, N_ROUNDS = 100_000, 10, 3

METHODS: dict[str, Callable[..., Any]] = {
    DETECTOR: lambda n_rows, n_columns, seed: FlowOutlierDetector(random_state=seed),
    ROBUST: lambda n_rows, n_columns, seed: FlowOutlierDetector(robust=True, random_state=seed),
    LIMITED: lambda n_rows, n_columns, seed: FlowOutlierDetector(
        FlowDensity(max_time=pages.MAX_TIME), random_state=seed
    ),
    **PEERS,
}


class Data:
    """The tables of a folder, each read at its first use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.planted = cache(self._plant)
        self.fitted_mixed = cache(self._fit_mixed)

    @cached_property
    def labelled(self) -> dict[str, Labelled]:
        """Tables with outliers."""
        return load_labelled(self.folder)

    @cached_property
    def splits(self) -> dict[str, Split]:
        """Tables with outliers among their test rows."""
        return load_splits(self.folder)

    @cached_property
    def continuous(self) -> dict[str, NDArray[np.float64]]:
        """Tables without labels."""
        return load_tables(self.folder)

    @cached_property
    def mixed(self) -> dict[str, pd.DataFrame]:
        """Tables of mixed columns."""
        return load_mixed(self.folder, MIXED, MOST_MIXED_ROWS)

    def _fit_mixed(self, table: str, seed: int) -> FlowOutlierDetector:
        return FlowOutlierDetector(random_state=seed).fit(split_mixed(self.mixed[table], seed)[0])

    def _plant(self, table: str, seed: int) -> tuple[Planting, FlowOutlierDetector]:
        planting = plant(self.continuous[table], seed)
        return planting, FlowOutlierDetector(random_state=seed).fit(planting.train)


def measure_detection(data: Data, table: str, seed: int, method: str) -> dict:
    """Fit normal rows and score others."""
    split = split_normal(data.labelled[table], seed)
    return {**_shape(data.labelled[table]), **_fit_and_score(split, seed, method)}


def measure_oddbench(data: Data, table: str, seed: int, method: str) -> dict:
    """Fit the training rows of a table and score its test rows."""
    train, test, is_outlier = data.splits[table]
    n_rows, n_columns = len(train) + len(test), train.shape[1]
    shape = {"rows": n_rows, "columns": n_columns, "outliers": int(is_outlier.sum())}
    return {**shape, **_fit_and_score(data.splits[table], seed, method)}


def _fit_and_score(split: Split, seed: int, method: str) -> dict:
    train, test, is_outlier = split
    model = METHODS[method](*train.shape, seed)
    fit_seconds, _ = clock(lambda: model.fit(train))
    score_seconds, scores = clock(lambda: model.score_samples(test))
    return {
        "fitted": len(train),
        "scored": len(test),
        **_rank(scores, is_outlier),
        "fit_seconds": fit_seconds,
        "score_seconds": score_seconds,
    }


def measure_contaminated(data: Data, table: str, seed: int, method: str) -> dict:
    """Fit all rows and score the same."""
    X, is_outlier = draw_all(data.labelled[table], seed)
    model = METHODS[method](*X.shape, seed)
    fit_seconds, _ = clock(lambda: model.fit(X))
    score_fitted = getattr(model, "score_fitted", model.score_samples)
    score_seconds, scores = clock(lambda: score_fitted(X))
    return {
        **_shape(data.labelled[table]),
        "fitted": len(X),
        "scored": len(X),
        **_rank(scores, is_outlier),
        "fit_seconds": fit_seconds,
        "score_seconds": score_seconds,
    }


def _rank(scores: NDArray, is_outlier: NDArray) -> dict:
    return {
        "auroc": float(roc_auc_score(is_outlier, -scores)),
        "ap": float(average_precision_score(is_outlier, -scores)),
    }


def _shape(labelled: Labelled) -> dict:
    X, is_outlier = labelled
    return {"rows": X.shape[0], "columns": X.shape[1], "outliers": int(is_outlier.sum())}


def clock(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the processor seconds of a call and what it returns."""
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def measure_calibration(data: Data, table: str, seed: int, method: str) -> dict:
    """Return how far p-values of fresh normal rows are from uniform.

    The distance is that of Kolmogorov and Smirnov, the excess the largest by which the share
    of p-values at or below alpha is above alpha: valid p-values have none, even where rows,
    and with them p-values, are repeated. Their own p-values are those of two samples.
    """
    train, test, is_outlier = split_normal(data.labelled[table], seed)
    detector = METHODS[method](*train.shape, seed).fit(train)
    p_values = detector.p_values(test[~is_outlier])
    n_fresh, n_calibration = len(p_values), detector.n_calibration_
    distance = kstest(p_values, "uniform").statistic
    excess = kstest(p_values, "uniform", alternative="greater").statistic
    n_effective = n_fresh * n_calibration / (n_fresh + n_calibration)
    return {
        **_shape(data.labelled[table]),
        "fresh": n_fresh,
        "calibration": n_calibration,
        "commonest": float(np.unique(p_values, return_counts=True)[1].max() / n_fresh),
        "distance": float(distance),
        "distance_p": float(kolmogorov(distance * np.sqrt(n_effective))),
        "excess": float(excess),
        "excess_p": float(np.exp(-2 * n_effective * excess**2)),
        "share_01": float((p_values <= 0.01).mean()),
        "share_05": float((p_values <= 0.05).mean()),
    }


def measure_reasons(data: Data, table: str, seed: int, method: str) -> dict:
    """Return which cells are named where some are planted; ``method`` is the detector."""
    n_rows, n_columns = data.continuous[table].shape
    measured = measure_blame(*data.planted(table, seed), seed)
    return {"rows": n_rows, "columns": n_columns, **measured}


def measure_repairs(data: Data, table: str, seed: int, method: str) -> dict:
    """Return what repairs of planted cells are worth; ``method`` is the detector."""
    n_rows, n_columns = data.continuous[table].shape
    return {"rows": n_rows, "columns": n_columns, **measure_repair(*data.planted(table, seed))}


def measure_mixed(data: Data, table: str, seed: int, method: str) -> dict:
    """Fit a table of mixed columns, and separate fresh rows from such with something planted."""
    train, fresh = split_mixed(data.mixed[table], seed)
    shape = {"rows": len(data.mixed[table]), "columns": train.shape[1]}
    if method in (DETECTOR, DENSITY):
        detector = data.fitted_mixed(table, seed)
        model = detector if method == DETECTOR else detector.density_
        return {**shape, "auroc": measure_planted(model.score_samples, fresh, seed)}
    encoded = encoder().fit(train)
    rows = encoded.transform(train)
    peer = PEERS[method](*rows.shape, seed).fit(rows)
    scored = measure_planted(lambda X: peer.score_samples(encoded.transform(X)), fresh, seed)
    return {**shape, "auroc": scored}


def measure_explanations(data: Data, table: str, seed: int, method: str) -> dict:
    """Return how often the first reason names what was planted; ``method`` is the detector."""
    if table in data.mixed:
        whole = data.mixed[table]
        train, fresh = split_mixed(whole, seed)
        detector = data.fitted_mixed(table, seed)
    else:
        whole = data.continuous[table]
        names = [f"c{j}" for j in range(whole.shape[1])]
        train, fresh = (pd.DataFrame(X, columns=names) for X in split_continuous(whole, seed))
        train, fresh = train[:MOST_ROWS], fresh.reset_index(drop=True)
        detector = METHODS[method](*train.shape, seed).fit(train)
    measured = measure_explained(detector, train, fresh, seed)
    return {"rows": len(whole), "columns": whole.shape[1], **measured}


def measure_known(data: Data, table: str, seed: int, method: str) -> dict:
    """Return which cells are named where some are planted in rows of a known density."""
    X, correlations = draw_factors(table, seed)
    planting = plant(X, seed)
    detector = METHODS[method](*planting.train.shape, seed).fit(planting.train)
    measured = measure_known_blame(planting, correlations, detector)
    return {"rows": X.shape[0], "columns": X.shape[1], **measured}


def measure_cost(data: Data, table: str, seed: int, method: str) -> dict:
    """Return processor seconds beside those of what is simpler; ``method`` is the detector."""
    if table == MADE:
        return measure_scoring(seed)
    train, _, _ = split_normal(data.labelled[table], seed)
    seconds, _ = clock(lambda: FlowOutlierDetector(random_state=seed).fit(train))
    simpler, _ = clock(lambda: FlowDensity(random_state=seed).fit(train))
    return {"rows": len(train), "columns": train.shape[1], "seconds": seconds, "simpler": simpler}


def measure_scoring(seed: int) -> dict:
    """Return processor seconds of scoring made rows, and of finding their neighbours.

    Both were fitted to 20,000 rows; they take turns, and the median of three rounds counts.
    """
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(MOST_ROWS + N_MADE, N_MADE_COLUMNS))
    rows[:, 1:] += np.sin(rows[:, :-1])
    train, rows = rows[:MOST_ROWS], rows[MOST_ROWS:]
    detector = FlowOutlierDetector(random_state=seed).fit(train)
    neighbours = NearestNeighbors(n_neighbors=5).fit(train)
    detector.score_samples(rows[:100])  # what is done but once
    rounds = [
        (
            clock(lambda: detector.score_samples(rows))[0],
            clock(lambda: neighbours.kneighbors(rows))[0],
        )
        for _ in range(N_ROUNDS)
    ]
    seconds, simpler = np.median(rounds, axis=0)
    return {
        "rows": N_MADE,
        "columns": N_MADE_COLUMNS,
        "seconds": float(seconds),
        "simpler": float(simpler),
    }


@dataclass(frozen=True)
class Part:
    """One question of the benchmark.

    Attributes
    ----------
    measure : callable
        Takes data, table, seed and method.
    tables : callable
        Takes data; returns the names of all tables that the part allows, and of those it
        uses by default.
    methods : tuple of str
    shown : tuple of str
        Keys of a result that are printed.
    """

    measure: Callable[[Data, str, int, str], dict]
    tables: Callable[[Data], tuple[Iterable[str], Iterable[str]]]
    methods: Sequence[str]
    shown: Sequence[str]


def _labelled(data: Data) -> tuple[Iterable[str], Iterable[str]]:
    return data.labelled, data.labelled


def _timed(data: Data) -> tuple[Iterable[str], Iterable[str]]:
    n_normal = {name: (~is_outlier).sum() for name, (_, is_outlier) in data.labelled.items()}
    long = [name for name, n in n_normal.items() if n // 2 >= FEWEST_TIMED]
    return [*long, MADE], [*long, MADE]


COMPARED = ("auroc", "ap", "fit_seconds", "score_seconds")
PARTS = {
    "detection": Part(measure_detection, _labelled, (DETECTOR, ROBUST, *PEERS), COMPARED),
    "contaminated": Part(measure_contaminated, _labelled, (DETECTOR, ROBUST, *PEERS), COMPARED),
    "oddbench": Part(
        measure_oddbench,
        lambda data: (data.splits, data.splits),
        (LIMITED, DETECTOR, *PEERS),
        COMPARED,
    ),
    "calibration": Part(
        measure_calibration,
        lambda data: (data.labelled, CALIBRATED),
        (DETECTOR,),
        ("distance", "excess", "excess_p", "share_01", "share_05"),
    ),
    "blame": Part(
        measure_reasons,
        lambda data: (data.continuous, PLANTED),
        (DETECTOR,),
        ("flagged", "n_explained"),
    ),
    "explain": Part(
        measure_explanations,
        lambda data: ([*data.continuous, *data.mixed], EXPLAINED),
        (DETECTOR,),
        ("rows", "columns"),  # the others only where enough rows are strange
    ),
    "mixed": Part(
        measure_mixed,
        lambda data: (data.mixed, data.mixed),
        (DETECTOR, DENSITY, *(peer for peer in PEERS if peer not in SCORED_TOGETHER)),
        ("auroc",),
    ),
    "known": Part(
        measure_known, lambda data: (FACTORS, FACTORS), (DETECTOR,), ("flagged", "found")
    ),
    "repair": Part(
        measure_repairs,
        lambda data: (data.continuous, PLANTED),
        (DETECTOR,),
        ("flagged", "n_repaired"),
    ),
    "cost": Part(measure_cost, _timed, (DETECTOR,), ("seconds", "simpler")),
}


def list_jobs(name: str, data: Data, arguments: argparse.Namespace) -> list[dict]:
    """Return the jobs of a part that the arguments name."""
    part = PARTS[name]
    possible, usual = part.tables(data)
    tables = [table for table in arguments.tables or usual if table in possible]
    beginnings = tuple(arguments.fresh or arguments.methods)
    return [
        {"part": name, "table": table, "seed": seed, "method": method}
        for seed in arguments.seeds
        for table in tables
        for method in part.methods
        if method.startswith(beginnings)
    ]


def main() -> None:
    """Measure what ``--data`` allows and is not there yet; write the pages with ``--page``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="holds adbench/, oddbench/, reg/, ... by name")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--tables", nargs="+", help="those of each part, if not given")
    add_arguments(parser, "outliers")
    arguments = parser.parse_args()
    if arguments.data is not None:
        data = Data(arguments.data)
        warnings.simplefilter("ignore")  # of peers on repeated rows, of p-values of few rows
        torch.set_num_threads(1)
        with threadpool_limits(1):
            for name in arguments.parts:
                jobs = list_jobs(name, data, arguments)
                if arguments.fresh:
                    drop_records(arguments.results, jobs)
                measure_missing(
                    arguments.results,
                    jobs,
                    partial(_measure, data),
                    (*report.LIBRARIES, "aderh"),
                    PARTS[name].shown,
                )
    if arguments.page:
        pages.write(read_records(arguments.results))


def _measure(data: Data, part: str, table: str, seed: int, method: str) -> dict:
    return PARTS[part].measure(data, table, seed, method)


if __name__ == "__main__":
    main()
