"""Scalings: increasing, exact both ways, with their derivative."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.differentiate import derivative

from skflow.table.scaling import (
    AsinhScaling,
    NearZeroAsinhScaling,
    PowerOfTwoScaling,
    decoding_error,
    fit_near_zero,
    fit_novel_scaling,
    fit_scaling,
    round_to_digits,
    round_to_step,
    typical,
)

WIDE = np.concatenate((-np.geomspace(1e12, 1e-12, 200), [0.0], np.geomspace(1e-12, 1e12, 200)))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([1.5, 2.5, 900.0]), PowerOfTwoScaling),
        (np.array([0.0, 1.0, 3.0]), PowerOfTwoScaling),
        (np.array([]), PowerOfTwoScaling),
        (np.zeros(3), PowerOfTwoScaling),
        (WIDE, AsinhScaling),
        (np.append(np.ones(100), 1e8), AsinhScaling),
    ],
)
def test_scaling_fits_the_values(values: NDArray, expected: type) -> None:
    assert type(fit_scaling(values)) is expected


def test_whole_numbers_keep_their_grid_under_asinh() -> None:
    few, far = np.append(np.arange(1.0, 100), 1e9), np.append(np.arange(1.0, 100), 2.0**40)
    assert type(fit_scaling(few, resolution=1.0)) is AsinhScaling
    assert type(fit_scaling(far, resolution=1.0)) is PowerOfTwoScaling
    assert type(fit_scaling(far)) is AsinhScaling


SCALINGS = {
    "power of two": PowerOfTwoScaling.fit(np.array([3.0, 700.0])),
    "asinh": AsinhScaling(0.0, 1e-3),
    "asinh around a level": fit_novel_scaling(np.array([5.0]), np.array([])),
    "asinh around levels": fit_novel_scaling(np.array([-1.0, 0.0, 7.0]), np.array([])),
    "asinh near zero": NearZeroAsinhScaling(
        PowerOfTwoScaling.fit(np.array([3.0, 700.0])), edge=0.7, pivot=1e-40
    ),
    "asinh, and near zero": NearZeroAsinhScaling(AsinhScaling(0.0, 1e-3), edge=1e-6, pivot=1e-40),
}


@pytest.mark.parametrize("name", SCALINGS)
def test_decode_undoes_encode(name: str) -> None:
    scaling = SCALINGS[name]
    values = np.concatenate((WIDE, [1e300, -1e300]))
    encoded, _ = scaling.encode(values)
    assert (np.diff(encoded[:401]) >= 0).all()
    size = np.maximum(np.abs(values), scaling.scale)
    assert (np.abs(scaling.decode(encoded) / size - values / size) < 1e-12).all()


@pytest.mark.parametrize("name", SCALINGS)
def test_log_volume_is_the_derivative(name: str) -> None:
    scaling = SCALINGS[name]
    values = np.array([-3e4, -20.0, -0.5, 0.02, 1.0, 7.5, 1e5])

    def encode(v: NDArray) -> NDArray:
        return scaling.encode(v.ravel())[0].reshape(v.shape)

    slope = derivative(encode, values, initial_step=0.1 * np.abs(values))
    np.testing.assert_allclose(scaling.encode(values)[1], np.log(slope.df), atol=1e-5)


@pytest.mark.parametrize("name", SCALINGS)
def test_decoding_error_is_a_bound(name: str) -> None:
    scaling = SCALINGS[name]
    values = np.geomspace(1e-3, 1e15, 100)
    encoded, _ = scaling.encode(values)
    error = np.abs(scaling.decode(encoded * (1 + 1e-13)) - values)
    assert (error <= 1.01 * decoding_error(scaling, values) + 2 * np.spacing(values)).all()


@pytest.mark.parametrize("name", SCALINGS)
def test_the_largest_numbers_stay_finite(name: str) -> None:
    values = np.array([1.7e308, -1.7e308, 5e-324, 0.0])
    encoded, log_volume = SCALINGS[name].encode(values)
    assert np.isfinite(encoded).all()
    assert np.isfinite(log_volume).all()
    assert np.isfinite(SCALINGS[name].decode(encoded)).all()
    assert np.isfinite(SCALINGS[name].decode(np.array([1e308, -1e308]))).all()


def test_asinh_near_zero_only_where_numbers_are_too_small() -> None:
    rows = np.random.default_rng(0).standard_normal(1000)
    tiny = np.append(rows, 1e-30)
    for values, expected in (
        (rows, PowerOfTwoScaling),
        (tiny, NearZeroAsinhScaling),
        (np.append(WIDE, 1e-40), NearZeroAsinhScaling),
    ):
        base = fit_scaling(values)
        found, smallest = fit_near_zero(base, values, 1e-7)
        assert type(found) is expected
        assert smallest <= np.abs(values[values != 0]).min()
        for power in (1e-6, 1e12):
            scaled, scaled_smallest = fit_near_zero(
                fit_scaling(values * power), values * power, 1e-7
            )
            assert type(scaled) is expected
            np.testing.assert_allclose(scaled_smallest / power, smallest)
    near_zero, smallest = fit_near_zero(fit_scaling(tiny), tiny, 1e-7)
    assert not np.isin([smallest, near_zero.edge], np.abs(tiny)).any()
    far = np.abs(rows) >= near_zero.edge
    for before, after in zip(near_zero.base.encode(rows), near_zero.encode(rows), strict=True):
        np.testing.assert_array_equal(before[far], after[far])
    assert type(fit_near_zero(fit_scaling(rows[:0]), rows[:0], 1e-7)[0]) is PowerOfTwoScaling


def test_typical_magnitude_is_no_row_and_follows_the_unit() -> None:
    magnitudes = np.random.default_rng(0).exponential(size=40)
    for quantile in (0.01, 0.5, 0.9):
        size = typical(magnitudes, quantile)
        assert magnitudes.min() < size < magnitudes.max()
        assert not np.isclose(magnitudes, size, rtol=1e-9).any()
        np.testing.assert_allclose(typical(1000 * magnitudes, quantile), 1000 * size)
    assert typical(np.array([5.3]), 0.9) == pytest.approx(4.0)


@pytest.mark.parametrize("unit", [1e-300, 1e-30, 1e-6, 1.0, 1e5, 1e30, 1e300])
@pytest.mark.parametrize("digits", [1, 5, 13])
def test_rounding_finds_the_decimal(unit: float, digits: int) -> None:
    """Python reads the decimal; noise below its 13th digit is taken away."""
    rng = np.random.default_rng(1)
    decimals = [f"{x:.{digits - 1}e}" for x in rng.uniform(1, 9.9, 50)]
    values = np.array([float(f"{d[:-4]}e{np.log10(unit):.0f}") for d in decimals])
    noisy = values * (1 + 1e-14 * rng.uniform(-1, 1, 50))
    np.testing.assert_array_equal(round_to_digits(noisy, 9 * unit), values)


def test_rounding_leaves_large_values_13_digits() -> None:
    values = np.array([1.23456789e20, -9.87e150, 4e-3])
    np.testing.assert_array_equal(round_to_digits(values, 1.0), values)


def test_rounding_takes_noise_off_zeros_of_any_unit() -> None:
    for unit in (1e-300, 1e-30, 1e-12, 1.0, 1e30, 1e300):
        noisy = unit * np.array([1e-15, -1e-14, 1.0])
        np.testing.assert_array_equal(round_to_digits(noisy, unit), [0, 0, unit])
    assert np.isfinite(round_to_digits(np.array([1.7976931348623157e308]), 1.0)).all()


def test_rounding_to_steps_reads_decimals() -> None:
    values = np.array([0.29999999, 1.005, -7.1249, 1e300, -1.7e308])
    np.testing.assert_array_equal(round_to_step(values, 0.01), [0.3, 1.0, -7.12, 1e300, -1.7e308])
    np.testing.assert_array_equal(round_to_step(np.array([149.0, 1e5]), 100), [100, 1e5])


def test_a_small_number_that_rows_repeat_shows_no_range() -> None:
    """By an asinh of its size, normal numbers would become two modes far apart."""
    numbers = np.random.default_rng(0).normal(size=200)
    assert isinstance(fit_scaling(np.append(numbers, [1e-7] * 6)), PowerOfTwoScaling)
    assert isinstance(fit_scaling(10.0 ** np.linspace(-9, 3, 200)), AsinhScaling)
