"""Held-out nats per row on mixed tables: FlowDensity() beside two other densities.

    python -m pip install . arfpy pyarrow "numpy<2.4"
    python -m benchmarks.mixed_likelihood --data DIR [--seeds 3]

First beside its own columns taken one by one: what the dependence between columns is
worth, in the same measure. Then beside adversarial random forests (arfpy, defaults),
whose density is a mixture of leaves in which labels are multinomial and numbers
truncated normal. The forest has neither grids, atoms nor missing values, so both get the
columns where their measures agree; see ``agreeing``. arfpy samples but does not score;
``score_forest`` reads the density off the leaves it fitted.
"""

import argparse
from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone

from benchmarks.common import report
from benchmarks.common.mixed_tables import add_arguments, load_mixed, shape_of, split
from benchmarks.peers.forest import score_forest
from skflow import FlowDensity

FloatArray = NDArray[np.float64]

TABLES = (
    "adult",
    "bank_full",
    "california_housing",
    "diamonds",
    "nyc_weather",
    "taxis",
    "titanic",
    "wage",
)
MOST_MISSING = 0.2  # a column with more missing values is left out rather than its rows


def bound(wage: pd.DataFrame) -> pd.DataFrame:
    """Return the wage table with a density that has a bound.

    Its wages, long fractions, repeat on no grid, and the logarithm of one adds no freedom.
    """
    return wage.drop(columns="logwage").round({"wage": 1})


def score_alone(flow: FlowDensity, train: pd.DataFrame, test: pd.DataFrame) -> FloatArray:
    """Return the log-density of ``test`` under ``flow``'s columns taken as independent."""
    scores = np.zeros(len(test))
    for column in flow.schema_.columns:
        alone = clone(flow).set_params(n_layers=0).fit(train[[column.name]])
        if alone.schema_.columns != (column,):
            raise ValueError(f"Column {column.name!r} alone is on another measure: {alone.schema_}")
        scores += alone.score_samples(test[[column.name]])
    return scores


def agreeing(table: pd.DataFrame, columns: Iterable) -> pd.DataFrame:
    """Return the columns, and rows, of ``table`` on which both methods use one measure.

    ``columns`` are FlowDensity's schemas of them. Categories and few levels become
    labels, a missing one among them. Numbers and dates (as seconds) are blurred once by
    uniform noise one step of their grid wide, or one smallest gap where values repeat
    on no grid. Constant columns and columns with atoms are left out, then columns with
    many missing values, then rows with one.
    """
    rng = np.random.default_rng(0)
    agreed = {}
    for column in columns:
        cells = table[column.name]
        if column.kind in ("categorical", "levels"):
            labels = cells.astype(str).where(cells.notna(), "missing").astype("category")
            if len(labels.cat.categories) > 1:
                agreed[column.name] = labels
        elif column.kind != "constant" and not column.atoms and cells.isna().mean() < MOST_MISSING:
            agreed[column.name] = _blur(_as_numbers(cells), column.step, rng)
    return pd.DataFrame(agreed).dropna(ignore_index=True)


def _as_numbers(cells: pd.Series) -> pd.Series:
    if pd.api.types.is_datetime64_any_dtype(cells):
        cells = (cells - cells.min()).dt.total_seconds()
    return cells.astype(np.float64)


def _blur(cells: pd.Series, step: float | None, rng: np.random.Generator) -> pd.Series:
    distinct = np.unique(cells.dropna())
    if step is None and len(distinct) < cells.count():
        gaps = np.diff(distinct)
        step = gaps[gaps > 1e-9 * np.ptp(distinct)].min()
    return cells + (step or 0.0) * rng.uniform(-0.5, 0.5, len(cells))


def compare(name: str, table: pd.DataFrame, pairs: list[tuple[FloatArray, FloatArray]]) -> list:
    """Return the cells of one row from the two methods' scores, a pair for each seed."""
    flow, peer = np.array(pairs).swapaxes(0, 1)
    differences = flow - peer
    error = differences.std() / np.sqrt(differences.shape[1])  # the seeds share their rows
    return [
        name,
        shape_of(table),
        f"{flow.mean():.2f}",
        f"{peer.mean():.2f}",
        f"{differences.mean():+.2f} ± {error:.2f}",
        f"{(differences > 0).mean():.0%}",
        f"{(differences.mean(axis=1) > 0).sum()} of {len(pairs)}",
    ]


def main() -> None:
    """Measure every table, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    alone_rows, forest_rows = [], []
    for name, table in load_mixed(
        arguments.data, arguments.tables or TABLES, arguments.rows
    ).items():
        if name == "wage":
            table = bound(table)
        pairs, agreed_pairs = [], []
        for seed in range(arguments.seeds):
            flow = FlowDensity(random_state=seed, max_iter=arguments.max_iter)
            train, test = split(table, seed)
            pairs.append((flow.fit(train).score_samples(test), score_alone(flow, train, test)))
            if seed == 0:
                agreed = agreeing(table, flow.schema_.columns)
            train, test = split(agreed, seed)
            agreed_pairs.append(
                (flow.fit(train).score_samples(test), score_forest(train, test, seed))
            )
        alone_rows.append(compare(name, table, pairs))
        forest_rows.append(compare(name, agreed, agreed_pairs))
        print(*alone_rows[-1], sep="  ")
        print(*forest_rows[-1], sep="  ", flush=True)
    for page, summary, rows in (
        ("mixed_likelihood", ALONE, alone_rows),
        ("mixed_likelihood_forest", FOREST, forest_rows),
    ):
        ahead = sum(float(row[4].split()[0]) > 0 for row in rows)
        report.write(
            page,
            report.command(DIR=arguments.data),
            f"{summary} FlowDensity() is ahead on {ahead} of {len(rows)} tables.",
            ("table", "rows x columns", "FlowDensity", "peer", "difference", "rows ahead", "seeds"),
            rows,
            peers=("arfpy", "pandas"),
        )


ALONE = (
    "Held-out nats per row of FlowDensity(), beside its own columns taken as independent; mean "
    "difference with its standard error over rows, the share of rows on which it is ahead, and "
    "the seeds. In wage, the wages are rounded to a decimal, and their logarithms left out."
)
FOREST = (
    "Held-out nats per row of FlowDensity(), beside an adversarial random forest, on the columns "
    "where their measures agree: categories and few levels as labels; numbers and dates blurred "
    "once, the same for both; without constant columns, columns with atoms or with more than "
    "20 % missing, and rows with a missing number. The smoothing of the forest's labels is the "
    "one that suits the scored rows best."
)


if __name__ == "__main__":
    main()
