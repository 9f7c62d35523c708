"""Draws that are chosen by their weights: in proportion, and as if each were chosen alone."""

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from skflow.conditioning.importance import sobol
from skflow.conditioning.particles import effective_size, largest_power, resample, scatter

N_ROWS = 10_000


def uniform() -> Tensor:
    return torch.rand(N_ROWS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_numbers_from_one_are_uniform_and_independent() -> None:
    source = uniform()
    numbers = torch.cat((source[:, None], scatter(source, 40)), dim=1)
    for own in numbers.T:
        assert stats.kstest(own.numpy(), "uniform").pvalue > 1e-4
    correlations = np.corrcoef(numbers.T.numpy()) - np.eye(41)
    assert np.abs(correlations).max() < 5 / N_ROWS**0.5
    again = scatter(source[7:9], 40)
    assert torch.equal(again, numbers[7:9, 1:])  # of the row alone


def test_draws_are_chosen_in_proportion_to_their_weights() -> None:
    log_weights = torch.tensor([0.0, -torch.inf, 1.0, 0.5, -2.0] * 4).double().expand(N_ROWS, -1)
    index = resample(log_weights, uniform(), 3)
    share = torch.bincount(index.flatten(), minlength=20) / index.numel()
    torch.testing.assert_close(
        share.double(), torch.softmax(log_weights[0], dim=0), atol=0.006, rtol=0.0
    )


def test_few_draws_are_chosen_twice() -> None:
    """None where all weights are below an equal share of those that are chosen."""
    generator = torch.Generator().manual_seed(1)
    log_weights = torch.rand(500, 40, generator=generator, dtype=torch.float64)
    index = resample(log_weights, uniform()[:500], 10)
    assert (index.sort(dim=1).values.diff(dim=1) > 0).all()


def test_chosen_points_of_a_sequence_are_no_neighbours() -> None:
    """Every eighth point of a Sobol sequence lies in the same eighth of its first dimension."""
    points = sobol(152, 4)
    log_weights = torch.zeros(N_ROWS, 152, dtype=torch.float64)
    chosen = points[resample(log_weights, uniform(), 19)]
    variance = chosen.var(dim=1).mean(dim=0)
    torch.testing.assert_close(variance, torch.full((4,), 1 / 12).double(), rtol=0.04, atol=0.0)


def test_labels_are_chosen_independently_where_all_are_there() -> None:
    """The number of rows of a label is binomial: it is not rounded to its expectation."""
    log_weights = torch.tensor([0.3, 0.7]).double().log().expand(N_ROWS, -1)
    exact = torch.ones(N_ROWS, dtype=torch.bool)
    alone = resample(log_weights, uniform(), 1, exact).double().mean()
    torch.testing.assert_close(alone, torch.tensor(0.7).double(), atol=0.02, rtol=0.0)
    counts = resample(log_weights, uniform(), 10, exact).sum(dim=1)
    expected = N_ROWS * stats.binom(10, 0.7).pmf(np.arange(11))
    found = np.bincount(counts.numpy(), minlength=11).astype(float)
    few = expected < 20
    pooled = [np.append(each[~few], each[few].sum()) for each in (found, expected)]
    assert stats.chisquare(*pooled).pvalue > 1e-4


def test_weights_are_tempered_to_an_effective_size() -> None:
    generator = torch.Generator().manual_seed(2)
    log_weights = 5 * torch.randn(50, 200, generator=generator, dtype=torch.float64)
    power = largest_power(log_weights, 30.0, torch.ones(50, dtype=torch.float64))
    size = effective_size(power[:, None] * log_weights)
    torch.testing.assert_close(size, torch.full_like(size, 30.0), rtol=1e-4, atol=0.0)
    even = largest_power(0 * log_weights, 30.0, torch.ones(50, dtype=torch.float64))
    assert (even == 1).all()
