"""Parquet files of drawn rows, written piece by piece."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

GROUP_ROWS = 250_000
N_REGIONS = 50
FIRST_DAY = np.datetime64("2020-01-01", "s")

Columns = dict[str, Any]


def numbers(generator: np.random.Generator, n_rows: int) -> Columns:
    """Draw 10 columns of floats."""
    factor = generator.normal(size=n_rows)
    return {f"x{j}": np.sin(factor * j) + generator.normal(size=n_rows) for j in range(1, 11)}


def mixed(generator: np.random.Generator, n_rows: int) -> Columns:
    """Draw 20 columns: floats, decimals, an atom, integers, labels, a date, missing values."""

    def noise() -> Any:
        return generator.normal(size=n_rows)

    def missing(values: Any, share: float) -> Any:
        return pa.array(values, mask=generator.random(n_rows) < share)

    group = generator.integers(0, 4, n_rows)
    factor = noise() + group
    labels = np.array(list("abcd"))
    regions = np.array([f"region {j}" for j in range(N_REGIONS)])
    columns = {f"x{j}": np.sin(factor * j) + noise() / 2 for j in range(1, 8)}
    columns |= {f"decimal{j}": (50 + 10 * j * (factor + noise())).round(2) for j in (1, 2)}
    columns |= {"atom": np.where(noise() < group - 1, 0.0, np.exp(factor / 2 + noise()))}
    columns |= {f"missing{j}": missing(factor + j * noise(), 0.3) for j in (1, 2)}
    columns |= {f"count{j}": generator.poisson(j * np.exp(factor / 4)) for j in (2, 20)}
    columns |= {"number": (1000 * (factor + noise())).astype(np.int64)}
    columns |= {"missing number": missing(generator.poisson(5 + group), 0.1)}
    columns |= {"label": labels[group]}
    other = (group + generator.integers(0, 2, n_rows)) % len(labels)
    columns |= {"missing label": missing(labels[other], 0.05)}
    columns |= {
        "region": regions[(N_REGIONS * generator.random(n_rows) ** (1 + group)).astype(int)]
    }
    days = (200 * (3 + factor + noise())).astype("timedelta64[D]")
    return columns | {"day": FIRST_DAY + days.astype("timedelta64[s]")}


def write(
    folder: Path,
    draw: Callable[[np.random.Generator, int], Columns],
    n_rows: int,
    n_files: int = 1,
) -> int:
    """Write rows to files in a folder, and return the bytes of these."""
    folder.mkdir(parents=True)
    n_groups = n_rows // GROUP_ROWS
    for k, groups in enumerate(np.array_split(np.arange(n_groups), n_files)):
        schema = pa.table(draw(np.random.default_rng(0), GROUP_ROWS)).schema
        with pq.ParquetWriter(folder / f"{k}.parquet", schema) as writer:
            for group in groups.tolist():
                generator = np.random.default_rng([0, group])
                writer.write_table(pa.table(draw(generator, GROUP_ROWS), schema=schema))
    return sum(path.stat().st_size for path in folder.iterdir())
