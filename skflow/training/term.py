"""One term of the log-density in training."""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from skflow.flow.conditioner import Dropout
from skflow.training.optimizer import Descent
from skflow.training.options import TrainingOptions
from skflow.training.stopping import BestWeights

EVALUATION_ROWS = 8192  # at once, or fewer where a row takes many entries
EVALUATION_ENTRIES = 2_000_000
MAX_ROLL_BACKS = 5


class Scores(NamedTuple):
    """Labels, and values already sent through the marginals, each row a column.

    Labels are kept in as few bytes as hold them.
    """

    labels: Tensor
    y: Tensor

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.y.shape[1]

    def take(self, rows: Tensor) -> "Scores":
        """Return some of the rows."""
        return Scores(self.labels[:, rows].long(), self.y[:, rows])

    def to(self, device: torch.device) -> "Scores":
        """Return the same rows on another device."""
        return Scores(self.labels.to(device), self.y.to(device))


LogProb = Callable[[Tensor, Tensor], Tensor]


class Term:
    """A part of a model whose parameters occur in one term of the log-density only.

    The terms share rows and epochs, and nothing else: each has its own best weights,
    its own patience and, where it diverges, its own lower rate.

    Parameters
    ----------
    module : nn.Module
        What is trained.
    log_prob : callable
        The term, ``(n_rows,)``, of labels and scores, in nats.
    options : TrainingOptions
    n_batches : int
        Steps per epoch.
    """

    def __init__(
        self, module: nn.Module, log_prob: LogProb, options: TrainingOptions, n_batches: int
    ) -> None:
        self.module = module
        self.log_prob = log_prob
        self.options = options
        self.n_batches = n_batches
        self.peak = options.learning_rate
        self.roll_backs = 0
        self.train_score = math.nan
        self.descent = Descent(module, options, n_batches)

    def begin(self, judge: Scores, generator: torch.Generator) -> None:
        """Take the weights as they stand, by their score on ``judge``, as the best so far."""
        for module in self.module.modules():
            if isinstance(module, Dropout):
                module.generator = generator
        self.best = BestWeights(self.module, self.mean_score(judge), self.options.tol)

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be gained."""
        return self.roll_backs > MAX_ROLL_BACKS or self.best.is_stuck(self.options.n_iter_no_change)

    def run_epoch(self, rows: Scores, batches: Iterable[Tensor], factor: float) -> None:
        """Take one gradient step per batch, at ``factor`` times the peak rate."""
        self.module.train()
        total = rows.y.new_zeros(())
        for batch in batches:
            log_prob = self.log_prob(*rows.take(batch))
            (-log_prob.mean()).backward()
            self.descent.step(self.peak * factor)
            total += log_prob.detach().sum()
        self.train_score = float(total) / rows.n_rows  # the epoch's only host synchronisation

    def judge(self, held_out: Scores | None) -> float:
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
            self.descent = Descent(self.module, self.options, self.n_batches)
        return score

    def mean_score(self, rows: Scores) -> float:
        """Mean of the term, in nats per row."""
        self.module.eval()
        return mean_log_prob(self.module, self.log_prob, rows)


def mean_log_prob(module: nn.Module, log_prob: LogProb, rows: Scores) -> float:
    """Mean of a module's term over rows, block by block, in nats per row."""
    entries_per_row = max(1, cast(int, module.entries_per_row))
    size = min(EVALUATION_ROWS, max(64, EVALUATION_ENTRIES // entries_per_row))
    blocks = torch.arange(rows.n_rows, device=rows.y.device).split(size)
    with torch.inference_mode():
        values = [log_prob(*rows.take(block)) for block in blocks]
    return float(torch.cat(values).double().mean())
