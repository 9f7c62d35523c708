"""Draws of the mixture layer and of whole models: exactly from the density that they state."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from skflow.flow.heavy_tails import HEAVY, broad_draw, broad_tails
from skflow.flow.mixture import Mixture
from skflow.flow.model import Latents
from skflow.flow.univariate_mixture import UnivariateMixture
from tests.flow.test_model import given, randomized
from tests.laws import CASES, PLAIN, Case, mixture, seeded, with_context

N_ROWS = 20_000
LEAST = 1e-4  # p-value: some hundred are computed here

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def noise(n_columns: int, n_rows: int = N_ROWS, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Standard normal and uniform random numbers."""
    generator = seeded(seed)
    shape = (n_columns, n_rows)
    z = torch.randn(shape, generator=generator, dtype=torch.float64)
    return z, torch.rand(shape, generator=generator, dtype=torch.float64)


def broader(layer: Mixture) -> Mixture:
    """With a large share of the broad part, so that its draws count."""
    layer.floor_logit.data.fill_(1.0)
    return layer


def assert_standard_normal(z: Tensor) -> None:
    """Present latents are normal, and independent of each other and of each other's size."""
    for column in z:
        present = column[~column.isnan()].numpy()
        assert stats.kstest(present, "norm").pvalue > LEAST
    for transform in (torch.Tensor.clone, torch.Tensor.abs):
        for i in range(len(z)):
            for j in range(i):
                both = ~(z[i].isnan() | z[j].isnan())
                pair = (transform(z[k][both]).numpy() for k in (i, j))
                assert stats.pearsonr(*pair).pvalue > LEAST


@every_case
@pytest.mark.parametrize("scale", [1.0, 0.02])
def test_latents_of_draws_are_standard_normal(scale: float, case: Case) -> None:
    """By the map, another computation: the conditional distribution functions are uniform."""
    layer = broader(mixture(scale, case=case))
    z, u = noise(4)
    z, context = with_context(case, z)
    y = layer.draw(z, u, context)
    assert torch.equal(y.isnan(), z.isnan())
    with torch.no_grad():
        assert_standard_normal(layer.forward_and_log_det(y, context)[0])


def test_one_column_has_the_distribution_function_of_scipy() -> None:
    layer = broader(mixture(0.3, n_components=3, n_columns=1))
    y = layer.draw(*noise(1))[0].numpy()
    weights = torch.softmax(layer.log_weights, dim=0).detach().numpy()
    mean, scale = layer.intercept[:, 0].detach().numpy(), layer._scale()[:, 0].detach().numpy()
    floor = layer._floor()[0].item()

    def cdf(x: np.ndarray) -> np.ndarray:
        normal = stats.norm.cdf(x[:, None], mean, scale) @ weights
        broad = (1 - HEAVY) * stats.logistic.cdf(x) + HEAVY * stats.t(2).cdf(x)
        return (1 - floor) * normal + floor * broad

    assert floor > 0.3
    assert stats.kstest(y, cdf).pvalue > LEAST


@pytest.mark.parametrize("heavy", [False, True])
def test_broad_draws_have_the_broad_distribution(heavy: bool) -> None:
    z, u = noise(1)
    if heavy:
        y = broad_draw(z[0], u[0] * HEAVY).numpy()
        assert stats.kstest(y, stats.t(2).cdf).pvalue > LEAST
    else:
        y = broad_draw(z[0], u[0])
        assert stats.kstest(broad_tails(y)[0].numpy(), "uniform").pvalue > LEAST


@pytest.mark.parametrize("case", [PLAIN, Case(labels=True, given=True)], ids=str)
def test_draws_have_the_mean_score_of_rows_found_by_the_inverse(case: Case) -> None:
    layer = mixture(0.1, case=case)
    z, context = with_context(case, noise(4, seed=1)[0])
    with torch.no_grad():
        drawn = layer.log_prob(layer.draw(*noise(4), context), context)
        solved = layer.log_prob(layer.inverse(z, context), context)
    assert stats.ttest_ind(drawn, solved).pvalue > LEAST
    assert stats.ks_2samp(drawn, solved).pvalue > LEAST


@pytest.mark.parametrize("has_condition", [False, True], ids=["alone", "given"])
def test_latents_of_a_models_draws_are_standard_normal(has_condition: bool) -> None:
    model = randomized("numbers", has_condition)
    z, u = noise(4)
    condition = given(has_condition, N_ROWS)
    with torch.no_grad():
        nothing = z[:0]
        rows = model.draw(Latents(nothing, z), u, condition)
        assert_standard_normal(model.latents(rows, condition).values)


# Mixtures of one column


def test_mixtures_with_precisions_of_their_own_are_those_of_scipy() -> None:
    """Density, distribution function, quantiles and draws; rows are repeated for two values."""
    rng = np.random.default_rng(0)
    weights, means, scales = rng.dirichlet(np.ones(3), 5).T, *rng.normal(size=(2, 3, 5))
    scales = np.exp(scales)
    weights, means, scales = map(torch.tensor, (weights, means, scales))
    rows = UnivariateMixture(
        weights, weights.sum(dim=0), -means / scales, 1 / scales, *torch.zeros(2, 1).double()
    )
    rows = rows._replace(floor=torch.tensor(0.0, dtype=torch.float64))
    z = torch.tensor(rng.normal(size=10))
    y = rows.repeat(2).quantile(z).numpy()
    both = [part.repeat(1, 2).numpy() for part in (weights, means, scales)]
    parts = stats.norm(both[1], both[2])
    np.testing.assert_allclose((both[0] * parts.cdf(y)).sum(axis=0), stats.norm.cdf(z), rtol=1e-9)
    found = rows.repeat(2).density(torch.tensor(y))
    np.testing.assert_allclose(found, (both[0] * parts.pdf(y)).sum(axis=0), rtol=1e-12)
    z, u = noise(1)
    at = torch.arange(N_ROWS) % 5
    drawn = rows.of_rows(at).draw(z[0], u[0])
    score, _ = rows.of_rows(at).normal_score(drawn)
    assert stats.kstest(score.numpy(), "norm").pvalue > LEAST
