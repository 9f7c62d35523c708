"""inverse_transform(transform(X)) equals X, as api.md promises."""

import numpy as np
import pytest
from numpy.typing import NDArray

from skflow import FlowDensity
from tests.settings import FOUR_LAYERS, one_of_each, slow_but
from tests.tables import Table, clustered, column_scale, correlated, randomise


def assert_equal_rows(flow: FlowDensity, X: NDArray) -> None:
    """Every cell comes back equal by ``==``, in the dtype it had."""
    back = flow.inverse_transform(flow.transform(X))
    assert back.dtype == X.dtype
    lost = int((back != X).sum())
    assert lost == 0, f"{lost} of {X.size} cells came back different"


def rows_like(n_rows: int, seed: int) -> NDArray[np.float32]:
    """Fresh rows of the clusters that ``flow32`` was fitted to."""
    return clustered(n_rows, 5, seed=1, row_seed=seed).astype(np.float32)


def test_float32_in_range(flow32: FlowDensity) -> None:
    assert_equal_rows(flow32, rows_like(1000, seed=0))


@pytest.mark.parametrize("sigmas", [10, 1e3, 1e6])
@pytest.mark.parametrize("column", [0, 4])
def test_float32_one_column_far_out(flow32: FlowDensity, sigmas: float, column: int) -> None:
    X = rows_like(300, seed=0)
    X[::2, column] += np.float32(sigmas) * X[:, column].std()
    X[1::2, column] -= np.float32(sigmas) * X[:, column].std()
    assert_equal_rows(flow32, X)


def test_float32_every_column_far_out(flow32: FlowDensity) -> None:
    sign = np.random.default_rng(0).choice([-1, 1], size=(300, 5))
    assert_equal_rows(flow32, (rows_like(300, seed=0) + 1e4 * sign).astype(np.float32))


def test_float32_largest_values(flow32: FlowDensity) -> None:
    X = rows_like(4, seed=0)
    X[np.arange(4), np.arange(4)] = np.finfo(np.float32).max * np.array([1, -1, 1e-3, -1e-3])
    assert_equal_rows(flow32, X)


def test_float32_between_the_clusters(flow32: FlowDensity) -> None:
    X = rows_like(600, seed=0)
    share = np.random.default_rng(0).random((300, 1), dtype=np.float32)
    between = share * X[:300] + (1 - share) * X[300:]
    assert_equal_rows(flow32, between)


@pytest.mark.parametrize(
    ("size", "size_back"), slow_but([(1, 7), (4096, 1)], [(1, 7), (7, 4096), (4096, 1)])
)
def test_float32_whatever_the_batches(flow32: FlowDensity, size: int, size_back: int) -> None:
    X = np.concatenate([rows_like(15, seed=seed) for seed in range(2)])
    Z = np.concatenate([flow32.transform(X[i : i + size]) for i in range(0, len(X), size)])
    back = np.concatenate(
        [flow32.inverse_transform(Z[i : i + size_back]) for i in range(0, len(Z), size_back)]
    )
    assert (back == X).all()


def fit_small(X: NDArray, weights: str) -> FlowDensity:
    max_iter = 3 if weights == "trained" else 1
    flow = FlowDensity(**FOUR_LAYERS, n_components=3, max_iter=max_iter, early_stopping=False).fit(
        X
    )
    return randomise(flow, seed=5) if weights == "randomised" else flow


WEIGHTS = ["trained", "randomised"]
weights = pytest.mark.parametrize("weights", WEIGHTS)


@weights
def test_cauchy_columns(weights: str) -> None:
    X = correlated(500, 4, seed=3)
    X[:, 1:3] = np.random.default_rng(4).standard_cauchy((500, 2))
    X = X.astype(np.float32)
    assert_equal_rows(fit_small(X, weights), X)


@pytest.mark.parametrize(
    ("dtype", "weights"), one_of_each([np.int64, np.int8, np.float32, np.float64], WEIGHTS)
)
def test_integers_with_zeros(dtype: type, weights: str) -> None:
    X = np.random.default_rng(5).integers(-3, 4, size=(500, 4))
    X[::2, 0] = 0
    X = X.astype(dtype)
    assert_equal_rows(fit_small(X, weights), X)


@pytest.mark.parametrize(
    "dtype",
    slow_but([np.uint8, np.uint64], [np.uint8, np.int16, np.uint32, np.int64, np.uint64]),
)
def test_wide_integers(dtype: type) -> None:
    top = min(np.iinfo(dtype).max, 2**40)
    X = np.random.default_rng(6).integers(0, top, size=(400, 2), endpoint=True).astype(dtype)
    assert_equal_rows(fit_small(X, "trained"), X)


def all_finite_float16() -> NDArray[np.float16]:
    values = np.arange(2**16, dtype=np.uint16).view(np.float16)
    return values[np.isfinite(values)]


@weights
def test_every_finite_float16(weights: str) -> None:
    values = np.random.default_rng(7).permutation(all_finite_float16())
    X = np.column_stack((values, np.roll(values, 1)))
    flow = fit_small(X[:2000], weights)
    assert_equal_rows(flow, X)


def test_ten_orders_of_magnitude() -> None:
    rng = np.random.default_rng(8)
    X = (10 ** rng.uniform(-30, 6, size=(500, 2)) * rng.choice([-1, 1], (500, 2))).astype(
        np.float32
    )
    X[::50, 0] = 0
    assert_equal_rows(fit_small(X, "trained"), X)


@weights
def test_float64_in_range(weights: str) -> None:
    X = correlated(1000, 5, seed=9)
    flow = fit_small(X, weights)
    error = np.abs(flow.inverse_transform(flow.transform(X)) - X)
    assert (error <= 1e-11 * np.array([column_scale(x) for x in X.T])).all()


@pytest.mark.parametrize(
    ("decimals", "unit"),
    slow_but(
        [(2, 1e5), (10, 1e-6), (12, 1e5)],
        [(0, 1.0), (2, 1e5), (6, 1.0), (10, 1e-6), (12, 1e-6), (12, 1e5)],
    ),
)
def test_float64_decimals(decimals: int, unit: float) -> None:
    """Up to 13 significant digits, at the column's scale."""
    rng = np.random.default_rng(10)
    rows = rng.standard_normal((300, 3)) @ rng.standard_normal((3, 3))
    rows *= 9.9 / np.abs(rows).max(axis=0)
    X = np.array([float(f"{x:.{decimals}f}e{np.log10(unit):.0f}") for x in rows.flat])
    X = X.reshape(rows.shape)
    assert_equal_rows(fit_small(X, "trained"), X)


def test_float64_far_out(trained: FlowDensity, table: Table) -> None:
    X = table[:60].copy()
    X[:20, 0] *= 1e3
    X[20:40, 1] += 1e6
    X[40:50, 4] *= -1e12
    X[50:, 2] = 1e100
    error = np.abs(trained.inverse_transform(trained.transform(X)) - X)
    size = np.maximum(np.abs(X), [column_scale(x) for x in table.T])
    assert (error <= 1e-11 * size).all()


def test_booleans() -> None:
    X = np.random.default_rng(11).random((200, 3)) < 0.3
    assert_equal_rows(fit_small(X, "trained"), X)


def test_zero_columns_are_left_alone_by_far_neighbours(flow32: FlowDensity) -> None:
    X = rows_like(200, seed=0)
    X[:, 2] = 0
    X[:, 0] *= np.float32(1e20)
    assert_equal_rows(flow32, X)


def test_inverse_error_reports_the_round_trip(trained: FlowDensity, table: Table) -> None:
    share_equal, largest_error = trained.inverse_error_
    assert 0 <= share_equal <= 1
    assert 0 <= largest_error < 1e-11
    X = table.astype(np.float32)
    flow = FlowDensity(**FOUR_LAYERS, n_components=2, max_iter=2).fit(X)
    assert flow.inverse_error_ == (1.0, 0.0)
