"""The training loop."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from skflow.dequantization import fork
from skflow.exceptions import DivergenceWarning, warn_caller
from skflow.reporter import Reporter
from skflow.training.blur import Blur
from skflow.training.objective import Objective, TrainingBatch
from skflow.training.options import TrainingOptions
from skflow.training.schedule import rate_factor
from skflow.training.state import TrainingState, capture, restore


@dataclass(frozen=True)
class TrainingRows:
    """Rows to learn from, and rows to judge by.

    The offsets are the mean log-determinants, in nats per row, that the encoding
    and the marginals add to the log-density of these rows. Where there is a blur, each
    epoch learns from a fresh draw of the values.
    """

    train: TrainingBatch
    validation: TrainingBatch | None
    train_offset: float
    validation_offset: float
    blur: Blur | None = None

    def draw(self, generator: torch.Generator) -> None:
        """Draw the values of one epoch, into the place of those before: steps read there."""
        noise = fork(generator)
        if self.blur is not None:
            self.blur.draw(self.train.y, noise)


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
    terms: Sequence[Objective],
    rows: TrainingRows,
    options: TrainingOptions,
    reporter: Reporter,
    generator: torch.Generator,
    history: History,
    resumed: TrainingState | None = None,
    on_epoch_end: Callable[[TrainingState], None] | None = None,
) -> None:
    """Improve the terms of a model by gradient steps.

    Each epoch is judged by its held-out score, or by its training score where no
    rows are held out. The best weights of each term are kept, those from before the
    first epoch among them, also when the loop is interrupted; a term that no longer
    gains rests.

    Scores are in nats per row; ``history`` is written epoch by epoch. A training that was
    interrupted is ``resumed`` from its last state and with its history; ``on_epoch_end`` takes
    the state after each epoch. Without terms nothing is trained: the offsets are the scores of
    the only epoch.
    """
    judge = rows.train if rows.validation is None else rows.validation
    offset = rows.train_offset if rows.validation is None else rows.validation_offset
    if not terms:
        history.append(rows.train_offset, rows.validation_offset, 0.0, 0.0)
        history.best_score = offset
        return
    for term in terms:
        term.begin(rows.train, judge, generator)
    if resumed is not None:
        restore(resumed, terms, generator)
    clock, n_kept = options.clock, len(history.seconds)
    seconds = history.seconds[-1] if n_kept else 0.0
    start = clock.passed() - sum(history.seconds)
    most = max(options.max_iter if term.n_iter is None else term.n_iter for term in terms)
    reporter.begin(most, n_kept)
    try:
        for epoch in range(n_kept, options.max_iter):
            if epoch and (all(term.is_over for term in terms) or not clock.allows(seconds)):
                break
            began = clock.passed()
            by_epochs = (epoch + 0.5) / options.max_iter
            factor = rate_factor(max(by_epochs, clock.progress(start, seconds)))
            awake = [term for term in terms if not term.is_over]
            order = torch.randperm(
                rows.train.n_rows,
                generator=generator,
                device=judge.y.device,
                dtype=torch.int32 if rows.train.n_rows < 2**31 else torch.int64,
            )
            rows.draw(generator)
            for term in awake:
                term.run_epoch(order, factor)
            train_score = rows.train_offset + sum(term.train_score for term in terms)
            scores = [
                term.judge(rows.validation) if term in awake else term.best.score for term in terms
            ]
            judged = offset + sum(scores)
            held_out = math.nan if rows.validation is None else judged
            rate = factor * max(term.peak for term in awake)
            seconds = clock.passed() - began
            history.append(train_score, held_out, rate, seconds)
            best = offset + sum(term.best.score for term in terms)
            reporter.epoch(judged, best, *_seconds_left(terms, options, history, most))
            if on_epoch_end is not None:
                on_epoch_end(capture(terms, generator))
    finally:
        for term in terms:
            term.end()
        history.best_score = offset + sum(term.best.score for term in terms)
    _warn_of_roll_backs(terms)


def _seconds_left(
    terms: Sequence[Objective], options: TrainingOptions, history: History, max_iter: int
) -> tuple[float, float]:
    """Return the seconds that training takes if no epoch gains any more, and at most."""
    seconds = sum(history.seconds) / len(history.seconds)
    latest = min(seconds * (max_iter - len(history.seconds)), options.clock.left())
    patience = max(term.best.n_left(options.n_iter_no_change) for term in terms)
    return min(seconds * patience, latest), latest


def _warn_of_roll_backs(terms: Sequence[Objective]) -> None:
    roll_backs = sum(term.roll_backs for term in terms)
    if roll_backs:
        peak = min(term.peak for term in terms)
        warn_caller(
            f"Training diverged {roll_backs} times; it went on from the best weights at half "
            f"the rate each time. Set learning_rate to {peak:.1g} or less.",
            DivergenceWarning,
        )
