"""Spreads of latents beside those of the distributions that values are drawn from."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from skflow.estimators.spread import spread_of_latents

N_ROWS = 4000


def masses_of(latents: NDArray, width: float = 0.0) -> NDArray:
    """Masses of three equal members, where half of the probability is that of values."""
    own = [stats.norm.cdf(latents + width), stats.norm.cdf(latents), np.ones(len(latents))]
    return np.tile(np.stack(own, axis=1) / 2, (3, 1, 1))


@pytest.fixture(scope="module")
def latents() -> NDArray:
    return 0.7 * np.random.default_rng(0).normal(size=N_ROWS)


def test_the_spread_is_the_standard_deviation_of_latents(latents) -> None:
    expected = np.sqrt(np.mean(latents**2))
    assert spread_of_latents(masses_of(latents), None, 10) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("deviation", [1.0, 0.7])
def test_cells_of_a_grid_have_the_spread_of_their_values(latents, deviation: float) -> None:
    ends = np.floor(latents / 0.7 * deviation)  # of a grid as wide as the distribution
    spread = spread_of_latents(masses_of(ends, 1.0), None, 10)
    assert spread == pytest.approx(deviation, abs=0.04)


def test_spreads_of_more_fits_are_extrapolated() -> None:
    """Members N(e_m, 1) of y = N(0, 1): the average of N is wider than that of three."""
    generator = np.random.default_rng(0)
    y, errors = generator.normal(size=N_ROWS), 0.7 * generator.normal(size=(20, N_ROWS))
    up_to = stats.norm.cdf(y - errors)
    masses = np.stack((up_to, up_to, np.ones(up_to.shape)), axis=2)
    of_three, of_twenty = (
        np.sqrt(np.mean(stats.norm.ppf(up_to[:n].mean(axis=0)) ** 2)) for n in (3, 20)
    )
    assert of_three > of_twenty + 0.05
    extrapolated = spread_of_latents(masses[:3], None, 20)
    assert of_twenty - 0.01 < extrapolated < of_twenty + 0.4 * (of_three - of_twenty)


def test_levels_and_rows_of_weight_0_do_not_count(latents) -> None:
    masses = masses_of(latents)
    expected = spread_of_latents(masses[:, :2000], None, 10)
    weight = np.repeat([3.0, 0.0], 2000)
    assert spread_of_latents(masses, weight, 10) == pytest.approx(expected, rel=1e-6)
    masses[:, 2000:] = np.nan
    assert spread_of_latents(masses, None, 10) == pytest.approx(expected, rel=1e-6)
    assert spread_of_latents(masses, np.ones(N_ROWS), 10) == pytest.approx(expected, rel=1e-6)


def test_no_distribution_is_widened_and_none_of_few_values_narrowed(latents) -> None:
    assert spread_of_latents(masses_of(2 * latents), None, 10) == 1
    assert spread_of_latents(masses_of(latents)[:1], None, 4) == 1
    assert spread_of_latents(np.full((3, 50, 3), np.nan), None, 10) == pytest.approx(1, abs=1e-4)
    assert spread_of_latents(masses_of(np.zeros(2)), None, 10) > 0.75
