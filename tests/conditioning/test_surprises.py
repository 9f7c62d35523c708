"""Surprises in closed form, beside normal conditionals and enumeration."""

from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.stats import norm

from skflow.conditioning.components import MixedComponents
from skflow.conditioning.surprises import Surprises
from skflow.flow.floored_components import GaussianComponents


@pytest.fixture
def gaussian() -> tuple[np.ndarray, Surprises]:
    rng = np.random.default_rng(0)
    root = rng.standard_normal((4, 4))
    covariance = root @ root.T
    components = MixedComponents(
        GaussianComponents(
            torch.ones(1, dtype=torch.float64),
            torch.zeros(1, 4, dtype=torch.float64),
            torch.tensor(covariance)[None],
        ),
        torch.zeros(1, 0, dtype=torch.float64),
        torch.zeros(0, dtype=torch.int64),
    )
    y = torch.tensor(3 * rng.standard_normal((4, 6)))
    y[1, 2:4] = torch.nan
    labels = torch.zeros(0, 6, dtype=torch.int64)
    return covariance, Surprises(components, [(None, j) for j in range(4)], labels, y)


def expected(covariance: np.ndarray, row: np.ndarray, seen: list[int], j: int) -> float:
    """Surprise of column j after those of ``seen``, by regression."""
    seen = [i for i in seen if not np.isnan(row[i])]
    if np.isnan(row[j]):
        return 0.0
    gain = np.linalg.solve(covariance[np.ix_(seen, seen)], covariance[seen, j])
    variance = covariance[j, j] - gain @ covariance[seen, j]
    z = (row[j] - gain @ row[seen]) / np.sqrt(variance)
    return float(-np.log(2 * norm.sf(abs(z))))


def test_values_surprise_as_under_normal_conditionals(gaussian) -> None:
    covariance, surprises = gaussian
    for order in permutations(range(4)):
        found = surprises.in_order(order).numpy().T
        for row, own in zip(surprises.y.numpy().T, found, strict=True):
            for place, j in enumerate(order):
                exact = expected(covariance, row, list(order[:place]), j)
                assert own[j] == pytest.approx(exact, rel=1e-3, abs=1e-3)


def test_columns_that_are_not_in_the_order_do_not_surprise(gaussian) -> None:
    _, surprises = gaussian
    found = surprises.in_order([2, 0]).numpy()
    assert (found[[1, 3]] == 0).all()
    np.testing.assert_array_equal(found[0], surprises.in_order([2, 0, 3])[0])


def test_means_over_orders_are_those_of_all_orders(gaussian) -> None:
    """Random orders estimate the mean over all 24."""
    _, surprises = gaussian
    every = torch.stack([surprises.in_order(order) for order in permutations(range(4))])
    mean, error = every.mean(dim=0), every.std(dim=0) / np.sqrt(2 * 200)
    assert (surprises.over_orders(200) - mean).abs().le(5 * error + 1e-9).all()


def test_rows_surprise_alike_in_any_company(gaussian) -> None:
    _, surprises = gaussian
    alone = torch.cat([surprises.take(torch.tensor([i])).over_orders(5) for i in range(6)], dim=1)
    torch.testing.assert_close(alone, surprises.over_orders(5))


def test_labels_are_enumerated() -> None:
    rng = np.random.default_rng(0)
    weights = np.array([0.7, 0.3])
    first, second = rng.dirichlet(np.ones(3), size=2), rng.dirichlet(np.ones(4), size=2)
    components = MixedComponents(
        GaussianComponents(
            torch.tensor(weights), torch.zeros(2, 0), torch.zeros(2, 0, 0, dtype=torch.float64)
        ),
        torch.tensor(np.log(np.concatenate((first, second), axis=1))),
        torch.tensor([0, 3]),
    )
    joint = np.einsum("k,ki,kj->ij", weights, first, second)
    rows = np.array([(i, j) for i in range(3) for j in range(4)])
    nothing = torch.zeros(0, len(rows), dtype=torch.float64)
    surprises = Surprises(components, [(0, None), (1, None)], torch.tensor(rows.T), nothing)
    found = surprises.in_order([0, 1]).numpy().T
    alone = joint.sum(axis=1)
    for (i, j), own in zip(rows, found, strict=True):
        given = joint[i] / joint[i].sum()
        assert np.exp(-own[0]) == pytest.approx(alone[alone <= alone[i]].sum())
        assert np.exp(-own[1]) == pytest.approx(given[given <= given[j]].sum())


def test_after_all_others_is_the_end_of_an_order() -> None:
    """Labels, values, both, and values that are absent, under several components."""
    rng = np.random.default_rng(1)
    roots = torch.tensor(rng.standard_normal((3, 5, 5)))
    gaussians = GaussianComponents(
        torch.tensor(rng.dirichlet(np.ones(3))),
        torch.tensor(rng.standard_normal((3, 5))),
        roots @ roots.mT + 0.1 * torch.eye(5),
    )
    labels = [rng.dirichlet(np.ones(size), size=3) for size in (3, 2)]
    log_probs = torch.tensor(np.log(np.concatenate(labels, axis=1)))
    components = MixedComponents(gaussians, log_probs, torch.tensor([0, 3]))
    rows = torch.tensor(np.stack((rng.integers(3, size=8), rng.integers(2, size=8))))
    y = torch.tensor(2 * rng.standard_normal((5, 8)))
    y[0, rows[0] == 2] = torch.nan
    columns = [(0, 0), (None, 1), (1, None), (None, 2), (None, 3), (None, 4)]
    surprises = Surprises(components, columns, rows, y)
    last = [
        surprises.in_order([*(k for k in range(6) if k != j), j])[j] for j in range(len(columns))
    ]
    torch.testing.assert_close(surprises.given_rest(), torch.stack(last), rtol=1e-6, atol=1e-8)
