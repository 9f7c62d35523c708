"""Root search, Student's t, coupling groups, conditioners: the small parts."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.optimize import brentq
from torch import Tensor

from skflow.flow.conditioner import Conditioner, Dropout, IncrementalNetwork
from skflow.flow.coupling import Coupling
from skflow.flow.heavy_tails import (
    HEAVY,
    broad_density,
    broad_quantile_bracket,
    broad_tails,
    student_density,
    student_quantile,
    student_tails,
)
from skflow.flow.root import Entries, find_root
from tests.laws import seeded

T2 = stats.t(2)


def float64(values) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# Root search

FUNCTIONS = {
    "cubic": (lambda x: x**3 + x, lambda x: 3 * x**2 + 1, lambda x: 6 * x),
    "flat at the root": (lambda x: x**3, lambda x: 3 * x**2, lambda x: 6 * x),
    "steep": (
        lambda x: torch.sinh(20 * x),
        lambda x: 20 * torch.cosh(20 * x),
        lambda x: 400 * torch.sinh(20 * x),
    ),
    "step": (
        lambda x: torch.tanh(1e4 * x) + 1e-3 * x,
        lambda x: 1e4 / torch.cosh(1e4 * x) ** 2,
        lambda x: -2e8 * torch.tanh(1e4 * x) / torch.cosh(1e4 * x) ** 2,
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_roots_are_those_of_scipy(name: str) -> None:
    value, derivative, second = FUNCTIONS[name]
    goals = value(float64(np.linspace(-0.8, 0.9, 23)))

    def residual(x: Tensor, entries: Entries) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        third = torch.full_like(x, 100.0)
        return value(x) - goals[entries], derivative(x) + 1e-12, second(x), third

    low, high = torch.full_like(goals, -1.5), torch.full_like(goals, 2.0)
    start = float64(np.random.default_rng(0).uniform(-3, 3, 23))
    found = find_root(residual, low, high, torch.full_like(goals, 1e-16), start, near=1e-6)
    for goal, root in zip(goals, found, strict=True):
        reference = brentq(
            lambda x, goal=goal: float(value(float64(x)) - goal), -1.5, 2.0, xtol=1e-15
        )
        assert float(root) == pytest.approx(reference, abs=1e-5 if "flat" in name else 1e-10)


def test_root_at_the_edge_of_its_bracket() -> None:
    found = find_root(
        lambda x, _: (x, torch.ones_like(x), torch.zeros_like(x), torch.zeros_like(x)),
        float64([0.0, -1.0, 0.0]),
        float64([1.0, 0.0, 0.0]),
        float64([1e-16] * 3),
        float64([0.5, 3.0, -3.0]),
        near=1e-6,
    )
    torch.testing.assert_close(found, torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-15)


def test_entries_that_are_found_are_not_asked_again() -> None:
    """One root is far and flat, the others are where the search begins, or a step away."""
    asked = []

    def cube_root(x: Tensor, entries: Entries) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        asked.append(len(x))
        distance = x - goals[entries]
        third = torch.full_like(x, 6.0)
        return distance**3, 3 * distance.square() + 1e-300, 6 * distance, third

    goals = float64([*[1.0] * 50, 0.3])
    ends = torch.full_like(goals, -100.0), torch.full_like(goals, 90.0)
    start = float64([1.0] * 51)
    found = find_root(cube_root, *ends, torch.full_like(goals, 1e-30), start, near=1e-20)
    torch.testing.assert_close(found, goals, rtol=0, atol=1e-9)
    assert asked[0] == 51
    assert set(asked[1:]) == {1}


# Student's t


def test_student_equals_scipy() -> None:
    t = float64(np.linspace(-30, 30, 201))
    np.testing.assert_allclose(student_density(t), T2.pdf(t), rtol=1e-12)
    lower, upper = student_tails(t)
    np.testing.assert_allclose(lower, T2.cdf(t), rtol=1e-12)
    np.testing.assert_allclose(upper, T2.sf(t), rtol=1e-12)
    np.testing.assert_allclose(student_quantile(lower, upper), t, rtol=1e-10, atol=1e-12)


def test_student_keeps_its_digits_far_out() -> None:
    t = float64(-np.geomspace(1e3, 1e150, 50))
    lower, upper = student_tails(t)
    np.testing.assert_allclose(lower, 1 / (2 * t.numpy() ** 2), rtol=1e-5)
    np.testing.assert_allclose(student_quantile(lower, upper), t, rtol=1e-12)
    torch.testing.assert_close(student_tails(-t), (upper, lower))


# The broad density


def test_broad_density_is_nearly_logistic() -> None:
    y = float64(np.linspace(-20, 20, 201))
    weights = np.array([1 - HEAVY, HEAVY])
    for found, name in zip((broad_density(y), *broad_tails(y)), ("pdf", "cdf", "sf"), strict=True):
        parts = [getattr(law, name)(y.numpy()) for law in (stats.logistic, T2)]
        np.testing.assert_allclose(found, weights @ parts, rtol=1e-10)


def test_broad_tails_never_underflow() -> None:
    y = float64([-1e100, -1e4, 1e4, 1e100])
    lower, upper = broad_tails(y)
    assert (lower[:2] > 0).all()
    assert (upper[2:] > 0).all()


def test_broad_quantiles_lie_in_their_bracket() -> None:
    y = float64(np.concatenate((-np.geomspace(1e4, 1e-3, 40), np.geomspace(1e-3, 1e4, 40))))
    low, high = broad_quantile_bracket(*broad_tails(y))
    assert (low <= y + 1e-9 * y.abs()).all()
    assert (high >= y - 1e-9 * y.abs()).all()


# Groups of coupling layers


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(("n_columns", "n_groups"), [(1, 1), (2, 2), (5, 2), (5, 5), (40, 16)])
@pytest.mark.parametrize("n_features", [0, 3])
def test_a_group_reads_the_groups_before_it(
    n_columns: int, n_groups: int, n_features: int, backwards: bool
) -> None:
    """By autodiff: which raw parameters move with which columns, and with the features."""
    coupling = Coupling(
        n_columns,
        n_groups=None if n_groups == 16 else n_groups,
        backwards=backwards,
        n_features=n_features,
        n_bins=2,
        bound=4.0,
        hidden_units=64,
        n_blocks=2,
        dropout=0.0,
        generator=seeded(0),
    )
    torch.nn.init.normal_(coupling.conditioner.output_layer.weight, generator=seeded(1))
    features = torch.randn(n_features, 30, generator=seeded(2)) if n_features else None

    def sizes(x: torch.Tensor) -> torch.Tensor:
        return coupling.conditioner(x, features, quantize=False).square().sum(dim=(0, 2))

    x = torch.randn(n_columns, 30, generator=seeded(3))
    reads = (torch.autograd.functional.jacobian(sizes, x) != 0).any(dim=2)
    place = {j: g for g, group in enumerate(coupling.groups) for j in range(n_columns)[group]}
    assert len(place) == n_columns
    assert sorted(set(place.values())) == list(range(n_groups))
    for i in range(n_columns):
        assert reads[i].tolist() == [place[j] < place[i] for j in range(n_columns)]
    if features is not None:
        features.requires_grad_()
        first = sizes(x)[coupling.groups[0]].sum()
        assert torch.autograd.grad(first, features)[0].any(dim=1).all()


@pytest.mark.parametrize("n_columns", [1, 2, 5, 40])
@pytest.mark.parametrize("n_features", [0, 3])
@pytest.mark.parametrize("n_blocks", [0, 1, 3])
def test_parameters_group_by_group_are_those_of_one_pass(
    n_columns: int, n_features: int, n_blocks: int
) -> None:
    """Each from the columns before it alone: the others are written when it has been taken."""
    coupling = Coupling(
        n_columns,
        backwards=True,
        n_features=n_features,
        n_bins=3,
        bound=4.0,
        hidden_units=32,
        n_blocks=n_blocks,
        dropout=0.0,
        generator=seeded(0),
    ).double()
    made, groups = coupling.conditioner, coupling.groups
    for name, parameter in made.named_parameters():
        if name.endswith("bias") or "output" in name:
            torch.nn.init.normal_(parameter, generator=seeded(1))
    x = 3 * torch.randn(n_columns, 20, generator=seeded(2), dtype=torch.float64)
    features = torch.randn(n_features, 20, dtype=torch.float64) if n_features else None
    read = torch.full_like(x, 100.0)
    parameters = IncrementalNetwork(made).by_group(read, groups, features)
    for columns, raw in zip(groups, parameters, strict=True):
        torch.testing.assert_close(raw, made(x, features)[:, columns], rtol=0, atol=1e-13)
        read[columns] = x[columns]


# Conditioners


def start_of_conditioner(
    n_features: int = 0, dropout: float = 0.0, n_blocks: int = 1
) -> Conditioner:
    return Conditioner(
        torch.tensor([0, 1, 2]),
        3,
        5,
        n_features=n_features,
        hidden_units=8,
        n_blocks=n_blocks,
        dropout=dropout,
        bound=4.0,
        generator=seeded(0),
    )


def conditioner(n_features: int = 0, dropout: float = 0.0) -> Conditioner:
    made = start_of_conditioner(n_features, dropout, n_blocks=2)
    torch.nn.init.normal_(made.output_layer.weight, generator=seeded(1))
    return made


def test_conditioner_reads_no_further_than_its_bound() -> None:
    x = torch.randn(3, 20, generator=seeded(2)) * 4
    far = torch.where(x.abs() > 4, x * 1e20, x)
    assert torch.equal(conditioner()(x), conditioner()(far))


def test_conditioner_reads_features_of_any_size() -> None:
    x = torch.randn(3, 20, generator=seeded(2))
    features = 100 * torch.randn(2, 20, generator=seeded(3))
    made = conditioner(n_features=2)
    assert not torch.equal(made(x, features), made(x, features / 2))


def test_conditioner_starts_at_zero() -> None:
    made = start_of_conditioner()
    assert (made(torch.randn(3, 20, generator=seeded(2))) == 0).all()


def test_dropout_is_its_generators_and_keeps_the_mean() -> None:
    dropout = Dropout(0.25)
    x = torch.ones(100, 1000)
    state = torch.get_rng_state()
    dropout.generator = seeded(0)
    dropped = dropout(x)
    assert torch.equal(torch.get_rng_state(), state)
    assert dropped.mean() == pytest.approx(1, abs=0.01)
    assert (dropped == 0).float().mean() == pytest.approx(0.25, abs=0.01)
    assert dropout.eval()(x) is x
