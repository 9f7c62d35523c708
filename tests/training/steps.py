"""An objective of a fitted model, with rows to step on."""

import copy
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from skflow import FlowDensity
from skflow.clock import Clock
from skflow.fitted.table_rows import TableRows
from skflow.flow.batch import Batch
from skflow.flow.model import Rows
from skflow.training.objective import equal_batches
from skflow.training.optimizer import EMA, AdamW
from skflow.training.options import choose_options
from skflow.training.step import EagerStep, Step
from tests.laws import seeded
from tests.mixed import every_kind
from tests.settings import TWO_LAYERS, fewer_candidates
from tests.tables import randomise

N_ROWS, N_EPOCHS, N_BATCHES = 200, 3, 4
RATE = 1e-3

PARTS = ("labels", "flow")


@cache
def fitted(dropout: float) -> FlowDensity:
    """Return a density of a mixed table. Change a copy."""
    flow = FlowDensity(**TWO_LAYERS | {"max_iter": 1}, dropout=dropout)
    with fewer_candidates():
        return randomise(flow.fit(every_kind(N_ROWS)), seed=1)


class Part:
    """A part of a model that is about to be trained on a mixed table, in float32."""

    def __init__(self, name: str, dropout: float, device: str = "cpu") -> None:
        df = every_kind(N_ROWS)
        flow = copy.deepcopy(fitted(dropout))
        self.generator = torch.Generator(device).manual_seed(0)
        density = flow._density
        rows = TableRows.all_of(density.codec, flow._read(df)).take(slice(None))
        labels, _, x = Rows.of(rows)
        y, _ = density.model.marginals.forward_and_log_det(x)
        self.rows = Batch(labels.to(device), y.float().to(device))
        self.noise = torch.randn(y.shape, generator=seeded(2)).to(device)
        self.module = getattr(density.model, name).to(device, torch.float32).train()
        for module in self.module.modules():
            if hasattr(module, "generator"):
                module.generator = self.generator
        options = choose_options(
            N_ROWS,
            clock=Clock(),
            tol=1e-4,
            max_iter=N_EPOCHS,
            batch_size=N_ROWS // N_BATCHES,
            learning_rate=RATE,
            weight_decay=0.1,
            n_iter_no_change=9,
        )
        self.batch_size = options.batch_size
        optimizer = AdamW(self.module, options.weight_decay, options.max_norm)
        self.average = EMA(optimizer.parameters, options.averaged_epochs * N_BATCHES)
        self.eager = EagerStep(self.log_prob, self.rows, optimizer, self.average)

    def log_prob(self, batch: Batch) -> Tensor:
        return self.module.log_prob(batch, quantize=False)

    def results(self) -> dict[str, Tensor]:
        """All that steps change."""
        average = {f"average {n}": tensor for n, tensor in enumerate(self.average.average)}
        return {"total": self.eager.total} | average | dict(self.module.named_parameters())


def run_steps(part: Part, make_step: Callable[[EagerStep], Step]) -> int:
    """Step through some epochs, each with other batches, values and rates; return how many."""
    step = make_step(part.eager)
    centres = part.rows.y.clone()
    for epoch in range(N_EPOCHS):
        order = torch.randperm(N_ROWS, generator=seeded(epoch)).to(part.rows.y.device)
        part.rows.y.copy_(centres + 0.01 * epoch * part.noise)
        for batch in equal_batches(order, N_BATCHES):
            step(batch, RATE / (epoch + 1), part.average.next_weight())
    step.close()
    return N_EPOCHS * N_BATCHES
