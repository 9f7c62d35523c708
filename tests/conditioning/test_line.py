"""Draws of one unknown value, against scipy's mixtures."""

import numpy as np
import torch
from scipy import stats

from skflow.conditioning.line import BROAD_WEIGHT, N_COMPONENTS, draw_on_line, mixture_on_line
from skflow.conditioning.proposal import Conditional
from tests.conditioning.test_components import components, conditional, normal

__all__ = ["components"]


def weights_given(proposal: Conditional) -> np.ndarray:
    """Weights of all components given the known cells, with those of the narrow ones rescaled."""
    weights = proposal.log_weights[:, 0].exp().numpy()
    return np.append((1 - BROAD_WEIGHT) * weights[:-1] / weights[:-1].sum(), BROAD_WEIGHT)


def test_draws_are_quantiles_and_have_the_density_of_scipys_mixture(components) -> None:
    proposal = conditional(components, [0.7, np.nan, -0.4], label=1)
    uniform = (torch.arange(12).double()[None] + 0.3) / 12
    y, log_q = (part[0].numpy() for part in draw_on_line(proposal, uniform))
    of_known = [normal(components, k, [0, 2]).logpdf([0.7, -0.4]) for k in range(4)]
    cdf, pdf = np.zeros(12), np.zeros(12)
    for k, weight in enumerate(weights_given(proposal)):
        joint = normal(components, k, [0, 1, 2])
        conditional_pdf = np.exp([joint.logpdf([0.7, at, -0.4]) - of_known[k] for at in y])
        pdf += weight * conditional_pdf
        covariance, mean = joint.cov_object.covariance, joint.mean
        gain = np.linalg.solve(covariance[np.ix_([0, 2], [0, 2])], covariance[[0, 2], 1])
        centre = mean[1] + gain @ (np.array([0.7, -0.4]) - mean[[0, 2]])
        variance = covariance[1, 1] - gain @ covariance[[0, 2], 1]
        cdf += weight * stats.norm(centre, variance**0.5).cdf(y)
    np.testing.assert_allclose(cdf, uniform[0], atol=1e-5)
    np.testing.assert_allclose(log_q, np.log(pdf), atol=1e-4)


def test_the_likeliest_components_of_each_row_are_taken(components) -> None:
    """Of many; the broad one, which is the last, stays."""
    proposal = conditional(components, [0.7, np.nan, -0.4], label=1)
    n_copies = 2 * N_COMPONENTS
    many = torch.arange(3).repeat(n_copies)
    proposal.components.gaussians = type(components.gaussians)(
        *(torch.cat((part[many], part[-1:])) for part in components.gaussians)
    )
    narrow = proposal.log_weights[:-1][many] - torch.arange(3 * n_copies)[:, None] // 3
    proposal.log_weights = torch.cat((narrow, proposal.log_weights[-1:]))
    mixture = mixture_on_line(proposal)
    assert mixture.weights.shape == (N_COMPONENTS + 1, 1)
    expected = np.sort(narrow[:, 0].exp().numpy())[::-1][:N_COMPONENTS]
    found = mixture.weights[:-1, 0].numpy() / (1 - BROAD_WEIGHT)
    np.testing.assert_allclose(found, expected / expected.sum())
    assert float(mixture.weights[-1]) == BROAD_WEIGHT
    deviations = components.regression((1,), (0, 2)).factor[:, 0, 0]
    assert float(1 / mixture.precision[-1]) == float(deviations[-1])
