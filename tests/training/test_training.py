"""Options, schedule, stopping, optimiser and the choices of the closed form."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from skflow.clock import Clock
from skflow.fitted.initialize import initialize
from skflow.fitted.settings import FitSettings
from skflow.flow.model import Rows
from skflow.flow.recipe import FlowRecipe, choose_recipe, model_state, restore_model
from skflow.initialization.search import SearchContext, fit_initial
from skflow.rows import EncodedRows
from skflow.training.optimizer import EMA, AdamW, rate_factor
from skflow.training.options import choose_options
from skflow.training.stopping import EarlyStopping
from tests.laws import seeded
from tests.settings import slow_but
from tests.tables import clustered, correlated

AUTO = dict.fromkeys(
    ("max_iter", "batch_size", "learning_rate", "weight_decay", "n_iter_no_change"), "auto"
)


def recipe_for(n_rows: int, n_columns: int, labels: tuple[int, ...] = (), **sizes) -> FlowRecipe:
    """Of plain columns, the last one with holes, and columns of labels before them."""
    sizes = {"n_layers": 2, "hidden_units": 4, "n_bins": 5, "dropout": 0.0} | sizes
    value_labels = [(-1, 0, 1)] * n_columns
    if labels and n_columns:
        value_labels[-1] = (len(labels) - 1, 0, 1)
    return choose_recipe(
        n_rows,
        n_labels=labels,
        unseen=(1e-3,) * len(labels),
        value_labels=tuple(value_labels),
        **sizes,
    )


@pytest.mark.parametrize("n_rows", [2, 50, 1000, 100_000])
@pytest.mark.parametrize("n_columns", [0, 1, 10, 1000])
def test_defaults_are_sound_at_every_size(n_rows: int, n_columns: int) -> None:
    options = choose_options(n_rows, clock=Clock(), tol=1e-4, **AUTO)
    recipe = recipe_for(n_rows, n_columns, n_layers="auto", hidden_units="auto", dropout="auto")
    assert options.max_iter >= 1
    assert options.batch_size >= 1
    assert 0 < options.learning_rate < 1
    assert options.weight_decay >= 0
    assert options.n_iter_no_change >= 1
    assert recipe.n_layers >= 0
    assert recipe.hidden_units >= 1
    assert 0 <= recipe.dropout < 1
    assert recipe.bound > 0


def test_given_options_are_kept() -> None:
    given = dict(zip(AUTO, (7, 33, 0.5, 0.25, 2), strict=True))
    clock = Clock(12.0)
    options = choose_options(1000, clock=clock, tol=0.1, **given)
    assert all(getattr(options, name) == value for name, value in given.items())
    assert (options.clock, options.tol) == (clock, 0.1)
    recipe = recipe_for(1000, 5, n_layers=3, hidden_units=17, dropout=0.3)
    assert (recipe.n_layers, recipe.hidden_units, recipe.n_bins) == (3, 17, 5)
    assert recipe.dropout == 0.3


def test_schedule_rises_then_falls_to_nearly_nothing() -> None:
    factors = [rate_factor(progress) for progress in np.linspace(0, 1, 201)]
    top = int(np.argmax(factors))
    assert 0 < factors[0] < 0.1
    assert max(factors) == pytest.approx(1, abs=0.01)
    assert top < 40
    assert (np.diff(factors[: top + 1]) > 0).all()
    assert (np.diff(factors[top:]) < 0).all()
    assert 0 < factors[-1] < 0.05


def weight_of(model: nn.Linear) -> float:
    return model.weight.item()


def test_best_weights_come_back() -> None:
    model = nn.Linear(1, 1)
    model.weight.data.fill_(1.0)
    best = EarlyStopping(model, score=0.0, tol=0.1)
    for weight, score in ((2.0, 1.0), (3.0, 0.5), (4.0, 1.05), (5.0, -math.inf), (6.0, math.nan)):
        model.weight.data.fill_(weight)
        best.update(score)
    assert best.score == 1.05
    assert best.n_iter_no_change == 4
    best.restore()
    assert weight_of(model) == 4.0


def test_a_gain_of_tol_resets_the_count() -> None:
    best = EarlyStopping(nn.Linear(1, 1), score=0.0, tol=0.1)
    counts = []
    for score in (0.05, 0.09, 0.11, 0.12, 0.3):
        best.update(score)
        counts.append(best.n_iter_no_change)
    assert counts == [1, 2, 0, 1, 0]


def test_training_goes_on_while_the_score_rises_from_a_dip() -> None:
    best = EarlyStopping(nn.Linear(1, 1), score=0.0, tol=0.1)
    fall, rise = -np.arange(1.0, 11), np.arange(-9.0, -0.5)
    for score in (*fall, *rise[:-1]):
        best.update(score)
    assert best.n_iter_no_change == 18
    assert best.n_left(15, 15) == 1
    for _ in range(60):
        best.update(-1.0)
    assert best.n_left(15, 15) == 0
    fallen = EarlyStopping(nn.Linear(1, 1), score=0.0, tol=0.1)
    for score in (*fall, *fall - 10):
        fallen.update(score)
    assert fallen.n_left(15, 15) == 0


@pytest.mark.parametrize(("n_gains", "patience"), [(0, 10), (4, 10), (13, 13), (60, 20)])
def test_training_waits_as_long_again_as_led_to_the_last_gain(n_gains: int, patience: int) -> None:
    best = EarlyStopping(nn.Linear(1, 1), score=0.0, tol=0.1)
    for epoch in range(1, n_gains + 1):
        best.update(float(epoch))
    for n_left in range(patience, 0, -1):
        assert best.n_left(least=10, most=20) == n_left
        best.update(-1.0 * (patience - n_left))
    assert best.n_left(least=10, most=20) == 0


def test_optimizer_steps_are_those_of_torch() -> None:
    """AdamW with decay on matrices alone, gradients clipped to a norm."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    reference = copy.deepcopy(model)
    ours = AdamW(model, weight_decay=0.1, max_norm=0.5)
    matrices = [p for name, p in reference.named_parameters() if name.endswith("weight")]
    others = [p for name, p in reference.named_parameters() if not name.endswith("weight")]
    theirs = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
        betas=(0.9, 0.99),
    )
    x = torch.randn(20, 3, dtype=torch.float64, generator=seeded(0))
    for rate in (0.1, 0.05, 0.01, 0.3):
        (10 * model(x).square().mean()).backward()
        ours.step(rate)
        for group in theirs.param_groups:
            group["lr"] = rate
        theirs.zero_grad()
        (10 * reference(x).square().mean()).backward()
        nn.utils.clip_grad_norm_(reference.parameters(), 0.5)
        theirs.step()
    for found, expected in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
        assert found.grad is None


def test_a_share_of_the_rate_is_a_share_of_each_step() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    reference = copy.deepcopy(model)
    shares = torch.tensor([1.0, 0.5, 0.1, 0.01], dtype=torch.float64)
    factors = {"0.weight": shares[:, None], "0.bias": shares}
    ours = AdamW(model, weight_decay=0.1, max_norm=0.5, rate_factors=factors)
    # One optimizer for each row of the first layer: a rate is a number there.
    rows = [
        [
            nn.Parameter(reference[0].weight[[i]].detach()),
            nn.Parameter(reference[0].bias[[i]].detach()),
        ]
        for i in range(4)
    ]

    def output_of_rows(x: torch.Tensor) -> torch.Tensor:
        hidden = [nn.functional.linear(x, weight, bias) for weight, bias in rows]
        return reference[2](torch.tanh(torch.cat(hidden, dim=1)))

    last = list(reference[2].parameters())
    groups = [
        {"params": [p], "weight_decay": 0.1 * (p.ndim == 2), "share": float(share)}
        for pair, share in zip([*rows, last], [*shares, 1.0], strict=True)
        for p in pair
    ]
    theirs = torch.optim.AdamW(groups, betas=(0.9, 0.99))
    x = torch.randn(20, 3, dtype=torch.float64, generator=seeded(0))
    for rate in (0.1, 0.05, 0.01, 0.3):
        (10 * model(x).square().mean()).backward()
        ours.step(rate)
        for group in theirs.param_groups:
            group["lr"] = rate * group["share"]
        theirs.zero_grad()
        (10 * output_of_rows(x).square().mean()).backward()
        nn.utils.clip_grad_norm_([*(p for pair in rows for p in pair), *last], 0.5)
        theirs.step()
    for found, expected in zip(model[0].parameters(), zip(*rows, strict=True), strict=True):
        torch.testing.assert_close(found, torch.cat(expected), rtol=1e-10, atol=1e-10)
    for found, expected in zip(model[2].parameters(), last, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_average_of_the_weights() -> None:
    """By the cube of the step at first, exponential later; in the model only for a while."""
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(0.0)
    average = EMA([model.weight], horizon=2.0)
    values, expected = [0.0, 1.0, 2.0, 6.0, 8.0, 3.0, 8.0], 0.0
    for n, value in enumerate(values[1:], start=1):
        model.weight.data.fill_(value)
        average.update(average.next_weight())
        if n <= 4:  # a cubic polynomial of the step, and its sum
            weights = [math.comb(step + 3, 3) for step in range(n + 1)]
            expected = np.dot(weights, values[: n + 1]) / math.comb(n + 4, 4)
        else:
            expected = (expected + value) / 2
        with average.in_place():
            assert weight_of(model) == pytest.approx(expected)
        assert weight_of(model) == value


def plain_sample(X: np.ndarray) -> EncodedRows:
    nothing = np.empty((len(X), 0))
    return EncodedRows(nothing.astype(np.int64), nothing, X, np.zeros_like(X), np.zeros(len(X)))


def plain_design(n_columns: int) -> SearchContext:
    return SearchContext([(-np.inf, np.inf)] * n_columns, n_labels=(), bound=4.0, clock=Clock())


def test_clusters_are_given_components() -> None:
    """Three clusters, of which one Gaussian would know nothing."""
    X = plain_sample(clustered(600, 3, seed=0))
    form = fit_initial(X, None, None, plain_design(3), seeded(0))
    assert len(form.mixture.log_weights) >= 3


@pytest.mark.parametrize("n_components", [1, 2, 5])
def test_a_given_number_of_components_is_kept(n_components: int) -> None:
    X = plain_sample(correlated(200, 3, seed=0))
    train = X.take(np.arange(150))
    for held_out in (None, X.take(np.arange(150, 200))):
        form = fit_initial(train, held_out, n_components, plain_design(3), seeded(0))
        assert len(form.mixture.log_weights) == n_components


def test_fewer_components_below_layers_that_learn_what_these_overfit() -> None:
    rng = np.random.default_rng(0)
    X = rng.uniform(-1.5, 1.5, size=(5000, 4))
    X[:, 3] = np.sin(X[:, :3].sum(axis=1)) + 0.2 * rng.standard_normal(5000)
    rows = plain_sample(X)
    train, held_out = rows.take(slice(4000)), rows.take(slice(4000, None))
    alone = plain_design(4)
    chosen = [
        fit_initial(train, held_out, None, design, seeded(0)).candidate
        for design in (alone, replace(alone, precedes_training=True))
    ]
    of_itself, below_layers = (candidate.n_components for candidate in chosen if candidate)
    assert 1 < below_layers < of_itself


def encoded(n_rows: int, n_columns: int, labels: tuple[int, ...] = ()) -> EncodedRows:
    """Values, a constant one among them, and labels; what the last label says is absent."""
    values = correlated(n_rows, n_columns, seed=1) if n_columns else np.empty((n_rows, 0))
    if n_columns > 1:
        values[:, n_columns // 2] = values[0, n_columns // 2]
    rng = np.random.default_rng(2)
    codes = np.array([rng.integers(size, size=n_rows) for size in labels]).reshape(-1, n_rows).T
    if labels and n_columns:
        values[codes[:, -1] != 0, -1] = np.nan
    return EncodedRows(
        codes.astype(np.int64),
        np.full(codes.shape, np.nan),
        values,
        np.zeros_like(values),
        np.zeros(n_rows),
    )


TABLES = [(2, 1), (5, 3), (40, 3), (40, 0)]
LABELS: list[tuple[int, ...]] = [(), (3,), (2, 1, 5, 2)]
LARGE = slow_but([(150, 12, LABELS[-1])], [(150, 12, labels) for labels in LABELS])


@pytest.mark.parametrize(
    ("n_rows", "n_columns", "labels"),
    [*((*table, labels) for table in TABLES for labels in LABELS), *LARGE],
)
def test_state_rebuilds_the_model(n_rows: int, n_columns: int, labels: tuple[int, ...]) -> None:
    rows = encoded(n_rows, n_columns, labels)
    recipe = recipe_for(n_rows, n_columns, labels)
    bounds = [(-np.inf, np.inf)] * n_columns
    options = choose_options(n_rows, clock=Clock(), tol=1e-4, **AUTO)
    names = [str(j) for j in range(n_columns)]
    settings = FitSettings(recipe, bounds, names, None, options, torch.device("cpu"))
    model, _ = initialize(rows, None, settings, seeded(0))
    state = model_state(model)
    assert all(type(array) is np.ndarray for array in state.values())
    again = restore_model(recipe, state)
    with torch.inference_mode():
        assert torch.isfinite(model.log_prob(Rows.of(rows))).all()
        assert torch.equal(again.log_prob(Rows.of(rows)), model.log_prob(Rows.of(rows)))
        for part, of_model in zip(
            again.latents(Rows.of(rows)), model.latents(Rows.of(rows)), strict=True
        ):
            assert torch.equal(part, of_model)
