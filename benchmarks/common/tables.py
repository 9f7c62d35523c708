"""Real tables for the benchmarks, prepared alike for every method."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

POWER = "power_first60days"
# Its columns by place, each with the width of its noise: active power, voltage, three
# sub-meterings, and the minute of the day, which is blurred like any repeated value.
POWER_NOISE = {0: 0.001, 2: 0.01, 4: 1.0, 5: 1.0, 6: 1.0, 7: 0.0}
NEARLY_EQUAL = 1 - 1e-6  # correlation from which a column counts as a duplicate


def load_tables(data: Path) -> dict[str, FloatArray]:
    """Return the continuous tables of ``data`` by name, the smallest first.

    These are the regression tables of ``reg`` and ``uci_gp``, target included, and the
    two of ``density``. Repeated values are blurred once, the same for every method, by
    uniform noise one grid step wide; constant and duplicate columns are dropped.
    """
    tables = {path.stem: _load_regression(path) for path in _files(data, "reg", "uci_gp")}
    tables |= {path.stem: np.load(path)["X"].astype(np.float64) for path in _files(data, "density")}
    if POWER in tables:
        tables[POWER] = _prepare_power(tables[POWER], np.random.default_rng(0))
    prepared = {
        name: drop_duplicates(blur(table, np.random.default_rng(0)))
        for name, table in tables.items()
    }
    return dict(sorted(prepared.items(), key=lambda item: item[1].size))


def make_table(n_rows: int, n_columns: int) -> FloatArray:
    """Return dependent columns."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(n_rows, n_columns))
    mixed = np.sin(hidden @ rng.normal(size=(n_columns, n_columns)))
    return mixed + 0.3 * hidden


def split(table: FloatArray, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return four fifths of the rows to fit and a fifth to score, shuffled."""
    rows = np.random.default_rng(seed).permutation(len(table))
    n_test = len(table) // 5
    return table[rows[n_test:]], table[rows[:n_test]]


def _files(data: Path, *folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((data / folder).glob("*.npz"))]


def _load_regression(path: Path) -> FloatArray:
    arrays = np.load(path)
    return np.column_stack([arrays["X"], arrays["y"]]).astype(np.float64)


def _prepare_power(table: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return the columns and the noise of Papamakarios et al. (2017)."""
    kept = table[:, list(POWER_NOISE)]
    return kept + rng.uniform(0, list(POWER_NOISE.values()), kept.shape)


def blur(table: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Add uniform noise one grid step wide to columns of repeated values; drop constant ones."""
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


def drop_duplicates(table: FloatArray) -> FloatArray:
    """Drop columns that correlate to 1 with an earlier one."""
    correlation = np.abs(np.corrcoef(table.T))
    earlier = np.triu(correlation, k=1).max(axis=0)
    return table[:, earlier < NEARLY_EQUAL]
