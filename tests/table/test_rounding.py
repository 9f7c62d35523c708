"""Rounding levels: each number has one cell, cells tile the line; levels are found in counts."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import entropy

from skflow.table.distinct import Distinct
from skflow.table.rounding.finding import GAIN, find_rounding, may_gain
from skflow.table.rounding.gaps import Gaps
from skflow.table.rounding.levels import RoundingLevels
from skflow.table.schema import ColumnSchema, Schema
from tests.settings import slow_but
from tests.table.trips import LESS_NOISE, assert_comes_back, assert_same, fit, fit_column

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


@st.composite
def gridded_columns(draw: st.DrawFn) -> ColumnSchema:
    """A column between two bounds, with atoms, some of which may lie off the grid."""
    low, n_points = draw(st.integers(-40, 40)), draw(st.integers(2, 120))
    places = draw(st.sets(st.integers(0, n_points - 1), max_size=n_points - 1))
    rounding = draw(st.sampled_from([(), (5,), (2, 10)]))
    step, dtype = draw(st.sampled_from([(1, "int64"), (1, "float64"), (0.05, "float64")]))
    atoms = [float(Fraction(str(step)) * (low + place)) for place in sorted(places)]
    off_grid = [low * step + step / 3] if dtype == "float64" and draw(st.booleans()) else []
    return ColumnSchema(
        name="a",
        dtype=dtype,
        kind="decimal" if dtype == "float64" else "integer",
        atoms=tuple(sorted([*atoms, *off_grid])),
        step=step,
        rounding=tuple(float(Fraction(str(step)) * r) for r in rounding),
        low=float(Fraction(str(step)) * low),
        high=float(Fraction(str(step)) * (low + n_points - 1)),
    )


@settings(max_examples=40, deadline=None)
@given(schema=gridded_columns())
def test_probabilities_of_the_whole_grid_sum_to_one(schema: ColumnSchema) -> None:
    """Those of a level without any number but atoms have no sum."""
    step = Fraction(str(schema.step))
    counts = np.arange(round(schema.low / float(step)), round(schema.high / float(step)) + 1)
    grid = pd.DataFrame({"a": [float(step * int(i)) for i in counts]}).astype(schema.dtype)
    fitted = fit(grid, column_kinds=Schema((schema,)))
    encoded, codec = fitted.encode(grid), fitted.codec.columns[0]
    is_value = ~np.isnan(encoded.values[:, 0])
    assert (is_value == ~np.isin(grid["a"], schema.atoms)).all()
    for label in np.unique(encoded.labels[is_value, 0] if encoded.labels.size else [0]):
        own = is_value & ((encoded.labels == label).all(axis=1))
        middle, width = encoded.values[own, 0], encoded.bin_widths[own, 0]
        low, high = middle - width / 2, middle + width / 2
        assert high[:-1] == pytest.approx(low[1:], abs=1e-12)
        # A density that is even in encoded numbers, per unit of the column.
        density = np.exp(encoded.log_volume[own]) / (high[-1] - low[0])
        assert float(step) * density.sum() == pytest.approx(1, abs=1e-9)
        if not schema.rounding:
            assert codec.bounds == pytest.approx((low[0], high[-1]), abs=1e-12)
    assert_same(fitted.there_and_back(grid, LESS_NOISE), grid)


def test_cells_of_atoms_are_empty_in_models_of_version_0_1_0() -> None:
    counts = np.arange(40)
    schema = replace(fit_column(np.repeat(counts, 30)).column, kind="integer", levels=(), step=1)
    schema = replace(schema, atoms=(10,))
    codec = fit_column(counts, column_kinds=Schema((schema,))).codec.columns[0]
    widths = []
    for fills_gaps in (True, False):
        state = codec.state() | {"scaling": codec.scaling, "fills_gaps": fills_gaps}
        restored = type(codec).restore(codec.stored, schema, state)
        assert restored.state()["fills_gaps"] == fills_gaps
        x = codec.coordinates.read(codec.stored.filled(np.array([8, 9, 11, 12])))
        widths.append(restored.cells.locate(x).width.tolist())
    assert widths == [[1, 1.5, 1.5, 1], [1, 1, 1, 1]]


def test_atoms_off_the_grid_change_nothing() -> None:
    table = pd.DataFrame({"a": np.arange(200) / 10})
    schema = fit(table).column
    alone, beside = (
        fit(table, column_kinds=Schema((replace(schema, atoms=atoms),))).encode(table)
        for atoms in ((0.5,), (0.5, 1.234))
    )
    assert (alone.bin_widths == beside.bin_widths).all()
    assert np.array_equal(alone.values, beside.values, equal_nan=True)


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
@pytest.mark.parametrize("seed", slow_but([7], [7, 8, 9]))
def test_none_is_invented(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(20):
        n_rows, scale = int(rng.choice([50, 300, 3000])), 10 ** rng.uniform(0.3, 5)
        values = np.rint(smooth_columns()[name](rng, n_rows, scale)).astype(np.int64)
        values, counts = np.unique(values, return_counts=True)
        distinct = Distinct(
            values, counts, n_rows, fit_column(values).codec.columns[0].stored.family, 1
        )
        assert find_rounding(distinct, 1) == ()


def lumpy(n_rows: int) -> FloatArray:
    """A hundred numbers below 10,000, whose counts follow no order, among some others."""
    rng = np.random.default_rng(0)
    frequent = rng.choice(10_000, 100, replace=False)
    drawn = rng.choice(frequent, n_rows, p=rng.dirichlet(np.full(100, 0.5)))
    return np.where(rng.random(n_rows) < 0.2, rng.integers(0, 10_000, n_rows), drawn).astype(float)


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_any_number_comes_back(data: st.DataObject) -> None:
    """Off the grid as well, through a flow's error; with rounding levels or atoms."""
    dtype = data.draw(st.sampled_from(["f8", "f4", "i8", "u4"]))
    scale = data.draw(st.sampled_from([1, 100])) if dtype[0] == "f" else 1
    fitted_values = data.draw(st.sampled_from([heaped, lumpy]))(2000)
    after = pd.DataFrame({"a": (fitted_values / scale).astype(dtype)})
    numbers = st.integers(0, 10**5).map(lambda n: n / scale)
    if dtype == "f8":
        numbers = st.one_of(numbers, st.integers(-(10**7), 10**7).map(lambda n: n / 1000))
    cells = data.draw(st.lists(numbers, min_size=1, max_size=60))
    table = pd.DataFrame({"a": np.array(cells, dtype=dtype)})
    # Beside a number that is left out, what lies off the grid is pressed together by half.
    fitted = assert_comes_back(table, after=after, noise=LESS_NOISE / 2)
    assert fitted.column.rounding or len(fitted.column.atoms) > 9


@pytest.mark.parametrize("far", [1.7e308, -1.7e308, 1e200, 1e30])
@pytest.mark.parametrize("values", [heaped(2000) / 10, lumpy(2000) / 10])
def test_numbers_beyond_all_steps_come_back(values: FloatArray, far: float) -> None:
    fitted = assert_comes_back(
        pd.DataFrame({"a": [far]}), after=pd.DataFrame({"a": values}), noise=0.0
    )
    assert fitted.column.step == 0.1


def test_a_level_alone_gains_the_divergence_of_its_share_from_that_of_chance() -> None:
    rng = np.random.default_rng(0)
    found = []
    for step in (2, 5, 10, 25):
        for often in (0.0, 0.05, 0.2):
            numbers = rng.integers(0, 200, size=400)
            numbers[rng.random(400) < often] = 7 * step
            numbers, counts = np.unique(numbers, return_counts=True)
            share = counts[numbers % step == 0].sum() / counts.sum()
            gain = entropy([share, 1 - share], [1 / step, 1 - 1 / step])
            found.append(may_gain(numbers, counts.astype(float), [step]))
            assert found[-1] == (gain > GAIN)
    assert set(found) == {False, True}


def test_one_frequent_number_makes_no_level() -> None:
    """It is a multiple of all steps up to itself."""
    tenths = np.random.default_rng(0).integers(1, 300, 2000) / 10
    schema = taken(1e9 + np.append(tenths, np.zeros(300)))
    assert (schema.step, schema.rounding, schema.atoms) == (0.1, (), (1e9,))


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
