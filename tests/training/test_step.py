"""A gradient step, eager and captured; what needs a GPU is in test_cuda.py."""

import copy
import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from skflow import FlowDensity
from skflow.clock import Clock
from skflow.exceptions import CaptureWarning, DivergenceWarning
from skflow.flow.batch import Batch
from skflow.training import objective
from skflow.training import step as step_module
from skflow.training.objective import Objective, equal_batches
from skflow.training.optimizer import EMA, AdamW
from skflow.training.options import choose_options
from skflow.training.resident import ResidentRows, mean_log_prob
from skflow.training.step import CapturedStep, EagerStep
from tests.laws import seeded
from tests.mixed import every_kind
from tests.settings import ONE_TINY_LAYER, TWO_EPOCHS, one_of_each
from tests.tables import Table
from tests.training.steps import PARTS, Part, run_steps
from tests.training.tape import NoSync, SyncError, TapeRecorder


def numbers_only(y: Tensor, weight: Tensor | None = None) -> Batch:
    return Batch(torch.zeros(0, y.shape[1], dtype=torch.uint8), y, weight=weight)


def eager_step(
    model: nn.Module, log_prob: Callable[[Batch], Tensor], rows: Batch
) -> tuple[EagerStep, EMA]:
    optimizer = AdamW(model, weight_decay=0.1, max_norm=5.0)
    average = EMA(optimizer.parameters, horizon=12.0)
    return EagerStep(log_prob, rows, optimizer, average), average


def test_eager_step_is_that_of_autograd_and_torch() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    reference = copy.deepcopy(model)
    rows = torch.randn(40, 3, dtype=torch.float64, generator=seeded(0))

    def log_prob(batch: Batch) -> Tensor:
        return -10 * model(batch.y.T).square()[:, 0]

    step, ema = eager_step(model, log_prob, numbers_only(rows.T))
    matrices = [p for name, p in reference.named_parameters() if name.endswith("weight")]
    others = [p for name, p in reference.named_parameters() if not name.endswith("weight")]
    theirs = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
        betas=(0.9, 0.99),
    )
    average = copy.deepcopy(reference)
    total = 0.0
    batches = torch.randperm(40, generator=seeded(1)).view(8, 5)
    for n, (batch, rate) in enumerate(zip(batches, np.linspace(0.1, 0.01, 8), strict=True), 1):
        step(batch, float(rate), ema.next_weight())
        loss = 10 * reference(rows[batch]).square()
        total -= loss.sum().item()
        theirs.zero_grad()
        loss.mean().backward()
        nn.utils.clip_grad_norm_(reference.parameters(), 5.0)
        for group in theirs.param_groups:
            group["lr"] = rate
        theirs.step()
        with torch.no_grad():
            for mean, p in zip(average.parameters(), reference.parameters(), strict=True):
                mean += (p - mean) * max(4 / (n + 4), 1 / 12)
    exact = {"rtol": 1e-10, "atol": 1e-10}
    assert step.total.item() == pytest.approx(total)
    for found, expected in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(found, expected, **exact)
    with ema.in_place():
        for found, expected in zip(model.parameters(), average.parameters(), strict=True):
            torch.testing.assert_close(found, expected, **exact)


@pytest.mark.parametrize(
    ("n_rows", "n_batches"), [(1, 1), (7, 1), (7, 7), (7, 2), (1000, 9), (64, 8)]
)
def test_batches_are_of_one_size_and_cover_the_rows(n_rows: int, n_batches: int) -> None:
    left_out = set()
    for seed in range(2):
        order = torch.randperm(n_rows, generator=seeded(seed))
        batches = equal_batches(order, n_batches)
        assert batches.shape == (n_batches, n_rows // n_batches)
        assert len(set(batches.flatten().tolist())) == batches.numel()
        assert n_rows - batches.numel() < n_batches
        left_out |= {frozenset(order.tolist()) - frozenset(batches.flatten().tolist())}
    # Not the same rows in each epoch.
    assert len(left_out) == (1 if n_rows % n_batches == 0 else 2)


def test_a_weight_counts_as_equal_rows() -> None:
    """In the loss, the weights it leads to, and the total."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    repeated = copy.deepcopy(model)
    rows = torch.randn(3, 12, dtype=torch.float64, generator=seeded(0))
    times = torch.arange(12) % 3 + 1

    def log_prob_of(module: nn.Module) -> Callable[[Batch], Tensor]:
        return lambda batch: -module(batch.y.T).square()[:, 0]

    weighted = numbers_only(rows, times.double())
    longer = numbers_only(rows.repeat_interleave(times, dim=1))
    steps = []
    for module, batch in ((model, weighted), (repeated, longer)):
        step, ema = eager_step(module, log_prob_of(module), batch)
        for _ in range(3):
            step(torch.arange(batch.n_rows), 0.01, ema.next_weight())
        steps.append(step)
    for found, expected in zip(model.parameters(), repeated.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert float(steps[0].total) == pytest.approx(float(steps[1].total), rel=1e-9)
    bowl = Bowl(3, 1).double()
    scores = [mean_log_prob(bowl, batch) for batch in (weighted, longer, numbers_only(rows))]
    assert scores[0] == pytest.approx(scores[1], rel=1e-9)
    assert scores[0] != pytest.approx(scores[2], rel=1e-3)


class Bowl(nn.Linear):
    """A module that can be an objective's."""

    entries_per_row = 3

    def log_prob(self, batch: Batch, *, quantize: bool = True) -> Tensor:
        return -self(batch.y.T).square()[:, 0]


@pytest.mark.parametrize("holds_out", [False, True])
def test_an_epoch_of_weighted_rows_is_one_of_repeated_rows(holds_out: bool) -> None:
    """Scores of training and held-out rows, and the weights."""
    rows = torch.randn(3, 12, dtype=torch.float64, generator=seeded(0))
    times = torch.arange(12) % 3 + 1
    options = choose_options(
        12,
        clock=Clock(),
        tol=1e-4,
        weight_decay=0.1,
        **dict.fromkeys(("max_iter", "batch_size", "learning_rate", "n_iter_no_change"), "auto"),
    )
    found = []
    for batch in (
        numbers_only(rows, times.double()),
        numbers_only(rows.repeat_interleave(times, dim=1)),
        numbers_only(rows),
    ):
        torch.manual_seed(0)
        module = Bowl(3, 1).double()
        objective = Objective(module, options, n_batches=1)
        objective.begin(batch, batch, seeded(0))
        for step in objective.batches(torch.arange(batch.n_rows)):
            objective.step(step, 0.5 * objective.peak, objective.average.next_weight())
        score = objective.finish_epoch(batch if holds_out else None)
        found.append([objective.train_score, score, *module.weight.flatten().tolist()])
    assert found[0] == pytest.approx(found[1], rel=1e-9)
    assert found[0] != pytest.approx(found[2], rel=1e-3)


def test_steps_of_unequal_weights_are_unbiased() -> None:
    """The mean gradient over the batches of an epoch is that of all rows, however weights fall."""
    rows = torch.randn(3, 12, dtype=torch.float64, generator=seeded(0))
    model = nn.Linear(3, 1).double()
    start = copy.deepcopy(model.state_dict())
    gradients = []

    def keep(parameters: Sequence[nn.Parameter]) -> None:
        gradients.append(torch.cat([p.grad.flatten() for p in parameters]))

    optimizer = AdamW(model, weight_decay=0.0, max_norm=5.0)
    batch = numbers_only(rows, torch.arange(12).double() ** 3 + 0.1)
    average = EMA(optimizer.parameters, horizon=12.0)
    log_prob = lambda batch: -model(batch.y.T).square()[:, 0]  # noqa: E731
    step = EagerStep(log_prob, batch, optimizer, average, keep)
    for some in (torch.arange(12), torch.arange(4), torch.arange(4, 8), torch.arange(8, 12)):
        model.load_state_dict(start)
        step(some, 0.0, average.next_weight())
    torch.testing.assert_close(torch.stack(gradients[1:]).mean(dim=0), gradients[0])


def test_gradients_can_be_reduced_before_they_are_clipped() -> None:
    model = nn.Linear(3, 1).double()
    rows = numbers_only(torch.randn(3, 12, dtype=torch.float64, generator=seeded(0)))
    optimizer = AdamW(model, weight_decay=0.1, max_norm=5.0)
    norms = []

    def reduce(parameters: Sequence[nn.Parameter]) -> None:
        for p in parameters:
            p.grad *= 1000
        norms.append(torch.cat([p.grad.flatten() for p in parameters]).norm())

    average = EMA(optimizer.parameters, horizon=12.0)
    step = EagerStep(lambda batch: model(batch.y.T)[:, 0], rows, optimizer, average, reduce)
    step(torch.arange(12), 0.0, average.next_weight())
    assert norms[0] > 5.0
    clipped = torch.cat([group.mean for group in optimizer.groups])
    assert float(clipped.norm()) == pytest.approx(5.0 * (1 - 0.9), rel=1e-3)


# Captured on the CPU: by a tape of operations, which is what a graph is of kernels.


@pytest.mark.parametrize(("name", "dropout"), one_of_each(PARTS, [0.0, 0.3]))
def test_captured_steps_are_the_eager_ones(name: str, dropout: float) -> None:
    """Rates, batches, dropout, values and the average are read anew at each replay."""
    found, expected = (Part(name, dropout) for _ in range(2))
    recorder = TapeRecorder()
    n_steps = run_steps(found, lambda eager: CapturedStep(eager, found.batch_size, recorder))
    run_steps(expected, lambda eager: eager)
    assert (recorder.n_warm_ups, recorder.n_captures) == (step_module.WARM_UP_STEPS, 1)
    assert recorder.n_replays == n_steps - step_module.WARM_UP_STEPS > 4
    for name, value in expected.results().items():
        torch.testing.assert_close(found.results()[name], value, rtol=1e-5, atol=1e-5)


class HalfRecorder(TapeRecorder):
    """Fails when the gradients have been made, and leaves no values in them."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        for p in self.module.parameters():
            p.grad = torch.full_like(p, math.nan)
        raise RuntimeError("operation not permitted when stream is capturing\nand so on")


def test_steps_go_on_where_the_capture_fails() -> None:
    found, expected = (Part("flow", 0.0) for _ in range(2))
    recorder = HalfRecorder(found.module)
    with pytest.warns(CaptureWarning, match=r"not permitted when stream is capturing\)"):
        run_steps(found, lambda eager: CapturedStep(eager, found.batch_size, recorder))
    run_steps(expected, lambda eager: eager)
    for name, value in expected.results().items():
        torch.testing.assert_close(found.results()[name], value, rtol=1e-5, atol=1e-5)


@pytest.fixture
def recorders(monkeypatch: pytest.MonkeyPatch) -> list[TapeRecorder]:
    """Have fits capture their steps on tapes, and return these."""
    made: list[TapeRecorder] = []

    def choose_step(eager: EagerStep, batch_size: int, generator) -> CapturedStep:
        made.append(TapeRecorder())
        return CapturedStep(eager, batch_size, made[-1])

    monkeypatch.setattr(objective, "choose_step", choose_step)
    return made


def mixed() -> pd.DataFrame:
    return every_kind(150)


def test_captured_fits_are_the_eager_ones(recorders: list[TapeRecorder]) -> None:
    """Of labels, holes, values on grids; to the rounding of rates to float32."""
    df, params = mixed(), ONE_TINY_LAYER | {"max_iter": 4, "dropout": 0.2}
    captured = FlowDensity(**params).fit(df)
    assert len(recorders) == 4  # of each objective, and again where all rows are fitted
    assert all(recorder.is_closed and recorder.n_replays > 2 for recorder in recorders)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objective, "choose_step", step_module.choose_step)
        eager = FlowDensity(**params).fit(df)
    assert eager.history_["train_score"] == pytest.approx(
        captured.history_["train_score"], abs=1e-3
    )
    np.testing.assert_allclose(captured.score_samples(df), eager.score_samples(df), atol=1e-2)


def test_a_roll_back_captures_anew(recorders: list[TapeRecorder], table: Table) -> None:
    flow = FlowDensity(**TWO_EPOCHS | {"max_iter": 8}, learning_rate=1e6, batch_size=40)
    with pytest.warns(DivergenceWarning):
        flow.fit(table)
    assert len(recorders) > 1
    assert all(recorder.is_closed for recorder in recorders)
    assert all(recorder.n_captures == 1 for recorder in recorders[:-1])
    assert np.isfinite(flow.score_samples(table)).all()


def test_training_leaves_no_generator_behind(table: Table) -> None:
    flow = FlowDensity(**TWO_EPOCHS, dropout=0.1).fit(table)
    assert all(getattr(m, "generator", None) is None for m in flow._density.model.modules())


# Nothing waits for the device.


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: bool((x > 0).any()),
        lambda x: x[x > 0],
        lambda x: x.index_put_((x > 0,), torch.zeros(())),
        lambda x: torch.where(x > 0),
        lambda x: x.masked_select(x > 0),
        lambda x: x + torch.tensor(1.0),
        lambda x: x.unique(),
    ],
)
def test_what_waits_is_noticed(wait: Callable[[Tensor], object]) -> None:
    x = torch.ones(3)
    with NoSync(), pytest.raises(SyncError):
        wait(x)


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Refuse whatever waits within a step or a draw; return what was guarded."""
    calls: list[str] = []

    def guard(owner: type, name: str) -> None:
        original = getattr(owner, name)

        def inside(*args: object) -> object:
            calls.append(name)
            with NoSync():
                return original(*args)

        monkeypatch.setattr(owner, name, inside)

    guard(EagerStep, "__call__")
    guard(ResidentRows, "redraw")
    return calls


def test_no_step_waits_for_the_device(guarded: list[str], table: Table) -> None:
    FlowDensity(**TWO_EPOCHS, dropout=0.1).fit(table)
    assert set(guarded) == {"__call__", "redraw"}


def test_no_step_on_mixed_rows_waits_for_the_device(guarded: list[str]) -> None:
    """With labels, holes, values on grids; both objectives."""
    FlowDensity(**ONE_TINY_LAYER, dropout=0.1).fit(mixed())
    assert set(guarded) == {"__call__", "redraw"}


@pytest.mark.parametrize("name", PARTS)
def test_a_step_stays_on_its_device(name: str) -> None:
    """Tensors without values refuse others, and whatever asks for a value."""
    part = Part(name, 0.0)
    part.module.to("meta")
    rows = Batch(part.rows.labels.to("meta"), part.rows.y.to("meta"))
    batch = torch.zeros(part.batch_size, dtype=torch.int64, device="meta")
    log_prob = part.log_prob(rows.take(batch))
    (-log_prob.mean()).backward()
    assert log_prob.shape == (part.batch_size,)
    assert {p.grad.device.type for p in part.module.parameters()} == {"meta"}
