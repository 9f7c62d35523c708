"""The schema of parts, merged in whatever order, is that of the whole."""

import warnings
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skflow.table import distinct, summary
from skflow.table.distinct import Frequencies, find_divisors, find_finest
from skflow.table.frames import Container
from skflow.table.inference import infer_schema
from skflow.table.storage import StoredTable
from skflow.table.summary import TableSummary, summarise
from tests.mixed import every_kind


def read(frame: pd.DataFrame) -> StoredTable:
    return Container.fit(frame, [str(name) for name in frame]).read(frame)


def outcome(table: Any, **options: Any) -> tuple[Any, ...]:
    """Schema with all fields, or the error; and warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            columns = infer_schema(table, **options).columns
            said: Any = [tuple(vars(column).items()) for column in columns]
        except ValueError as error:
            said = str(error)
    return said, [str(warning.message) for warning in caught]


def outcome_of_parts(parts: list[pd.DataFrame], **options: Any) -> tuple[Any, ...]:
    return outcome(summarise(lambda: map(read, parts)), **options)


@pytest.fixture
def few_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are dropped from 70 different ones on."""
    monkeypatch.setattr(distinct, "MOST_KEPT", 70)


def draw_column(rng: np.random.Generator, n_rows: int) -> Any:
    """Cells of one of many sorts, some with atoms, gaps, ends that repeat, missing values."""
    size = 10.0 ** rng.integers(-6, 7)
    real = rng.normal(size=n_rows) * size + rng.choice([0, 3, 1e4]) * size
    whole = rng.integers(-500, 500, n_rows) * 10 ** int(rng.integers(0, 5))
    ticks = rng.integers(-(10**9), 10**9, n_rows) * int(rng.choice([1, 60, 3600, 86400]))
    columns = [
        real,
        np.abs(real),
        real.astype(np.float32),
        real.round(int(rng.integers(0, 6))),
        (real.round(int(rng.integers(0, 3)))).astype(np.float32),
        np.minimum(real, np.quantile(real, 0.9)) if n_rows else real,
        np.where(rng.random(n_rows) < 0.2, size, real),
        whole,
        whole.astype(np.float64),
        whole * int(rng.choice([3, 25])),
        (whole * 5 / 10 ** int(rng.integers(0, 4))).astype(rng.choice(["f4", "f8"])),
        np.where(rng.random(n_rows) < 0.5, whole // 20 * 20, whole) / rng.choice([1, 100]),
        whole.astype(np.int16 if rng.random() < 0.5 else np.int64),
        rng.choice(np.array([2**62, 2**61, 3 * 2**60, -(2**63)]), n_rows),
        rng.integers(0, 2**64, n_rows, dtype=np.uint64),
        rng.choice(np.array([1e300, -1e300, 5e-324, 0.0, -0.0, 2.0**80]), n_rows)
        * rng.random(n_rows),
        rng.integers(0, int(rng.integers(1, 80)), n_rows),
        rng.integers(0, 3, n_rows) / 8,
        ticks.astype("M8[s]"),
        (ticks * 10**6).astype("m8[us]"),
        rng.random(n_rows) < 0.3,
        rng.choice(["a", "b", "c d"], n_rows),
        np.array([str(i) for i in rng.integers(0, 400, n_rows)], dtype=object),
    ]
    column = pd.Series(columns[rng.integers(len(columns))])
    if rng.random() < 0.2 and column.dtype.kind in "iufbO":
        column = column.astype(object)
    if rng.random() < 0.2 and n_rows:
        value = column.iloc[rng.integers(n_rows)]
        column = column.mask(rng.random(n_rows) < rng.choice([0.02, 0.5]), value)
    if rng.random() < 0.3 and column.dtype.kind in "fMmO":
        column = column.mask(rng.random(n_rows) < 0.3)
    if rng.random() < 0.1:
        column = column.sort_values(ignore_index=True)
    return column


parts_of_tables = given(
    seed=st.integers(0, 2**32),
    n_rows=st.one_of(st.integers(1, 60), st.integers(100, 1500)),
    most_kept=st.sampled_from([70, 150, 2**16]),
    cuts=st.lists(st.floats(0, 1), max_size=6),
    data=st.data(),
)


@settings(max_examples=40, deadline=None)
@parts_of_tables
def test_schema_of_parts_is_that_of_the_whole(
    seed: int, n_rows: int, most_kept: int, cuts: list[float], data: st.DataObject
) -> None:
    check_parts(seed, n_rows, most_kept, cuts, data)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@parts_of_tables
def test_schema_of_parts_of_many_tables_is_that_of_the_whole(
    seed: int, n_rows: int, most_kept: int, cuts: list[float], data: st.DataObject
) -> None:
    check_parts(seed, n_rows, most_kept, cuts, data)


def check_parts(
    seed: int, n_rows: int, most_kept: int, cuts: list[float], data: st.DataObject
) -> None:
    """Compare the schema of parts, in any order, with that of the whole."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({f"c{j}": draw_column(rng, n_rows) for j in range(3)})
    places = [0, *sorted(round(cut * n_rows) for cut in cuts), n_rows]
    parts = [frame[i:j] for i, j in pairwise(places)]
    parts = data.draw(st.permutations(parts))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(distinct, "MOST_KEPT", most_kept)
        assert outcome_of_parts(parts) == outcome(read(frame))


def merge_as_tree(summaries: list[TableSummary]) -> TableSummary:
    if len(summaries) == 1:
        return summaries[0]
    half = len(summaries) // 2
    return merge_as_tree(summaries[:half]).merge(merge_as_tree(summaries[half:]))


def test_summaries_merge_in_any_grouping(few_kept: None) -> None:
    frame = every_kind(1000).drop(columns="object")
    parts = [TableSummary.of(read(frame[i : i + 130])) for i in range(0, 1000, 130)]
    expected = outcome(read(frame))
    for merged in (reduce(TableSummary.merge, parts[::-1]), merge_as_tree(parts)):
        # Atoms that are watched need a second pass.
        settled = TableSummary.of(read(frame), merged.unsettled())
        assert outcome(merge_as_tree([settled])) == expected
    passes = outcome_of_parts([frame[i : i + 130] for i in range(0, 1000, 130)])
    assert passes == expected


def passes_of(parts: list[pd.DataFrame]) -> tuple[TableSummary, int]:
    n_passes = 0

    def read_all() -> Iterator[StoredTable]:
        nonlocal n_passes
        n_passes += 1
        return map(read, parts)

    return summarise(read_all), n_passes


EVEN = np.arange(-150, 150) * 100
ODD_ONES = {
    "whole numbers but one": (EVEN / 1.0, 0.5),
    "tens but one": (EVEN, 3),
    "tens but one, as floats": (EVEN / 1.0, 3.0),
    "decimals but one": (EVEN / 1000, 0.0125),
    "decimals but one, as float32": ((EVEN / 1000).astype(np.float32), np.float32(0.0125)),
    "days but one": ((EVEN * 864).astype("M8[s]"), np.datetime64(3600, "s")),
    "minutes but one": ((EVEN * 60_000).astype("m8[ms]"), np.timedelta64(20, "ms")),
    "multiples of 1,000 or of 2,500": (np.where(EVEN % 200, EVEN * 10, EVEN * 25), 0),
}


@pytest.mark.parametrize("name", ODD_ONES)
def test_one_value_in_the_middle_decides(name: str, few_kept: None) -> None:
    values, odd = ODD_ONES[name]
    column = np.insert(values, 150, odd)
    frame = pd.DataFrame({"x": column})
    parts = [frame[i : i + 80] for i in range(0, 301, 80)]
    expected = outcome(read(frame))
    assert outcome_of_parts(parts) == outcome_of_parts(parts[::-1]) == expected
    if odd:
        assert expected != outcome(read(pd.DataFrame({"x": values})))


@pytest.mark.parametrize("ordered", [True, False])
def test_atoms_among_many_values(ordered: bool) -> None:
    """In the middle, where a second pass counts neighbours, and at the ends."""
    rng = np.random.default_rng(0)
    n_rows = 200_000
    real = rng.lognormal(size=n_rows)
    inside = np.where(rng.random(n_rows) < 0.011, 1.25, real)
    below = np.where(rng.random(n_rows) < 0.009, 1.25, real)
    capped = np.minimum(real, np.sort(real)[-12])
    cents = real.round(3)
    frame = pd.DataFrame({"inside": inside, "below": below, "capped": capped, "cents": cents})
    if ordered:
        frame = frame.sort_values("inside", ignore_index=True)
    parts = [frame[i : i + 17_000] for i in range(0, n_rows, 17_000)]
    merged, n_passes = passes_of(parts)
    assert n_passes == 2
    schema = infer_schema(merged)
    assert schema == infer_schema(read(frame))
    assert [bool(column.atoms) for column in schema.columns] == [True, False, True, False]
    assert len(merged.columns[0].distinct.values) < 500
    assert passes_of([part[["capped"]] for part in parts])[1] == 1


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), n_parts=st.integers(1, 30))
def test_no_frequent_value_is_missed(seed: int, n_parts: int) -> None:
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(n_parts):
        often = rng.integers(0, 50, int(rng.integers(0, 300)))
        rare = rng.integers(0, 10**9, int(rng.integers(0, 2000)))
        parts.append(np.concatenate((often[often < rng.integers(1, 50)], rare)))
    found = [Frequencies.of(*np.unique(part, return_counts=True), len(part)) for part in parts]
    merged = reduce(Frequencies.merge, found)
    whole = Counter(np.concatenate(parts).tolist())
    n_rows = sum(whole.values())
    assert len(merged.values) <= distinct.MOST_FREQUENT
    assert all(count <= whole[v] for v, count in zip(merged.values, merged.counts, strict=True))
    frequent = {value for value, count in whole.items() if count >= 0.01 * n_rows}
    assert frequent <= set(merged.reaching(0.01 * n_rows).tolist())


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=40))
def test_divisors_stand_for_all(numbers: list[int]) -> None:
    values = np.unique(np.array(numbers, dtype=np.int64))
    few = values[find_divisors(values)].tolist()
    assert np.gcd.reduce([0, *map(int, few)], dtype=object) == np.gcd.reduce(
        [0, *values.tolist()], dtype=object
    )
    assert len(few) <= 64


@pytest.mark.parametrize("decimals", range(1, 12))
def test_one_number_needs_as_many_decimals_as_any(decimals: int) -> None:
    rng = np.random.default_rng(decimals)
    values = np.unique(rng.normal(size=5000).round(2))
    values = np.sort(np.append(values, float(f"0.{'1' * decimals}")))
    place = find_finest(values)
    assert Decimal(repr(float(values[place]))).as_tuple().exponent == -max(2, decimals)


def test_objects_of_parts_are_read_as_those_of_the_whole() -> None:
    """Whatever each part by itself would be taken for."""
    cells: list[list[Any]] = [
        [1, 2, 3] * 9,
        [1.5, 2.0] * 9,
        [Decimal("1.10"), Decimal(2)] * 9,
        ["a", "b"] * 9,
        [None] * 5,
        [2**63 + 5] * 3 + [2**63 + 6],
        [-5, 7] * 9,
        [True, False] * 9,
    ]
    for i, one in enumerate(cells):
        for two in cells[i:]:
            parts = [pd.DataFrame({"x": pd.Series(part, dtype=object)}) for part in (one, two)]
            whole = pd.concat(parts, ignore_index=True)
            for order in (parts, parts[::-1], [parts[0][:0], *parts]):
                assert outcome_of_parts(order) == outcome(read(whole)), (one, two)


def test_parts_must_agree() -> None:
    numbers, text = pd.DataFrame({"x": [1.5, 2.5]}), pd.DataFrame({"x": ["a", "b"]})
    with pytest.raises(ValueError, match=r"holds float64 in one part .* and (str|object) in"):
        summarise(lambda: map(read, [numbers, text]))
    one, two = (pd.DataFrame({"x": pd.Categorical(["a"], list(c))}) for c in ("ab", "ba"))
    with pytest.raises(ValueError, match=r"holds \('a', 'b'\) in one part"):
        summarise(lambda: map(read, [one, two]))


def test_too_many_for_labels(few_kept: None, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"x": np.arange(200.0), "c": [f"c{i % 30}" for i in range(200)]})
    parts = [frame[:100], frame[100:]]
    for kind in ("levels", "categorical"):
        with pytest.raises(ValueError, match="'x' holds too many different numbers for labels"):
            infer_schema(summarise(lambda: map(read, parts)), column_kinds={"x": kind})
    monkeypatch.setattr(summary, "MOST_CATEGORIES", 20)
    with pytest.raises(ValueError, match="'c' holds more than 20 different strings"):
        summarise(lambda: map(read, parts))


@pytest.mark.parametrize(
    "options",
    [
        {"bounds": {"decimal": (0, 1000)}},
        {"column_kinds": {"integer": "continuous", "levels": "categorical"}},
        {"categorical_features": ["small", "flag"]},
        {"given": ["colour"]},
    ],
)
def test_options_hold_for_parts(options: dict[str, Any]) -> None:
    frame = every_kind(600)
    parts = [frame[i : i + 170] for i in range(0, 600, 170)]
    assert outcome_of_parts(parts, **options) == outcome(read(frame), **options)
    pinned = infer_schema(read(frame))
    assert outcome_of_parts(parts, column_kinds=pinned) == outcome(read(frame), column_kinds=pinned)


def test_values_outside_bounds_are_found_without_all_values(few_kept: None) -> None:
    frame = pd.DataFrame({"x": np.arange(200.0)})
    merged = summarise(lambda: map(read, [frame[:100], frame[100:]]))
    with pytest.raises(ValueError, match=r"column 'x': 3 values outside \[3, None\]"):
        infer_schema(merged, bounds={"x": (3, None)})
