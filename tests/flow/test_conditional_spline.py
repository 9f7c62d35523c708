"""The coupling layers' spline, against the plain one that autodiff goes through."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from skflow.flow import rational_quadratic
from skflow.flow.rational_quadratic import (
    Knots,
    SplineFunction,
    inverse_conditional,
    select_bin,
)

BOUND = 3.0
Gradients = tuple[Tensor, Tensor]
Spline = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def plain_spline(x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
    """All knots of every entry, by the formulas of the module's text, left to autodiff."""
    n_bins = (len(raw) + 1) // 3

    def edges(sizes: Tensor) -> Tensor:
        shares = 1e-3 + (1 - 1e-3 * n_bins) * torch.softmax(sizes, dim=0)
        zero = torch.zeros_like(shares[:1])
        return 2 * BOUND * torch.cat((zero, shares.cumsum(dim=0))) - BOUND

    inner = functional.softplus(raw[2 * n_bins :] + math.log(math.expm1(1 - 1e-3))) + 1e-3
    one = torch.ones_like(inner[:1])
    knots = Knots(
        edges(raw[:n_bins]), edges(raw[n_bins : 2 * n_bins]), torch.cat((one, inner, one))
    )
    inside = x.abs() < BOUND
    within = torch.where(inside, x, 0.0)
    y, log_derivative = rational_quadratic.forward_and_log_derivative(
        within, select_bin(within, knots.x, knots)
    )
    return torch.where(inside, y, x), torch.where(inside, log_derivative, 0.0)


def entries(
    n_bins: int, scale: float = 1.0, dtype: torch.dtype = torch.float64, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Values, a fifth of them outside, and raw parameters."""
    generator = torch.Generator().manual_seed(seed)
    x = 2.4 * torch.randn(3, 200, generator=generator, dtype=torch.float64)
    raw = torch.randn(3 * n_bins - 1, 3, 200, generator=generator, dtype=torch.float64)
    return x.to(dtype), (scale * raw).to(dtype)


def gradients(spline: Spline, x: Tensor, raw: Tensor) -> Gradients:
    """Of a loss in which every entry of both results has a weight of its own."""
    x, raw = x.clone().requires_grad_(), raw.clone().requires_grad_()
    y, log_derivative = spline(x, raw)
    weights = torch.linspace(-1, 2, x.numel(), dtype=x.dtype).view_as(x)
    (weights * y + weights.flip(1) * log_derivative).sum().backward()
    return x.grad, raw.grad


def bend(x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
    return SplineFunction.apply(x, raw, BOUND)


@pytest.mark.parametrize("scale", [0.0, 0.3, 1.0, 4.0])
@pytest.mark.parametrize("n_bins", [2, 3, 8, 20])
def test_values_equal_the_plain_spline(n_bins: int, scale: float) -> None:
    x, raw = entries(n_bins, scale)
    for found, expected in zip(bend(x, raw), plain_spline(x, raw), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("scale", [0.0, 0.3, 1.0, 4.0])
@pytest.mark.parametrize("n_bins", [2, 3, 8, 20])
def test_gradients_equal_autodiff(n_bins: int, scale: float) -> None:
    x, raw = entries(n_bins, scale)
    found, expected = gradients(bend, x, raw), gradients(plain_spline, x, raw)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


def test_gradients_equal_finite_differences() -> None:
    x, raw = entries(4)
    x, raw = x[:, :8].clone().requires_grad_(), raw[:, :, :8].clone().requires_grad_()
    assert torch.autograd.gradcheck(bend, (x, raw))


def test_float32_follows_float64() -> None:
    x, raw = entries(8)
    singles = gradients(bend, x.float(), raw.float())
    doubles = gradients(bend, x.float().double(), raw.float().double())
    for single, double in zip(singles, doubles, strict=True):
        error = (single.double() - double).abs()
        # An entry next to a knot may fall into the other bin.
        assert error.quantile(0.999) < 1e-4 * double.abs().max()


def test_raw_zeros_are_the_identity() -> None:
    x, raw = entries(8, scale=0.0)
    y, log_derivative = bend(x, raw)
    torch.testing.assert_close(y, x, rtol=0, atol=1e-14)
    torch.testing.assert_close(log_derivative, torch.zeros_like(x), rtol=0, atol=1e-14)


def test_outer_and_absent_entries_pass_through() -> None:
    """They keep their value, reach no parameter, and pass their own gradient on."""
    x, raw = entries(8)
    x[:, ::3] = torch.nan
    x[:, 1::3] = torch.tensor([-1e30, BOUND, 1e30])[:, None]
    passing = ~(x.abs() < BOUND)
    y, log_derivative = bend(x, raw)
    torch.testing.assert_close(y[passing], x[passing], rtol=0, atol=0, equal_nan=True)
    assert not log_derivative[passing].any()
    of_x, of_raw = gradients(bend, x, raw)
    assert torch.isfinite(of_x).all()
    assert not of_raw[:, passing].any()
    assert of_raw[:, ~passing].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_wildest_parameters_stay_finite(dtype: torch.dtype) -> None:
    x, raw = entries(8, scale=1e4, dtype=dtype)
    for result in (*bend(x, raw), *gradients(bend, x, raw)):
        assert torch.isfinite(result).all()


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_inverse_undoes_forward(scale: float) -> None:
    x, raw = entries(8, scale)
    y, log_derivative = bend(x, raw)
    back = inverse_conditional(y, raw, BOUND)
    # Rounding of y is all that is lost: it weighs as much as the slope is flat.
    assert ((back - x).abs() < 1e-14 + 1e-15 / log_derivative.exp()).all()
