"""Sampled rows beside real ones: FlowDensity(), SDV's Gaussian copula and CTGAN, all defaults.

    python -m pip install . sdv pyarrow
    python -m benchmarks.mixed_synthetic --data DIR --samples KEEP [--methods CTGAN]

Each method is fitted to four fifths of a table and samples as many rows. They are
compared with the last fifth, which no method saw: by SDMetrics' quality report, by
what a gradient boosting learns from them, and by how many of them copy a training row.
Sampled rows are kept in KEEP and not made twice, so methods and tables can be run one by
one; the page is written by a run with all of them.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sdmetrics.reports import QualityReport
from sdv.metadata import Metadata
from sdv.single_table import CTGANSynthesizer, GaussianCopulaSynthesizer
from sdv.single_table.base import BaseSingleTableSynthesizer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from benchmarks.common import report
from benchmarks.common.mixed_tables import add_arguments, load_mixed, shape_of, split
from skflow import FlowDensity

TARGETS = {
    "adult": "income",
    "bank_full": "y",
    "california_housing": "median_house_value",
    "diamonds": "price",
}
REAL = "training rows"

SUMMARY = (
    "Rows sampled by each method, and the training rows themselves as the mark to reach. "
    "Column shapes and pair trends are SDMetrics' scores against held-out rows, 1 at best. "
    "Learned from them: accuracy (adult, bank_full) or R2 on held-out rows of scikit-learn's "
    "HistGradientBoosting. Copies: the share that equals a training row in every cell; beside "
    "the training rows stands that share of the held-out rows, which is chance. Seconds of "
    "processor time to fit and sample. All methods have their defaults."
)

Sampler = Callable[[pd.DataFrame, int, int | str], pd.DataFrame]


def sample_flow(train: pd.DataFrame, seed: int, max_iter: int | str) -> pd.DataFrame:
    """Sample from FlowDensity with its defaults."""
    flow = FlowDensity(random_state=seed, max_iter=max_iter).fit(train)
    return flow.sample(len(train), random_state=seed)


def sample_copula(train: pd.DataFrame, *_: int | str) -> pd.DataFrame:
    """Sample from SDV's Gaussian copula with its defaults."""
    return _sample_sdv(GaussianCopulaSynthesizer(_metadata(train)), train)


def sample_ctgan(train: pd.DataFrame, seed: int, *_: int | str) -> pd.DataFrame:
    """Sample from SDV's CTGAN with its defaults, 300 epochs among them."""
    np.random.seed(seed)  # noqa: NPY002 (its only seeds are the global ones)
    torch.manual_seed(seed)
    return _sample_sdv(CTGANSynthesizer(_metadata(train)), train)


def _sample_sdv(synthesizer: BaseSingleTableSynthesizer, train: pd.DataFrame) -> pd.DataFrame:
    synthesizer.fit({"table": train})
    return synthesizer.sample(len(train))["table"]


def _metadata(table: pd.DataFrame) -> Metadata:
    return Metadata.load_from_dict(describe(table))


METHODS: dict[str, Sampler] = {
    "FlowDensity": sample_flow,
    "GaussianCopula": sample_copula,
    "CTGAN": sample_ctgan,
}


def describe(table: pd.DataFrame) -> dict:
    """Return SDV's metadata: numbers are numerical, everything else categorical."""
    kinds = {
        name: {"sdtype": "numerical" if is_number(column) else "categorical"}
        for name, column in table.items()
    }
    return {"tables": {"table": {"columns": kinds}}}


def is_number(column: pd.Series) -> bool:
    """Return whether a column holds numbers rather than labels."""
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def sample_once(
    path: Path, method: str, train: pd.DataFrame, seed: int, max_iter: int | str
) -> tuple[pd.DataFrame, float]:
    """Return sampled rows and the processor seconds they took, from ``path`` where it exists."""
    if not path.exists():
        start = time.process_time()
        sampled = METHODS[method](train, seed, max_iter).astype(train.dtypes)
        sampled.attrs["seconds"] = time.process_time() - start
        path.parent.mkdir(parents=True, exist_ok=True)
        sampled.to_parquet(path)
    sampled = pd.read_parquet(path)
    return sampled, sampled.attrs["seconds"]


def quality(test: pd.DataFrame, rows: pd.DataFrame) -> tuple[float, float]:
    """Return SDMetrics' scores of column shapes and of column pair trends, 1 at best."""
    quality_report = QualityReport()
    quality_report.generate({"table": test}, {"table": rows}, describe(test), verbose=False)
    scores = quality_report.get_properties().set_index("Property")["Score"]
    return scores["Column Shapes"], scores["Column Pair Trends"]


def usefulness(test: pd.DataFrame, rows: pd.DataFrame, target: str) -> float:
    """Return accuracy or R2 on real rows of a gradient boosting trained on ``rows``."""
    labels = [name for name in test if name != target and not is_number(test[name])]
    known = {
        name: pd.CategoricalDtype(pd.concat([rows[name], test[name]]).dropna().unique())
        for name in labels
    }
    if is_number(test[target]):
        model = HistGradientBoostingRegressor(random_state=0)
    else:
        model = HistGradientBoostingClassifier(random_state=0)
    model.fit(rows.drop(columns=target).astype(known), rows[target])
    return model.score(test.drop(columns=target).astype(known), test[target])


def copies(rows: pd.DataFrame, train: pd.DataFrame) -> float:
    """Return the share of ``rows`` that equal a training row in every cell."""
    hashes = [pd.util.hash_pandas_object(table, index=False) for table in (rows, train)]
    return float(hashes[0].isin(hashes[1]).mean())


def compare(
    train: pd.DataFrame, test: pd.DataFrame, rows: pd.DataFrame, target: str
) -> tuple[float, float, float, float]:
    """Return every measure of one sample; of the training rows, copies are the held-out rows'."""
    copied = copies(test if rows is train else rows, train)
    return (*quality(test, rows), usefulness(test, rows, target), copied)


def format_means(means: np.ndarray) -> list[str]:
    """Return the cells of one row."""
    *scores, copied, seconds = means
    shown = "" if np.isnan(seconds) else f"{seconds:,.0f}"
    return [*(f"{score:.3f}" for score in scores), f"{copied:.2%}", shown]


def main() -> None:
    """Sample, compare, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--samples", type=Path, required=True, help="where sampled rows are kept")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    tables = arguments.tables or sorted(TARGETS)
    rows, of_tables = [], {method: [] for method in (REAL, *arguments.methods)}
    for name, table in load_mixed(arguments.data, tables, arguments.rows).items():
        for method in of_tables:
            results = []
            for seed in range(arguments.seeds):
                train, test = split(table, seed)
                sampled, seconds = train, np.nan
                if method != REAL:
                    path = arguments.samples / f"{name}-{method}-{seed}.parquet"
                    sampled, seconds = sample_once(path, method, train, seed, arguments.max_iter)
                results.append([*compare(train, test, sampled, TARGETS[name]), seconds])
            of_tables[method].append(np.mean(results, axis=0))
            rows.append([name, shape_of(table), method, *format_means(of_tables[method][-1])])
            print(*rows[-1], sep="  ", flush=True)
    for method, means in of_tables.items():
        rows.append(["mean", "", method, *format_means(np.mean(means, axis=0))])
    if not {*TARGETS, *METHODS} <= {*tables, *arguments.methods}:
        return  # a page of some would take the place of the page of all
    report.write(
        "mixed_synthetic",
        report.command(DIR=arguments.data, KEEP=arguments.samples),
        SUMMARY,
        (
            "table",
            "rows x columns",
            "rows judged",
            "column shapes",
            "pair trends",
            "learned from them",
            "copies",
            "seconds",
        ),
        rows,
        peers=("sdv", "ctgan", "sdmetrics", "pandas"),
    )


if __name__ == "__main__":
    main()
