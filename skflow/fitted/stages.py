"""Fit a model to rows: closed form first, gradients last."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from skflow.clock import Clock
from skflow.dequantization import dequantize, fork
from skflow.flow.model import Model
from skflow.flow.recipe import FlowRecipe
from skflow.initialization.label_tree import fit_label_tree
from skflow.initialization.search import (
    CPU,
    EM_ROWS,
    InitialConfig,
    SearchContext,
    fit_initial,
)
from skflow.reporter import Reporter
from skflow.rows import EncodedRows, RowSource
from skflow.training.loop import History, TrainingRows, train
from skflow.training.objective import Objective
from skflow.training.options import TrainingOptions
from skflow.training.preparation import Part, prepare, read_labels
from skflow.training.state import Keeper

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
            recipe.n_labels,
            recipe.bound,
            clock,
            device,
            recipe.n_layers > 0,
            reporter or Reporter(),
        ),
        generator,
        candidate,
    )
    labels = fit_label_tree(read_labels(rows, recipe.n_labels), recipe.n_labels)
    model = recipe.build(labels, closed_form.marginals, closed_form.mixture, generator)
    return model, closed_form.candidate


def _draw_sample(source: RowSource, recipe: FlowRecipe, generator: torch.Generator) -> EncodedRows:
    """Some of the rows, or all where they are few, drawn within their cells."""
    by_cells = CLOSED_FORM_CELLS // max(1, len(recipe.value_label))
    most = min(CLOSED_FORM_ROWS, max(EM_ROWS, by_cells))
    if len(source) > most:
        chosen = torch.randperm(len(source), generator=generator)[:most].sort().values
        rows = source.take(chosen.numpy())
    else:
        rows = source.take(slice(None))
    return dequantize(rows, source.quantized_columns, fork(generator))


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
    keeper: Keeper | None = None,
) -> list[int]:
    """Train in float32 on ``device``; leave the model in float64 on the CPU.

    ``history`` takes the scores, in nats per row of the original columns. Where there
    are no coupling layers, or no time, nothing is trained: the closed form is the one
    epoch. With ``n_iter``, as returned by an earlier training, each part is trained for
    so many epochs, whatever its scores. A ``keeper`` keeps where it stands after each epoch.

    Returns
    -------
    n_iter : list of int
        Epochs that led to the best weights of each part.
    """
    has_time = options.clock.allows(0.0) or (keeper is not None and keeper.restore() is not None)
    parts = _trained_parts(model, n_iter) if n_layers and has_time else []
    data = _prepare(model, rows, held_out, parts, generator, device)
    if not parts:
        _note_closed_form(data, history)
        return [0] * len(_parts(model))
    n_batches = max(1, round(len(rows) / options.batch_size))
    moved = (model.labels, *model.values.trained)
    for module in moved:
        module.to(device, torch.float32)
    on_device = torch.Generator(device).manual_seed(generator.initial_seed())
    try:
        of_labels = replace(options, weight_decay=options.label_weight_decay)
        own = {model.labels: of_labels, model.values: options}
        planned = dict(zip(_modules(model), n_iter, strict=True)) if n_iter else {}
        terms = [
            Objective(module, log_prob, own[module], n_batches, planned.get(module))
            for module, log_prob in parts
        ]
        train(terms, data, options, reporter, on_device, history, keeper)
    finally:
        for module in moved:
            module.to("cpu", torch.float64)
        model.eval()
    best = {term.module: term.best.best_iter for term in terms}
    return [best.get(module, 0) for module in _modules(model)]


def _modules(model: Model) -> list[nn.Module]:
    return [module for module, _ in _parts(model)]


def _parts(model: Model) -> list[Part]:
    """Parts of a model with the terms of the log-density that they alone decide."""

    def of_labels(labels: Tensor, y: Tensor) -> Tensor:
        return model.labels.log_prob(labels)

    return [(model.labels, of_labels), (model.values, model.values.log_prob_gaussianized)]


def _trained_parts(model: Model, n_iter: Sequence[int] | None) -> list[Part]:
    """Those that can become better than their closed form, and are to be trained."""
    learns: Sequence[int] = (model.labels.has_more_to_learn, model.values.has_more_to_learn)
    return [part for part, more in zip(_parts(model), n_iter or learns, strict=True) if more]


def _prepare(
    model: Model,
    rows: RowSource,
    held_out: RowSource | None,
    parts: Sequence[Part],
    generator: torch.Generator,
    device: torch.device,
) -> TrainingRows:
    """Prepare rows for training, where they are learnt from."""
    trained = [module for module, _ in parts]
    fixed = [part for part in _parts(model) if part[0] not in trained]
    train_rows = prepare(model, rows, fixed, generator)
    judged = None if held_out is None else prepare(model, held_out, fixed, generator)
    return TrainingRows(
        train=train_rows.scores.to(device),
        validation=None if judged is None else judged.scores.to(device),
        train_offset=train_rows.offset,
        validation_offset=math.nan if judged is None else judged.offset,
        blur=None if train_rows.blur is None else train_rows.blur.to(device),
    )


def _note_closed_form(data: TrainingRows, history: History) -> None:
    """Nothing is trained: the offsets are all there is."""
    held_out = data.train_offset if data.validation is None else data.validation_offset
    history.best_score = held_out
    history.append(data.train_offset, data.validation_offset, 0.0, 0.0)
