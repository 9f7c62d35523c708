"""One covariance at several radii, against refits, scikit-learn, and densities that are known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import FactorAnalysis
from torch import Tensor

from skflow.flow.floored_components import EllipticalComponents
from skflow.flow.mixture import Mixture
from skflow.initialization import elliptical
from skflow.initialization.elliptical import (
    fit_elliptical,
    fit_factors,
    radius_responsibilities,
)

N_FACTORS = 4


def factor_rows(n_rows: int, n_columns: int, seed: int = 0) -> tuple[Tensor, np.ndarray]:
    """Rows of a factor model, ``(n_columns, n_rows)``, and its covariance."""
    loadings = np.random.default_rng(1).standard_normal((n_columns, N_FACTORS)) / 2
    rng = np.random.default_rng(seed)
    rows = loadings @ rng.standard_normal((N_FACTORS, n_rows))
    rows += 0.6 * rng.standard_normal((n_columns, n_rows))
    return torch.tensor(rows), loadings @ loadings.T + 0.36 * np.eye(n_columns)


def covariance_of(components: EllipticalComponents) -> np.ndarray:
    """The covariance whose regressions the components have, ``(n_columns, n_columns)``."""
    residuals = torch.eye(components.means.shape[1]) - components.coefficients[0]
    whitening = residuals / components.deviations.T
    return torch.linalg.inv(whitening.T @ whitening).numpy()


def log_prob(components: EllipticalComponents, y: Tensor) -> np.ndarray:
    """Log-density of rows, by SciPy."""
    weights, radii, means = (part.numpy() for part in components[:3])
    covariances = covariance_of(components)[None]
    parts = [
        np.log(weight) + stats.multivariate_normal.logpdf(y.numpy().T, mean, covariance)
        for weight, covariance, mean in zip(
            weights,
            radii[:, None, None] ** 2 * covariances[0],
            means.repeat(len(radii), 0),
            strict=True,
        )
    ]
    return np.logaddexp.reduce(parts, axis=0)


def only_noise(size: Tensor, ratio: float) -> tuple[Tensor, Tensor, float]:
    """Take all eigenvalues for those of noise, of variance 1."""
    return torch.ones_like(size), torch.ones_like(size, dtype=torch.bool), 1.0


def summing_rows(n_rows: int, n_columns: int) -> tuple[Tensor, np.ndarray]:
    """Rows of which some weighted sums are next to constant, and their covariance."""
    weights = np.random.default_rng(3).standard_normal((n_columns, N_FACTORS))
    covariance = np.linalg.inv(np.eye(n_columns) + weights @ weights.T)
    rows = np.linalg.cholesky(covariance) @ np.random.default_rng(0).normal(
        size=(n_columns, n_rows)
    )
    return torch.tensor(rows), covariance


@pytest.mark.parametrize("n_rows", [25, 60])
@pytest.mark.parametrize("shrinkage", [0.1, 0.7])
def test_distances_are_those_from_fits_without_the_row(
    n_rows: int, shrinkage: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elliptical, "SHRINKAGES", (shrinkage,))
    monkeypatch.setattr(elliptical, "MOST_RADII", 1)
    monkeypatch.setattr(elliptical, "spiked_spectrum", only_noise)
    n_columns = 40
    rows = factor_rows(n_rows, n_columns)[0]
    rows = (rows - rows.mean(dim=1, keepdim=True)) / n_rows**0.5
    loadings, unique = 0.3 * rows[:, :2], rows.square().sum(dim=1)
    ones = torch.ones(n_rows, dtype=torch.float64)
    _, radii, _ = elliptical.choose_shrinkage(rows, ones, ones, loadings, unique)
    square = float(radii.squares)
    found = -2 * square * (radii.log_prob + n_columns / 2 * np.log(square))
    target = (loadings @ loadings.T + unique.diag()).numpy()
    for i, row in enumerate(rows.numpy().T):
        others = np.delete(rows.numpy(), i, axis=1)
        mean = others.mean(axis=1)
        scatter = (others - mean[:, None]) @ (others - mean[:, None]).T
        covariance = (1 - shrinkage) * scatter + shrinkage * target
        deviation = np.sqrt(n_rows) * (row - mean)
        expected = deviation @ np.linalg.solve(covariance, deviation)
        np.testing.assert_allclose(float(found[i]), expected, rtol=1e-8)


def test_distances_are_those_from_fits_of_the_target_without_the_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    n_rows, n_columns, shrinkage = 120, 30, 0.6
    monkeypatch.setattr(elliptical, "SHRINKAGES", (shrinkage,))
    monkeypatch.setattr(elliptical, "MOST_RADII", 1)
    rows = summing_rows(n_rows, n_columns)[0]
    no_factors, unique = torch.zeros(n_columns, 0).double(), torch.ones(n_columns).double()

    def fit(y: Tensor) -> tuple[Tensor, float]:
        """Return the covariance, and the mean log-density of rows left out by the formula."""
        centred = (y - y.mean(dim=1, keepdim=True)) / y.shape[1] ** 0.5
        ones = torch.ones(y.shape[1]).double()
        _, radii, target = elliptical.choose_shrinkage(centred, ones, ones, no_factors, unique)
        return torch.lerp(centred @ centred.T, target.dense(), shrinkage), float(radii.squares)

    covariance, found = fit(rows)
    refitted, fixed = [], []
    for i in range(n_rows):
        others = rows[:, torch.arange(n_rows) != i]
        deviation = rows[:, i] - others.mean(dim=1)
        for target, distances in ((fit(others)[0], refitted), (covariance, fixed)):
            distances.append(float(deviation @ torch.linalg.solve(target, deviation)) / n_columns)
    expected = np.mean(refitted)
    assert abs(found - expected) < 0.1 * abs(np.mean(fixed) - expected)


@pytest.mark.parametrize("ratio", [0.1, 0.3])
def test_variances_along_sample_eigenvectors_are_those_of_the_population(ratio: float) -> None:
    n_columns, spikes = 300, [0.005, 0.02, 5.0, 20.0]
    population = torch.ones(n_columns).double()
    population[: len(spikes)] = torch.tensor(spikes)
    n_rows = round(n_columns / ratio)
    normal = torch.tensor(np.random.default_rng(0).normal(size=(n_columns, n_rows)))
    rows = 3 * population.sqrt()[:, None] * normal
    size, vectors = torch.linalg.eigh(rows @ rows.T / n_rows)
    variances, is_noise, noise = elliptical.spiked_spectrum(size, ratio)
    assert noise == pytest.approx(9, rel=0.02)
    apart = torch.tensor([0, 1, -2, -1])
    assert not is_noise[apart].any()
    assert int((~is_noise).sum()) <= len(spikes) + 2  # by chance, at the edges
    of_population = 9 * (vectors.square().T @ population)
    errors, plain = ((part / of_population)[apart].log().abs() for part in (variances, size))
    assert errors.max() < 0.1
    assert errors.max() < plain.max() / 2


def test_sums_that_hardly_vary_are_found() -> None:
    n_columns = 150
    y, covariance = summing_rows(600, n_columns)

    def divergence(found: np.ndarray) -> float:
        """Kullback-Leibler divergence from normal rows, in nats per column."""
        product = np.linalg.solve(found, covariance)
        return float(np.trace(product) - np.linalg.slogdet(product)[1] - n_columns) / n_columns / 2

    fitted = fit_elliptical(y)
    gap = divergence(float(fitted.weights @ fitted.radii**2) * covariance_of(fitted))
    rows = y.numpy().T
    shrunk = LedoitWolf().fit(rows).covariance_
    of_factors = FactorAnalysis(2 * N_FACTORS).fit(rows).get_covariance()
    assert gap < 6 / 600  # parameters per column over rows, in nats
    assert gap < min(divergence(shrunk), divergence(of_factors)) / 2


@settings(max_examples=12)
@given(
    st.integers(0, 99),
    st.integers(60, 200),
    st.integers(40, 120),
    st.integers(1, 15),
    st.sampled_from([0.0, 1e-6, 1e-3, 0.1]),
)
def test_columns_that_are_nearly_functions_of_few_keep_their_covariance(
    seed: int, n_rows: int, n_columns: int, rank: int, noise: float
) -> None:
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(n_columns, rank)) @ rng.normal(size=(rank, n_rows))
    y += noise * rng.uniform(0.3, 1.7, (n_columns, 1)) * rng.normal(size=y.shape)
    y = (y - y.mean(axis=1, keepdims=True)) / y.std(axis=1, keepdims=True)
    fitted = fit_elliptical(torch.tensor(y))
    found = float(fitted.weights @ fitted.radii**2) * covariance_of(fitted)
    np.testing.assert_allclose(np.sqrt(np.diag(found)), 1, atol=0.08)
    correlation = found / np.sqrt(np.outer(np.diag(found), np.diag(found)))
    assert np.sqrt(np.mean((correlation - y @ y.T / n_rows) ** 2)) < 0.04


@pytest.mark.parametrize(("n_rows", "rank"), [(60, 4), (120, 30), (400, 45)])
@pytest.mark.parametrize("noise", [1e-1, 1e-3])
def test_nearly_low_rank_is_no_worse_than_a_factor_model_of_that_rank(
    n_rows: int, rank: int, noise: float
) -> None:
    rng = np.random.default_rng(0)
    loadings = rng.normal(size=(100, rank)) / np.sqrt(rank)
    y, fresh = (
        loadings @ rng.normal(size=(rank, n)) + noise * rng.normal(size=(100, n))
        for n in (n_rows, 1000)
    )
    peer = FactorAnalysis(rank, tol=1e-6, max_iter=1000, svd_method="lapack").fit(y.T)
    found = log_prob(fit_elliptical(torch.tensor(y)), torch.tensor(fresh)).mean()
    assert found > peer.score(fresh.T) - 1


def test_factors_are_those_of_scikit_learn() -> None:
    y = factor_rows(2000, 30)[0].numpy()
    y = (y - y.mean(axis=1, keepdims=True)) / y.std(axis=1, keepdims=True)
    loadings, unique = fit_factors(torch.tensor(y / np.sqrt(y.shape[1])), y.shape[1])
    assert loadings.shape[1] == N_FACTORS
    peer = FactorAnalysis(N_FACTORS, tol=1e-8, max_iter=5000, svd_method="lapack").fit(y.T)
    found = (loadings @ loadings.T + unique.diag()).numpy()
    np.testing.assert_allclose(found, peer.get_covariance(), atol=5e-3)


@pytest.mark.parametrize("n_rows", [80, 600])
def test_a_factor_model_is_found(n_rows: int) -> None:
    n_columns = 150
    y, covariance = factor_rows(n_rows, n_columns)
    fresh = factor_rows(1000, n_columns, seed=2)[0]
    truth = stats.multivariate_normal.logpdf(fresh.numpy().T, np.zeros(n_columns), covariance)
    found = log_prob(fit_elliptical(y), fresh)
    peer = LedoitWolf().fit(y.numpy().T).score(fresh.numpy().T)
    gap = (truth.mean() - found.mean()) / n_columns
    assert gap < 6 / n_rows  # parameters per column over rows, in nats
    assert gap < (truth.mean() - peer) / n_columns / 2


def test_radii_hold_heavy_tails() -> None:
    n_columns = 60
    covariance = factor_rows(2, n_columns)[1]
    t = stats.multivariate_t(np.zeros(n_columns), covariance, df=4, seed=0)
    y, fresh = (torch.tensor(t.rvs(n).T) for n in (400, 1000))
    components = fit_elliptical(y)
    assert len(components.radii) > 2
    assert (t.logpdf(fresh.numpy().T) - log_prob(components, fresh)).mean() / n_columns < 0.03


def test_rows_of_weight_0_do_not_count_and_copies_do_no_harm() -> None:
    y = factor_rows(120, 70)[0]
    weight = (torch.arange(120) % 3 > 0).double()
    for found, expected in zip(
        fit_elliptical(y, weight), fit_elliptical(y[:, weight > 0]), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    copied = fit_elliptical(y[:, torch.arange(120) // 2])
    assert all(torch.isfinite(part).all() for part in copied)
    assert np.linalg.eigvalsh(covariance_of(copied)).min() > 1e-3


def test_the_mixture_has_the_density_of_the_components() -> None:
    y = torch.tensor(stats.multivariate_t(shape=np.eye(5), df=3, seed=0).rvs(300).T)
    components = fit_elliptical(y)
    layer = Mixture.from_components(components, bound=1e6)
    layer.floor_logit.data.fill_(-60.0)  # no floor but the least one
    found = layer.log_prob(y).detach().numpy()
    np.testing.assert_allclose(found, log_prob(components, y), atol=0.05)
    share = radius_responsibilities(y, components)
    torch.testing.assert_close(share.sum(dim=0), torch.ones(300, dtype=torch.float64))
    far, near = int(y.square().sum(dim=0).argmax()), int(y.square().sum(dim=0).argmin())
    assert components.radii @ share[:, far] > components.radii @ share[:, near]
