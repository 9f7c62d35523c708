"""Conditions between levels: corners of their simplex, and what a model makes of them."""

import numpy as np
import pytest
import torch
from hypothesis import given as any_of
from hypothesis import strategies as st
from torch import Tensor

from skflow.flow.between_levels import Corners
from skflow.flow.context import sum_embeddings
from skflow.flow.model import Model, Rows
from skflow.rows import LevelValues
from tests.flow.test_model import LAYOUTS, conditions, randomized, rows_of
from tests.laws import relative_error, seeded

LEVELS = (-1.0, 0.0, 0.5, 2.0)
N_ROWS = 40


def levelled(name: str) -> Model:
    """A model whose first label of the condition is that of its second value."""
    model = randomized(name, True)
    model.corners = Corners([LevelValues(0, 1, LEVELS)])
    return model


def at(positions: Tensor) -> Rows:
    """Conditions at these positions of the first label, ``(n_rows,)``."""
    rows = conditions(len(positions))
    labels, values = rows.labels.double(), rows.values.clone()
    labels[0] = positions
    values[1] = torch.from_numpy(np.interp(positions, range(4), LEVELS))
    return Rows(labels, rows.novel, values)


def uniform(n_rows: int = N_ROWS) -> Tensor:
    return 3 * torch.rand(n_rows, generator=seeded(2), dtype=torch.float64)


@any_of(
    st.lists(st.tuples(st.floats(0, 3), st.floats(0, 5), st.floats(0, 1)), min_size=1, max_size=4)
)
def test_shares_of_corners_give_the_position(places: list[tuple[float, ...]]) -> None:
    positions = torch.tensor(places, dtype=torch.float64).T
    values = torch.stack((torch.zeros(len(places)).double(), 2 * positions[0] - 1))
    corners = Corners([LevelValues(0, 1, (-1.0, 1.0, 3.0, 5.0))])(positions, values)
    if not corners:
        assert torch.equal(positions, positions.floor())
        return
    total = sum(corner.share for corner in corners)
    torch.testing.assert_close(total, torch.ones_like(positions[0]))
    torch.testing.assert_close(sum(c.share * c.labels for c in corners), positions)
    torch.testing.assert_close(sum(c.share * c.values for c in corners), values)
    for share, labels, _ in corners:
        assert (share >= 0).all()
        assert ((labels >= positions.floor()) & (labels <= positions.ceil())).all()


def test_embeddings_are_interpolated() -> None:
    table = torch.randn(9, 3, generator=seeded(0), dtype=torch.float64)
    codes = torch.tensor([[0.25, 1.0], [7.0, 6.5]], dtype=torch.float64)
    expected = torch.stack(
        (0.75 * table[0] + 0.25 * table[1] + table[7], table[1] + (table[6] + table[7]) / 2), 1
    )
    torch.testing.assert_close(sum_embeddings(codes, table), expected)
    whole = torch.tensor([[2, 8], [0, 0]])
    assert torch.equal(sum_embeddings(whole.double(), table), sum_embeddings(whole, table))


@pytest.mark.parametrize("name", LAYOUTS)
def test_answers_move_from_level_to_level(name: str) -> None:
    """Rows at a level score as ever, beside others too, and those very near it nearly so."""
    model, rows, whole = levelled(name), rows_of(name, N_ROWS), uniform().round()
    with torch.no_grad():
        expected = model.log_prob(rows, at(whole.long()))
        assert torch.equal(model.log_prob(rows, at(whole)), expected)
        mixed = whole.clone()
        mixed[::2] = uniform()[::2]
        assert relative_error(model.log_prob(rows, at(mixed))[1::2], expected[1::2]) < 1e-12
        near = model.log_prob(rows, at((whole - 1e-9).clamp_min(0)))
        torch.testing.assert_close(near, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", LAYOUTS)
def test_rows_come_back(name: str) -> None:
    model, rows, condition = levelled(name), rows_of(name, N_ROWS), at(uniform())
    with torch.no_grad():
        back = model.inverse(model.latents(rows, condition), condition)
    assert torch.equal(back.labels, rows.labels)
    assert relative_error(back.values.nan_to_num(), rows.values.nan_to_num()) < 1e-8


def test_probabilities_of_labels_are_averages() -> None:
    model, rows, positions = levelled("labels"), rows_of("labels", N_ROWS), uniform()
    share = positions.frac()
    with torch.no_grad():
        below, above, between = (
            model.label_log_probs(rows.labels, at(p)).exp()
            for p in (positions.floor(), positions.floor() + 1, positions)
        )
    torch.testing.assert_close(between, (1 - share) * below + share * above)


@pytest.mark.parametrize("quantize", [False, True])
def test_densities_integrate_to_one(quantize: bool) -> None:
    model, x = levelled("one number"), torch.linspace(-60, 60, 8_001, dtype=torch.float64)
    nothing = torch.empty(0, len(x))
    condition = Rows(*(part[:, :1].expand(-1, len(x)) for part in at(torch.tensor([1.4]))))
    with torch.no_grad():
        log_prob = model.value_log_prob(nothing.long(), x[None], condition, quantize=quantize)
    assert float(torch.trapezoid(log_prob.exp(), x)) == pytest.approx(1, abs=2e-3)
