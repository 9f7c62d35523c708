"""Regressions of covariances of low rank, against those of the whole matrix."""

import pytest
import torch
from torch import Tensor

from skflow.flow.floored_components import regressions
from skflow.initialization import low_rank_covariance
from skflow.initialization.low_rank_covariance import LowRankCovariance


def covariance(n_columns: int, n_factors: int, seed: int) -> LowRankCovariance:
    """Factors, some of which take variance away."""
    generator = torch.Generator().manual_seed(seed)
    factors = torch.randn(n_columns, n_factors, generator=generator).double()
    weights = torch.linspace(-0.3, 5, n_factors).double() / n_columns
    low = torch.rand(n_columns, generator=generator).double()
    taken = (factors.square() * weights.clamp(max=0).abs()).sum(dim=1)
    return LowRankCovariance(3e-4 + low + 4 * taken, factors, weights)


@pytest.mark.parametrize(("n_columns", "n_factors"), [(64, 0), (150, 1), (200, 40), (129, 51)])
def test_regressions_are_those_of_the_matrix(
    n_columns: int, n_factors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(covariances: Tensor) -> None:
        raise AssertionError("The matrix is not needed.")

    own = covariance(n_columns, n_factors, seed=n_factors)
    dense = own.factors @ own.weights.diag() @ own.factors.T + own.variances.diag()
    torch.testing.assert_close(own.dense(), dense, rtol=0, atol=1e-12)
    expected = regressions(dense[None])
    monkeypatch.setattr(low_rank_covariance, "regressions", refuse)
    for found, part in zip(own.regressions(), expected, strict=True):
        torch.testing.assert_close(found, part, rtol=1e-9, atol=1e-9)


def test_few_columns_of_many_factors_are_taken_as_a_matrix() -> None:
    own = covariance(30, 20, seed=0)
    for found, part in zip(own.regressions(), regressions(own.dense()[None]), strict=True):
        torch.testing.assert_close(found, part, rtol=0, atol=0)
