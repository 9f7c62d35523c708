"""The training loop."""

import math
import time
import warnings
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from skflow.exceptions import DivergenceWarning
from skflow.flow.conditioner import Dropout
from skflow.flow.model import Model
from skflow.training.optimizer import Descent
from skflow.training.options import TrainingOptions
from skflow.training.reporter import Reporter
from skflow.training.schedule import rate_factor
from skflow.training.stopping import BestWeights

MAX_ROLL_BACKS = 5
EVALUATION_ROWS = 8192


@dataclass(frozen=True)
class TrainingRows:
    """Rows already sent through the marginals, ``(n_columns, n_rows)``.

    The offsets are the mean log-determinants, in nats per row, that the encoding
    and the marginals add to the log-density of these rows.
    """

    train: Tensor
    validation: Tensor | None
    train_offset: float
    validation_offset: float

    def to(self, device: torch.device, dtype: torch.dtype) -> "TrainingRows":
        """Return the same rows on another device, in another dtype."""
        validation = None if self.validation is None else self.validation.to(device, dtype)
        return replace(self, train=self.train.to(device, dtype), validation=validation)


@dataclass
class History:
    """What each epoch gave, in nats per row and seconds."""

    train_score: list[float] = field(default_factory=list)
    validation_score: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best_score: float = math.nan

    def as_dict(self) -> dict[str, list[float]]:
        """Return the lists, by name."""
        return {name: value for name, value in vars(self).items() if name != "best_score"}

    def append(self, train: float, validation: float, rate: float, seconds: float) -> None:
        """Add one epoch."""
        self.train_score.append(train)
        self.validation_score.append(validation)
        self.learning_rate.append(rate)
        self.seconds.append(seconds)


def train(
    model: Model,
    rows: TrainingRows,
    options: TrainingOptions,
    reporter: Reporter,
    generator: torch.Generator,
    history: History,
) -> None:
    """Improve ``model`` by gradient steps.

    Each epoch is judged by its held-out score, or by its training score where no
    rows are held out. The best weights are kept, those from before the first
    epoch among them, also when the loop is interrupted. Where a score is no
    longer finite, the best weights come back and the rate is halved.

    Scores are in nats per row; ``history`` is written epoch by epoch.
    """
    _share_generator(model, generator)
    judge = rows.train if rows.validation is None else rows.validation
    offset = rows.train_offset if rows.validation is None else rows.validation_offset
    best = BestWeights(model, mean_score(model, judge) + offset, options.tol)
    n_batches = max(1, round(rows.train.shape[1] / options.batch_size))
    descent = Descent(model, options, n_batches)
    peak, roll_backs, start = options.learning_rate, 0, time.monotonic()
    try:
        for epoch in range(options.max_iter):
            began = time.monotonic()
            rate = peak * rate_factor(_progress(epoch, options, start))
            train_score = _run_epoch(model, rows.train, descent, n_batches, rate, generator)
            judged = train_score = train_score + rows.train_offset
            with descent.averaged_weights():
                if rows.validation is not None:
                    judged = mean_score(model, rows.validation) + offset
                best.update(judged)
            held_out = math.nan if rows.validation is None else judged
            history.append(train_score, held_out, rate, time.monotonic() - began)
            reporter.epoch(judged, best.score)
            if not math.isfinite(judged):
                roll_backs += 1
                best.restore()
                peak /= 2
                descent = Descent(model, options, n_batches)
            if best.is_stuck(options.n_iter_no_change) or _is_over(options):
                break
            if roll_backs > MAX_ROLL_BACKS:
                break
    finally:
        best.restore()
        history.best_score = best.score
    if roll_backs:
        warnings.warn(
            f"Training diverged {roll_backs} times; it went on from the best weights at half "
            f"the rate each time. Set learning_rate to {peak:.1g} or less.",
            DivergenceWarning,
            stacklevel=2,
        )


def mean_score(model: Model, y: Tensor) -> float:
    """Mean log-density of rows already sent through the marginals, in nats per row."""
    model.eval()
    with torch.inference_mode():
        blocks = [model.log_prob_of_scores(block) for block in y.split(EVALUATION_ROWS, dim=1)]
    return float(torch.cat(blocks).double().mean())


def _run_epoch(
    model: Model,
    y: Tensor,
    descent: Descent,
    n_batches: int,
    rate: float,
    generator: torch.Generator,
) -> float:
    """Take one gradient step per batch of a fresh permutation; return the mean score."""
    model.train()
    n_rows = y.shape[1]
    order = torch.randperm(n_rows, generator=generator, device=y.device)
    total = y.new_zeros(())
    # Batches of equal size: a last one of a few rows would step on little evidence.
    for index in order.tensor_split(n_batches):
        log_prob = model.log_prob_of_scores(y[:, index])
        (-log_prob.mean()).backward()
        descent.step(rate)
        total += log_prob.detach().sum()
    return float(total) / n_rows  # the only host synchronisation of an epoch


def _progress(epoch: int, options: TrainingOptions, start: float) -> float:
    """Share of the schedule that is over: by epochs or by time, whichever is further."""
    by_epochs = (epoch + 0.5) / options.max_iter
    if options.deadline is None:
        return by_epochs
    by_time = (time.monotonic() - start) / max(options.deadline - start, 1e-9)
    return min(1.0, max(by_epochs, by_time))


def _is_over(options: TrainingOptions) -> bool:
    return options.deadline is not None and time.monotonic() >= options.deadline


def _share_generator(model: Model, generator: torch.Generator) -> None:
    for module in model.modules():
        if isinstance(module, Dropout):
            module.generator = generator
