"""Options, schedule, stopping, optimiser, device and the choices of the closed form."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from skflow.flow.recipe import choose_recipe, model_state, restore_model
from skflow.training.averaging import AveragedWeights
from skflow.training.closed_form import fit_closed_form
from skflow.training.device import resolve_device
from skflow.training.fitting import EncodedRows, start_model
from skflow.training.optimizer import AdamW
from skflow.training.options import choose_options
from skflow.training.schedule import rate_factor
from skflow.training.stopping import BestWeights
from tests.laws import seeded
from tests.tables import clustered, correlated

AUTO = dict.fromkeys(
    ("max_iter", "batch_size", "learning_rate", "weight_decay", "n_iter_no_change"), "auto"
)


@pytest.mark.parametrize("n_rows", [2, 50, 1000, 100_000])
@pytest.mark.parametrize("n_columns", [1, 10, 1000])
def test_defaults_are_sound_at_every_size(n_rows: int, n_columns: int) -> None:
    options = choose_options(n_rows, n_columns, deadline=None, tol=1e-4, **AUTO)
    recipe = choose_recipe(n_rows, n_columns, "auto", "auto", 8, "auto")
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
    options = choose_options(1000, 5, deadline=12.0, tol=0.1, **given)
    assert all(getattr(options, name) == value for name, value in given.items())
    assert (options.deadline, options.tol) == (12.0, 0.1)
    recipe = choose_recipe(1000, 5, 3, 17, 5, 0.3)
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
    best = BestWeights(model, score=0.0, tol=0.1)
    for weight, score in ((2.0, 1.0), (3.0, 0.5), (4.0, 1.05), (5.0, -math.inf), (6.0, math.nan)):
        model.weight.data.fill_(weight)
        best.update(score)
    assert best.score == 1.05
    assert best.n_iter_no_change == 4
    best.restore()
    assert weight_of(model) == 4.0


def test_a_gain_of_tol_resets_the_count() -> None:
    best = BestWeights(nn.Linear(1, 1), score=0.0, tol=0.1)
    counts = []
    for score in (0.05, 0.09, 0.11, 0.12, 0.3):
        best.update(score)
        counts.append(best.n_iter_no_change)
    assert counts == [1, 2, 0, 1, 0]


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


def test_average_of_the_weights() -> None:
    """Even over the first steps, exponential later; in the model only for a while."""
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(0.0)
    average = AveragedWeights([model.weight], horizon=4.0)
    expected = 0.0
    for step, weight in enumerate([1.0, 2.0, 6.0, 8.0, 8.0, 8.0], start=1):
        model.weight.data.fill_(weight)
        average.update()
        expected += (weight - expected) * max(1 / (step + 1), 1 / 4)
        with average.in_place():
            assert weight_of(model) == pytest.approx(expected)
        assert weight_of(model) == weight


def test_devices() -> None:
    assert resolve_device("cpu", 10**9).type == "cpu"
    assert resolve_device("auto", 1).type == "cpu"
    assert resolve_device(torch.device("cpu"), 1).type == "cpu"
    for device in ("mps", "meta", "abacus"):
        with pytest.raises(ValueError, match="device must be 'auto', 'cpu' or 'cuda"):
            resolve_device(device, 1)


def test_auto_takes_cuda_where_the_work_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto", 10**9).type == "cuda"
    assert resolve_device("auto", 100).type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto", 10**9).type == "cpu"
    with pytest.raises(ValueError, match="torch finds no CUDA device"):
        resolve_device("cuda", 10**9)


def test_clusters_are_given_components() -> None:
    """Three clusters, of which one Gaussian would know nothing."""
    X = clustered(600, 3, seed=0)
    form = fit_closed_form(X, None, None, 4.0, seeded(0))
    assert len(form.mixture.log_weights) >= 3


@pytest.mark.parametrize("n_components", [1, 2, 5])
def test_a_given_number_of_components_is_kept(n_components: int) -> None:
    X = correlated(200, 3, seed=0)
    for held_out in (None, X[150:]):
        form = fit_closed_form(X[:150], held_out, n_components, 4.0, seeded(0))
        assert len(form.mixture.log_weights) == n_components


@pytest.mark.parametrize(("n_rows", "n_columns"), [(2, 1), (5, 3), (40, 3), (150, 12)])
def test_state_rebuilds_the_model(n_rows: int, n_columns: int) -> None:
    X = correlated(n_rows, n_columns, seed=1)
    X[:, n_columns // 2] = X[0, n_columns // 2]
    rows = EncodedRows(X, np.zeros(n_rows))
    recipe = choose_recipe(n_rows, n_columns, 2, 4, 5, 0.0)
    model = start_model(rows, None, recipe, "auto", seeded(0)).eval()
    state = model_state(model)
    assert all(type(array) is np.ndarray for array in state.values())
    again = restore_model(recipe, state)
    x = torch.tensor(X.T.copy())
    with torch.inference_mode():
        assert torch.equal(again.log_prob(x), model.log_prob(x))
        assert torch.equal(again.latents(x), model.latents(x))
