"""Single precision: the draws that are chosen are those of double precision."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from skflow import FlowDensity
from skflow.conditioning import rounding
from skflow.conditioning.particles import Particles, resample
from skflow.conditioning.rounding import SinglePrecision
from tests.settings import EIGHT_EPOCHS, slow_but


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """A smooth column, a narrow one, and one that has missing values."""
    rng = np.random.default_rng(0)
    a, b, c = rng.standard_normal((3, 600))
    df = pd.DataFrame({"a": a, "b": a**2 + 0.05 * b, "c": c + a})
    df["d"] = (df["a"] * df["c"]).mask(rng.random(600) < 0.1)
    return df


@pytest.fixture(scope="module")
def flow(rows: pd.DataFrame) -> FlowDensity:
    return FlowDensity(**EIGHT_EPOCHS).fit(rows)


@pytest.mark.parametrize(
    ("n_missing", "n_rows"), slow_but([(1, 250), (2, 50)], [(1, 250), (2, 50), (2, 250)])
)
def test_imputed_cells_are_those_of_double_precision(
    rows: pd.DataFrame,
    flow: FlowDensity,
    n_missing: int,
    n_rows: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order = np.random.default_rng(1).random(rows.shape).argsort(axis=1)
    partial = rows.mask(order < n_missing)[:n_rows]
    found = flow.impute(partial, random_state=0)
    monkeypatch.setattr(rounding, "MOST_UNSURE", -1.0)
    pd.testing.assert_frame_equal(found, flow.impute(partial, random_state=0), check_exact=True)


def test_errors_within_the_bound_change_nothing_that_is_sure() -> None:
    generator = torch.Generator().manual_seed(0)
    n_rows, n_draws, n_chosen, error = 4000, 10, 2, 0.01
    log_weights = torch.randn(n_rows, n_draws, generator=generator, dtype=torch.float64)
    uniform = torch.rand(n_rows, generator=generator, dtype=torch.float64)
    nothing = torch.zeros(1, n_rows, n_draws, dtype=torch.int64)
    never = torch.zeros(n_rows, dtype=torch.bool)
    particles = Particles(nothing, nothing.double(), log_weights, never)
    least = torch.full((n_rows,), 5.0)
    single = SimpleNamespace(error=error)
    unsure = SinglePrecision.is_unsure(single, particles, uniform, n_chosen, least)
    assert 0.05 < float(unsure.double().mean()) < 0.6
    noise = torch.rand(log_weights.shape, generator=generator, dtype=torch.float64)
    rounded = log_weights + error * (2 * noise - 1)
    changed = (
        resample(log_weights, uniform, n_chosen) != resample(rounded, uniform, n_chosen)
    ).any(dim=1)
    assert changed.any()
    assert not (changed & ~unsure).any()


def test_a_weight_that_is_not_finite_is_unsure() -> None:
    log_weights = torch.tensor([[0.0, torch.nan, 1.0], [0.0, 0.5, 1.0]], dtype=torch.float64)
    nothing = torch.zeros(1, 2, 3)
    particles = Particles(nothing.long(), nothing, log_weights, torch.zeros(2, dtype=torch.bool))
    uniform = torch.tensor([0.5, 0.4], dtype=torch.float64)
    single = SimpleNamespace(error=1e-4)
    unsure = SinglePrecision.is_unsure(single, particles, uniform, 1, torch.ones(2))
    assert unsure.tolist() == [True, False]
