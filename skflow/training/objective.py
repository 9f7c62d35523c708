"""One term of the log-density in training."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from skflow.flow.batch import Batch
from skflow.flow.conditioner import Dropout
from skflow.flow.model import Part
from skflow.training.optimizer import Descent
from skflow.training.options import TrainingOptions
from skflow.training.step import choose_step
from skflow.training.stopping import EarlyStopping, FixedEpochs

EVALUATION_ROWS = 8192  # at once, or fewer where a row takes many entries
EVALUATION_ENTRIES = 500_000
MAX_ROLL_BACKS = 5


class TrainingBatch(NamedTuple):
    """Labels, and values already sent through the marginals, each row a column.

    Labels are kept in as few bytes as hold them.
    """

    labels: Tensor
    y: Tensor

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.y.shape[1]

    def take(self, rows: Tensor) -> Batch:
        """Return some of the rows, as the parts of a model read them."""
        return Batch(self.labels[:, rows].long(), self.y[:, rows])

    def to(self, device: torch.device) -> "TrainingBatch":
        """Return the same rows on another device."""
        return TrainingBatch(self.labels.to(device), self.y.to(device))


class Objective:
    """A part of a model whose parameters occur in one term of the log-density only.

    The terms share rows and epochs, and nothing else: each has its own best weights,
    its own patience and, where it diverges, its own lower rate.

    Parameters
    ----------
    module : Part
        What is trained.
    options : TrainingOptions
    n_batches : int
        Steps per epoch.
    n_iter : int, optional
        Epochs to run, whatever their scores; by default the best weights count.
    """

    def __init__(
        self,
        module: Part,
        options: TrainingOptions,
        n_batches: int,
        n_iter: int | None = None,
    ) -> None:
        self.module = module
        self.options = options
        self.n_batches = n_batches
        self.n_iter = n_iter
        self.peak = options.learning_rate
        self.roll_backs = 0
        self.train_score = math.nan

    def begin(self, rows: TrainingBatch, judge: TrainingBatch, generator: torch.Generator) -> None:
        """Take the weights as they stand, by their score on ``judge``, as the best so far.

        Steps will read from ``rows`` where they lie, and draw from ``generator``.
        """
        self.rows, self.generator = rows, generator
        self.rate_factors = self.module.rate_factors()
        self._use_generator(generator)
        score = self.mean_score(judge)
        self.best = (
            EarlyStopping(self.module, score, self.options.tol)
            if self.n_iter is None
            else FixedEpochs(self.module, score, self.n_iter)
        )
        self._descend()

    def end(self) -> None:
        """Put the best weights back; leave nothing of the training behind."""
        self.best.restore()
        self.step.close()
        self._use_generator(None)

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be gained."""
        return self.roll_backs > MAX_ROLL_BACKS or self.best.should_stop(
            self.options.n_iter_no_change
        )

    def run_epoch(self, order: Tensor, factor: float) -> None:
        """Take rows in this order, a gradient step a batch, at ``factor`` times the peak rate."""
        self.module.train()
        self.step.total.zero_()
        batches = equal_batches(order, self.n_batches)
        for batch in batches:
            self.step(batch.long(), self.peak * factor)
        # The epoch's only host synchronisation.
        self.train_score = float(self.step.total) / batches.numel()

    def judge(self, held_out: TrainingBatch | None) -> float:
        """Score the averaged weights on held-out rows, else the epoch; keep the best.

        Where the score is no longer finite, the best weights come back and the rate
        is halved.
        """
        with self.descent.averaged_weights():
            score = self.train_score if held_out is None else self.mean_score(held_out)
            self.best.update(score)
        if not math.isfinite(score):
            self.roll_backs += 1
            self.best.restore()
            self.peak /= 2
            self.step.close()
            self._descend()
        return score

    def mean_score(self, rows: TrainingBatch) -> float:
        """Mean of the term, in nats per row."""
        self.module.eval()
        return mean_log_prob(self.module, rows)

    def _descend(self) -> None:
        """Start gradient steps afresh, from the weights as they stand."""
        module, rows = self.module, self.rows
        self.descent = Descent(self.module, self.options, self.n_batches, self.rate_factors)
        self.step = choose_step(
            lambda batch: module.log_prob(rows.take(batch), quantize=False),
            self.descent,
            rows.n_rows // self.n_batches,
            self.generator,
        )

    def _use_generator(self, generator: torch.Generator | None) -> None:
        for module in self.module.modules():
            if isinstance(module, Dropout):
                module.generator = generator


def equal_batches(order: Tensor, n_batches: int) -> Tensor:
    """Cut an order of rows into batches of one size, ``(n_batches, size)``.

    The rows left over are fewer than there are batches, and others in each epoch.
    """
    size = len(order) // n_batches
    return order[: n_batches * size].view(n_batches, size)


def mean_log_prob(module: Part, rows: TrainingBatch) -> float:
    """Mean of a module's term over rows, block by block, in nats per row."""
    entries_per_row = max(1, module.entries_per_row)
    size = min(EVALUATION_ROWS, max(64, EVALUATION_ENTRIES // entries_per_row))
    blocks = torch.arange(rows.n_rows, device=rows.y.device).split(size)
    with torch.inference_mode():
        values = [module.log_prob(rows.take(block)) for block in blocks]
    return float(torch.cat(values).double().mean())
