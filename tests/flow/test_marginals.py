"""Marginals: closed form, Gaussian for what is common, logarithmic for what is far."""

import numpy as np
import pytest
import torch
from scipy import stats

from skflow.initialization.marginals import fit_marginals

N_ROWS = 4000


def fit_and_map(x: np.ndarray, n_bins: int, rows: np.ndarray | None = None) -> np.ndarray:
    marginals = fit_marginals(x[:, None], n_bins)
    rows = x if rows is None else rows
    return marginals.forward_and_log_det(torch.tensor(rows[None]))[0][0].numpy()


SHAPES = {
    "normal": stats.norm(3, 5),
    "log-normal": stats.lognorm(1.0),
    "exponential": stats.expon(),
    "uniform": stats.uniform(-1, 2),
    "Student": stats.t(3),
    "Cauchy": stats.cauchy(),
}


@pytest.mark.parametrize("name", SHAPES)
def test_many_bins_make_fresh_rows_normal(name: str) -> None:
    rng = np.random.default_rng(0)
    train, fresh = SHAPES[name].rvs((2, N_ROWS), random_state=rng)
    z = fit_and_map(train, 16, fresh)
    assert stats.kstest(z, "norm").statistic < 0.04
    assert np.abs(z).max() < 7


def test_one_bin_standardises() -> None:
    x = np.random.default_rng(1).normal(50, 4, N_ROWS)
    z = fit_and_map(x, 1)
    inner = np.abs(x - 50) < 8
    slope, _, correlation, *_ = stats.linregress(x[inner], z[inner])
    assert correlation == pytest.approx(1, abs=1e-12)
    assert slope == pytest.approx(1 / 4, rel=0.05)
    assert abs(float(z.mean())) < 0.05


def test_without_a_bin_all_rows_are_standardized_along_one_line() -> None:
    x = np.random.default_rng(1).normal(50, 4, 300)
    beyond = np.linspace(x.min() - 12, x.max() + 12, 100)
    z = fit_and_map(x, 0, beyond)
    np.testing.assert_allclose(z, (beyond - x.mean()) / x.std(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("bound", [8.0, 14.0])
def test_a_near_bound_ends_the_line(bound: float) -> None:
    x = np.random.default_rng(2).exponential(2, 300).clip(0.5, 8)[:, None]
    marginals = fit_marginals(x, 0, [(0.0, bound)])
    rows = torch.tensor([[0.0, 0.5, 1.0, 3.0, x.max()]])
    z = marginals.forward_and_log_det(rows)[0][0].numpy()
    np.testing.assert_allclose(z[0], -4, rtol=1e-12)
    standardized = (rows[0].numpy() - x.mean()) / x.std()
    np.testing.assert_allclose(z[1:], standardized[1:], rtol=0, atol=1e-12)
    at_bound = float(marginals.forward_and_log_det(torch.tensor([[bound]]))[0])
    assert at_bound == pytest.approx((bound - x.mean()) / x.std())


@pytest.mark.parametrize("n_bins", [0, 1, 12])
def test_levels_of_a_condition_beside_its_values(n_bins: int) -> None:
    rng = np.random.default_rng(3)
    levels = rng.integers(0, 4, 300)
    table = np.column_stack((levels, rng.normal(size=300))).astype(float)
    rows = torch.tensor([[0.0, 1.5, 3.0], [-1.0, 0.0, 1.0]], dtype=torch.float64)
    z = fit_marginals(table, n_bins, lines=[0]).forward_and_log_det(rows)[0].numpy()
    np.testing.assert_allclose(z[0], (rows[0].numpy() - levels.mean()) / levels.std(), rtol=1e-12)
    alone = fit_marginals(table[:, 1:], n_bins).forward_and_log_det(rows[1:])[0].numpy()
    np.testing.assert_array_equal(z[1], alone[0])


def test_a_line_goes_through_levels_of_little_weight() -> None:
    levels, weight = np.array([1.0, 2.0, 10.0]), np.array([0.1, 0.3, 0.2])
    marginals = fit_marginals(levels[:, None], 4, weight=weight, lines=[0])
    z = marginals.forward_and_log_det(torch.tensor(levels[None]))[0][0].numpy()
    mean = np.average(levels, weights=weight)
    deviation = np.sqrt(np.average((levels - mean) ** 2, weights=weight))
    np.testing.assert_allclose(z, (levels - mean) / deviation, rtol=1e-12)


@pytest.mark.parametrize("n_bins", [1, 12])
def test_rarely_seen_far_values_leave_the_others_alone(n_bins: int) -> None:
    x = np.random.default_rng(2).standard_normal(N_ROWS)
    clean = fit_and_map(x, n_bins)
    spoilt = x.copy()
    spoilt[:3] = [1e6, -1e9, 1e300]
    z = fit_and_map(spoilt, n_bins)
    inner = np.abs(x[3:]) < 2.5
    np.testing.assert_allclose(z[3:][inner], clean[3:][inner], atol=0.1)
    assert np.isfinite(z**2).all()


@pytest.mark.parametrize("n_bins", [0, 1, 12])
@pytest.mark.parametrize("name", SHAPES)
def test_maps_rise_strictly_out_to_1e300(name: str, n_bins: int) -> None:
    x = SHAPES[name].rvs(500, random_state=np.random.default_rng(3))
    inner = np.linspace(-50, 50, 1001)
    far = np.geomspace(51, 1e300, 500)
    rows = np.concatenate((-far[::-1], inner, far))
    marginals = fit_marginals(x[:, None], n_bins)
    z, log_det = marginals.forward_and_log_det(torch.tensor(rows[None]))
    assert (z.diff() > 0).all()
    assert torch.isfinite(z.square()).all()
    assert torch.isfinite(log_det).all()
    back = marginals.inverse(z)
    np.testing.assert_allclose(back[0], rows, rtol=1e-10, atol=1e-10)


def test_heavier_tails_are_stretched_less() -> None:
    """Latents far out grow slower where training rows were often far out."""
    rng = np.random.default_rng(4)
    z = [
        float(fit_and_map(shape.rvs(N_ROWS, random_state=rng), 12, np.array([1e6]))[0])
        for shape in (stats.norm(), stats.cauchy())
    ]
    assert z[1] < z[0]


@pytest.mark.parametrize("n_bins", [0, 1, 8])
@pytest.mark.parametrize(
    "x",
    [
        np.array([0.0, 1.0]),
        np.array([1.0, 1.0, 1.0, 2.0]),
        np.repeat([0.0, 1.0, 5.0], 50),
        np.append(np.zeros(500), 1e-5),
        np.append(np.random.default_rng(5).standard_normal(50), np.zeros(500)),
    ],
    ids=["two rows", "four rows", "three levels", "one other value", "an atom"],
)
def test_repeated_values(x: np.ndarray, n_bins: int) -> None:
    marginals = fit_marginals(x[:, None], n_bins)
    rows = torch.tensor(np.unique(x)[None])
    z, log_det = marginals.forward_and_log_det(rows)
    assert torch.isfinite(log_det).all()
    assert (z.diff() > 0).all()
    assert z.abs().max() < 1e4
    torch.testing.assert_close(marginals.inverse(z), rows, rtol=1e-11, atol=1e-11)


def test_columns_are_mapped_each_on_its_own() -> None:
    table = np.random.default_rng(6).standard_normal((300, 3)) * [1, 10, 100]
    rows = torch.tensor(table.T.copy())
    together, log_det = fit_marginals(table, 6).forward_and_log_det(rows)
    total = torch.zeros(300, dtype=torch.float64)
    for j in range(3):
        alone, log_derivative = fit_marginals(table[:, [j]], 6).forward_and_log_det(rows[[j]])
        assert torch.equal(alone[0], together[j])
        total += log_derivative
    torch.testing.assert_close(total, log_det)
