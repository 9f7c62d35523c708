"""The spline, against a slow reference and against functions it must reproduce."""

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from torch import Tensor

from skflow.flow import rational_quadratic
from skflow.flow.rational_quadratic import Knots, select_bin


def forward_and_log_derivative(x: Tensor, knots: Knots) -> tuple[Tensor, Tensor]:
    return rational_quadratic.forward_and_log_derivative(x, select_bin(x, knots.x, knots))


def inverse_and_log_derivative(y: Tensor, knots: Knots) -> tuple[Tensor, Tensor]:
    return rational_quadratic.inverse_and_log_derivative(y, select_bin(y, knots.y, knots))


def random_knots(n_bins: int, n_columns: int, n_rows: int, seed: int = 0) -> Knots:
    rng = np.random.default_rng(seed)

    def edges() -> Tensor:
        steps = rng.exponential(size=(n_bins, n_columns, n_rows)) + 1e-3
        inner = 6 * np.cumsum(steps, axis=0) / steps.sum(axis=0) - 3
        return torch.tensor(np.concatenate((np.full((1, n_columns, n_rows), -3.0), inner)))

    derivative = torch.tensor(rng.exponential(size=(n_bins + 1, n_columns, n_rows)) + 1e-3)
    return Knots(edges(), edges(), derivative)


def slow_spline(x: float, knots: list[np.ndarray]) -> tuple[float, float]:
    """Value and derivative at one point: equations 4 and 5 of arXiv:1906.04032, in order."""
    xs, ys, ds = knots
    k = int(np.clip(np.searchsorted(xs, x, side="right") - 1, 0, len(xs) - 2))
    s = (ys[k + 1] - ys[k]) / (xs[k + 1] - xs[k])
    xi = (x - xs[k]) / (xs[k + 1] - xs[k])
    bottom = s + (ds[k + 1] + ds[k] - 2 * s) * xi * (1 - xi)
    y = ys[k] + (ys[k + 1] - ys[k]) * (s * xi**2 + ds[k] * xi * (1 - xi)) / bottom
    top = ds[k + 1] * xi**2 + 2 * s * xi * (1 - xi) + ds[k] * (1 - xi) ** 2
    return y, s**2 * top / bottom**2


def knots_of(knots: Knots, column: int, row: int) -> list[np.ndarray]:
    return [tensor[:, column, row].numpy() for tensor in knots]


@pytest.mark.parametrize("n_bins", [2, 3, 8, 32])
def test_forward_equals_the_slow_reference(n_bins: int) -> None:
    knots = random_knots(n_bins, 2, 40)
    x = torch.tensor(np.random.default_rng(1).uniform(-3, 3, size=(2, 40)))
    x[0, :2] = torch.tensor([-3.0, 3.0])
    y, log_derivative = forward_and_log_derivative(x, knots)
    for i, j in np.ndindex(2, 40):
        expected = slow_spline(float(x[i, j]), knots_of(knots, i, j))
        found = float(y[i, j]), float(log_derivative[i, j].exp())
        assert found == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_inverse_equals_scipys_root() -> None:
    knots = random_knots(8, 2, 40)
    y = torch.tensor(np.random.default_rng(2).uniform(-2.99, 2.99, size=(2, 40)))
    x, log_derivative = inverse_and_log_derivative(y, knots)
    for i, j in np.ndindex(2, 40):
        one = knots_of(knots, i, j)
        root = brentq(
            lambda v, one=one, goal=float(y[i, j]): slow_spline(v, one)[0] - goal, -3, 3, xtol=1e-14
        )
        assert float(x[i, j]) == pytest.approx(root, abs=1e-10)
        slope = slow_spline(root, one)[1]
        assert float(log_derivative[i, j].exp()) == pytest.approx(1 / slope, rel=1e-7)


def shared_knots(x: np.ndarray, y: np.ndarray, derivative: np.ndarray) -> Knots:
    return Knots(*(torch.tensor(values)[:, None, None] for values in (x, y, derivative)))


def test_equal_slopes_give_numpys_linear_interpolation() -> None:
    """Where both edges of every bin have its slope, the spline is a line there."""
    x_knots, y_knots = np.array([-1.0, 1.0]), np.array([-2.0, 3.0])
    knots = shared_knots(x_knots, y_knots, np.array([2.5, 2.5]))
    x = torch.linspace(-1, 1, 101, dtype=torch.float64)[None]
    y, log_derivative = forward_and_log_derivative(x, knots)
    np.testing.assert_allclose(y[0], np.interp(x[0], x_knots, y_knots), atol=1e-14)
    np.testing.assert_allclose(log_derivative[0], np.log(2.5), atol=1e-14)


def test_a_moebius_function_is_reproduced() -> None:
    """``2x / (1 + x)`` is a ratio of the spline's kind: knots on it give it everywhere."""
    x_knots = np.array([0.0, 0.1, 0.5, 0.6, 1.0])
    knots = shared_knots(x_knots, 2 * x_knots / (1 + x_knots), 2 / (1 + x_knots) ** 2)
    x = torch.linspace(0, 1, 201, dtype=torch.float64)[None]
    y, log_derivative = forward_and_log_derivative(x, knots)
    torch.testing.assert_close(y, 2 * x / (1 + x), rtol=0, atol=1e-14)
    torch.testing.assert_close(log_derivative.exp(), 2 / (1 + x) ** 2, rtol=1e-12, atol=0)
    back, _ = inverse_and_log_derivative(y, knots)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-14)


def test_knots_are_met_with_their_derivatives() -> None:
    knots = random_knots(8, 3, 5)
    for k in range(9):
        y, log_derivative = forward_and_log_derivative(knots.x[k], knots)
        torch.testing.assert_close(y, knots.y[k], rtol=0, atol=1e-12)
        torch.testing.assert_close(log_derivative.exp(), knots.derivative[k], rtol=1e-10, atol=0)


def test_steepest_and_flattest_bins_stay_invertible() -> None:
    """Slopes of 1e-3 beside 1e3: the discriminant may round to below 0."""
    x_knots = np.array([-1, -0.999, 0, 0.001, 1.0])
    y_knots = np.array([-1, -0.001, 0, 0.999, 1.0])
    knots = shared_knots(x_knots, y_knots, np.array([1e-3, 1e3, 1e-3, 1e3, 1e-3]))
    y = torch.linspace(-1, 1, 20_001, dtype=torch.float64)[None]
    x, log_derivative = inverse_and_log_derivative(y, knots)
    assert torch.isfinite(x).all()
    assert torch.isfinite(log_derivative).all()
    assert (x.diff() >= 0).all()
    again, _ = forward_and_log_derivative(x, knots)
    torch.testing.assert_close(again, y, rtol=0, atol=1e-11)
