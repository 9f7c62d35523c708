"""Implied cells are those of slow exact arithmetic, in any storage."""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skflow.table.constraints.mapping import MappingConstraint
from skflow.table.constraints.numeric import LinearConstraint, ProductConstraint
from skflow.table.constraints.part import PartConstraint
from skflow.table.constraints.simplest import simplest_within, spell
from skflow.table.reading import read_numpy
from skflow.table.storage import StoredColumn

MODES = {
    "nearest": ROUND_HALF_EVEN,
    "half up": ROUND_HALF_UP,
    "down": ROUND_FLOOR,
    "up": ROUND_CEILING,
}
modes = st.sampled_from(sorted(MODES))


def column(values: Any) -> StoredColumn:
    return read_numpy(np.asarray(values))


def cents(low: int = -(10**8), high: int = 10**8) -> st.SearchStrategy[list[Decimal]]:
    return st.lists(st.integers(low, high).map(lambda c: Decimal(c).scaleb(-2)), min_size=1)


def floats(numbers: list[Decimal]) -> StoredColumn:
    return column([float(x) for x in numbers])


def rounded(number: Fraction, places: int, mode: str) -> Decimal:
    """Round a fraction to decimal places, exactly."""
    scaled = number * 10**places
    whole, rest = divmod(scaled, 1)
    # The half of a tie, and the side of the others, are all that rounding depends on.
    half = Fraction(1, 2)
    side = Decimal(0 if rest == 0 else 0.25 if rest < half else 0.5 if rest == half else 0.75)
    return (Decimal(int(whole)) + side).to_integral_value(MODES[mode]).scaleb(-places)


@settings(max_examples=50)
@given(net=cents(), percent=st.integers(1, 2000), places=st.integers(0, 2), mode=modes)
def test_percentages(net: list[Decimal], percent: int, places: int, mode: Any) -> None:
    factor = Decimal(percent).scaleb(-3)
    constraint = LinearConstraint(
        "tax", ("net",), (float(factor),), step=float(f"1e-{places}"), rounding=mode
    )
    values, implied = constraint.imply([floats(net)], column([0.5]))
    expected = [rounded(Fraction(x) * Fraction(factor), places, mode) for x in net]
    assert implied.all()
    assert values.tolist() == [float(x) for x in expected]


@settings(max_examples=50)
@given(rows=st.lists(st.tuples(*[st.integers(-(10**9), 10**9)] * 3), min_size=1))
def test_sums_of_cents(rows: list[tuple[int, ...]]) -> None:
    operands = [column([x / 100 for x in part]) for part in zip(*rows, strict=True)]
    constraint = LinearConstraint("t", ("a", "b", "c"), (1.0, 1.0, -1.0), 0.25, step=0.01)
    values, implied = constraint.imply(operands, column([0.5]))
    assert implied.all()
    assert values.tolist() == [(a + b - c + 25) / 100 for a, b, c in rows]


@settings(max_examples=50)
@given(
    rows=st.lists(st.tuples(st.integers(-(10**6), 10**6), st.integers(1, 10**5)), min_size=1),
    power=st.sampled_from([1, -1]),
    mode=modes,
)
def test_products_and_ratios(rows: list[tuple[int, int]], power: int, mode: Any) -> None:
    first, second = zip(*rows, strict=True)
    constraint = ProductConstraint("t", ("a", "b"), (1, power), 100.0, 0.1, mode)
    values, implied = constraint.imply([column(first), column(second)], column([0.5]))
    exact = [Fraction(100 * a) * Fraction(b) ** power for a, b in rows]
    assert implied.all()
    assert values.tolist() == [float(rounded(x, 1, mode)) for x in exact]


@settings(max_examples=50)
@given(
    start=st.lists(st.integers(-(10**9), 4 * 10**9), min_size=1),
    unit=st.sampled_from(["s", "ms", "us", "ns"]),
)
def test_days_between_dates(start: list[int], unit: str) -> None:
    length = [abs(x) % 10**8 for x in start]
    begin = np.array(start, dtype="M8[s]")
    end = begin + np.array(length, dtype="m8[s]")
    operands = [column(date.astype(f"M8[{unit}]")) for date in (begin, end)]
    constraint = LinearConstraint(
        "days", ("start", "end"), (-1 / 86400, 1 / 86400), step=1.0, rounding="down"
    )
    for dtype in (np.int64, np.int16, np.float32):
        values, implied = constraint.imply(operands, column(np.zeros(1, dtype=dtype)))
        assert implied.all()
        assert values.dtype == dtype
        assert values.tolist() == [x // 86400 for x in length]


@settings(max_examples=50)
@given(start=st.lists(st.integers(-(10**9), 4 * 10**9), min_size=1))
def test_dates_of_nanoseconds(start: list[int]) -> None:
    begin = np.array(start, dtype="M8[s]").astype("M8[ns]")
    length = (np.arange(len(start)) * 61).astype("m8[s]")
    constraint = LinearConstraint("end", ("start", "length"), (1.0, 1.0), step=1.0)
    values, implied = constraint.imply([column(begin), column(length)], column(begin))
    assert implied.all()
    assert (values.view("M8[ns]") == begin + length).all()


@settings(max_examples=50)
@given(x=st.lists(st.floats(-1e300, 1e300), min_size=1), factor=st.floats(1e-3, 1e3))
def test_floats_without_a_grid_are_those_of_float64(x: list[float], factor: float) -> None:
    constraint = LinearConstraint("y", ("x",), (factor,), 0.5)
    values, implied = constraint.imply([column(x)], column([0.5]))
    expected = np.array([factor * value + 0.5 for value in x])
    assert (implied == np.isfinite(expected)).all()
    assert (values[implied] == expected[implied]).all()


def test_nothing_is_implied_beyond_the_storage() -> None:
    copy = LinearConstraint("y", ("x",), (1.0,), step=1.0)
    x = column([-1.0, 0.0, 0.5, 255.0, 256.0, 1e300, np.nan])
    values, implied = copy.imply([x], column(np.zeros(1, dtype=np.uint8)))
    assert implied.tolist() == [False, True, False, True, False, False, False]
    assert values.tolist() == [0, 0, 0, 255, 0, 0, 0]
    large = LinearConstraint("y", ("x",), (1e30,))
    assert large.imply([column([1.0, 1e10])], column(np.zeros(1, np.float32)))[1].tolist() == [
        True,
        False,
    ]


def test_divisions_by_zero_imply_nothing() -> None:
    ratio = ProductConstraint("rate", ("hits", "shots"), (1, -1), step=0.1, rounding="nearest")
    _, implied = ratio.imply([column([0, 1, 1]), column([0, 0, 2])], column([0.5]))
    assert implied.tolist() == [False, False, True]


def test_mappings_look_values_up() -> None:
    mapping = MappingConstraint("y", ("x",), (("a", 1.5), ("b", 2.5), (True, 0.0)))
    x = column(np.array(["b", "a", 1, True, None, "c"], dtype=object))
    values, implied = mapping.imply([x], column([0.5]))
    assert implied.tolist() == [True, True, False, True, False, False]
    assert values[implied].tolist() == [2.5, 1.5, 0.0]
    numbers = MappingConstraint("y", ("x",), ((3, "c"), (1, "a"), (2, "b")))
    for dtype in (np.int8, np.float32, np.float64):
        values, implied = numbers.imply([column(np.array([2, 3, 4], dtype))], column(["", ""]))
        assert implied.tolist() == [True, True, False]
        assert values[:2].tolist() == ["b", "c"]


def test_parts_of_times() -> None:
    times = column([0, 59, 517, 1830, 2359, 2400, 575, -1, 2401])
    for part, expected in (("hour", [0, 0, 5, 18, 23, 24]), ("minute", [0, 59, 17, 30, 59, 0])):
        constraint = PartConstraint("part", ("time",), part)
        for dtype in (np.int64, np.float32):
            values, implied = constraint.imply([times], column(np.empty(0, dtype)))
            assert values.dtype == dtype
            assert implied.tolist() == [True] * 6 + [False] * 3
            assert values[implied].tolist() == expected


def test_constraints_compare_and_hash() -> None:
    first = LinearConstraint("t", ("a", "b"), (1.0, 1.0), step=0.01)
    assert first == LinearConstraint("t", ("a", "b"), (1.0, 1.0), step=0.01)
    assert len({first, ProductConstraint("t", ("a", "b"), (1, 1))}) == 2


@pytest.mark.parametrize(
    ("number", "tolerance", "text"),
    [
        (0.19000001, 1e-6, "0.19"),
        (1 / 3 + 1e-9, 1e-8, "1 / 3"),
        (5 / 9, 1e-9, "5 / 9"),
        (1 / 86400 * (1 + 1e-9), 1e-12, "1 / 86400"),
        (1 / 1.19, 1e-9, "1 / 1.19"),
        (273.15, 1e-9, "273.15"),
        (99999.7, 1, "100000"),
    ],
)
def test_simplest_numbers(number: float, tolerance: float, text: str) -> None:
    simple = simplest_within(number, tolerance)
    assert abs(simple - number) <= tolerance
    assert spell(simple) == text


def test_missing_cells_of_frames() -> None:
    frame = pd.DataFrame({"a": [1.0, np.nan, 3.0], "b": [1.0, 2.0, np.nan]})
    columns = [column(frame[name].to_numpy()) for name in frame]
    sum_of_two = LinearConstraint("t", ("a", "b"), (1.0, 1.0), step=1.0)
    assert sum_of_two.imply(columns, column([0]))[1].tolist() == [True, False, False]


def test_names_that_could_be_formulas_are_quoted() -> None:
    total = LinearConstraint("a + b", ("a", "unit price", "x-1"), (1.0, -2.0, 1 / 3), -0.5)
    assert str(total) == "'a + b' = a - 2 unit price + 'x-1' / 3 - 0.5"
