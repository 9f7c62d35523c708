"""Real tables for the benchmarks, prepared alike for every method."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

NEARLY_EQUAL = 1 - 1e-6  # correlation from which a column counts as a duplicate


def load_tables(data: Path, fewest: int = 300, most: int = 20_000) -> dict[str, FloatArray]:
    """Return every regression table of ``data`` with so many rows, target included.

    Repeated values are blurred once, the same for every method, by uniform noise
    one grid step wide; constant and duplicate columns are dropped.
    """
    tables = {}
    for folder in ("reg", "uci_gp"):
        for path in sorted((data / folder).glob("*.npz")):
            arrays = np.load(path)
            table = np.column_stack([arrays["X"], arrays["y"]]).astype(np.float64)
            if fewest <= len(table) <= most:
                tables[path.stem] = _drop_duplicates(_blur(table, np.random.default_rng(0)))
    return tables


def split(table: FloatArray, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return four fifths of the rows to fit and a fifth to score, shuffled."""
    rows = np.random.default_rng(seed).permutation(len(table))
    n_test = len(table) // 5
    return table[rows[n_test:]], table[rows[:n_test]]


def _blur(table: FloatArray, rng: np.random.Generator) -> FloatArray:
    columns = []
    for values in table.T:
        distinct = np.unique(values)
        if len(distinct) == 1:
            continue
        if len(distinct) < len(values):
            gaps = np.diff(distinct)
            step = gaps[gaps > 1e-9 * np.ptp(distinct)].min()
            values = values + rng.uniform(-step / 2, step / 2, len(values))
        columns.append(values)
    return np.column_stack(columns)


def _drop_duplicates(table: FloatArray) -> FloatArray:
    correlation = np.abs(np.corrcoef(table.T))
    earlier = np.triu(correlation, k=1).max(axis=0)
    return table[:, earlier < NEARLY_EQUAL]
