"""The step training spends in the mixture, against SciPy and autodiff."""

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from skflow.flow import floored_components
from skflow.flow.floored_components import Components, GaussianComponents, regress

K, D, M, N = 4, 3, 5, 30
Inputs = tuple[Tensor, ...]


def inputs(seed: int = 0) -> Inputs:
    """``y, broad, regressors, coefficients, intercept, scale, floor``."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return (
        2 * normal(D, N),
        normal(D, N).exp() / 10,
        normal(M, N),
        normal(K, D, M),
        normal(K, D),
        normal(K, D).exp(),
        torch.sigmoid(normal(D) - 2),
    )


def absences() -> Tensor:
    return torch.rand(D, N, generator=torch.Generator().manual_seed(1)) < 0.3


def log_prob(*given: Tensor) -> Tensor:
    y, broad, regressors, *parameters = given
    return floored_components.log_prob(y, broad, regressors, absences(), Components(*parameters))


def plain_log_prob(*given: Tensor) -> Tensor:
    """The module's formulas, left to autodiff."""
    y, broad, regressors, coefficients, intercept, scale, floor = given
    mean = coefficients @ regressors + intercept[:, :, None]
    normal = torch.distributions.Normal(mean, scale[:, :, None]).log_prob(y).exp()
    density = (1 - floor[:, None]) * normal + floor[:, None] * broad
    return density.log().masked_fill(absences(), 0.0).sum(dim=1)


def test_it_is_the_sum_of_scipys_densities() -> None:
    y, broad, regressors, coefficients, intercept, scale, floor = (t.numpy() for t in inputs())
    found = log_prob(*inputs()).numpy()
    absent = absences().numpy()
    for k, i in np.ndindex(K, N):
        mean = coefficients[k] @ regressors[:, i] + intercept[k]
        density = (1 - floor) * stats.norm.pdf(y[:, i], mean, scale[k]) + floor * broad[:, i]
        expected = np.log(density[~absent[:, i]]).sum()
        np.testing.assert_allclose(found[k, i], expected, rtol=1e-12)


def test_it_is_the_same_where_no_gradient_is_wanted() -> None:
    with torch.no_grad():
        found = log_prob(*inputs())
        y, broad, regressors, *parameters = inputs()
        there = torch.zeros(D, N, dtype=torch.bool)
        whole = floored_components.log_prob(y, broad, regressors, there, Components(*parameters))
    torch.testing.assert_close(found, log_prob(*inputs()), rtol=0, atol=0)
    expected = floored_components.log_prob(y, broad, regressors, there, Components(*parameters))
    torch.testing.assert_close(whole, expected, rtol=0, atol=0)


def test_gradients_equal_autodiff() -> None:
    weights = torch.linspace(-1, 2, K * N, dtype=torch.float64).view(K, N)

    def gradients(function) -> list[Tensor]:
        leaves = [tensor.requires_grad_() for tensor in inputs()]
        (weights * function(*leaves)).sum().backward()
        return [leaf.grad for leaf in leaves]

    for found, expected in zip(gradients(log_prob), gradients(plain_log_prob), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_gradients_equal_finite_differences() -> None:
    assert torch.autograd.gradcheck(log_prob, [tensor.requires_grad_() for tensor in inputs()])


def test_far_rows_and_narrow_components_stay_finite_in_float32() -> None:
    y, broad, regressors, coefficients, intercept, scale, floor = inputs()
    given = [y * 1e3, broad * 1e-30, regressors, coefficients, intercept, scale * 1e-4, floor]
    leaves = [tensor.float().requires_grad_() for tensor in given]
    result = log_prob(*leaves)
    result.sum().backward()
    assert torch.isfinite(result).all()
    for leaf in leaves:
        assert not leaf.grad.isnan().any()


def test_shared_coefficients_are_those_of_all_components() -> None:
    y, broad, regressors, coefficients, *others = inputs()
    weights = torch.linspace(-1, 2, K * N, dtype=torch.float64).view(K, N)

    def evaluate(n_copies: int) -> list[Tensor]:
        given = (y, broad, regressors, coefficients[:1], *others)
        leaves = [tensor.clone().requires_grad_() for tensor in given]
        repeated = leaves[3].repeat(n_copies, 1, 1)
        result = log_prob(*leaves[:3], repeated, *leaves[4:])
        (weights * result).sum().backward()
        return [result.detach(), *(leaf.grad for leaf in leaves)]

    for found, expected in zip(evaluate(1), evaluate(K), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_a_component_at_one_level_is_regressed_on_it_as_all_are() -> None:
    """Two narrow ones, whose own slopes are noise, and a wide one, which keeps its own."""
    levels, slope, noise = torch.tensor([-1.0, 1.0, 0.0]).double(), 2.0, 0.5
    means = torch.stack((levels, slope * levels, -slope * levels), dim=1)
    narrow = torch.eye(3).double() * torch.tensor([1e-6, noise**2, noise**2])
    narrow[1, 0] = narrow[0, 1] = 2e-5  # a slope of 20
    wide = torch.eye(3).double()
    wide[1, 0] = wide[0, 1] = -0.8
    weights = torch.tensor([0.499, 0.499, 0.002]).double()
    components = GaussianComponents(weights, means, torch.stack((narrow, narrow, wide)))
    own, shared = regress(components), regress(components, 1, (0,))
    assert (own.coefficients[:2, 1, 0] > 15).all()
    rows = torch.tensor([[slope], [-slope]]).double()
    for k in range(2):
        total = torch.linalg.solve(
            torch.eye(2).double() - shared.coefficients[k, 1:, 1:], shared.coefficients[k, 1:, :1]
        )
        torch.testing.assert_close(total, rows, rtol=0.05, atol=0.0)
        torch.testing.assert_close(shared.scale[k, 2], own.scale[k, 2], rtol=0.1, atol=0.0)
    torch.testing.assert_close(shared.coefficients[2], own.coefficients[2], rtol=0.0, atol=0.02)
    # The condition's own density, and all means, are as they were.
    torch.testing.assert_close(shared.scale[:, 0], own.scale[:, 0])
    for each in (own, shared):
        at_means = each.intercept + (each.coefficients @ means[:, :, None]).squeeze(2)
        torch.testing.assert_close(at_means, means)
