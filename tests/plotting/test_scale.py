import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skflow.plotting.scale import LogScale, Scale, TailScale, choose_scale

NUMBERS = st.floats(-1e300, 1e300)


@given(NUMBERS, st.floats(1e-6, 1e6), st.lists(NUMBERS, min_size=2))
def test_tails_are_reversible_and_rise(low: float, width: float, numbers: list[float]) -> None:
    low = np.sign(low) * min(abs(low), 1e6)
    scale = TailScale(low, low + width)
    x = np.sort(numbers)
    places = scale.forward(x)
    assert (np.diff(places) >= 0).all()
    np.testing.assert_allclose(scale.inverse(places), x, rtol=1e-6, atol=1e-6 * (abs(low) + width))


def test_the_middle_is_linear_and_joins_the_tails_smoothly() -> None:
    scale = TailScale(-2.0, 3.0)
    middle = np.linspace(-2, 3, 11)
    np.testing.assert_allclose(scale.forward(middle), np.linspace(0, 1, 11), atol=1e-15)
    beyond = scale.forward(np.array([-2 - 1e-6, 3 + 1e-6]))
    np.testing.assert_allclose(beyond, [-2e-7, 1 + 2e-7], rtol=0, atol=1e-12)
    decades = scale.forward(3 + 10.0 ** np.arange(3, 9))
    np.testing.assert_allclose(np.diff(decades), np.log(10) * 0.1, rtol=1e-3)


@pytest.mark.parametrize("farthest", [1e3, 1e6, 1e300, -1e6])
def test_a_far_number_leaves_the_middle_a_quarter_of_the_axis(farthest: float) -> None:
    usual = np.random.default_rng(0).standard_normal(1000)
    scale = choose_scale(usual, np.array([farthest, np.nan]))
    assert isinstance(scale, TailScale)
    places = scale.forward(np.array([scale.low, scale.high, usual.min(), usual.max(), farthest]))
    share = (places[1] - places[0]) / np.ptp(places)
    assert share > (0.25 if abs(farthest) < 1e10 else 0.01)


def test_masked_numbers_as_matplotlib_passes_them() -> None:
    """Of a masked array, NumPy masks what has no logarithm, such as a distance of 0."""
    scale = TailScale(0.0, 1.0)
    x = np.array([0.0, 0.3, 1.0, 7.0, np.nan])
    np.testing.assert_array_equal(scale.forward(np.ma.masked_invalid(x)), scale.forward(x))
    assert not np.ma.isMaskedArray(scale.forward(np.ma.masked_invalid(x)))


def test_what_is_chosen() -> None:
    rng = np.random.default_rng(0)
    nothing = np.array([])
    normal = rng.standard_normal(1000)
    assert type(choose_scale(normal, normal)) is Scale
    assert type(choose_scale(rng.exponential(size=1000), nothing)) is Scale
    assert type(choose_scale(rng.lognormal(0, 2.5, 1000), nothing)) is LogScale
    assert type(choose_scale(rng.lognormal(0, 2.5, 1000), np.array([0.0]))) is not LogScale
    assert type(choose_scale(np.full(5, np.nan), np.array([1.0]))) is Scale
    assert type(choose_scale(np.ones(9), np.ones(2))) is Scale


def test_a_constant_column_and_one_other_number() -> None:
    scale = choose_scale(np.ones(1000), np.array([1.0, 1e6]))
    places = scale.forward(np.array([1.0, 1e6]))
    assert np.isfinite(places).all()
    assert places[0] < places[1]


@pytest.mark.parametrize(
    ("low", "high", "numbers", "expected"),
    [
        (0.0, 1.0, [0.5, 2e4], [10, 100, 1000, 10000]),
        (-1.0, 1.0, [-2e3, 0.5], [-10, -100, -1000]),
        (0.0, 11.0, [1, 60], [60]),  # no power of ten fits
        (0.0, 1.0, [0.1, 0.9], []),
    ],
)
def test_ticks_outside_are_round(
    low: float, high: float, numbers: list[float], expected: list[float]
) -> None:
    ticks = TailScale(low, high).ticks_outside(np.array(numbers))
    assert set(ticks) <= set(expected)
    assert bool(ticks) == bool(expected)


def test_an_axis_holds_the_largest_numbers() -> None:
    x = np.array([0.0, 0.5, 1.0, 1e300, -1e300])
    figure, ax = plt.subplots()
    scale = choose_scale(np.linspace(0, 1, 100), x)
    scale.set_on(ax.xaxis)
    ax.scatter(x, x)
    scale.set_ticks(ax.xaxis, x)
    figure.canvas.draw()
    low, high = ax.get_xlim()
    assert low <= -1e300
    assert high >= 1e300
