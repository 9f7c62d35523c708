"""The density as a distribution of torch: values, gradients, draws, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from skflow import FlowDensity
from tests.settings import CHOSEN_GAUSSIANS, ONE_TINY_LAYER

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")

N_DRAWS = 4000


def numbers(n_rows: int = 300) -> pd.DataFrame:
    """Columns of each scaling: moderate, spanning orders of magnitude, small in float32, a grid."""
    rng = np.random.default_rng(0)
    common = rng.standard_normal(n_rows)
    small = (common + rng.standard_normal(n_rows)).astype(np.float32)
    small[:20] *= np.float32(1e-9)
    return pd.DataFrame(
        {
            "plain": 1e3 * common + 10 * rng.standard_normal(n_rows),
            "wide": np.exp(5 * common + rng.standard_normal(n_rows)),
            "small": small,
            "whole": np.rint(400 * common + 100 * rng.standard_normal(n_rows)).astype(np.int64),
            "cents": (50 * common + 10 * rng.standard_normal(n_rows)).round(2),
        }
    )


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return numbers()


@pytest.fixture(scope="module")
def flow(table: pd.DataFrame) -> FlowDensity:
    kinds = {"plain": "continuous", "wide": "continuous", "small": "continuous"}
    kinds |= {"whole": "integer", "cents": "decimal"}
    return FlowDensity(**ONE_TINY_LAYER, column_kinds=kinds).fit(table)


@pytest.fixture(scope="module")
def distribution(flow: FlowDensity) -> torch.distributions.Distribution:
    return flow.as_torch()


def as_tensor(table: pd.DataFrame) -> torch.Tensor:
    return torch.tensor(table.to_numpy(np.float64))


def test_values_are_the_scores(flow, distribution, table: pd.DataFrame) -> None:
    """Far rows, too; and the shape of a batch is kept."""
    far = table.astype(np.float64)
    far.iloc[:5] *= 100
    rows = as_tensor(far)
    found = distribution.log_prob(rows)
    np.testing.assert_allclose(found, flow.score_samples(far), rtol=0, atol=2e-4)
    batch = rows[:12].reshape(3, 2, 2, 5)
    torch.testing.assert_close(distribution.log_prob(batch), found[:12].reshape(3, 2, 2))
    assert distribution.log_prob(rows[0]).shape == ()


def test_gradients_are_those_of_differences(distribution, table: pd.DataFrame) -> None:
    """In proportion to each number: columns span orders of magnitude."""
    rows = as_tensor(table)[30:34]
    shares = torch.ones_like(rows).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: distribution.log_prob(x * rows), shares, atol=1e-4)


def test_gradients_are_finite_at_every_row(distribution, table: pd.DataFrame) -> None:
    """Rows that are knots of the marginals, the outermost among them, and rows beyond."""
    rows = torch.cat((as_tensor(table), 1e3 * as_tensor(table))).requires_grad_()
    (gradient,) = torch.autograd.grad(distribution.log_prob(rows).sum(), rows)
    assert gradient.isfinite().all()


def test_the_fitted_density_takes_no_gradients(flow, distribution, table: pd.DataFrame) -> None:
    rows = as_tensor(table)[:3].requires_grad_()
    distribution.log_prob(rows).sum().backward()
    assert all(p.grad is None for p in flow._density.model.parameters())


def test_draws_have_the_density(flow, distribution) -> None:
    torch.manual_seed(0)
    drawn = distribution.sample((N_DRAWS,))
    assert drawn.dtype == torch.float64
    others = flow.sample(N_DRAWS, random_state=0).astype(float)
    # A sample has no row with a number far beyond those that were fitted.
    low, high = others.min().to_numpy(), others.max().to_numpy()
    reached = drawn.numpy()
    reached = reached[((reached >= low) & (reached <= high)).all(axis=1)]
    assert len(reached) > 0.8 * N_DRAWS
    for j, name in enumerate(others):
        assert stats.ks_2samp(reached[:, j], others[name]).pvalue > 1e-4, name
    ours = distribution.log_prob(torch.from_numpy(reached)).numpy()
    theirs = distribution.log_prob(as_tensor(others)).numpy()
    assert stats.ks_2samp(ours, theirs).pvalue > 1e-4


def test_draws_are_seeded_and_shaped_as_those_of_torch(distribution) -> None:
    torch.manual_seed(1)
    first = distribution.rsample((2, 3))
    torch.manual_seed(1)
    assert torch.equal(distribution.sample(torch.Size((2, 3))), first)
    assert first.shape == (2, 3, 5)
    assert distribution.sample().shape == distribution.event_shape == (5,)
    assert distribution.has_rsample
    assert distribution.support.check(first).all()


def test_one_gaussian_column_is_that_of_torch() -> None:
    """Probability between two values, by quadrature, and its mean."""
    x = np.random.default_rng(0).normal(5, 2, 4000)
    density = FlowDensity(**CHOSEN_GAUSSIANS).fit(x[:, None]).as_torch()
    grid = torch.linspace(-5, 15, 2001, dtype=torch.float64)
    found = density.log_prob(grid[:, None]).exp()
    expected = torch.distributions.Normal(5.0, 2.0).log_prob(grid).exp()
    assert float(torch.trapezoid(found, grid)) == pytest.approx(1, abs=2e-3)
    assert float(torch.trapezoid((found - expected).abs(), grid)) < 0.1


def test_missing_values_are_refused_by_torch(distribution) -> None:
    with pytest.raises(ValueError, match="support"):
        distribution.log_prob(torch.full((5,), torch.nan))


def test_columns_that_no_float_holds_are_all_named() -> None:
    rng = np.random.default_rng(0)
    df = pd.DataFrame({"x": rng.standard_normal(100), "colour": ["red", "blue"] * 50})
    df["hole"] = np.where(rng.random(100) < 0.2, np.nan, rng.standard_normal(100))
    df["when"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 9000, 100), "D")
    df["big"] = 2**60 + rng.integers(0, 10**6, 100)
    flow = FlowDensity(n_layers=0, n_components=1, random_state=0).fit(df)
    with pytest.raises(ValueError, match="as_torch") as caught:
        flow.as_torch()
    named = [name for name in df if f"{name!r}:" in str(caught.value)]
    assert named == ["colour", "hole", "when", "big"]


@pytest.fixture(scope="module")
def mixed() -> tuple[pd.DataFrame, FlowDensity]:
    """Two numbers given conditions of all kinds, with missing values."""
    rng = np.random.default_rng(0)
    x, colour = rng.standard_normal(200), rng.choice(["red", "blue"], 200)
    df = pd.DataFrame({"x": np.where(rng.random(200) < 0.1, np.nan, x), "colour": colour})
    df["u"] = 2 * x + (colour == "red") + rng.standard_normal(200) / 2
    df["when"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 900, 200), "D")
    df["v"] = np.exp(df["u"] / 3) + rng.standard_normal(200) / 5
    return df, FlowDensity(given=["x", "colour", "when"], **ONE_TINY_LAYER).fit(df)


def test_conditional_values_are_the_scores(mixed) -> None:
    df, flow = mixed
    distribution = flow.as_torch(given=df)
    assert distribution.batch_shape == (200,)
    assert distribution.event_shape == (2,)
    rows = as_tensor(df[["u", "v"]])
    found = distribution.log_prob(rows)
    np.testing.assert_allclose(found, flow.score_samples(df), rtol=0, atol=2e-4)
    every = distribution.log_prob(rows[:4, None])  # each of four rows under each condition
    assert every.shape == (4, 200)
    torch.testing.assert_close(every.diagonal(), found[:4])
    torch.testing.assert_close(distribution.log_prob(rows[3])[3], found[3])


def test_gradients_of_conditional_values_are_those_of_differences(mixed) -> None:
    df, flow = mixed
    rows = as_tensor(df[["u", "v"]])[:4].requires_grad_()
    assert torch.autograd.gradcheck(flow.as_torch(given=df[:4]).log_prob, rows, atol=1e-4)


def test_conditional_draws_have_the_density_of_their_row(mixed) -> None:
    df, flow = mixed
    torch.manual_seed(0)
    drawn = flow.as_torch(given=df[:2]).sample((1000,))
    assert drawn.shape == (1000, 2, 2)
    others = flow.sample(1000, random_state=0, given=df[:2])
    for k in range(2):
        of_row = others.iloc[1000 * k : 1000 * (k + 1)]
        for j, name in enumerate(("u", "v")):
            assert stats.ks_2samp(drawn[:, k, j].numpy(), of_row[name]).pvalue > 1e-4


def test_batches_are_expanded_as_those_of_torch(mixed, distribution) -> None:
    df, flow = mixed
    plain = flow.as_torch(given=df[:3])
    wide = plain.expand((5, 3))
    assert wide.batch_shape == (5, 3)
    assert wide.sample((4,)).shape == (4, 5, 3, 2)
    rows = as_tensor(df[["u", "v"]])[:3]
    torch.testing.assert_close(wide.log_prob(rows), plain.log_prob(rows).expand(5, 3))
    whole = torch.distributions.Independent(plain, 1)
    torch.testing.assert_close(whole.log_prob(rows), plain.log_prob(rows).sum())
    assert distribution.expand((6,)).sample().shape == (6, 5)


def test_conditions_belong_to_conditional_densities(mixed, flow, table: pd.DataFrame) -> None:
    _, conditional = mixed
    with pytest.raises(ValueError, match="as_torch with given="):
        conditional.as_torch()
    with pytest.raises(ValueError, match="this one is joint"):
        flow.as_torch(given=table)
