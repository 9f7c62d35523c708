"""Modes that lie far apart are mapped each on its own."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from skflow.initialization.marginals import fit_marginals
from skflow.initialization.modes import MOST_MODES, WeightedValues, find_modes
from tests.flow.test_marginals import SHAPES

N_ROWS = 2000


def modes_of(x: np.ndarray) -> list[WeightedValues]:
    [(_, modes)] = find_modes(x[:, None], None, np.array([0]))
    return modes


@given(
    scale=st.floats(-200, 200).map(lambda power: 10.0**power),
    sizes=st.lists(st.integers(60, 600), min_size=1, max_size=5),
    separation=st.floats(30, 1e6),
    seed=st.integers(0, 2**32 - 1),
)
def test_modes_are_found_in_any_unit(
    scale: float, sizes: list[int], separation: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    modes = [rng.uniform(separation * k, separation * k + 1, size) for k, size in enumerate(sizes)]
    found = modes_of(np.concatenate(modes) * scale)
    assert [float(mode.mass[0]) for mode in found] == sizes


@pytest.mark.parametrize("name", SHAPES)
def test_one_mode_stays_whole(name: str) -> None:
    for seed in range(20):
        x = SHAPES[name].rvs(N_ROWS, random_state=np.random.default_rng(seed))
        assert len(modes_of(x)) == 1


def test_few_far_values_are_a_tail() -> None:
    x = np.random.default_rng(0).standard_normal(N_ROWS)
    far = np.append(x, np.linspace(1e6, 1e6 + 1, 30))
    assert len(modes_of(far)) == 1


@pytest.mark.parametrize("n_rows", [0, 1, 2, 39])
def test_few_rows_are_one_mode(n_rows: int) -> None:
    assert len(modes_of(np.arange(float(n_rows)))) == 1


def test_heaps_on_one_grid_are_one_mode() -> None:
    """Whole numbers, many of each: the gaps are as wide as the column's own structure."""
    rng = np.random.default_rng(0)
    x = rng.poisson(10, N_ROWS) + rng.uniform(-0.01, 0.01, N_ROWS)
    assert len(modes_of(x)) == 1


def test_modes_are_at_most_so_many() -> None:
    x = np.repeat(100.0 * np.arange(12) ** 3, 100) + np.tile(np.linspace(0, 1, 100), 12)
    assert len(modes_of(x)) <= MOST_MODES


@pytest.mark.parametrize("n_bins", [1, 12])
def test_each_mode_becomes_normal(n_bins: int) -> None:
    rng = np.random.default_rng(1)
    modes = [rng.normal(0, 1, 1000), rng.normal(1e4, 5, 600), rng.normal(1e6, 0.1, 400)]
    x = np.concatenate(modes)
    y = fit_marginals(x[:, None], n_bins).forward_and_log_det(torch.tensor(x[None]))[0][0].numpy()
    assert y.mean() == pytest.approx(0, abs=0.05)
    assert y.std() == pytest.approx(1, abs=0.05)
    parts = np.split(y, [1000, 1600])
    deviations = [part.std() for part in parts]
    assert max(deviations) < 1.2 * min(deviations)
    for before, after in pairwise(parts):
        assert after.min() - before.max() > deviations[0]
    for part in parts:
        assert stats.kstest((part - part.mean()) / part.std(), "norm").statistic < 0.06


@pytest.mark.parametrize("n_bins", [1, 12])
def test_other_columns_keep_their_map(n_bins: int) -> None:
    """All columns have the knots of the one with modes; an affine map is the same in any number."""
    rng = np.random.default_rng(2)
    plain = rng.standard_normal(N_ROWS)
    far = np.where(rng.random(N_ROWS) < 0.5, plain, 1e3 + plain)
    alone = fit_marginals(plain[:, None], n_bins)
    together = fit_marginals(np.column_stack((plain, far)), n_bins)
    rows = torch.tensor(np.linspace(-10, 10, 201)[None])
    y = alone.forward_and_log_det(rows)[0]
    y_beside = together.forward_and_log_det(rows.expand(2, -1))[0][:1]
    tolerance = 1e-12 if n_bins == 1 else 0.1
    torch.testing.assert_close(y_beside, y, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("n_bins", [1, 12])
def test_values_in_a_gap_come_back(n_bins: int) -> None:
    rng = np.random.default_rng(3)
    x = np.append(rng.normal(-1e3, 1, 1000), rng.normal(1e3, 1, 1000))
    marginals = fit_marginals(x[:, None], n_bins)
    rows = torch.tensor(np.linspace(-2e3, 2e3, 4001)[None])
    y, log_det = marginals.forward_and_log_det(rows)
    assert (y.diff() > 0).all()
    assert torch.isfinite(log_det).all()
    noisy = y * (1 + 1e-14)
    back = marginals.inverse(noisy)
    assert float((back - rows).abs().max()) < 1e-11 * 2e3


@given(
    table=arrays(
        np.float64,
        st.tuples(st.integers(0, 90), st.integers(2, 6)),
        elements=st.one_of(st.integers(-3, 3).map(float), st.just(np.nan), st.floats(-1e6, 1e6)),
        fill=st.nothing(),
    ),
    n_bins=st.sampled_from([1, 6]),
    is_weighted=st.booleans(),
)
def test_columns_are_fitted_as_if_alone(table: np.ndarray, n_bins: int, is_weighted: bool) -> None:
    """Columns of one block do not see each other, whatever is missing."""
    weight = np.arange(len(table)) % 3.0 if is_weighted else None
    bounds = [(-1e7, np.inf)] * table.shape[1]
    # One column of two modes or more makes all others have more knots.
    is_plain = [len(modes) == 1 for _, modes in find_modes(table, weight, np.arange(len(bounds)))]
    assume(all(is_plain))
    together = fit_marginals(table, n_bins, bounds, weight).state_dict()
    for j in range(table.shape[1]):
        alone = fit_marginals(table[:, [j]], n_bins, bounds[:1], weight).state_dict()
        for name, values in alone.items():
            assert torch.equal(together[name][..., [j], :], values)
