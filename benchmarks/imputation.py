"""Imputation of mixed tables beside scikit-learn's imputers and miceforest.

    python -m benchmarks.imputation --data DIR [--rows 2000] [--max-iter 40]

Cells of complete tables are hidden: 20 % completely at random (MCAR), 30 % with a probability that
depends on another column (MAR), 30 % with one that depends on the cell itself (MNAR). Each method
is fitted to the rows with hidden cells and draws them 20 times; a method that draws nothing gives
its guess 20 times. Per hidden cell: the CRPS of a number in units of the column's standard
deviation, the log-loss of a category with its share among the draws, smoothed by one draw; the
root mean square error of the median; the energy distance of completed to true rows, in thousandths,
the mean over draws; and the share of true numbers within the draws' 5 % and 95 % quantiles.
miceforest is left out where it is not installed.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from benchmarks.common import report
from benchmarks.common.mixed_tables import add_arguments, load_mixed, shape_of
from skflow import FlowDensity, FlowImputer

FloatArray = NDArray[np.float64]
Draws = list[pd.DataFrame]

TABLES = (
    *("abalone", "adult", "california_housing", "diamonds"),
    *("mpg", "penguins", "titanic", "wage"),
)
N_DRAWS = 20
MECHANISMS = {"MCAR": 0.2, "MAR": 0.3, "MNAR": 0.3}
MOST_LEVELS = 30  # more levels of a category are left out
ENERGY_ROWS = 500


def complete(table: pd.DataFrame) -> pd.DataFrame:
    """Return numbers and categories of few levels, and the rows that have them all."""
    few_missing = table.loc[:, table.isna().mean() < 0.25].dropna(ignore_index=True)
    kept = {}
    for name, cells in few_missing.items():
        if pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells):
            kept[name] = cells.astype(float)
        elif 1 < cells.nunique() <= MOST_LEVELS:
            kept[name] = cells.astype(str)
    return pd.DataFrame(kept)


def hide(table: pd.DataFrame, mechanism: str, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which cells are hidden; one cell of each row is known at least."""
    share = MECHANISMS[mechanism]
    ranks = np.column_stack([cells.rank(pct=True) for _, cells in table.items()])
    if mechanism == "MAR":  # the next column decides
        ranks = np.roll(ranks, 1, axis=1)
    odds = np.full(table.shape, share) if mechanism == "MCAR" else 2 * share * ranks
    hidden = rng.random(table.shape) < odds
    if mechanism == "MAR":
        hidden[:, ::2] = False  # columns that decide are known
        hidden[:, 1::2] |= rng.random(hidden[:, 1::2].shape) < 0.02
    whole = hidden.all(axis=1)
    hidden[whole, rng.integers(table.shape[1], size=whole.sum())] = False
    return hidden


def in_numbers(method: Callable[[int], object], n_draws: int) -> Callable[[pd.DataFrame], Draws]:
    """Return an imputer of numbers as one of tables: categories one-hot, the largest back."""

    def impute(partial: pd.DataFrame) -> Draws:
        parts, owners = [], []
        for name, cells in partial.items():
            if cells.dtype == float:
                spread = float(cells.std()) or 1.0
                parts.append(((cells - cells.mean()) / spread).to_numpy()[:, None])
                owners.append((name, None, (float(cells.mean()), spread)))
            else:
                levels = sorted(cells.dropna().unique())
                hot = (cells.to_numpy()[:, None] == np.array(levels, dtype=object)).astype(float)
                hot[cells.isna()] = np.nan
                parts.append(hot)
                owners.append((name, np.array(levels, dtype=object), None))
        ends = np.cumsum([part.shape[1] for part in parts])
        draws = []
        for seed in range(n_draws):
            filled = method(seed).fit_transform(np.hstack(parts))  # type: ignore[attr-defined]
            table = partial.copy()
            for (name, levels, scale), part in zip(
                owners, np.split(filled, ends[:-1], axis=1), strict=True
            ):
                guess = (
                    levels[part.argmax(axis=1)]
                    if scale is None
                    else part[:, 0] * scale[1] + scale[0]
                )
                table[name] = partial[name].where(partial[name].notna(), guess)
            draws.append(table)
        return draws * (N_DRAWS // n_draws)

    return impute


def by_flow(max_iter: int | str, n_layers: int | str) -> Callable[[pd.DataFrame], Draws]:
    """Return FlowImputer as a function of a table."""

    def impute(partial: pd.DataFrame) -> Draws:
        density = FlowDensity(max_iter=max_iter, n_layers=n_layers)
        imputer = FlowImputer(density, random_state=0).fit(partial)
        return [imputer.set_params(random_state=seed).transform(partial) for seed in range(N_DRAWS)]

    return impute


def by_miceforest(partial: pd.DataFrame) -> Draws:
    """Chained equations with predictive mean matching on gradient boosting."""
    import miceforest

    typed = partial.copy()
    for name in typed.select_dtypes(exclude="number").columns:
        typed[name] = typed[name].astype("category")
    kernel = miceforest.ImputationKernel(typed, num_datasets=N_DRAWS, random_state=0)
    try:
        kernel.mice(3)
    except ValueError:  # matching by log-odds fails where a class has probability 1
        lacking = typed.loc[:, typed.isna().any()].select_dtypes("category")
        drawn = dict.fromkeys(lacking.columns, "fast")
        kernel = miceforest.ImputationKernel(
            typed, num_datasets=N_DRAWS, random_state=0, mean_match_strategy=drawn
        )
        kernel.mice(3)
    return [
        kernel.complete_data(k).astype(partial.dtypes.to_dict()).reset_index(drop=True)
        for k in range(N_DRAWS)
    ]


def methods(max_iter: int | str) -> dict[str, Callable[[pd.DataFrame], Draws]]:
    """Return all imputers that are installed, by name."""
    trees = ExtraTreesRegressor(50, random_state=0)
    found = {
        "FlowImputer": by_flow(max_iter, "auto"),
        "FlowImputer, n_layers=0": by_flow(max_iter, 0),
        "SimpleImputer": in_numbers(lambda _: SimpleImputer(strategy="median"), 1),
        "KNNImputer": in_numbers(lambda _: KNNImputer(), 1),
        "IterativeImputer": in_numbers(
            lambda seed: IterativeImputer(sample_posterior=True, random_state=seed), N_DRAWS
        ),
        "missForest": in_numbers(lambda _: IterativeImputer(trees, max_iter=5, random_state=0), 1),
    }
    if find_spec("miceforest"):
        found["miceforest"] = by_miceforest
    return found


def evaluate(table: pd.DataFrame, hidden: NDArray[np.bool_], draws: Draws) -> dict[str, float]:
    """Return the scores of draws of hidden cells, each a mean over columns."""
    scores: dict[str, list[float]] = {"CRPS": [], "log-loss": [], "RMSE": [], "coverage": []}
    for j, (name, truth) in enumerate(table.items()):
        cells = hidden[:, j]
        if not cells.any():
            continue
        drawn = np.array([draw[name].to_numpy()[cells] for draw in draws])
        if truth.dtype == float:
            spread = float(truth.std()) or 1.0
            errors = (drawn.astype(float) - truth.to_numpy()[cells]) / spread
            differences = np.abs(errors[:, None] - errors[None]).sum(axis=(0, 1))
            unbiased = differences / (2 * N_DRAWS * (N_DRAWS - 1))
            scores["CRPS"].append(float((np.abs(errors).mean(axis=0) - unbiased).mean()))
            scores["RMSE"].append(float(np.sqrt((np.median(errors, axis=0) ** 2).mean())))
            # The k-th of n draws is the quantile k / (n + 1): right draws then cover 90 %.
            low, high = np.quantile(errors, [0.05, 0.95], axis=0, method="weibull")
            scores["coverage"].append(float(((low <= 0) & (high >= 0)).mean()))
        else:
            hits = (drawn == truth.to_numpy()[cells]).sum(axis=0)
            share = (hits + 1 / truth.nunique()) / (N_DRAWS + 1)
            scores["log-loss"].append(float(-np.log(share).mean()))
    found = {name: float(np.mean(values)) if values else np.nan for name, values in scores.items()}
    energy = np.mean([energy_distance(table, draw) for draw in draws])
    return found | {"energy": 1000 * float(energy)}


def energy_distance(table: pd.DataFrame, other: pd.DataFrame) -> float:
    """Return the energy distance of rows: numbers in standard deviations, categories one-hot."""
    points = []
    for rows in (table, other):
        parts = [
            (rows[[name]].to_numpy(dtype=float) - cells.mean()) / (cells.std() or 1.0)
            if cells.dtype == float
            else (rows[[name]].to_numpy() == np.array(sorted(set(cells)), dtype=object)) * 2**-0.5
            for name, cells in table.items()
        ]
        points.append(np.hstack(parts).astype(float)[:ENERGY_ROWS])
    between, own, its = (cdist(a, b).mean() for a, b in (points, points[:1] * 2, points[1:] * 2))
    return float(2 * between - own - its)


def compare(
    name: str, table: pd.DataFrame, max_iter: int | str, chosen: list[str] | None
) -> Iterator[list[str]]:
    """Yield a row of the page for each mechanism and method."""
    for mechanism in MECHANISMS:
        hidden = hide(table, mechanism, np.random.default_rng(0))
        partial = table.mask(hidden)
        for method, impute in methods(max_iter).items():
            if chosen and method not in chosen:
                continue
            start = time.perf_counter()
            scores = evaluate(table, hidden, impute(partial))
            seconds = time.perf_counter() - start
            figures = [f"{score:.3f}" for score in scores.values()]
            yield [name, shape_of(table), mechanism, method, *figures, f"{seconds:.0f}"]


def main() -> None:
    """Measure every table, print and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    parser.add_argument("--methods", nargs="+", help="all, if not given")
    arguments = parser.parse_args()
    tables = load_mixed(arguments.data, arguments.tables or TABLES, arguments.rows)
    rows = []
    for name, table in tables.items():
        for row in compare(name, complete(table), arguments.max_iter, arguments.methods):
            rows.append(row)
            print(*row, sep="  ", flush=True)
    header = ("table", "rows x columns", "hidden", "method", "CRPS", "log-loss", "RMSE")
    report.write(
        "imputation",
        report.command(DIR=arguments.data),
        "Hidden cells of complete tables, drawn 20 times by each method.",
        (*header, "coverage", "energy", "seconds"),
        rows,
        peers=("pandas", *(["miceforest"] if find_spec("miceforest") else [])),
    )


if __name__ == "__main__":
    main()
