"""Averages of distributions of one value beside sums of their members."""

from dataclasses import replace

import pytest
import torch

from skflow.fitted.averaged_values import AveragedValues
from tests.flow.test_predicted_values import N_ROWS, predicted


@pytest.fixture(scope="module")
def averaged() -> AveragedValues:
    """Two maps that differ, with weights that differ from row to row."""
    _, first, _ = predicted("one number")
    _, second, _ = predicted("one number", 2 * N_ROWS)
    second = second.take(slice(N_ROWS, None))
    shares = torch.linspace(0.1, 0.9, N_ROWS, dtype=torch.float64)
    return AveragedValues((first, second), torch.stack((shares, 1 - shares)).log())


def numbers(n_values: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n_values, N_ROWS, generator=generator, dtype=torch.float64)


@torch.inference_mode()
def test_distributions_and_densities_are_weighted_sums(averaged: AveragedValues) -> None:
    x, shares = numbers(5), averaged.log_weights.exp()
    of_members = [torch.special.ndtr(member.latents(x)) for member in averaged.members]
    expected = sum(share * own for share, own in zip(shares, of_members, strict=True))
    distribution = torch.special.ndtr(averaged.latents(x))
    torch.testing.assert_close(distribution, expected, rtol=0, atol=1e-14)
    of_members = [member.log_prob(x).exp() for member in averaged.members]
    expected = sum(share * own for share, own in zip(shares, of_members, strict=True))
    torch.testing.assert_close(averaged.log_prob(x).exp(), expected, rtol=1e-12, atol=0)


@torch.inference_mode()
def test_inverse_undoes_latents_also_far_out(averaged: AveragedValues) -> None:
    z = numbers(4) * torch.tensor([0.1, 1.0, 3.0, 10.0])[:, None]
    x = averaged.inverse(z)
    assert x.isfinite().all()
    there = x.abs() < 1e300  # beyond, the root is no number
    assert there[:2].all()
    torch.testing.assert_close(averaged.latents(x)[there], z[there], rtol=1e-9, atol=1e-9)


@torch.inference_mode()
def test_an_average_of_equal_members_is_each_of_them(averaged: AveragedValues) -> None:
    member = averaged.members[0]
    same = AveragedValues((member, member), averaged.log_weights)
    z = numbers(3)
    torch.testing.assert_close(same.inverse(z), member.inverse(z), rtol=1e-12, atol=1e-12)
    within = member.inverse_within_reach(z)
    torch.testing.assert_close(same.inverse_within_reach(z), within, rtol=1e-12, atol=1e-12)


@torch.inference_mode()
def test_nodes_have_the_mean_of_the_members(averaged: AveragedValues) -> None:
    nodes = averaged.nodes(65)
    torch.testing.assert_close(nodes.weights.sum(dim=0), torch.ones(N_ROWS).double())
    parts = [member.nodes(65) for member in averaged.members]
    of_members = [(part.weights * part.values).sum(dim=0) for part in parts]
    expected = (averaged.log_weights.exp() * torch.stack(of_members)).sum(dim=0)
    torch.testing.assert_close((nodes.weights * nodes.values).sum(dim=0), expected)


@torch.inference_mode()
def test_the_spread_narrows_the_distribution(averaged: AveragedValues) -> None:
    narrowed, x = replace(averaged, spread=0.7), numbers(5)
    torch.testing.assert_close(narrowed.latents(x), averaged.latents(x) / 0.7)
    step = 1e-5
    ends = [torch.special.ndtr(narrowed.latents(x + sign * step)) for sign in (1, -1)]
    slope = (ends[0] - ends[1]) / (2 * step)
    torch.testing.assert_close(narrowed.log_prob(x).exp(), slope, rtol=1e-4, atol=1e-8)
    z = numbers(4) * torch.tensor([0.1, 1.0, 3.0, 5.0])[:, None]
    back = narrowed.latents(narrowed.inverse(z))
    torch.testing.assert_close(back, z, rtol=1e-9, atol=1e-9)
    far = torch.tensor([[-1e9], [1e9]]).double().expand(-1, N_ROWS)
    assert not narrowed.log_prob(far).isnan().any()


@torch.inference_mode()
def test_parts_of_the_rows_have_the_same_distributions(averaged: AveragedValues) -> None:
    chosen, z = torch.tensor([7, 3, 11]), torch.zeros(2, N_ROWS).double()
    part = averaged.take(chosen)
    torch.testing.assert_close(part.inverse(z[:, :3]), averaged.inverse(z)[:, chosen])
