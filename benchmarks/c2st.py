"""Classifier two-sample test: sampled rows, beside real ones, for a boosted classifier.

    python -m benchmarks.c2st --data DIR [--tables taxis] [--seeds 0]
    python -m benchmarks.c2st --page

FlowDensity() is fitted to 20,000 rows of each mixed table at most, drawn at random, and samples as
many. scikit-learn's HistGradientBoostingClassifier with its defaults learns to tell both apart, by
three-fold cross-validation: its AUROC is 0.5 where it cannot, and 1 where each row gives itself
away (Lopez-Paz and Oquab, 2017). The column that matters most to it is the one that lowers the
AUROC of held-out rows most when it is shuffled.
"""

import argparse
import time
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.inspection import permutation_importance
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from benchmarks.common import report
from benchmarks.common.mixed_tables import load_mixed
from benchmarks.common.records import add_arguments, drop_records, measure_missing, read_records
from skflow import FlowDensity

TABLES = (
    *("abalone", "adult", "bank_full", "california_housing", "cps_sw8", "diamonds"),
    *("dutch_census", "law_school", "movies", "mpg", "nyc_weather", "nycflights_sample"),
    *("taxis", "telco_churn", "titanic", "wage"),
)
METHOD = "FlowDensity()"
MOST_ROWS = 20_000
N_FOLDS = 3
MOST_LEVELS = 255  # of a category, for the classifier; rarer ones are one level
TARGET, LIMIT, SHARE = 0.6, 0.7, 12
LIBRARIES = ("skflow", "scikit-learn", "torch", "numpy")


def in_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Return columns as the classifier reads them: numbers, and categories with few levels."""
    read = {}
    for name, cells in table.items():
        if pd.api.types.is_datetime64_any_dtype(cells):
            read[name] = ((cells - cells.min()) / pd.Timedelta(seconds=1)).to_numpy()
        elif pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells):
            read[name] = cells.to_numpy(dtype=float, na_value=np.nan)
        else:
            common = cells.value_counts().index[: MOST_LEVELS - 1]
            code_of = {level: code for code, level in enumerate(common)}
            codes = cells.astype(object).map(code_of).astype(float)
            read[name] = pd.Categorical(codes.mask(codes.isna() & cells.notna(), len(common)))
    return pd.DataFrame(read)


def measure(folder: Path, table: str, seed: int, method: str) -> dict:
    """Sample as many rows as were fitted, and tell both apart."""
    real = load_mixed(folder, [table], MOST_ROWS)[table]
    start = time.process_time()
    flow = FlowDensity(random_state=seed).fit(real)
    sampled = flow.sample(len(real), random_state=seed).astype(real.dtypes)
    seconds = time.process_time() - start
    X = in_numbers(pd.concat((real, sampled), ignore_index=True))
    is_real = np.repeat([1, 0], len(real))
    auroc, importance = [], np.zeros(X.shape[1])
    for train, test in StratifiedKFold(N_FOLDS, shuffle=True, random_state=0).split(X, is_real):
        model = HistGradientBoostingClassifier(
            random_state=0, categorical_features="from_dtype"
        ).fit(X.iloc[train], is_real[train])
        auroc.append(roc_auc_score(is_real[test], model.predict_proba(X.iloc[test])[:, 1]))
        shuffled = permutation_importance(
            model, X.iloc[test], is_real[test], scoring="roc_auc", n_repeats=1, random_state=0
        )
        importance += shuffled.importances_mean / N_FOLDS
    return {
        "rows": len(real),
        "columns": X.shape[1],
        "auroc": round(float(np.mean(auroc)), 4),
        "column": str(X.columns[importance.argmax()]),
        "loss": round(float(importance.max()), 4),
        "seconds": round(seconds, 1),
    }


def write_page(records: list[dict]) -> None:
    """Write the table of all that was measured."""
    of_tables: dict[str, list[dict]] = {}
    for record in records:
        of_tables.setdefault(record["table"], []).append(record)
    rows, means = [], []
    for table, measured in sorted(of_tables.items()):
        first, auroc = measured[0], [record["auroc"] for record in measured]
        means.append(float(np.mean(auroc)))
        shape = f"{first['rows']:,} x {first['columns']}"
        rows.append([table, shape, f"{means[-1]:.3f}", first["column"], f"{first['loss']:.3f}"])
        rows[-1].append(f"{np.mean([record['seconds'] for record in measured]):,.0f}")
    n_low, n_high = sum(mean <= TARGET for mean in means), sum(mean > LIMIT for mean in means)
    command = "python -m benchmarks.c2st --data DIR --page"
    report.write(
        "c2st",
        command,
        f"AUROC of a boosted classifier between fitted and sampled rows, 0.5 at best: at most "
        f"{TARGET} on {n_low} of {len(means)} tables (target: {SHARE} of {len(TABLES)}), above "
        f"{LIMIT} on {n_high} (target: none). The column is the one that matters most to the "
        "classifier, and by how much its shuffling lowers the AUROC. Processor seconds to fit and "
        "sample.",
        ("table", "rows x columns", "AUROC", "column", "lowers it by", "seconds"),
        rows,
        footer=report.footer_of(records, command),
    )


def main() -> None:
    """Measure what is missing, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with mixed/*.parquet")
    parser.add_argument("--tables", nargs="+", default=TABLES, choices=TABLES)
    add_arguments(parser, "c2st")
    parser.set_defaults(seeds=[0])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    jobs = [
        {"table": table, "seed": seed, "method": METHOD}
        for seed, table in product(arguments.seeds, arguments.tables)
    ]
    if arguments.fresh:
        drop_records(arguments.results, jobs)
    if arguments.data is not None:
        with threadpool_limits(1):
            measured = partial(measure, arguments.data)
            measure_missing(
                arguments.results, jobs, measured, LIBRARIES, ("auroc", "column", "seconds")
            )
    if arguments.page:
        write_page(read_records(arguments.results))


if __name__ == "__main__":
    main()
