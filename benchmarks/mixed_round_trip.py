"""Rows back from latents on real mixed tables: share of cells equal, missing values included.

    python -m benchmarks.mixed_round_trip --data DIR [--max-iter 2]

Four fifths of each table are fitted, for few epochs, since exactness must not wait for
a good fit. Rows then go through ``transform`` and ``inverse_transform``: the training
rows, the held-out rows, these again after pickling, twenty of them one by one, and in
shuffled order as a frame of latents that carries the index.

Promised equal is every cell but a float64 of more than 13 significant digits relative
to its column's scale, the 0.9 quantile of magnitudes (to its own where it is larger);
compared here cell by cell, without the package's own code.
"""

import argparse
import math
import pickle
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.common import report
from benchmarks.common.mixed_tables import add_arguments, load_mixed, shape_of, split
from skflow import FlowDensity

DIGITS = 13
ONE_BY_ONE = 20
LIMIT = 1e-11  # for cells that are not promised equal, relative to the column's scale


class Tally:
    """What the round trips of one table gave back."""

    def __init__(self, train: pd.DataFrame) -> None:
        floats = train.select_dtypes("float64")
        self.scales = {name: scale_of(cells) for name, cells in floats.items()}
        self.cells = self.promised = self.equal = 0
        self.frames: list[bool] = []
        self.largest_error = 0.0

    def add(self, rows: pd.DataFrame, back: pd.DataFrame) -> None:
        """Compare rows with what came back of them."""
        whole = []
        for name, cells in rows.items():
            promised = is_promised(cells, self.scales.get(name))
            equal = same_cells(cells, back[name])
            self.cells += len(cells)
            self.promised += promised.sum()
            self.equal += (equal & promised).sum()
            if not equal[promised].all():
                first = np.flatnonzero(promised & ~equal)[0]
                print(f"{name}: {cells.iloc[first]!r} came back {back[name].iloc[first]!r}")
            if promised.all():
                whole.append(name)
            else:
                errors = (cells - back[name])[~promised].abs() / self.scales[name]
                self.largest_error = np.maximum(self.largest_error, errors.max(skipna=False))
        try:
            pd.testing.assert_frame_equal(rows[whole], back[whole], check_exact=True)
            self.frames.append(True)
        except AssertionError:
            self.frames.append(False)


def scale_of(cells: pd.Series) -> float:
    """Return the magnitude below which nine tenths of the values lie; the largest if that is 0."""
    magnitudes = cells.dropna().abs()
    return float(magnitudes.quantile(0.9)) or float(magnitudes.max()) or 1.0


def is_promised(cells: pd.Series, scale: float | None) -> NDArray[np.bool_]:
    """Return which cells must come back equal; ``scale`` is None but for float64."""
    if scale is None:
        return np.ones(len(cells), dtype=bool)
    distinct, where = np.unique(cells, return_inverse=True)
    return np.array([math.isnan(x) or _is_short(x, scale) for x in distinct.tolist()])[where]


def _is_short(x: float, scale: float) -> bool:
    decimals = DIGITS - 1 - math.floor(math.log10(max(scale, abs(x))))
    return round(x, decimals) == x


def same_cells(cells: pd.Series, back: pd.Series) -> NDArray[np.bool_]:
    """Return which cells are equal, or the same kind of missing, under the same dtype."""
    if cells.dtype != back.dtype:
        return np.zeros(len(cells), dtype=bool)
    equal = (cells == back).to_numpy(dtype=bool, na_value=False, copy=True)
    missing = (cells.isna() & back.isna()).to_numpy()
    markers = [column[missing].astype(object).map(type) for column in (cells, back)]
    equal[missing] = markers[0] == markers[1]
    return equal


def is_reversible(train: pd.DataFrame, test: pd.DataFrame) -> pd.Series:
    """Return which rows hold only categories, and missing values, that training rows hold too."""
    reversible = pd.Series(True, index=test.index)
    for name, cells in test.items():
        if not train[name].hasnans:
            reversible &= cells.notna()
        if not (pd.api.types.is_numeric_dtype(cells) or cells.dtype.kind == "M"):
            reversible &= cells.isin(train[name])
    return reversible


def count_refused(flow: FlowDensity, rows: pd.DataFrame) -> int:
    """Return how many of the rows ``transform`` refuses, one by one."""
    refused = 0
    for row in range(len(rows)):
        try:
            flow.transform(rows[row : row + 1])
        except ValueError:
            refused += 1
    return refused


def round_trips(
    flow: FlowDensity, train: pd.DataFrame, test: pd.DataFrame
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Yield rows and what comes back of them, way by way."""
    for rows in (train, test):
        yield rows, flow.inverse_transform(flow.transform(rows))
    restored = pickle.loads(pickle.dumps(flow))
    yield test, restored.inverse_transform(flow.transform(test))
    some = test[:ONE_BY_ONE]
    singles = [some[row : row + 1] for row in range(len(some))]
    back = [flow.inverse_transform(flow.transform(single)) for single in singles]
    yield some, pd.concat(back, ignore_index=True)
    shuffled = test.sample(frac=1, random_state=0)
    restored.set_output(transform="pandas")
    yield shuffled, restored.inverse_transform(restored.transform(shuffled))


def measure(name: str, table: pd.DataFrame, max_iter: int | str) -> tuple[Tally, list[str]]:
    """Return the tally of one table and its row of the page."""
    train, test = split(table, seed=0)
    flow = FlowDensity(max_iter=max_iter, random_state=0).fit(train)
    reversible = is_reversible(train, test)
    refused = count_refused(flow, test[~reversible])
    tally = Tally(train)
    for rows, back in round_trips(flow, train, test[reversible].reset_index(drop=True)):
        tally.add(rows, back)
    kinds = Counter(column.kind for column in flow.schema_.columns)
    exact = tally.promised == tally.cells
    return tally, [
        name,
        shape_of(table),
        ", ".join(f"{count} {kind}" for kind, count in kinds.items()),
        f"{refused} of {len(test)}" if refused == (~reversible).sum() else f"WRONG: {refused}",
        f"{tally.promised / tally.cells:.3%}",
        f"{tally.equal / tally.promised:.4%}",
        "" if exact else f"{tally.largest_error:.0e}",
        f"{sum(tally.frames)} of {len(tally.frames)}",
    ]


def main() -> None:
    """Measure every table, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser, max_iter=2)
    arguments = parser.parse_args()
    tallies, rows = [], []
    tables = load_mixed(arguments.data, arguments.tables, arguments.rows)
    for name, table in sorted(tables.items(), key=lambda pair: pair[1].size):
        tally, row = measure(name, table, arguments.max_iter)
        tallies.append(tally)
        rows.append(row)
        print(*row, sep="  ", flush=True)
    promised = sum(tally.promised for tally in tallies)
    unequal = promised - sum(tally.equal for tally in tallies)
    largest_error = max(tally.largest_error for tally in tallies)
    report.write(
        "mixed_round_trip",
        report.command(DIR=arguments.data),
        f"Of {promised:,} cells promised equal in {len(rows)} tables, {unequal:,} were not; the "
        f"largest error of the other float64 cells was {largest_error:.0e} of their column's "
        f"scale (limit {LIMIT:.0e}). Refused: held-out rows with a category, or a hole, that no "
        "training row has; they have no way back. Frames: comparisons, of five, in which "
        "all columns promised whole were equal as frames.",
        (
            "table",
            "rows x columns",
            "kinds",
            "refused",
            "promised",
            "of these equal",
            "largest error of others",
            "frames",
        ),
        rows,
        peers=("pandas",),
    )


if __name__ == "__main__":
    main()
