"""Rounding levels: each number has one cell, cells tile the line; levels are found in counts."""

from collections.abc import Callable
from itertools import accumulate
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skflow.table.distinct import Distinct
from skflow.table.rounding.finding import find_rounding
from skflow.table.rounding.gaps import Gaps
from skflow.table.rounding.levels import RoundingLevels
from skflow.table.schema import ColumnSchema
from tests.table.trips import LESS_NOISE, assert_comes_back, fit_column

FloatArray = NDArray[np.float64]

chains = st.lists(st.integers(2, 12), max_size=4).map(
    lambda ratios: list(accumulate([1, *ratios], lambda step, ratio: step * ratio))
)


def levels_of(steps: list[int], numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the last level whose step divides each number."""
    divides = np.array([numbers % step == 0 for step in steps])
    return len(steps) - 1 - divides[::-1].argmax(axis=0)


@given(steps=chains, start=st.integers(-(10**9), 10**9))
def test_each_number_has_one_cell_and_cells_tile_the_line(steps: list[int], start: int) -> None:
    numbers = start + np.arange(3 * steps[-1])
    levels = RoundingLevels(steps)
    level = levels.level_of(numbers.astype(float))
    assert (level == levels_of(steps, numbers)).all()
    position = levels.position(numbers.astype(float), level)
    assert (levels.number(position, level) == numbers)[level > 0].all()
    assert np.allclose(levels.number(position, level), numbers, rtol=1e-14)
    for own in range(len(steps)):
        width, at = levels.widths[own], position[level == own]
        assert (np.abs(at - numbers[level == own]) < steps[own] / 2).all()
        assert np.allclose(np.diff(at), width)
        index = levels.index(at, np.full(len(at), own))
        assert (np.diff(index) == 1).all()
        assert (levels.number_of(index, np.full(len(at), own)) == numbers[level == own]).all()
    per_number = sum(1 / width for width in levels.widths)
    assert per_number == pytest.approx(1)  # as many cells as numbers


@given(steps=chains, x=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50, unique=True))
def test_numbers_between_cells_keep_their_order_and_come_back(
    steps: list[int], x: list[float]
) -> None:
    levels, numbers = RoundingLevels(steps), np.sort(x)
    finest = np.zeros(len(x), dtype=np.int64)
    position = levels.position(numbers, finest)
    assert (np.diff(position) >= 0).all()
    assert np.allclose(levels.number(position, finest), numbers, rtol=1e-12, atol=1e-12)


@given(steps=chains, x=st.floats(1e15, 1e300))
def test_numbers_beyond_all_steps_stay(steps: list[int], x: float) -> None:
    levels, far = RoundingLevels(steps), np.array([x * 10, -x * 10])
    level = levels.level_of(far)
    assert (level == 0).all()
    assert (levels.number(levels.position(far, level), level) == far).all()


@given(steps=chains, end=st.integers(-1000, 1000), level=st.integers(0, 4))
def test_first_and_last_cells_within_a_support(steps: list[int], end: int, level: int) -> None:
    levels, own = RoundingLevels(steps), level % len(steps)
    numbers = np.arange(end - 2 * steps[-1], end + 2 * steps[-1] + 1)
    numbers = numbers[levels_of(steps, numbers) == own]
    at, place = np.array([float(end)]), np.array([own])
    assert levels.number_of(levels.first_indices(at, own), place) == numbers[numbers >= end].min()
    assert levels.number_of(levels.last_indices(at, own), place) == numbers[numbers <= end].max()


@given(taken=st.sets(st.integers(-10, 30), max_size=12), points=st.lists(st.floats(-15, 35)))
def test_cells_beside_atoms_fill_theirs(taken: set[int], points: list[float]) -> None:
    first, last, gaps = Gaps(np.array(sorted(taken), dtype=float)).within(-20.0, 35.0)
    free = np.setdiff1d(np.arange(first, last + 1), list(taken))
    middles, widths = gaps.shift(free), gaps.widths(free)
    low, high = middles - widths / 2, middles + widths / 2
    assert (low[1:] == high[:-1]).all()
    assert (low[0], high[-1]) == (first - 0.5, last + 0.5)
    assert (gaps.upper_ends(free) == high).all()
    assert gaps.undo_shift(middles) == pytest.approx(free)
    between = np.sort(points)
    assert (np.diff(gaps.shift(between)) >= 0).all()
    assert gaps.undo_shift(gaps.shift(between)) == pytest.approx(between)
    inside = between[(between > first) & (between < last) & (2 * between % 1 != 0)]
    assert (gaps.free(inside) == free[np.searchsorted(high, inside)]).all()


def heaped(n_rows: int, seed: int = 0) -> FloatArray:
    """Whole numbers, half of them multiples of 500, a fifth of 100."""
    rng = np.random.default_rng(seed)
    x, u = rng.lognormal(8, 0.7, n_rows), rng.random(n_rows)
    step = np.select([u < 0.5, u < 0.7], [500, 100], 1)
    return np.rint(x / step) * step


def taken(values: Any, **options: Any) -> ColumnSchema:
    return fit_column(values, **options).column


def heaped_times(n_rows: int, seed: int = 0) -> NDArray[np.int64]:
    """Minutes, most of them multiples of 30."""
    rng = np.random.default_rng(seed)
    x = rng.gamma(3, 100, n_rows)
    return np.where(rng.random(n_rows) < 0.7, np.rint(x / 30) * 30, np.rint(x)).astype(int)


@pytest.mark.parametrize(
    ("values", "step", "rounding"),
    [
        (heaped(4000), 1, (100, 500)),
        (heaped(4000).astype(np.int32), 1, (100, 500)),
        (heaped(4000) / 100, 0.01, (1, 5)),
        ((heaped(4000) / 100).astype(np.float32), 0.01, (1, 5)),
        (25 * heaped(4000), 25, None),
        (0.05 * np.rint(heaped(4000)), 0.05, (5, 25)),
        (pd.to_timedelta(heaped_times(4000), "min"), 60, (1800,)),
        (pd.Timestamp("2020-01-01") + pd.to_timedelta(heaped_times(4000), "min"), 60, (1800,)),
        (pd.to_timedelta(30 * heaped(4000), "min"), 1800, None),
    ],
)
def test_steps_and_levels_are_found(values: Any, step: Any, rounding: Any) -> None:
    schema = taken(values)
    assert schema.step == step
    if rounding is not None:
        assert schema.rounding == rounding
        spelled = schema.describe()
        assert "often multiples of " in spelled
    shuffled = pd.Series(values).sample(frac=1, random_state=1).reset_index(drop=True)
    assert taken(shuffled) == schema


def smooth_columns() -> dict[str, Callable[[np.random.Generator, int, float], FloatArray]]:
    return {
        "normal": lambda rng, n, scale: rng.normal(3 * scale, scale, n),
        "exponential": lambda rng, n, scale: rng.exponential(scale, n),
        "lognormal": lambda rng, n, scale: rng.lognormal(np.log(scale), 1, n),
        "counts": lambda rng, n, scale: rng.poisson(scale, n).astype(float),
        "uniform": lambda rng, n, scale: rng.uniform(0, scale, n),
        "heavy": lambda rng, n, scale: scale * rng.standard_t(2, n),
        "two modes": lambda rng, n, scale: np.where(
            rng.random(n) < 0.5, rng.normal(0, scale / 100, n), rng.normal(3 * scale, scale, n)
        ),
        "clumps": lambda rng, n, scale: rng.choice(
            rng.normal(0, scale, 100), n, p=rng.dirichlet(np.full(100, 0.3))
        ),
    }


@pytest.mark.parametrize("name", smooth_columns())
def test_none_is_invented(name: str) -> None:
    rng = np.random.default_rng(7)
    for _ in range(60):
        n_rows, scale = int(rng.choice([50, 300, 3000])), 10 ** rng.uniform(0.3, 5)
        values = np.rint(smooth_columns()[name](rng, n_rows, scale)).astype(np.int64)
        values, counts = np.unique(values, return_counts=True)
        distinct = Distinct(
            values, counts, n_rows, fit_column(values).codec.columns[0].stored.family, 1
        )
        assert find_rounding(distinct, 1) == ()


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_any_number_comes_back(data: st.DataObject) -> None:
    """Off the grid as well, through a flow's error."""
    dtype = data.draw(st.sampled_from(["f8", "f4", "i8", "u4"]))
    scale = data.draw(st.sampled_from([1, 100])) if dtype[0] == "f" else 1
    after = pd.DataFrame({"a": (heaped(2000) / scale).astype(dtype)})
    numbers = st.integers(0, 10**5).map(lambda n: n / scale)
    if dtype == "f8":
        numbers = st.one_of(numbers, st.integers(-(10**7), 10**7).map(lambda n: n / 1000))
    cells = data.draw(st.lists(numbers, min_size=1, max_size=60))
    table = pd.DataFrame({"a": np.array(cells, dtype=dtype)})
    # Beside a number that is left out, what lies off the grid is pressed together by half.
    fitted = assert_comes_back(table, after=after, noise=LESS_NOISE / 2)
    assert fitted.column.rounding


def test_the_nearest_cell_of_any_float_is_finite() -> None:
    """Beyond the precision of floats it is the number itself."""
    prices = np.random.default_rng(0).integers(100, 90_000, 900) / 100
    prices[::2] = np.rint(prices[::2])
    codec = fit_column(prices).codec.columns[0]
    assert codec.cells.n_levels > 1
    far = np.array([-1.7e308, -1e200, 1e30, 1.7e308])
    assert (codec.cells.nearest(far, np.zeros(len(far), dtype=np.int64)) == far).all()
    near = codec.cells.nearest(np.array([51.504, 51.9]), np.array([0, 1]))
    assert (np.abs(near - [51.504, 51.9]) < [0.011, 0.5]).all()
