"""Training on a GPU: steps captured as graphs, and what they leave behind."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from skflow import FlowDensity
from skflow.exceptions import CaptureWarning
from skflow.flow.batch import Batch
from skflow.training.step import CapturedStep, CudaRecorder, EagerStep
from tests.mixed import every_kind
from tests.settings import TWO_EPOCHS, TWO_LAYERS
from tests.tables import Table
from tests.training.steps import N_BATCHES, PARTS, RATE, Part, run_steps

pytestmark = pytest.mark.cuda


def captured(part: Part, eager: EagerStep) -> CapturedStep:
    recorder = CudaRecorder(eager.total.device, part.generator)
    return CapturedStep(eager, part.batch_size, recorder)


@pytest.mark.parametrize("name", PARTS)
def test_captured_steps_are_the_eager_ones(name: str) -> None:
    """Over epochs of other batches, values and rates."""
    found, expected = (Part(name, 0.0, "cuda") for _ in range(2))
    run_steps(found, lambda eager: captured(found, eager))
    run_steps(expected, lambda eager: eager)
    torch.testing.assert_close(found.eager.total, expected.eager.total, rtol=1e-4, atol=1e-2)
    for result, value in expected.results().items():
        if result != "total":
            # A tenth of a step: where a gradient is all rounding, its sign decides.
            torch.testing.assert_close(found.results()[result], value, rtol=1e-4, atol=RATE / 10)


@pytest.mark.parametrize("name", PARTS)
def test_steps_on_cuda_are_those_of_the_cpu(name: str) -> None:
    found, expected = (Part(name, 0.0, device) for device in ("cuda", "cpu"))
    run_steps(found, lambda eager: captured(found, eager))
    run_steps(expected, lambda eager: eager)
    total = found.eager.total.cpu()
    torch.testing.assert_close(total, expected.eager.total, rtol=1e-3, atol=0.1)


@pytest.mark.parametrize("name", PARTS)
def test_dropout_is_drawn_anew_at_each_replay(name: str) -> None:
    """At a rate of 0 the weights stay: only the masks can tell two steps apart."""
    part = Part(name, 0.5, "cuda")
    step = captured(part, part.eager)
    batch = torch.arange(part.batch_size, device="cuda")
    totals = []
    for _ in range(8):
        step.total.zero_()
        step(batch, 0.0, part.average.next_weight())
        totals.append(step.total.item())
    step.close()
    assert step.replay is None
    assert len(set(totals)) == len(totals)


@contextmanager
def no_waiting() -> Iterator[None]:
    """Raise where the host waits for the device."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that the mode is a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("is_captured", [False, True])
def test_no_step_waits_for_the_device(name: str, is_captured: bool) -> None:
    part = Part(name, 0.2, "cuda")
    step = captured(part, part.eager) if is_captured else part.eager
    batches = torch.randperm(N_BATCHES * part.batch_size, device="cuda").view(N_BATCHES, -1)
    for _ in range(2):  # libraries are set up, the graph is captured
        for batch in batches:
            step(batch, RATE, part.average.next_weight())
    with no_waiting():
        for batch in batches:
            step(batch, RATE, part.average.next_weight())
    step.close()


@pytest.mark.skipif(torch.__version__ < (2, 13), reason="a failed capture breaks torch's allocator")
def test_a_failed_capture_leaves_the_device_in_order() -> None:
    """Work that waits cannot be captured; training goes on where it was."""
    found, expected = (Part("flow", 0.2, "cuda") for _ in range(2))
    original = found.eager.log_prob

    def waits(batch: Batch) -> torch.Tensor:
        log_prob = original(batch)
        return log_prob + 0.0 * log_prob.detach().max().item()

    found.eager.log_prob = waits
    stream = torch.cuda.current_stream()
    with pytest.warns(CaptureWarning):
        run_steps(found, lambda eager: captured(found, eager))
    run_steps(expected, lambda eager: eager)
    torch.testing.assert_close(found.eager.total, expected.eager.total, rtol=1e-3, atol=0.1)
    assert torch.cuda.current_stream() == stream
    torch.cuda.empty_cache()
    assert torch.rand(3, device="cuda").isfinite().all()
    # And the next fit is captured.
    part = Part("flow", 0.2, "cuda")
    run_steps(part, lambda eager: captured(part, eager))


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_fits_on_cuda_are_about_those_on_the_cpu(dropout: float, table: Table) -> None:
    params = TWO_EPOCHS | {"max_iter": 8, "dropout": dropout}
    on_cuda, on_cpu = (
        FlowDensity(**params, device=device).fit(table) for device in ("cuda", "cpu")
    )
    assert on_cuda.device_.startswith("cuda")
    # Other draws, the same rows and the same closed form.
    assert on_cuda.score(table) == pytest.approx(on_cpu.score(table), abs=0.3)
    assert on_cuda.best_validation_score_ >= on_cuda.history_["validation_score"][0]


def test_fits_leave_no_memory_behind() -> None:
    df = every_kind(400)
    params = TWO_LAYERS | {"max_iter": 6, "batch_size": 32, "device": "cuda"}
    FlowDensity(**params).fit(df)  # libraries keep their workspaces
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    FlowDensity(**params).fit(df)
    torch.cuda.synchronize()
    assert torch.cuda.memory_allocated() <= before + 2**20


def test_the_same_seed_gives_the_same_fit_on_cuda(table: Table) -> None:
    params = TWO_EPOCHS | {"max_iter": 6, "dropout": 0.2, "device": "cuda"}
    first, second = (FlowDensity(**params).fit(table) for _ in range(2))
    assert (first.score_samples(table) == second.score_samples(table)).all()
