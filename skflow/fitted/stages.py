"""Fit a model to rows: closed form first, gradients last."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from skflow.clock import Clock
from skflow.dequantization import dequantize, fork
from skflow.flow.context import Vocabulary
from skflow.flow.model import Model, Rows
from skflow.flow.recipe import FlowRecipe
from skflow.initialization.label_tree import fit_label_tree
from skflow.initialization.search import (
    CPU,
    EM_ROWS,
    InitialConfig,
    Sample,
    SearchContext,
    fit_initial,
)
from skflow.reporter import Reporter
from skflow.rows import RowSource, encoded_blocks
from skflow.training.loop import History, train
from skflow.training.objective import Objective
from skflow.training.options import TrainingOptions
from skflow.training.resident import Part, ResidentRows, TrainingBatch, empty_labels
from skflow.training.state import TrainingState

# Rows and cells that the closed form is fitted to: more would move its few numbers
# by less than training does.
CLOSED_FORM_ROWS = 40_000
CLOSED_FORM_CELLS = 1_000_000


def start_model(
    rows: RowSource,
    held_out: RowSource | None,
    recipe: FlowRecipe,
    bounds: Sequence[tuple[float, float]],
    n_components: int | str,
    generator: torch.Generator,
    clock: Clock,
    device: torch.device = CPU,
    candidate: InitialConfig | None = None,
    reporter: Reporter | None = None,
) -> tuple[Model, InitialConfig | None]:
    """Return the closed form, a model whose trained parts have no effect yet, and the choice.

    It is on the CPU, wherever it was fitted. A ``candidate`` that was chosen before is
    fitted as it is.
    """
    closed_form = fit_initial(
        _draw_sample(rows, recipe, generator),
        None if held_out is None else _draw_sample(held_out, recipe, generator),
        None if isinstance(n_components, str) else int(n_components),
        SearchContext(
            bounds,
            recipe.n_entries,
            recipe.bound,
            clock,
            device,
            recipe.n_layers > 0,
            reporter or Reporter(),
        ),
        generator,
        candidate,
    )
    labels = fit_label_tree(_read_labels(rows, recipe.n_labels), recipe.n_labels)
    model = recipe.build(labels, closed_form.marginals, closed_form.mixture, generator)
    return model, closed_form.candidate


def _read_labels(source: RowSource, n_labels: Sequence[int]) -> Tensor:
    labels = empty_labels(n_labels, len(source))
    if len(labels):
        for block, rows in encoded_blocks(source, len(labels)):
            labels[:, block] = torch.from_numpy(rows.labels.T)
    return labels


def _draw_sample(source: RowSource, recipe: FlowRecipe, generator: torch.Generator) -> Sample:
    """Some of the rows, or all where they are few, drawn within their cells."""
    by_cells = CLOSED_FORM_CELLS // max(1, len(recipe.value_label))
    most = min(CLOSED_FORM_ROWS, max(EM_ROWS, by_cells))
    if len(source) > most:
        chosen = torch.randperm(len(source), generator=generator)[:most].sort().values
        rows = source.take(chosen.numpy())
    else:
        rows = source.take(slice(None))
    rows = dequantize(rows, source.quantized_columns, fork(generator))
    return Sample(rows.values, Vocabulary(recipe.n_labels)(Rows.of(rows).labels).T.numpy())


def train_model(
    model: Model,
    rows: RowSource,
    held_out: RowSource | None,
    options: TrainingOptions,
    *,
    n_layers: int,
    device: torch.device,
    generator: torch.Generator,
    reporter: Reporter,
    history: History,
    n_iter: Sequence[int] | None = None,
    state: TrainingState | None = None,
    on_epoch_end: Callable[[TrainingState], None] | None = None,
) -> list[int]:
    """Train in float32 on ``device``; leave the model in float64 on the CPU.

    ``history`` takes the scores, in nats per row of the original columns. Where there
    are no coupling layers, or no time, nothing is trained: the closed form is the one
    epoch. With ``n_iter``, as returned by an earlier training, each part is trained for
    so many epochs, whatever its scores. An interrupted training goes on from its ``state``, which
    ``on_epoch_end`` takes after each epoch.

    Returns
    -------
    n_iter : list of int
        Epochs that led to the best weights of each part.
    """
    has_time = options.clock.allows(0.0) or state is not None
    parts = _trained_parts(model, n_iter) if n_layers and has_time else []
    trained = [module for module, _ in parts]
    fixed = [part for part in _parts(model) if part[0] not in trained]
    train_rows = ResidentRows(model, rows, fixed, generator, device)
    fresh = None if held_out is None else ResidentRows(model, held_out, fixed, generator, device)
    n_batches = max(1, round(len(rows) / options.batch_size))
    moved = (model.labels, *model.values.trained) if parts else ()
    for module in moved:
        module.to(device, torch.float32)
    on_device = torch.Generator(device).manual_seed(generator.initial_seed())
    try:
        of_labels = replace(options, weight_decay=options.label_weight_decay)
        own = {model.labels: of_labels, model.values: options}
        planned = dict(zip(_modules(model), n_iter, strict=True)) if n_iter else {}
        objectives = [
            Objective(module, log_prob, own[module], n_batches, planned.get(module))
            for module, log_prob in parts
        ]
        train(
            objectives,
            train_rows,
            fresh,
            options,
            reporter,
            on_device,
            history,
            state,
            on_epoch_end,
        )
    finally:
        for module in moved:
            module.to("cpu", torch.float64)
        model.eval()
    best = {o.module: o.best.best_iter for o in objectives}
    return [best.get(module, 0) for module in _modules(model)]


def _modules(model: Model) -> list[nn.Module]:
    return [module for module, _ in _parts(model)]


def _parts(model: Model) -> list[Part]:
    """Parts of a model with the terms of the log-density that they alone decide."""

    def of_labels(batch: TrainingBatch) -> Tensor:
        return model.labels.log_prob(batch.labels)

    def of_values(batch: TrainingBatch) -> Tensor:
        return model.values.log_prob_gaussianized(batch.labels, batch.gaussianized)

    return [(model.labels, of_labels), (model.values, of_values)]


def _trained_parts(model: Model, n_iter: Sequence[int] | None) -> list[Part]:
    """Those that can become better than their closed form, and are to be trained."""
    learns: Sequence[int] = (model.labels.has_more_to_learn, model.values.has_more_to_learn)
    return [part for part, more in zip(_parts(model), n_iter or learns, strict=True) if more]
