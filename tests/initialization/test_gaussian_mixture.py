"""Expectation maximisation: the steps of scikit-learn, and a prior that keeps them sound."""

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor

from skflow.flow.floored_components import GaussianComponents
from skflow.initialization import gaussian_mixture
from skflow.initialization.gaussian_mixture import PriorStrength, SufficientStatistics
from tests.flow.test_mixture import scipy_log_prob
from tests.laws import normal_rows, seeded
from tests.tables import clustered

NO_PRIOR = PriorStrength(0.0, 0.0)


@pytest.fixture
def no_mean_prior(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain expectation maximisation: nothing draws the means."""
    monkeypatch.setattr(gaussian_mixture, "MEAN_ROWS", 0.0)


def fit_gaussian_mixture(y: Tensor, n_components: int, **options: object) -> GaussianComponents:
    rows = SufficientStatistics(y)
    return gaussian_mixture.fit_gaussian_mixture(rows, n_components, **options)


def start_of(y: Tensor, n_components: int) -> GaussianComponents:
    return fit_gaussian_mixture(y, n_components, strength=NO_PRIOR, n_iter=0, generator=seeded(0))


def rows_of_clusters() -> Tensor:
    return torch.tensor(clustered(500, 3, seed=5).T.copy()) + normal_rows(500, n_columns=3) / 5


@pytest.mark.parametrize("n_components", [1, 2, 4])
@pytest.mark.parametrize("n_iter", [1, 5, 30])
@pytest.mark.usefixtures("no_mean_prior")
def test_steps_are_those_of_scikit_learn(n_components: int, n_iter: int) -> None:
    y = rows_of_clusters()
    start = start_of(y, n_components)
    reference = GaussianMixture(
        n_components,
        weights_init=start.weights.numpy(),
        means_init=start.means.numpy(),
        precisions_init=np.linalg.inv(start.covariances.numpy()),
        max_iter=n_iter,
        tol=0,
        reg_covar=0,
    )
    with pytest.warns(UserWarning, match="did not converge"):
        reference.fit(y.T.numpy())
    found = fit_gaussian_mixture(
        y, n_components, strength=NO_PRIOR, n_iter=n_iter, generator=seeded(0), tol=-np.inf
    )
    np.testing.assert_allclose(found.weights, reference.weights_, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.means, reference.means_, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.covariances, reference.covariances_, rtol=1e-3, atol=1e-4)


@pytest.mark.usefixtures("no_mean_prior")
def test_each_step_raises_the_likelihood() -> None:
    y = rows_of_clusters()
    likelihoods = [
        scipy_log_prob(
            fit_gaussian_mixture(
                y, 4, strength=NO_PRIOR, n_iter=n_iter, generator=seeded(0), tol=-np.inf
            ),
            y,
        ).mean()
        for n_iter in range(12)
    ]
    assert (np.diff(likelihoods) > -1e-6).all()
    assert likelihoods[-1] > likelihoods[0] + 0.5


@pytest.mark.parametrize("strength", [PriorStrength(5.0, 0.0), PriorStrength(0.1, 3.0)])
def test_a_prior_keeps_components_of_few_rows_sound(strength: PriorStrength) -> None:
    y = normal_rows(30, n_columns=3)
    components = fit_gaussian_mixture(y, 20, strength=strength, n_iter=50, generator=seeded(0))
    assert torch.isfinite(components.means).all()
    assert components.weights.sum() == pytest.approx(1)
    assert (torch.linalg.eigvalsh(components.covariances) > 0).all()


def test_no_component_is_centred_on_one_row() -> None:
    """It would be remembered: each mean is drawn to that of all rows."""
    y = torch.randn(2, 50, generator=seeded(0), dtype=torch.float64)
    y[:, 7] = 1e3
    components = fit_gaussian_mixture(
        y, 6, strength=PriorStrength(0.02, 0.0), n_iter=50, generator=seeded(0)
    )
    distance = (components.means[:, :, None] - y[None]).abs() / y.abs()
    assert float(distance.min()) > 1e-6
    assert float((components.means - 1e3).abs().min()) < 200


def test_a_strong_prior_gives_the_pooled_covariance_to_all() -> None:
    y = normal_rows(200, n_columns=2)
    components = fit_gaussian_mixture(
        y, 3, strength=PriorStrength(1e9, 0.0), n_iter=3, generator=seeded(0)
    )
    expected = start_of(y, 3).covariances
    torch.testing.assert_close(components.covariances, expected, rtol=1e-4, atol=1e-6)


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    y = rows_of_clusters()

    def fit() -> GaussianComponents:
        return fit_gaussian_mixture(y, 3, strength=NO_PRIOR, n_iter=5, generator=seeded(0))

    whole = fit()
    monkeypatch.setattr(gaussian_mixture, "BLOCK", 500)
    in_blocks = fit()
    monkeypatch.setattr(gaussian_mixture, "KEPT", 0)
    for part, kept, made_anew in zip(whole, in_blocks, fit(), strict=True):
        torch.testing.assert_close(kept, part, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(made_anew, part, rtol=1e-8, atol=1e-8)


def test_one_component_is_where_the_iteration_would_end() -> None:
    y = torch.randn(3, 200, generator=seeded(0), dtype=torch.float64)
    strength = PriorStrength(pooled_rows=2.0, diagonal_rows=3.0)
    one = fit_gaussian_mixture(y, 1, strength=strength, n_iter=10, generator=seeded(0))
    pooled = gaussian_mixture.pooled_covariance(y, torch.ones(200, dtype=torch.float64))
    prior = gaussian_mixture.ComponentPrior(y.mean(dim=1), pooled, strength)
    stepped, _ = gaussian_mixture._step(SufficientStatistics(y), one, prior)
    for left, right in zip(one, stepped, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-10, atol=1e-10)
