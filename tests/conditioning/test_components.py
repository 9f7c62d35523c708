"""Marginals and conditionals of mixed components, against scipy's multivariate normal."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp

from skflow.conditioning.components import MixedComponents
from skflow.conditioning.partial_rows import PartialRows
from skflow.conditioning.proposal import BROAD_WEIGHT, Conditional, LabelRules
from skflow.flow.floored_components import GaussianComponents

N_LABELS = 3  # in the one labelled column, the novel label included
VALUE_LABELS = torch.tensor([[-1, 0, 1], [-1, 0, 1], [0, 1, 2]])  # the last is there with label 1


@pytest.fixture
def components() -> MixedComponents:
    """Four components of three values and one label; the last one counts as the broad one."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(4, 3, 3)) + 2 * np.eye(3)
    gaussians = GaussianComponents(
        torch.tensor(rng.dirichlet(np.ones(4))),
        torch.tensor(rng.normal(size=(4, 3))),
        torch.tensor(factors @ factors.transpose(0, 2, 1)),
    )
    labels = torch.tensor(rng.dirichlet(np.ones(N_LABELS), size=4)).log()
    return MixedComponents(gaussians, labels, torch.tensor([0]))


def normal(components: MixedComponents, k: int, columns: list[int]) -> stats.multivariate_normal:
    """One component's density of some columns."""
    _, means, covariances = (part.numpy() for part in components.gaussians)
    return stats.multivariate_normal(means[k, columns], covariances[k][np.ix_(columns, columns)])


def test_any_values_may_be_absent(components: MixedComponents) -> None:
    y = torch.tensor(np.random.default_rng(1).normal(size=(3, 5)))
    y[0, 1] = y[2, 1] = y[1, 3] = torch.nan
    y[:, 4] = torch.nan
    found = components.log_probs_of_present(y).numpy()
    for k in range(4):
        for row in range(5):
            there = np.flatnonzero(~np.isnan(y[:, row].numpy())).tolist()
            expected = 0.0
            if there:
                expected = normal(components, k, there).logpdf(y[there, row].numpy())
            assert found[k, row] == pytest.approx(expected, abs=1e-6)


def conditional(components: MixedComponents, y: list[float], label: int | None) -> Conditional:
    """The proposal for the cells of one row that are NaN or None."""
    values = torch.tensor(y)[:, None].double()
    rows = PartialRows(
        torch.tensor([[label or 0]]), values, torch.tensor([[label is not None]]), ~values.isnan()
    )
    allowed = torch.tensor([True, True, False])
    rules = LabelRules(components.label_log_probs, allowed, components.offsets, VALUE_LABELS)
    return Conditional(components, rules, rows, rows.pattern_of(0))


def test_the_proposal_is_the_ratio_of_joint_and_marginal(components: MixedComponents) -> None:
    """p(y_0, y_2 | y_1, label), but that the last component has a weight of 5 %."""
    proposal = conditional(components, [np.nan, 0.3, np.nan], label=1)
    labels, y = torch.tensor([[[1]]]), torch.tensor([0.2, 0.3, -1.0])[:, None, None].double()
    weights = components.gaussians.weights.numpy()
    of_label = components.label_log_probs[:, 1].numpy()
    of_known = np.array([normal(components, k, [1]).logpdf(0.3) for k in range(4)])
    log_weights = np.log(weights) + of_label + of_known
    log_weights[:3] += np.log(1 - BROAD_WEIGHT) - logsumexp(log_weights[:3])
    log_weights[3] = np.log(BROAD_WEIGHT)
    row = y[:, 0, 0].numpy()
    of_all = np.array([normal(components, k, [0, 1, 2]).logpdf(row) for k in range(4)])
    expected = logsumexp(log_weights + of_all - of_known)
    assert float(proposal.log_prob(labels, y)) == pytest.approx(expected, abs=1e-6)


def test_draws_follow_the_density_of_the_proposal(components: MixedComponents) -> None:
    """The label decides whether the last value is there; moments against numerical integrals."""
    proposal = conditional(components, [np.nan, 0.3, np.nan], label=None)
    points = torch.tensor(np.random.default_rng(0).random((1, 40_000, 5)))
    labels, y = proposal.draw(points)
    assert set(labels.unique().tolist()) == {0, 1}
    assert bool((y[2].isnan() == (labels[0] == 0)).all())
    grid = np.linspace(-15, 15, 6001)
    at = torch.full((3, 1, len(grid)), torch.nan).double()
    at[0], at[1] = torch.tensor(grid), 0.3
    density = proposal.log_prob(torch.zeros(1, 1, len(grid), dtype=torch.int64), at)[0].exp()
    of_label = np.trapezoid(density.numpy(), grid)
    assert float((labels == 0).double().mean()) == pytest.approx(of_label, abs=0.01)
    mean = np.trapezoid(density.numpy() * grid, grid) / of_label
    deviation = float(y[0][labels[0] == 0].std())
    assert float(y[0][labels[0] == 0].mean()) == pytest.approx(mean, abs=0.05 * deviation)


def test_few_unknown_values_of_many_come_from_the_precision(
    components: MixedComponents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Conditionals and densities of known values, beside those from covariances."""
    y = torch.tensor(np.random.default_rng(1).normal(size=(3, 5)))
    expected = components.regression((2,), (0, 1)), components.log_probs_of_values(y, (0, 1))
    fresh = MixedComponents(components.gaussians, components.label_log_probs, components.offsets)
    monkeypatch.setattr("skflow.conditioning.components.WIDE", 2)
    for part, other in zip(fresh.regression((2,), (0, 1)), expected[0], strict=True):
        torch.testing.assert_close(part, other, atol=1e-6, rtol=0)
    found = fresh.log_probs_of_known(y, (2,), (0, 1))
    torch.testing.assert_close(found, expected[1], atol=1e-6, rtol=1e-6)
