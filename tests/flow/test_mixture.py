"""The mixture layer and its start, against scipy and scikit-learn."""

import copy

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp, softmax
from sklearn.mixture import GaussianMixture
from torch import Tensor

from skflow.flow import gaussian_mixture
from skflow.flow import mixture as mixture_module
from skflow.flow.conditioner import QUANTIZATION_STEP
from skflow.flow.gaussian_mixture import (
    GaussianComponents,
    PriorStrength,
    SufficientStatistics,
)
from skflow.flow.heavy_tails import HEAVY
from skflow.flow.mixture import Mixture
from tests.laws import BOUND, CASES, Case, ContextRows, mixture, normal_rows, seeded, with_context
from tests.tables import clustered

NO_PRIOR = PriorStrength(0.0, 0.0)

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def scipy_log_prob(components: GaussianComponents, y: Tensor) -> np.ndarray:
    """Log-density of a plain Gaussian mixture at each row of ``y``, ``(n_columns, n_rows)``."""
    parts = [
        np.log(float(weight)) + stats.multivariate_normal(mean, covariance).logpdf(y.T.numpy())
        for weight, mean, covariance in zip(*(part.numpy() for part in components), strict=True)
    ]
    return logsumexp(parts, axis=0)


def broad_pdf(y: float) -> float:
    return (1 - HEAVY) * stats.logistic.pdf(y) + HEAVY * stats.t(2).pdf(y)


def slow_log_prob(layer: Mixture, rows: ContextRows) -> np.ndarray:
    """The density as the module's text states it, row by row and column by column."""
    logits = layer.log_weights.detach().numpy()
    intercept, coefficients = layer.intercept.detach().numpy(), layer.coefficients.detach().numpy()
    scale, floor = layer._scale().detach().numpy(), layer._floor().detach().numpy()
    log_densities = []
    for i, row in enumerate(rows.x.T.numpy()):
        read = np.round(row.clip(-BOUND, BOUND) / QUANTIZATION_STEP) * QUANTIZATION_STEP
        effects = np.zeros(sum(intercept.shape))
        if rows.context.codes is not None:
            table = layer.effects[0].table.detach().numpy()
            effects = effects + table[rows.context.codes[:, i]].sum(axis=0)
        if rows.context.given is not None:
            weight, features = layer.effects[-1].weight.detach(), rows.context.given[:, i]
            effects = effects + weight.numpy() @ features.numpy()
        extra, shift = effects[: len(logits)], effects[len(logits) :]
        weights, log_density = softmax(logits + extra), 0.0
        left = np.tile(read - shift, (len(logits), 1))
        if layer.missing_embedding is not None:
            left = np.where(np.isnan(row), layer.missing_embedding.detach().numpy(), left)
        left = np.where(np.isnan(left), -shift, left)
        for j in np.flatnonzero(~np.isnan(row)):
            mean = intercept[:, j] + shift[j] + (coefficients[:, j, :j] * left[:, :j]).sum(axis=1)

            def factors(value: float, j: int = j, mean: np.ndarray = mean) -> np.ndarray:
                normal = stats.norm.pdf(value, mean, scale[:, j])
                return (1 - floor[j]) * normal + floor[j] * broad_pdf(value)

            log_density += np.log((weights * factors(row[j])).sum() / weights.sum())
            weights = weights * factors(read[j])
        log_densities.append(log_density)
    return np.array(log_densities)


@every_case
@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_log_prob_is_the_stated_density(scale: float, case: Case) -> None:
    layer, rows = mixture(scale, n_components=3, case=case), with_context(case, normal_rows(25))
    np.testing.assert_allclose(
        layer.log_prob(*rows).detach(), slow_log_prob(layer, rows), atol=1e-9
    )


@pytest.mark.parametrize("labels", [False, True])
def test_without_embedding_missing_values_are_read_as_zero(labels: bool) -> None:
    case = Case(missing=True, labels=labels)
    layer = mixture(0.5, case=case._replace(missing=False))
    rows = with_context(case, normal_rows(25))
    np.testing.assert_allclose(
        layer.log_prob(*rows).detach(), slow_log_prob(layer, rows), atol=1e-9
    )


def components_of(scale: float, n_columns: int = 3) -> GaussianComponents:
    rng = np.random.default_rng(0)
    factor = rng.standard_normal((4, n_columns, n_columns))
    covariances = scale**2 * (factor @ factor.transpose(0, 2, 1) + np.eye(n_columns))
    arrays = rng.dirichlet(np.ones(4)), rng.standard_normal((4, n_columns)), covariances
    return GaussianComponents(*(torch.tensor(array) for array in arrays))


def test_without_its_floor_it_is_scipys_mixture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixture_module, "MIN_FLOOR", 0.0)
    components = components_of(0.5)
    layer = Mixture(components, bound=1e6)
    layer.floor_logit.data.fill_(-60.0)
    y = 2 * torch.randn(3, 300, generator=seeded(0), dtype=torch.float64)
    np.testing.assert_allclose(layer.log_prob(y).detach(), scipy_log_prob(components, y), atol=1e-5)


def test_its_floor_hardly_shows_where_the_density_is() -> None:
    components = components_of(0.5)
    layer = Mixture(components, bound=10.0)
    z = torch.randn(3, 2000, generator=seeded(1), dtype=torch.float64)
    y, _ = layer.inverse_and_log_det(z)
    gap = layer.log_prob(y).detach().numpy() - scipy_log_prob(components, y.detach())
    assert abs(np.median(gap)) < 0.02


@every_case
@pytest.mark.parametrize("scale", [1.0, 0.1, 0.01])
def test_log_prob_is_that_of_the_map(scale: float, case: Case) -> None:
    layer, rows = mixture(scale, case=case), with_context(case, normal_rows(500))
    z, log_det = layer.forward_and_log_det(*rows)
    base = stats.norm.logpdf(z.detach()).copy()
    base[np.isnan(base)] = 0
    np.testing.assert_allclose(
        layer.log_prob(*rows).detach(), base.sum(axis=0) + log_det.detach().numpy(), rtol=1e-9
    )


@every_case
@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_training_sees_the_density_but_for_the_rounding(scale: float, case: Case) -> None:
    """Of rows within the interval; farther out other columns read a clamped value."""
    rows = with_context(case, normal_rows(500).clamp(-0.99 * BOUND, 0.99 * BOUND))
    layer = mixture(scale, case=case)
    evaluated = layer.log_prob(*rows)
    trained = layer.log_prob(rows.x, rows.context._replace(quantize=False))
    torch.testing.assert_close(trained, evaluated, rtol=0, atol=1e-3)


def test_the_first_latent_is_the_quantile_of_the_first_column() -> None:
    layer = mixture(0.3, n_components=3)
    y = normal_rows(50)
    z, _ = layer.forward_and_log_det(y)
    weights = torch.softmax(layer.log_weights, dim=0).detach().numpy()[:, None]
    mean, scale = layer.intercept[:, :1].detach().numpy(), layer._scale()[:, :1].detach().numpy()
    floor = layer._floor()[0].item()
    normal = (weights * stats.norm.cdf(y[0].numpy(), mean, scale)).sum(axis=0)
    broad = (1 - HEAVY) * stats.logistic.cdf(y[0].numpy()) + HEAVY * stats.t(2).cdf(y[0].numpy())
    cdf = (1 - floor) * normal + floor * broad
    np.testing.assert_allclose(stats.norm.cdf(z[0].detach()), cdf, rtol=1e-8)


def test_normal_latents_become_draws_of_the_mixture() -> None:
    components = components_of(0.3, n_columns=2)
    layer = Mixture(components, bound=10.0)
    z = torch.randn(2, 4000, generator=seeded(2), dtype=torch.float64)
    y = layer.inverse_and_log_det(z)[0].detach().numpy()
    rng = np.random.default_rng(1)
    label = rng.choice(4, size=4000, p=components.weights.numpy())
    draws = np.array(
        [
            rng.multivariate_normal(components.means[k].numpy(), components.covariances[k].numpy())
            for k in label
        ]
    ).T
    for direction in ([1, 0], [0, 1], [1, 1], [1, -2]):
        assert stats.ks_2samp(direction @ y, direction @ draws).statistic < 0.04


def test_a_row_strange_in_one_column_pays_little() -> None:
    """A Gaussian of width 0.1 would take more than 100,000 nats."""
    layer = mixture(0.1)
    y = layer.inverse_and_log_det(torch.zeros(4, 1, dtype=torch.float64))[0].detach()
    usual = layer.log_prob(y).item()
    for column in range(4):
        strange = y.clone()
        strange[column] = 50.0
        assert usual - 60 < layer.log_prob(strange).item() < usual - 5


def test_densities_integrate_to_one() -> None:
    layer = mixture(0.3, n_components=3, n_columns=2)
    u = torch.linspace(-9, 9, 700, dtype=torch.float64)
    grid = torch.sinh(u)
    volume = torch.cosh(u) * (u[1] - u[0])
    points = torch.cartesian_prod(grid, grid).T.contiguous()
    with torch.no_grad():
        density = layer.log_prob(points).exp().view(700, 700)
    assert float(volume @ density @ volume) == pytest.approx(1, abs=1e-3)


def test_what_is_absent_is_its_components_conditional_mean() -> None:
    """Of Gaussian components, one column absent: scipy's marginal mixture of the others."""
    components = components_of(0.5)
    layer = Mixture(components, bound=1e6, has_missing=True)
    layer.floor_logit.data.fill_(-60.0)
    y = 2 * torch.randn(3, 300, generator=seeded(0), dtype=torch.float64)
    y[2] = torch.nan
    marginal = components._replace(
        means=components.means[:, :2], covariances=components.covariances[:, :2, :2]
    )
    # The floor cannot fall below 1e-3: where the mixture is thin it shows.
    gap = layer.log_prob(y).detach().numpy() - scipy_log_prob(marginal, y[:2])
    assert abs(np.median(gap)) < 0.02


def test_densities_given_labels_integrate_to_one_for_each_pattern() -> None:
    case = Case(missing=True, labels=True)
    layer = mixture(0.3, n_components=3, n_columns=2, case=case)
    u = torch.linspace(-9, 9, 500, dtype=torch.float64)
    grid, volume = torch.sinh(u), torch.cosh(u) * (u[1] - u[0])
    nothing = torch.full_like(grid, torch.nan)
    for points in (torch.stack((grid, nothing)), torch.stack((nothing, grid))):
        one = with_context(Case(labels=True), torch.zeros(2, 1, dtype=torch.float64))
        context = one.take(torch.zeros(500, dtype=torch.int64)).context
        with torch.no_grad():
            density = layer.log_prob(points, context).exp()
        assert float(density @ volume) == pytest.approx(1, abs=1e-3)


# Expectation maximisation


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
    pooled = gaussian_mixture._pooled_covariance(y)
    prior = gaussian_mixture.ComponentPrior(y.mean(dim=1), pooled, strength)
    stepped, _ = gaussian_mixture._step(SufficientStatistics(y), one, prior)
    for left, right in zip(one, stepped, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-10, atol=1e-10)


def test_sharpness_of_one_component_is_that_of_its_precision() -> None:
    factor = torch.randn(4, 4, generator=seeded(5), dtype=torch.float64).tril()
    covariance = factor @ factor.T + 0.1 * torch.eye(4, dtype=torch.float64)
    components = GaussianComponents(
        torch.ones(1, dtype=torch.float64), torch.zeros(1, 4, dtype=torch.float64), covariance[None]
    )
    expected = torch.linalg.inv(covariance).diagonal().sqrt()
    found = Mixture(components, bound=5.0).sharpness()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_sharpness_of_components_is_the_mean_curvature_within_them() -> None:
    layer = mixture(0.3)
    with torch.no_grad():
        layer.floor_logit.fill_(-50.0)  # the least floor: the curvature is the components'
    weights = torch.softmax(layer.log_weights, dim=0)
    expected = torch.zeros(layer.intercept.shape[1], dtype=torch.float64)
    for k in range(len(weights)):
        one = copy.deepcopy(layer).train()
        for name in ("log_weights", "intercept", "coefficients", "log_scale"):
            setattr(one, name, torch.nn.Parameter(getattr(layer, name).detach()[[k]]))
        identity = torch.eye(one.intercept.shape[1], dtype=torch.float64)
        centre = torch.linalg.solve(identity - one.coefficients[0].tril(-1), one.intercept[0])
        steps = 1e-3 * identity
        points = torch.cat((centre[None], centre + steps, centre - steps)).T
        with torch.no_grad():
            middle, *sides = one.log_prob(points).split([1, len(identity), len(identity)])
        expected += weights[k].detach() * (2 * middle - sum(sides)) / 1e-6
    torch.testing.assert_close(layer.sharpness(), expected.sqrt(), rtol=0.02, atol=0)
