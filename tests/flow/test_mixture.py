"""The mixture layer and its start, against scipy and scikit-learn."""

import copy

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp, softmax
from torch import Tensor

from skflow.flow import mixture as mixture_module
from skflow.flow.conditioner import QUANTIZATION_STEP
from skflow.flow.context import Context
from skflow.flow.floored_components import EllipticalComponents, GaussianComponents, regressions
from skflow.flow.heavy_tails import HEAVY
from skflow.flow.mixture import Mixture
from tests.laws import BOUND, CASES, Case, ContextRows, mixture, normal_rows, seeded, with_context

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
    layer, rows = mixture(scale, n_components=3, case=case), with_context(case, normal_rows(8))
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
    layer = Mixture.from_components(components, bound=1e6)
    layer.floor_logit.data.fill_(-60.0)
    y = 2 * torch.randn(3, 300, generator=seeded(0), dtype=torch.float64)
    np.testing.assert_allclose(layer.log_prob(y).detach(), scipy_log_prob(components, y), atol=1e-5)


def test_its_floor_hardly_shows_where_the_density_is() -> None:
    components = components_of(0.5)
    layer = Mixture.from_components(components, bound=10.0)
    z = torch.randn(3, 2000, generator=seeded(1), dtype=torch.float64)
    y = layer.inverse(z)
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
    layer = Mixture.from_components(components, bound=10.0)
    z = torch.randn(2, 4000, generator=seeded(2), dtype=torch.float64)
    y = layer.inverse(z).detach().numpy()
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
    y = layer.inverse(torch.zeros(4, 1, dtype=torch.float64)).detach()
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
    layer = Mixture.from_components(components, bound=1e6, has_missing=True)
    layer.floor_logit.data.fill_(-60.0)
    y = 2 * torch.randn(3, 300, generator=seeded(0), dtype=torch.float64)
    y[2] = torch.nan
    marginal = components._replace(
        means=components.means[:, :2], covariances=components.covariances[:, :2, :2]
    )
    # The floor cannot fall below 1e-3: where the mixture is thin it shows.
    gap = layer.log_prob(y).detach().numpy() - scipy_log_prob(marginal, y[:2])
    assert abs(np.median(gap)) < 0.02


def test_radii_read_the_same_in_the_place_of_a_missing_value() -> None:
    """The joint sum and its gradients, beside the density of the columns in turn."""
    _, means, covariances = components_of(0.5)
    radii = torch.tensor([[0.3, 0.7], [0.7, 1.6]], dtype=torch.float64)
    layer = Mixture.from_components(
        EllipticalComponents(*radii, means[:1], *regressions(covariances[:1])),
        bound=BOUND,
        has_missing=True,
    )
    y = torch.randn(3, 40, generator=seeded(0), dtype=torch.float64)
    y[0, ::3] = y[1, ::4] = torch.nan
    rows = ContextRows(y, Context())
    np.testing.assert_allclose(layer.log_prob(y).detach(), slow_log_prob(layer, rows), atol=1e-9)
    gradients = []
    for log_prob in (layer.log_prob(y, Context(quantize=False)), layer.smooth_log_prob(y)):
        layer.zero_grad()
        log_prob.sum().backward()
        gradients.append([log_prob, *(each.grad for each in layer.parameters())])
    torch.testing.assert_close(*gradients)
    assert gradients[0][-1].abs().max() > 0  # that of what stands for missing values


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


def test_sharpness_of_one_component_is_that_of_its_precision() -> None:
    factor = torch.randn(4, 4, generator=seeded(5), dtype=torch.float64).tril()
    covariance = factor @ factor.T + 0.1 * torch.eye(4, dtype=torch.float64)
    components = GaussianComponents(
        torch.ones(1, dtype=torch.float64), torch.zeros(1, 4, dtype=torch.float64), covariance[None]
    )
    expected = torch.linalg.inv(covariance).diagonal().sqrt()
    found = Mixture.from_components(components, bound=5.0).sharpness()
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


def test_leading_columns_condition_a_gaussian_mixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Density of the last columns given the first, against the closed form of scipy.

    The floors, which no Gaussian mixture has, are made negligible.
    """
    monkeypatch.setattr(mixture_module, "MIN_FLOOR", 1e-12)
    generator = seeded(1)
    factor = torch.randn(3, 4, 4, generator=generator, dtype=torch.float64)
    covariances = factor @ factor.transpose(1, 2) / 4 + torch.eye(4) / 4
    means = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    components = GaussianComponents(torch.tensor([0.2, 0.3, 0.5]).double(), means, covariances)
    layer = Mixture.from_components(components, BOUND, n_given=2)
    layer.floor_logit.data.fill_(-60.0)
    rows = torch.randn(4, 50, generator=generator, dtype=torch.float64)
    leading = GaussianComponents(components.weights, means[:, :2], covariances[:, :2, :2])
    expected = scipy_log_prob(components, rows) - scipy_log_prob(leading, rows[:2])
    context, y = Context(condition=rows[:2]), rows[2:]
    with torch.no_grad():
        exact = layer.log_prob(y, context)
        unrounded = layer.log_prob(y, context._replace(quantize=False))
        residuals = layer.residuals(y, context).log_prob()
        z, log_det = layer.forward_and_log_det(y, context)
        back = layer.inverse(z, context)
    np.testing.assert_allclose(exact, expected, atol=1e-4)
    np.testing.assert_allclose(unrounded, expected, atol=1e-6)
    np.testing.assert_allclose(residuals, expected, atol=1e-6)
    of_map = log_det - (z.square() / 2 + np.log(2 * np.pi) / 2).sum(dim=0)
    np.testing.assert_allclose(of_map, exact, atol=1e-9)
    np.testing.assert_allclose(back, y, atol=1e-11)
