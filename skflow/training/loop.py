"""The training loop."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from skflow.dequantization import fork
from skflow.exceptions import DivergenceWarning, warn_caller
from skflow.flat_state import prefixed, take_prefixed
from skflow.flow.batch import Batch
from skflow.reporter import Reporter
from skflow.training.objective import Objective
from skflow.training.optimizer import rate_factor
from skflow.training.options import TrainingOptions
from skflow.training.resident import ResidentRows
from skflow.training.state import TrainingState


@dataclass
class History:
    """Scores in nats per row, learning rates and seconds of all epochs."""

    train_score: list[float] = field(default_factory=list)
    validation_score: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best_score: float = math.nan

    def as_dict(self) -> dict[str, list[float]]:
        """Return the lists, by name."""
        return {name: value for name, value in vars(self).items() if name != "best_score"}

    def append(self, train: float, validation: float, rate: float, seconds: float) -> None:
        """Append one epoch."""
        self.train_score.append(train)
        self.validation_score.append(validation)
        self.learning_rate.append(rate)
        self.seconds.append(seconds)


def train(
    objectives: Sequence[Objective],
    rows: ResidentRows,
    held_out: ResidentRows | None,
    options: TrainingOptions,
    reporter: Reporter,
    generator: torch.Generator,
    history: History,
    state: TrainingState | None = None,
    on_epoch_end: Callable[[TrainingState], None] | None = None,
) -> None:
    """Train the objectives of a model by gradient steps, epoch by epoch.

    The score of an epoch is that of the held-out rows, or of the training rows where none are
    held out. The best weights of each objective count, those from before the first epoch among
    them, also when the loop is interrupted; an objective that no longer gains rests.

    Parameters
    ----------
    objectives : sequence of Objective
        Without any, the offsets are the scores of the only epoch.
    rows, held_out : ResidentRows
        On the device of the objectives' modules.
    options : TrainingOptions
    reporter : Reporter
    generator : torch.Generator
        On the same device.
    history : History
        Written epoch by epoch.
    state : TrainingState, optional
        State after the last epoch in the history of an interrupted training, which goes on.
    on_epoch_end : callable, optional
        Takes the state after each epoch.
    """
    scored = rows if held_out is None else held_out
    if not objectives:
        history.append(rows.offset, math.nan if held_out is None else held_out.offset, 0.0, 0.0)
        history.best_score = scored.offset
        return
    clock, n_past = options.clock, len(history.seconds)
    scoring = -clock.passed()
    for objective in objectives:
        objective.begin(rows.batch, scored.batch, generator)
    scoring += clock.passed()
    if state is not None:
        _load(state, objectives, generator)
    seconds = history.seconds[-1] if n_past else 0.0
    start = clock.passed() - sum(history.seconds)
    most = max(options.max_iter if o.n_iter is None else o.n_iter for o in objectives)
    reporter.begin(most, n_past)
    try:
        for epoch in range(n_past, options.max_iter):
            if epoch and (all(o.is_over for o in objectives) or not clock.allows(seconds)):
                break
            began = clock.passed()
            by_epochs = (epoch + 0.5) / options.max_iter
            factor = rate_factor(max(by_epochs, clock.progress(start, seconds)))
            active = [objective for objective in objectives if not objective.is_over]
            order = _random_order(rows.batch, generator)
            rows.begin_epoch(epoch, fork(generator))
            left = clock.left() - scoring
            for n_ended, objective in enumerate(active, 1):
                end = began + left * n_ended / len(active)
                for batch in objective.batches(order, end):
                    weight = objective.average.next_weight()
                    objective.step(batch, factor * objective.peak, weight)
            train_score = rows.offset + sum(o.train_score for o in objectives)
            unseen = None if held_out is None else held_out.batch
            scores = [o.finish_epoch(unseen) if o in active else o.best.score for o in objectives]
            score = scored.offset + sum(scores)
            rate = factor * max(objective.peak for objective in active)
            seconds = clock.passed() - began
            history.append(train_score, math.nan if held_out is None else score, rate, seconds)
            best = scored.offset + sum(objective.best.score for objective in objectives)
            reporter.epoch(score, best, *_seconds_left(objectives, options, history, most))
            if on_epoch_end is not None:
                on_epoch_end(_state(objectives, generator))
    finally:
        for objective in objectives:
            objective.end()
        history.best_score = scored.offset + sum(o.best.score for o in objectives)
    _warn_of_roll_backs(objectives)


def _random_order(rows: Batch, generator: torch.Generator) -> Tensor:
    dtype = torch.int32 if rows.n_rows < 2**31 else torch.int64
    device = rows.y.device
    return torch.randperm(rows.n_rows, generator=generator, device=device, dtype=dtype)


def _state(objectives: Sequence[Objective], generator: torch.Generator) -> TrainingState:
    state: dict[str, Any] = {"generator": generator.get_state()}
    for i, objective in enumerate(objectives):
        state |= prefixed(str(i), objective.state_dict())
    return TrainingState.of(state)


def _load(
    state: TrainingState, objectives: Sequence[Objective], generator: torch.Generator
) -> None:
    values = state.as_dict()
    for i, objective in enumerate(objectives):
        objective.load_state_dict(take_prefixed(str(i), values))
    generator.set_state(values["generator"])


def _seconds_left(
    objectives: Sequence[Objective], options: TrainingOptions, history: History, max_iter: int
) -> tuple[float, float]:
    """Return the seconds that training takes if no epoch gains any more, and at most."""
    seconds = sum(history.seconds) / len(history.seconds)
    latest = min(seconds * (max_iter - len(history.seconds)), options.clock.left())
    patience = max(o.n_left for o in objectives)
    return min(seconds * patience, latest), latest


def _warn_of_roll_backs(objectives: Sequence[Objective]) -> None:
    roll_backs = sum(o.roll_backs for o in objectives)
    if roll_backs:
        peak = min(o.peak for o in objectives)
        warn_caller(
            f"Training diverged {roll_backs} times; it went on from the best weights at half "
            f"the rate each time. Set learning_rate to {peak:.1g} or less.",
            DivergenceWarning,
        )
