"""The gradient step: eager, and captured as a CUDA graph.

On a GPU a step of a small network costs what its launches cost, a thousand and more. A graph
of them is launched at once. Its kernels read and write where they did when they
were captured, so all that changes from step to step lies in tensors of its own, on the
device: the batch, the learning rate, the weight in the moving average. Nothing in a step
waits for the device.
"""

import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import Protocol

import torch
from torch import Tensor, nn

from skflow.exceptions import CaptureWarning, warn_caller
from skflow.flow.batch import Batch
from skflow.rows import weighted_sum
from skflow.training.optimizer import EMA, AdamW

WARM_UP_STEPS = 3  # what is set up at first use must not be captured

# Held for work on the side stream, which another thread would capture too, and for
# waiting for the device, which is forbidden while another thread captures.
_SIDE_STREAM = threading.Lock()
_FAILED: list[torch.cuda.CUDAGraph] = []  # torch's allocator may ask for them again

Work = Callable[[], None]


class Step(Protocol):
    """A gradient step per call.

    Attributes
    ----------
    total : Tensor of shape ()
        Weighted sum of the log-densities of the rows of all steps, in nats.
    """

    total: Tensor

    def __call__(self, rows: Tensor, learning_rate: float, average_weight: float) -> None:
        """Step on the rows of these indices."""

    def close(self) -> None:
        """Release what the step holds on the device."""


class EagerStep:
    r"""Forward, backward, clipped AdamW, moving average, kernel by kernel.

    The loss is the mean of the negative log-density, weighted by :math:`w_i / \bar w` with the mean
    weight :math:`\bar w` of all rows, not of the batch: the mean over batches is then the mean over
    all rows. Divided by the sum of its own weights, a batch with a heavy row would count as much as
    one without, and light rows too much.

    Parameters
    ----------
    log_prob : callable
        Log-densities of a :class:`Batch`, ``(n_rows,)``, in nats.
    rows : Batch
        All rows; steps read where they lie.
    optimizer : AdamW
    average : EMA
        Moving average of the optimizer's parameters.
    reduce : callable
        Takes the parameters after the backward pass and may change their gradients: to the mean
        over processes.
    """

    def __init__(
        self,
        log_prob: Callable[[Batch], Tensor],
        rows: Batch,
        optimizer: AdamW,
        average: EMA,
        reduce: Callable[[Sequence[nn.Parameter]], None] | None = None,
    ) -> None:
        self.log_prob = log_prob
        self.rows = rows
        self.optimizer = optimizer
        self.average = average
        self.reduce = reduce
        self.total = optimizer.parameters[0].new_zeros(())
        self.mean_weight = None if rows.weight is None else rows.weight.mean()

    def __call__(
        self, rows: Tensor, learning_rate: float | Tensor, average_weight: float | Tensor
    ) -> None:
        """Step on the rows of these indices; numbers on the device are read there."""
        batch = self.rows.take(rows)
        log_prob = self.log_prob(batch)
        scaled = log_prob
        if batch.weight is not None and self.mean_weight is not None:
            scaled = log_prob * (batch.weight / self.mean_weight)
        (-scaled.mean()).backward()
        if self.reduce is not None:
            self.reduce(self.optimizer.parameters)
        self.optimizer.step(learning_rate)
        self.average.update(average_weight)
        self.total += weighted_sum(log_prob.detach(), batch.weight)

    def close(self) -> None:
        """Do nothing: nothing is held."""


class Recorder(Protocol):
    """Recorder of work: captures it once, and replays it."""

    def warm_up(self, work: Work) -> None:
        """Do the work where it will be captured."""

    def capture(self, work: Work) -> Work:
        """Return a replay of the work; the work itself is not done."""

    def close(self) -> None:
        """Release what was captured, and its memory."""


class CudaRecorder:
    """Captures work as a CUDA graph.

    Parameters
    ----------
    device : torch.device
    generator : torch.Generator
        Generator of the device; what the work draws from it is fresh at each replay.
    """

    def __init__(self, device: torch.device, generator: torch.Generator) -> None:
        self.device = device
        self.generator = generator
        self.graph: torch.cuda.CUDAGraph | None = None

    def warm_up(self, work: Work) -> None:
        """Do the work on the stream that will capture it."""
        before, side = torch.cuda.current_stream(self.device), _side_stream(self.device)
        with _SIDE_STREAM:
            side.wait_stream(before)
            with torch.cuda.stream(side):
                work()
            before.wait_stream(side)

    def capture(self, work: Work) -> Work:
        """Return a replay of the work; the work itself is not done."""
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.generator)
        side = _side_stream(self.device)
        try:
            # The outer context brings the stream before back, which a failed capture does
            # not. Other threads may use the device meanwhile, hence "thread_local".
            with (
                _SIDE_STREAM,
                torch.cuda.stream(side),
                torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"),
            ):
                work()
        except BaseException:
            self._abandon(graph)
            raise
        self.graph = graph
        return graph.replay

    def close(self) -> None:
        """Release the graph and give its memory back to the device."""
        if self.graph is None:
            return
        with _SIDE_STREAM:
            torch.cuda.synchronize(self.device)
            self.graph.reset()
            torch.cuda.empty_cache()
        self.graph = None

    def _abandon(self, graph: torch.cuda.CUDAGraph) -> None:
        """Undo what a capture leaves in torch that did not come to its end."""
        graph.reset()
        _FAILED.append(graph)
        # They would wait for that end, and refuse to draw.
        for generator in (self.generator, torch.cuda.default_generators[self.device.index]):
            generator.graphsafe_set_state(generator.clone_state())


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the side stream of a device: libraries keep a workspace for every stream they used."""
    return torch.cuda.Stream(device)


class CapturedStep:
    """The step of an :class:`EagerStep`, launched at once.

    The first steps are taken eagerly and count like all others; then the step is captured.
    Where that fails, steps go on as they began, with a :class:`CaptureWarning`.

    Parameters
    ----------
    eager : EagerStep
        Its rows must stay where they are.
    batch_size : int
        Rows of every batch.
    recorder : Recorder
    """

    def __init__(self, eager: EagerStep, batch_size: int, recorder: Recorder) -> None:
        self.eager = eager
        self.total = eager.total
        self.recorder = recorder
        self.rows = torch.zeros(batch_size, dtype=torch.int64, device=self.total.device)
        self.learning_rate = torch.zeros_like(self.total)
        self.average_weight = torch.zeros_like(self.total)
        self.n_warm_ups = 0
        self.replay: Work | None = None

    def __call__(self, rows: Tensor, learning_rate: float, average_weight: float) -> None:
        """Step on the rows of these indices."""
        self.rows.copy_(rows)
        self.learning_rate.fill_(learning_rate)
        self.average_weight.fill_(average_weight)
        if self.n_warm_ups < WARM_UP_STEPS:
            self.recorder.warm_up(self._step)
            self.n_warm_ups += 1
        else:
            self.replay = self.replay or self._capture()
            self.replay()

    def close(self) -> None:
        """Release what was captured."""
        self.replay = None
        self.recorder.close()

    def _step(self) -> None:
        self.eager(self.rows, self.learning_rate, self.average_weight)

    def _capture(self) -> Work:
        try:
            return self.recorder.capture(self._step)
        except RuntimeError as error:  # which CUDA's errors derive from
            # Gradients of a half captured step have no values.
            self.eager.optimizer.clear_gradients()
            reason = str(error).partition("\n")[0]
            warn_caller(
                f"The training step could not be captured as a CUDA graph ({reason}). Training "
                "goes on kernel by kernel: the same fit, more slowly. A newer torch or driver "
                "may capture it; small tables are fitted faster with device='cpu'.",
                CaptureWarning,
            )
        return self._step


def choose_step(eager: EagerStep, batch_size: int, generator: torch.Generator) -> Step:
    """Return a captured step where the weights lie on a CUDA device, else the eager one.

    Parameters
    ----------
    eager : EagerStep
    batch_size : int
        Rows of every batch.
    generator : torch.Generator
        Generator that the step draws from, on the device of the weights.
    """
    device = eager.total.device
    if device.type != "cuda":
        return eager
    return CapturedStep(eager, batch_size, CudaRecorder(device, generator))
