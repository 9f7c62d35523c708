"""Decimals in float32: the grid of their float64 originals, and the very same bits back."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skflow import FlowDensity
from skflow.table.distinct import Distinct
from skflow.table.rules import find_decimal_step
from tests.settings import ONE_GAUSSIAN
from tests.table.trips import assert_comes_back, fit_column

quick = settings(max_examples=40, deadline=None)


def bits_of(values: Any) -> list[int]:
    found: list[int] = np.asarray(values, dtype=np.float32).view(np.uint32).tolist()
    return found


@st.composite
def decimals(draw: st.DrawFn) -> NDArray[np.float64]:
    """Rows on a grid at least twice as wide as the spacing of float32 at each of them."""
    multiple, power = draw(st.sampled_from([1, 5, 25])), 10 ** draw(st.integers(1, 4))
    most = 2**22 // multiple  # below half of the 24 bits of a float32
    counts = draw(st.lists(st.integers(-most, most), min_size=34, max_size=60, unique=True))
    counts = [multiple * count for count in counts]
    repeated = np.repeat(counts[:1], draw(st.sampled_from([0, 100])))  # as often as an atom
    return np.concatenate((counts, repeated)) / power


@quick
@given(values=decimals())
def test_float32_has_the_grid_of_its_original_and_comes_back(values: NDArray[np.float64]) -> None:
    original, copy = fit_column(values), fit_column(values.astype(np.float32))
    assert (copy.column.kind, copy.column.step) == (original.column.kind, original.column.step)
    table = pd.DataFrame({"a": values.astype(np.float32)})
    back = copy.there_and_back(table)["a"]
    assert back.dtype == np.float32
    assert bits_of(back) == bits_of(table["a"] + 0.0)  # one zero, not two
    expected = original.encode(pd.DataFrame({"a": values}))
    for frame in (table, pd.DataFrame({"a": values})):  # the copy, or the original
        found = copy.encode(frame)
        np.testing.assert_array_equal(found.labels, expected.labels)
        # Both are over the column's scale, which is that of rounded numbers.
        np.testing.assert_allclose(found.bin_widths, expected.bin_widths, rtol=2e-7)
        np.testing.assert_allclose(found.values, expected.values, rtol=2e-7)


@quick
@given(values=decimals(), off=st.lists(st.integers(-5, 5), min_size=1, max_size=9))
def test_float32_beside_the_grid_comes_back(values: NDArray[np.float64], off: list[int]) -> None:
    narrow = values.astype(np.float32)
    near = narrow[: len(off)] + np.array(off, np.float32) * np.spacing(narrow[: len(off)])
    fitted = fit_column(narrow)
    back = fitted.there_and_back(pd.DataFrame({"a": near}))["a"]
    assert bits_of(back) == bits_of(near + np.float32(0))


@quick
@given(seed=st.integers(0, 2**32 - 1), exponent=st.integers(-20, 20), dtype=st.sampled_from("ef"))
def test_measured_numbers_are_no_decimals(seed: int, exponent: int, dtype: str) -> None:
    """Also in float16, of which many are decimals of a few places."""
    numbers = np.random.default_rng(seed).normal(size=200) * 2.0 ** min(exponent, 10)
    column = fit_column(numbers.astype(dtype))
    assert column.column.kind == "continuous"
    assert column.column.step is None


def test_chance_explains_the_grid_of_few_numbers() -> None:
    """Cents of which a float32 holds no more than ten to each."""
    cents = np.arange(8_192.01, 8_192.35, 0.01).round(2).astype(np.float32)
    assert fit_column(cents[:33]).column.step is None
    assert fit_column(cents[:34]).column.step == 0.01


def test_decimals_of_float32_in_parts() -> None:
    """A column of more numbers than are kept has the grid of the whole."""
    cents = (np.arange(1_000_000, 1_100_000) / 100).astype(np.float32)  # 10 floats to a cent
    for last, step in ((10_999.5, 0.01), (10_999.503, None)):
        whole = np.append(cents, np.float32(last))
        parts = [fit_distinct(part) for part in np.array_split(whole, 3)]
        merged = parts[0].merge(parts[1]).merge(parts[2])
        assert not merged.is_complete
        assert find_decimal_step(merged) == find_decimal_step(fit_distinct(whole)) == step


def fit_distinct(values: NDArray[np.float32]) -> Distinct:
    stored = fit_column(values[:2]).read(pd.DataFrame({"a": values}))
    return Distinct.of(stored.columns[0])


@pytest.mark.parametrize("kind", ["levels", "decimal"])
def test_numbers_of_a_float32_column_may_be_asked_in_float64(kind: str) -> None:
    """0.1 is the level or the atom that was fitted as float32."""
    rng = np.random.default_rng(0)
    values = rng.choice([0.1, 0.2, 0.7], 300)
    if kind == "decimal":
        values = np.where(values == 0.7, rng.random(300).round(3), 0.1)
    narrow = pd.DataFrame({"a": values.astype(np.float32), "b": rng.normal(size=300)})
    flow = FlowDensity(**ONE_GAUSSIAN).fit(narrow)
    assert flow.schema_.columns[0].kind == kind
    wide = narrow.assign(a=values)
    np.testing.assert_allclose(flow.score_samples(wide), flow.score_samples(narrow), rtol=1e-5)


def test_a_float32_copy_has_the_density_of_its_original() -> None:
    prices = np.random.default_rng(0).lognormal(7, 1, 500).round(2)
    assert 8_192 < prices.max() < 65_536
    frames = [pd.DataFrame({"price": prices.astype(t)}) for t in (np.float64, np.float32)]
    flows = [FlowDensity(**ONE_GAUSSIAN).fit(frame) for frame in frames]
    scores = [flow.score_samples(frame) for flow, frame in zip(flows, frames, strict=True)]
    assert flows[1].schema_.columns[0].step == 0.01
    np.testing.assert_allclose(scores[1], scores[0], atol=1e-4)


def test_computed_decimals_come_back() -> None:
    """A few units in the last place beside the grid, as sums of float32 are."""
    steps = np.cumsum(np.full(300, np.float32(0.1)), dtype=np.float32)
    assert_comes_back(steps[:, None])
