"""Rows on their way into training: blurred, filled, less what labels say of them."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.linear_model import LinearRegression, Ridge
from torch import Tensor

from skflow.dequantization import dequantize
from skflow.flow.context import Vocabulary
from skflow.flow.model import Rows
from skflow.initialization.imputation import RIDGE, impute, precision_rows
from skflow.initialization.label_effects import (
    PRIOR_ROWS,
    TEMPER,
    fit_mean_effects,
    fit_weight_effects,
)
from skflow.initialization.marginals import fit_marginals
from skflow.rows import EncodedRows
from tests.laws import CASES, normal_rows, seeded, with_context
from tests.training.test_resident import Source, plain_model, resident


def with_holes(n_rows: int = 4000) -> tuple[Tensor, Tensor]:
    """Correlated normal rows, whole, and with holes that depend on nothing."""
    factor = torch.tensor([[1.0, 0, 0], [0.8, 0.6, 0], [-0.5, 0.5, 0.7]], dtype=torch.float64)
    whole = factor @ torch.randn(3, n_rows, generator=seeded(0), dtype=torch.float64)
    absent = torch.rand(3, n_rows, generator=seeded(1)) < 0.25
    return whole, whole.masked_fill(absent, torch.nan)


def test_present_entries_are_left_alone() -> None:
    _, holes = with_holes()
    filled = impute(holes, seeded(2))
    assert torch.isfinite(filled).all()
    assert torch.equal(filled[~holes.isnan()], holes[~holes.isnan()])
    assert impute(filled, seeded(2)) is filled


def test_filled_rows_are_distributed_as_whole_ones() -> None:
    whole, holes = with_holes()
    filled = impute(holes, seeded(2))
    np.testing.assert_allclose(torch.cov(filled), torch.cov(whole), atol=0.06)
    assert stats.ks_2samp(filled[1][holes[1].isnan()], whole[1]).pvalue > 1e-3


def test_draws_are_those_of_the_regression_on_what_is_present() -> None:
    whole, _ = with_holes()
    holes = whole.clone()
    holes[2, ::2] = torch.nan
    filled = impute(holes, seeded(3)).numpy()
    regression = LinearRegression().fit(whole[:2].T, whole[2])
    residual = filled[2, ::2] - regression.predict(whole[:2, ::2].T)
    assert abs(residual.mean()) < 0.1
    assert residual.std() == pytest.approx(0.7, abs=0.05)


@pytest.mark.parametrize("shape", [(30, 12), (12, 30)])
def test_precisions_are_those_of_the_inverse(shape: tuple[int, int]) -> None:
    y = torch.randn(shape, generator=seeded(6), dtype=torch.float64)
    y, weight = y - y.mean(dim=1, keepdim=True), torch.rand(shape[1], generator=seeded(7)).double()
    covariance = (weight * y) @ y.T / weight.sum()
    ridge = RIDGE * covariance.diagonal().mean() * torch.eye(len(y), dtype=torch.float64)
    columns = torch.tensor([2, 0, 11])
    expected = torch.linalg.inv(covariance + ridge)[columns]
    torch.testing.assert_close(precision_rows(y, weight, columns), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n_columns", [1, 3])
def test_columns_without_a_single_entry(n_columns: int) -> None:
    y = torch.randn(n_columns, 40, generator=seeded(4), dtype=torch.float64)
    y[-1] = torch.nan
    assert torch.isfinite(impute(y, seeded(5))).all()
    y[-1, 3] = 7.0
    assert torch.isfinite(impute(y, seeded(5))).all()


def labelled(n_rows: int = 2000) -> tuple[Tensor, Tensor, np.ndarray]:
    """Values, codes of two labelled columns, and these as indicators."""
    rng = np.random.default_rng(0)
    labels = np.stack((rng.integers(4, size=n_rows), rng.integers(3, size=n_rows)))
    indicators = np.concatenate((np.eye(5)[labels[0]], np.eye(4)[labels[1]]), axis=1)
    effects = rng.standard_normal((9, 2))
    y = torch.tensor((indicators @ effects + 0.3 * rng.standard_normal((n_rows, 2))).T.copy())
    return y, Vocabulary((4, 3))(torch.tensor(labels)), indicators


def test_effects_of_one_column_are_shrunk_means() -> None:
    y, codes, indicators = labelled()
    effects = fit_mean_effects(y, codes[:1], 5)
    sums = indicators[:, :5].T @ (y - y.mean(dim=1, keepdim=True)).T.numpy()
    counts = indicators[:, :5].sum(axis=0)[:, None]
    np.testing.assert_allclose(effects, sums / (counts + PRIOR_ROWS), atol=1e-12)
    assert (effects[4] == 0).all()  # never seen


def test_effects_of_two_columns_are_those_of_ridge_regression() -> None:
    y, codes, indicators = labelled()
    effects = fit_mean_effects(y, codes, 9)
    ridge = Ridge(PRIOR_ROWS, fit_intercept=False).fit(
        indicators, (y - y.mean(dim=1, keepdim=True)).T
    )
    np.testing.assert_allclose(effects, ridge.coef_.T, atol=0.01)


def test_effects_are_those_of_present_entries() -> None:
    """Holes that are no more likely for one label: the same effects, but for chance."""
    y, codes, _ = labelled()
    holes = y.masked_fill(torch.rand(y.shape, generator=seeded(6)) < 0.3, torch.nan)
    found, expected = fit_mean_effects(holes, codes, 9), fit_mean_effects(y, codes, 9)
    np.testing.assert_allclose(found, expected, atol=0.1)
    nothing = fit_mean_effects(torch.full_like(y, torch.nan), codes, 9)
    assert (nothing == 0).all()


def test_effects_on_weights_are_tempered_ratios_of_frequencies() -> None:
    """Of responsibilities that are certain: a table of counts."""
    _, codes, indicators = labelled()
    component = (codes[0] + codes[1]) % 3
    responsibilities = torch.eye(3, dtype=torch.float64)[component].T.contiguous()
    effects = fit_weight_effects(responsibilities, codes, 9)
    counts, weights = indicators.T @ responsibilities.T.numpy(), responsibilities.mean(dim=1)
    rows = indicators.sum(axis=0)[:, None]
    share = (counts + PRIOR_ROWS * weights.numpy()) / (rows + PRIOR_ROWS)
    np.testing.assert_allclose(effects, TEMPER * np.log(share / weights.numpy()), atol=1e-12)
    assert effects[4].abs().max() < 1e-12  # never seen
    starved = torch.cat((responsibilities, torch.zeros(1, responsibilities.shape[1])))
    assert torch.isfinite(fit_weight_effects(starved, codes, 9)).all()


def encoded(n_rows: int = 3000) -> EncodedRows:
    """One column on a grid, one between grid points, one with holes."""
    rng = np.random.default_rng(1)
    values = rng.integers(0, 5, (n_rows, 3)).astype(float)
    values[::3, 2] = np.nan
    cells = np.tile([1.0, 0.0, 0.25], (n_rows, 1))
    nothing = np.empty((n_rows, 0))
    return EncodedRows(nothing.astype(np.int64), nothing, values, cells, np.zeros(n_rows))


def test_blurred_rows_are_uniform_within_their_cells() -> None:
    rows = encoded()
    moved = dequantize(rows, rows.quantized_columns, seeded(0)).values - rows.values
    assert (moved[:, 1] == 0).all()
    assert (np.isnan(moved) == np.isnan(rows.values)).all()
    assert stats.kstest(moved[:, 0], stats.uniform(-0.5, 1).cdf).pvalue > 1e-3
    present = moved[~np.isnan(moved[:, 2]), 2]
    assert stats.kstest(present, stats.uniform(-0.125, 0.25).cdf).pvalue > 1e-3


def test_each_epoch_draws_within_the_bins() -> None:
    rows = encoded()
    source = Source(rows)
    filled = resident(plain_model(rows)[0], source)
    x, draws = Rows.of(rows).values, []
    for seed in range(2):
        filled.redraw(seeded(seed))
        draws.append(filled.batch.y.clone())
    first, second = draws
    assert torch.equal(first.isnan(), x.isnan())
    assert (first[0] != second[0]).all()
    assert torch.equal(first[1], second[1])
    back = filled.model.marginals.inverse(first.double())
    assert float((back - x)[0].abs().max()) <= 0.5 + 1e-4


def test_absent_entries_take_no_part_in_marginals() -> None:
    x, _ = with_context(CASES["missing"], normal_rows(400))
    together = fit_marginals(x.T.numpy(), 8)
    for j, column in enumerate(x):
        alone = fit_marginals(column[~column.isnan()][:, None].numpy(), 8)
        assert torch.equal(alone.x_knots[:, 0], together.x_knots[:, j])
