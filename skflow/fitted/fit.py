"""The fit of a model to rows, from the initialization to the last epoch.

A fit can stop between any two epochs, and go on from its :class:`FitState`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from skflow.fitted.initialize import initialize
from skflow.fitted.settings import FitSettings
from skflow.flat_state import Arrays
from skflow.flow.model import Model, Part
from skflow.flow.recipe import model_state, restore_model
from skflow.initialization.search import InitialConfig
from skflow.rows import RowSource, sample_of, window_of
from skflow.training.loop import History, train
from skflow.training.objective import Objective
from skflow.training.resident import ResidentRows
from skflow.training.state import TrainingState

MOST_BATCH_ROWS = 4096  # where weights are unequal


class FitChoices(NamedTuple):
    """What a fit chose: fits to nearly the same rows need no search and no held-out rows.

    Attributes
    ----------
    config : InitialConfig or None
        The choice of the initialization.
    n_iter : list of int
        Epochs that led to the best weights of each trained part.
    """

    config: InitialConfig | None
    n_iter: list[int]


@dataclass
class FitState:
    """All that the rest of a fit depends on, between two epochs.

    Attributes
    ----------
    initial : dict of ndarray
        The model's state when training began; empty before the initialization.
    config : InitialConfig or None
        The choice of the initialization.
    generator : ndarray or None
        State of the fit's random generator when training began.
    history : History
        Scores of the epochs so far.
    training : TrainingState or None
        After the last epoch; None before the first.
    n_iter : list of int
        Epochs that led to the best weights of each trained part; empty before the end.
    finished : FitState or None
        End of the fit without the held-out rows, where all rows are fitted once more.
    model : Model or None
        In training; the best weights so far when training ends or is interrupted.
    """

    initial: Arrays = field(default_factory=dict)
    config: InitialConfig | None = None
    generator: NDArray[np.uint8] | None = None
    history: History = field(default_factory=History)
    training: TrainingState | None = None
    n_iter: list[int] = field(default_factory=list)
    finished: "FitState | None" = None
    model: Model | None = None

    @property
    def choices(self) -> FitChoices:
        """What the fit chose, once it has ended."""
        return FitChoices(self.config, self.n_iter)


def fit_model(
    train_rows: RowSource,
    held_out: RowSource | None,
    every: RowSource | None,
    settings: FitSettings,
    generator: torch.Generator,
    state: FitState,
    on_epoch_end: Callable[[FitState], None] | None = None,
    choices: FitChoices | None = None,
) -> None:
    """Fit a model: initialization and training, then both again with the held-out rows.

    The second fit takes the choice of the initialization and the numbers of epochs from the first
    one. The model of the first one is ``state.model``, or ``state.finished.model`` of a state of
    the second fit; that of the second one takes its place where it scores the rows better that
    were held out. Otherwise something went wrong.

    Parameters
    ----------
    train_rows, held_out : RowSource
        Rows to fit to, and rows that choose and stop. Without the latter folds choose, and
        the training score stops.
    every : RowSource or None
        All rows, to be fitted once more; None where that is not wanted.
    settings : FitSettings
    generator : torch.Generator
        As the split of the rows left it.
    state : FitState
        Where to begin: empty, with a model to go on with, or of an interrupted fit.
    on_epoch_end : callable, optional
        Takes the state after the initialization and after each epoch.
    choices : FitChoices, optional
        Those of an earlier fit: they are taken as they are.
    """
    clock = settings.options.clock
    while True:
        first = state.finished
        chosen = choices if first is None else first.choices
        rows = train_rows if first is None or every is None else every
        if not state.initial:
            config = None if chosen is None else chosen.config
            model, state.config = initialize(sample_of(rows), held_out, settings, generator, config)
            initial = model_state(model), state.config
            state.initial, state.config = settings.options.workers.agree(initial)
            state.generator = generator.get_state().numpy().copy()
            if on_epoch_end is not None:
                on_epoch_end(state)
        elif state.generator is not None:
            generator.set_state(torch.tensor(state.generator))
        state.model = model = restore_model(settings.recipe, _copy(state.initial))
        n_iter = None if chosen is None else chosen.n_iter
        parts = _trained_parts(model, settings, state.training is not None, n_iter)
        fixed = [part for part in model.parts if part not in parts]
        resident = ResidentRows(model, rows, fixed, generator, settings.device)
        scored = None
        if held_out is not None:
            scored = ResidentRows(model, held_out, fixed, generator, settings.device)
        with _in_training(model, parts, settings.device):
            objectives = _objectives(model, parts, settings, window_of(rows, 0), n_iter)
            train(
                objectives,
                resident,
                # The epochs of the second fit are counted, whatever they score.
                scored if first is None else None,
                settings.options,
                settings.reporter,
                torch.Generator(settings.device).manual_seed(settings.seed),
                state.history,
                state.training,
                None if on_epoch_end is None else partial(_take, state, on_epoch_end),
            )
            if first is not None and scored is not None:
                own = sum(objective.mean_score(scored.batch) for objective in objectives)
                state.history.best_score = scored.offset + own
        best = {objective.module: objective.best.best_iter for objective in objectives}
        state.n_iter = [best.get(module, 0) for module in model.parts]
        if first is not None:
            if state.history.best_score > first.history.best_score:
                first.model = model
            return
        # The second fit takes as long as all so far.
        if every is None or not clock.allows(clock.passed()):
            return
        # From the first draw on again: what is drawn must not depend on the fit before.
        settings.reporter.note("once more, with the held-out rows")
        generator = torch.Generator().manual_seed(settings.seed)
        state = FitState(finished=state)


def _take(
    state: FitState, on_epoch_end: Callable[[FitState], None], training: TrainingState
) -> None:
    state.training = training
    on_epoch_end(state)


def _copy(arrays: Arrays) -> Arrays:
    """Copy arrays, so that training does not change them in place."""
    return {name: array.copy() for name, array in arrays.items()}


def _trained_parts(
    model: Model, settings: FitSettings, is_resumed: bool, n_iter: Sequence[int] | None
) -> list[Part]:
    """Return the parts that can become better than their initialization.

    None where there are no coupling layers, or no time.
    """
    if not settings.recipe.n_layers or not (is_resumed or settings.options.clock.allows(0.0)):
        return []
    learns: Sequence[int] = [part.has_more_to_learn for part in model.parts]
    return [part for part, more in zip(model.parts, n_iter or learns, strict=True) if more]


@contextmanager
def _in_training(model: Model, parts: Sequence[Part], device: torch.device) -> Iterator[None]:
    """Move the model to ``device`` in float32, and back to the CPU in float64.

    Where no part is trained it stays.
    """
    moved = model.parts if parts else ()
    for module in moved:
        module.to(device, torch.float32)
    try:
        yield
    finally:
        for module in moved:
            module.to("cpu", torch.float64)
        model.eval()


def _objectives(
    model: Model,
    parts: Sequence[Part],
    settings: FitSettings,
    rows: RowSource,
    n_iter: Sequence[int] | None,
) -> list[Objective]:
    options = settings.options
    # With weights a step takes more rows, so that they count as batch_size equal ones.
    most = max(options.batch_size, MOST_BATCH_ROWS)
    n_batches = max(1, round(rows.mass / options.batch_size), round(len(rows) / most))
    of_labels = replace(options, weight_decay=options.label_weight_decay)
    own = {model.labels: of_labels, model.flow: options}
    planned = dict(zip(model.parts, n_iter, strict=True)) if n_iter else {}
    return [Objective(part, own[part], n_batches, planned.get(part)) for part in parts]
