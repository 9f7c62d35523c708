"""One objective of training: a term of the log-density, and the module that it alone trains."""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from skflow.flat_state import prefixed, take_prefixed
from skflow.flow.batch import Batch
from skflow.flow.conditioner import Dropout
from skflow.flow.model import Part
from skflow.training.optimizer import EMA, AdamW
from skflow.training.options import TrainingOptions
from skflow.training.rate_factors import rate_factors
from skflow.training.resident import mean_log_prob
from skflow.training.state import load_tensors
from skflow.training.step import EagerStep, choose_step
from skflow.training.stopping import EarlyStopping, FixedEpochs

MAX_ROLL_BACKS = 5
NUMBERS = ("peak", "roll_backs", "train_score")


class Objective:
    """A term of the log-density, whose parameters occur in no other term.

    The objectives of a model share rows and epochs, and nothing else: each has its own best
    weights, its own patience and, where it diverges, its own lower learning rate.

    Parameters
    ----------
    module : Part
        The part of the model that is trained.
    options : TrainingOptions
    n_batches : int
        Steps per epoch.
    n_iter : int, optional
        Epochs to run, whatever their scores; by default the best weights count.

    Attributes
    ----------
    peak : float
        Highest learning rate of the schedule.
    train_score : float
        Weighted mean of the term in the last epoch, in nats per row.
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

    def begin(self, rows: Batch, scored_rows: Batch, generator: torch.Generator) -> None:
        """Start from the present weights, which count as the best by their score.

        Steps read from ``rows`` where they lie, and draw from ``generator``.
        """
        self.rows, self.generator = rows, generator
        self.rate_factors = rate_factors(self.module)
        self._use_generator(generator)
        score = self.mean_score(scored_rows)
        self.best = (
            EarlyStopping(self.module, score, self.options.tol)
            if self.n_iter is None
            else FixedEpochs(self.module, score, self.n_iter)
        )
        self._start_steps()

    def end(self) -> None:
        """Restore the best weights and release what training holds."""
        self.best.restore()
        self.step.close()
        self._use_generator(None)

    @property
    def is_over(self) -> bool:
        """Whether no further epoch is to run."""
        return self.roll_backs > MAX_ROLL_BACKS or self.n_left == 0

    @property
    def n_left(self) -> int:
        """Epochs until training stops, if none gains any more."""
        return self.best.n_left(self.options.least_no_change, self.options.n_iter_no_change)

    def batches(self, order: Tensor, end: float = math.inf) -> Iterator[Tensor]:
        """Yield the rows of each step of an epoch, and score the epoch at its end.

        After its first step it ends early where the fit has taken ``end`` seconds.
        """
        workers = self.options.workers
        self.module.train()
        self._use_generator(workers.generator(self.generator))
        self.step.total.zero_()
        batches = equal_batches(order, self.n_batches)
        for n_taken, batch in enumerate(batches):
            if n_taken and self.options.clock.is_past(end):
                batches = batches[:n_taken]
                break
            yield workers.share(batch).long()
        weight = self.rows.weight
        mass = batches.numel() if weight is None else float(weight[batches.long()].sum())
        # The epoch's only host synchronisation, but for that of weights.
        self.train_score = workers.sum(float(self.step.total)) / mass

    def finish_epoch(self, held_out: Batch | None) -> float:
        """Score the averaged weights on held-out rows, else the epoch; keep the best.

        Where the score is not finite, the best weights are restored and the rate is halved.
        """
        with self.average.in_place():
            score = self.train_score if held_out is None else self.mean_score(held_out)
            self.best.update(score)
        if not math.isfinite(score):
            self.roll_backs += 1
            self.best.restore()
            self.peak /= 2
            self.step.close()
            self._start_steps()
        return score

    def mean_score(self, rows: Batch) -> float:
        """Weighted mean of the term, in nats per row."""
        self.module.eval()
        return mean_log_prob(self.module, rows, self.options.workers)

    def state_dict(self) -> dict[str, Any]:
        """Return all that further epochs depend on, by name."""
        return (
            {name: getattr(self, name) for name in NUMBERS}
            | prefixed("weights", dict(self.module.named_parameters()))
            | prefixed("best", self.best.state_dict())
            | prefixed("optimizer", self.optimizer.state_dict())
            | prefixed("average", self.average.state_dict())
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that :meth:`state_dict` returned; the objective has begun.

        Raises
        ------
        ValueError
            Where it is the state of another training.
        """
        for name in NUMBERS:
            setattr(self, name, state[name])
        load_tensors(dict(self.module.named_parameters()), take_prefixed("weights", state))
        self.best.load_state_dict(take_prefixed("best", state))
        self.optimizer.load_state_dict(take_prefixed("optimizer", state))
        self.average.load_state_dict(take_prefixed("average", state))

    def _start_steps(self) -> None:
        """Start gradient steps from the present weights, with moments and average of their own."""
        options = self.options
        self.optimizer = AdamW(
            self.module, options.weight_decay, options.max_norm, self.rate_factors
        )
        log_prob = partial(self.module.log_prob, quantize=False)  # rounding has no gradient
        horizon = max(1.0, options.averaged_epochs * self.n_batches)
        self.average = EMA([self.optimizer.flat], horizon)
        size = self.rows.n_rows // self.n_batches
        own = len(options.workers.share(torch.arange(size)))
        if not own:
            raise ValueError(
                f"Batches of {size} rows are shared by {options.workers.size} processes. Start "
                "fewer processes, or set a larger batch_size."
            )
        reduce = partial(options.workers.reduce, share=own / size)
        step = EagerStep(log_prob, self.rows, self.optimizer, self.average, reduce)
        self.step = choose_step(step, own, self.generator)

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
