"""Real tables of mixed columns for the benchmarks, prepared alike for every method."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

# Columns that name the row, which have no density to learn: FlowDensity refuses them.
IDENTIFIERS = {
    "communities_crime": ["communityname"],
    "movies": ["Title"],
    "telco_churn": ["customerID"],
}


def load_mixed(
    data: Path, names: Sequence[str] | None = None, most_rows: int | None = None
) -> dict[str, pd.DataFrame]:
    """Return the tables of ``data/mixed`` by name, without the columns that name a row.

    ``most_rows`` of a longer table are drawn, the same for every method.
    """
    folder = data / "mixed"
    tables = {}
    for name in names or sorted(path.stem for path in folder.glob("*.parquet")):
        table = pd.read_parquet(folder / f"{name}.parquet").drop(columns=IDENTIFIERS.get(name, []))
        if most_rows is not None and len(table) > most_rows:
            table = table.sample(most_rows, random_state=0).reset_index(drop=True)
        tables[name] = table
    return tables


def split(table: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return four fifths of the rows to fit and a fifth to score, shuffled."""
    rows = np.random.default_rng(seed).permutation(len(table))
    n_test = len(table) // 5
    shuffled = table.iloc[rows].reset_index(drop=True)
    return shuffled[n_test:].reset_index(drop=True), shuffled[:n_test]


def shape_of(table: pd.DataFrame) -> str:
    """Return rows and columns as the pages show them."""
    return f"{len(table):,} x {table.shape[1]}"


def add_arguments(parser: argparse.ArgumentParser, max_iter: int | str = "auto") -> None:
    """Add the arguments of every benchmark of mixed tables."""
    parser.add_argument("--data", type=Path, required=True, help="folder that holds mixed/")
    parser.add_argument("--tables", nargs="+", help="all that the benchmark has, if not given")
    parser.add_argument("--rows", type=int, help="rows of a table at most, drawn once")
    parser.add_argument(
        "--max-iter", type=number_or_auto, default=max_iter, help="FlowDensity's epochs at most"
    )


def number_or_auto(text: str) -> int | str:
    """Return what ``max_iter`` may be, from an argument."""
    return text if text == "auto" else int(text)
