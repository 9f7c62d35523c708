"""Sampled rows by the protocol of TabSyn, TabDiff and TabPC: adult, beside published figures.

    python -m pip install . sdmetrics==0.24.0 xgboost pyarrow
    python -m benchmarks.synthetic --data DIR [--seeds 0 1 2]
    python -m benchmarks.synthetic --page

FlowDensity() is fitted to nine tenths of the table and samples as many rows; a seed is another
split, fit and sample. The test file of adult is not at hand, so that the last tenth of its training
file takes its place; the published figures are for models of all of that file. As there, "real" are
the training rows, and a missing label is the label "?".

Shapes and trends are SDMetrics' scores, in the version of the published ones: later versions leave
out most pairs of columns. They cut real and sampled numbers into bins over their own ranges, so
that a single number beyond the training range moves all bins. Sampled numbers are therefore clipped
to it; "trends, unclipped" are those without. C2ST, the two-sample test, is 2 - 2 AUC of a
classifier of real and sampled rows in three folds, 1 at best: SDMetrics' LogisticDetection, and the
same with XGBoost. Learned from them is the AUC on held-out rows of XGBoost, fitted to sampled rows,
with the settings that are best on a ninth of these. Alpha-precision and beta-recall are those of
Alaa et al. (2022, arXiv:2102.08921), from distances of scaled columns. Members found is the AUC
with which the log-density of a row tells training rows from held-out ones, 0.5 at best: the attack
that an exact density allows, in place of distances to the nearest training row, which say nothing
(Yao et al., 2025, arXiv:2505.01524).

Row "training rows" measures the held-out rows by the same methods where that makes sense, and what
is learned from the training rows: the mark to reach.
"""

import argparse
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from sdmetrics.reports.single_table import QualityReport
from sdmetrics.single_table import LogisticDetection
from sdmetrics.single_table.detection.sklearn import ScikitLearnClassifierDetectionMetric
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import ParameterGrid, train_test_split
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import MinMaxScaler
from xgboost import XGBClassifier

from benchmarks.common import report
from benchmarks.common.mixed_tables import load_mixed
from benchmarks.common.records import add_arguments, drop_records, measure_missing, read_records
from skflow import FlowDensity

LIBRARIES = ("skflow", "scikit-learn", "torch", "numpy", "sdmetrics", "xgboost")
TABLE, TARGET = "adult", "income"
METHODS = ("FlowDensity()", "training rows")
SETTINGS = {
    "n_estimators": [10, 50, 100],
    "min_child_weight": [1, 10],
    "max_depth": [5, 10, 20],
    "gamma": [0.0, 1.0],
}
N_RADII = 30
SCORES = {  # by record, the column of the page
    "shapes": "shapes",
    "trends": "trends",
    "unclipped": "trends, unclipped",
    "xgboost": "C2ST, XGBoost",
    "logistic": "C2ST, logistic",
    "learned": "learned from them",
    "alpha": "alpha-precision",
    "beta": "beta-recall",
    "members": "members found",
}
# From the tables of the article on TabPC (github.com/april-tools/tabpc, article_material), which
# measured all of them: five fits each. Seconds are of training on a GPU, without sampling.
PUBLISHED = {
    "TabDiff": (0.9932, 0.9846, None, 0.841, 0.990, 0.9130, 0.986, 0.526, 11_605),
    "TabSyn": (0.9921, 0.9795, None, 0.794, None, 0.9104, 0.990, 0.480, 3_083),
    "TabPC": (0.9942, 0.9856, None, 0.855, 0.996, 0.9162, 0.996, 0.500, 273),
}


class XGBoostDetection(ScikitLearnClassifierDetectionMetric):
    """SDMetrics' detection of sampled rows, with XGBoost."""

    name = "XGBoost Detection"

    @staticmethod
    def _get_classifier() -> XGBClassifier:
        return XGBClassifier(
            eval_metric="logloss", enable_categorical=True, random_state=0, n_jobs=1
        )


def measure(data: Path, table: str, seed: int, method: str) -> dict:
    """Return the scores of sampled rows, or of held-out rows in their place."""
    rows = load_mixed(data, [table])[table]
    labels = rows.select_dtypes(exclude="number").columns
    rows[labels] = rows[labels].astype(object).fillna("?")
    train, test = train_test_split(rows, test_size=0.1, random_state=seed)
    train, test = train.reset_index(drop=True), test.reset_index(drop=True)
    if method == "training rows":
        unclipped = {"unclipped": None, "members": None, "seconds": None}
        return compare(train, test) | unclipped | {"learned": learned_from(train, test, seed)}
    start = time.process_time()
    flow = FlowDensity(random_state=seed).fit(train)
    sampled = flow.sample(len(train), random_state=seed).astype(train.dtypes)
    seconds = time.process_time() - start
    is_member = np.repeat([1, 0], [len(train), len(test)])
    log_density = np.concatenate([flow.score_samples(train), flow.score_samples(test)])
    clipped, numbers = sampled.copy(), train.select_dtypes("number")
    clipped[numbers.columns] = clipped[numbers.columns].clip(numbers.min(), numbers.max(), axis=1)
    return compare(train, clipped) | {
        "unclipped": quality(train, sampled)["Column Pair Trends"],
        "learned": learned_from(clipped, test, seed),
        "members": roc_auc_score(is_member, log_density),
        "seconds": seconds,
    }


def describe(real: pd.DataFrame) -> dict:
    """Return SDMetrics' metadata: numbers are numerical, everything else categorical."""
    kinds = {
        name: {"sdtype": "numerical" if pd.api.types.is_numeric_dtype(column) else "categorical"}
        for name, column in real.items()
    }
    return {"columns": kinds}


def quality(real: pd.DataFrame, rows: pd.DataFrame) -> pd.Series:
    """Return SDMetrics' scores of column shapes and of column pair trends."""
    found = QualityReport()
    found.generate(real, rows, describe(real), verbose=False)
    return found.get_properties().set_index("Property")["Score"]


def compare(real: pd.DataFrame, rows: pd.DataFrame) -> dict:
    """Return all scores that need no third table."""
    properties, metadata = quality(real, rows), describe(real)
    alpha, beta = alpha_precision_beta_recall(*_as_numbers(real, rows))
    return {
        "shapes": properties["Column Shapes"],
        "trends": properties["Column Pair Trends"],
        "xgboost": XGBoostDetection.compute(real, rows, metadata),
        "logistic": LogisticDetection.compute(real, rows, metadata),
        "alpha": alpha,
        "beta": beta,
    }


def learned_from(rows: pd.DataFrame, test: pd.DataFrame, seed: int) -> float:
    """AUC on held-out rows of the gradient boosting that is best on a ninth of ``rows``."""
    labels = np.unique(test[TARGET])
    X, X_test = _as_numbers(rows.drop(columns=TARGET), test.drop(columns=TARGET))
    y, y_test = (table[TARGET].to_numpy() == labels[1] for table in (rows, test))
    X_fit, X_choice, y_fit, y_choice = train_test_split(X, y, test_size=1 / 9, random_state=seed)

    def score(X_scored: np.ndarray, y_scored: np.ndarray, settings: dict) -> float:
        model = XGBClassifier(tree_method="hist", n_jobs=1, **settings).fit(X_fit, y_fit)
        return float(roc_auc_score(y_scored, model.predict_proba(X_scored)[:, 1]))

    best = max(ParameterGrid(SETTINGS), key=lambda settings: score(X_choice, y_choice, settings))
    return score(X_test, y_test, best)


def alpha_precision_beta_recall(real: np.ndarray, rows: np.ndarray) -> tuple[float, float]:
    """Return both for tables of as many rows, as synthcity's "naive" variant computes them."""
    n_rows = min(len(real), len(rows))
    scaler = MinMaxScaler().fit(real)
    real, rows = scaler.transform(real[:n_rows]), scaler.transform(rows[:n_rows])
    shares = np.linspace(0, 1, N_RADII)
    radii = np.quantile(np.linalg.norm(real - real.mean(axis=0), axis=1), shares)
    from_center = np.linalg.norm(rows - real.mean(axis=0), axis=1)
    precision = (from_center <= radii[:, None]).mean(axis=1)
    of_real = NearestNeighbors(n_neighbors=2).fit(real).kneighbors(real)[0][:, 1]
    distance, nearest = NearestNeighbors(n_neighbors=1).fit(rows).kneighbors(real)
    from_own = np.linalg.norm(rows[nearest[:, 0]] - rows.mean(axis=0), axis=1)
    is_covered = distance[:, 0] <= of_real
    recall = (is_covered & (from_own <= np.quantile(from_own, shares)[:, None])).mean(axis=1)
    return tuple(1 - np.abs(shares - curve).sum() / shares.sum() for curve in (precision, recall))


def _as_numbers(*tables: pd.DataFrame) -> list[np.ndarray]:
    """Return numbers as they are and labels one-hot, all that any of the tables has."""
    encoded = pd.get_dummies(pd.concat(tables, ignore_index=True), dtype=float).to_numpy(float)
    return np.split(encoded, np.cumsum([len(table) for table in tables])[:-1])


def write_page(records: Sequence[dict]) -> None:
    """Write means and standard deviations over seeds, beside published means."""

    def cell(values: Sequence[float | None]) -> str:
        found = [value for value in values if value is not None]
        if not found:
            return ""
        deviation = f" ± {np.std(found, ddof=1):.3f}" if len(found) > 1 else ""
        return f"{np.mean(found):.3f}{deviation}"

    rows = []
    for method in METHODS:
        own = [record for record in records if record["method"] == method]
        seconds = [record["seconds"] for record in own if record["seconds"] is not None]
        shown = f"{np.mean(seconds):,.0f} (CPU)" if seconds else ""
        rows.append([method, *(cell([r[name] for r in own]) for name in SCORES), shown])
    for name, (*scores, gpu) in PUBLISHED.items():
        cells = ["" if score is None else f"{score:.3f}" for score in scores]
        rows.append([f"{name} (published)", *cells, "", f"{gpu:,} (GPU)"])
    report.write(
        "synthetic",
        "",
        "Rows sampled after a fit to adult, 29,304 rows; mean and standard deviation over "
        f"{len({record['seed'] for record in records})} splits, and published means over several "
        "fits. All scores but members found are 1 at best. Seconds of one core to fit and sample; "
        "published, of a GPU to train.",
        ("method", *SCORES.values(), "seconds"),
        rows,
        footer=report.footer_of(records, "python -m benchmarks.synthetic --data DIR"),
    )


def main() -> None:
    """Measure what is not there yet; write the page with ``--page``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder that holds mixed/")
    add_arguments(parser, "synthetic")
    arguments = parser.parse_args()
    if arguments.data is not None:
        beginnings = tuple(arguments.fresh or arguments.methods)
        jobs = [
            {"table": TABLE, "seed": seed, "method": method}
            for seed in arguments.seeds
            for method in METHODS
            if method.startswith(beginnings)
        ]
        if arguments.fresh:
            drop_records(arguments.results, jobs)
        shown = ("trends", "xgboost", "learned")
        function = partial(measure, arguments.data)
        measure_missing(arguments.results, jobs, function, LIBRARIES, shown)
    if arguments.page:
        write_page(read_records(arguments.results))


if __name__ == "__main__":
    main()
