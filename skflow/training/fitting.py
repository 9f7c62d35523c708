"""Fit a model to encoded rows: closed form first, gradients last."""

import copy
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from skflow.flow.context import Vocabulary
from skflow.flow.label_tree import fit_label_tree
from skflow.flow.model import Model
from skflow.flow.recipe import FlowRecipe
from skflow.training.blur import Blur
from skflow.training.closed_form import CPU, Design, Sample, fit_closed_form
from skflow.training.loop import History, TrainingRows, train
from skflow.training.options import TrainingOptions
from skflow.training.reporter import Reporter
from skflow.training.rows import EncodedRows
from skflow.training.term import LogProb, Scores, Term, mean_log_prob


def start_model(
    rows: EncodedRows,
    held_out: EncodedRows | None,
    recipe: FlowRecipe,
    bounds: Sequence[tuple[float, float]],
    n_components: int | str,
    generator: torch.Generator,
    device: torch.device = CPU,
) -> Model:
    """Return the closed form: a model whose trained parts have no effect yet.

    It is on the CPU, wherever it was fitted.
    """
    rows = rows.blurred(generator)
    held_out = None if held_out is None else held_out.blurred(generator)
    closed_form = fit_closed_form(
        _sample(rows, recipe),
        None if held_out is None else _sample(held_out, recipe),
        None if isinstance(n_components, str) else n_components,
        Design(bounds, recipe.n_entries, recipe.bound, device),
        generator,
    )
    labels = fit_label_tree(rows.tensors().labels, recipe.n_labels)
    return recipe.build(labels, closed_form.marginals, closed_form.mixture, generator)


def _sample(rows: EncodedRows, recipe: FlowRecipe) -> Sample:
    return Sample(rows.values, Vocabulary(recipe.n_labels)(rows.tensors().labels).T.numpy())


def train_model(
    model: Model,
    rows: EncodedRows,
    held_out: EncodedRows | None,
    options: TrainingOptions,
    *,
    n_layers: int,
    device: torch.device,
    generator: torch.Generator,
    verbose: int,
    history: History,
) -> None:
    """Train in float32 on ``device``; leave the model in float64 on the CPU.

    ``history`` takes the scores, in nats per row of the original columns. Without
    coupling layers nothing is trained: the closed form is its one epoch.
    """
    parts = _trained_parts(model) if n_layers else []
    data = _prepare(
        model,
        rows.blurred(generator),
        None if held_out is None else held_out.blurred(generator),
        parts,
    )
    if not parts:
        _note_closed_form(data, history)
        return
    n_batches = max(1, round(len(rows) / options.batch_size))
    moved = (model.labels, *model.values.trained)
    for module in moved:
        module.to(device, torch.float32)
    on_device = torch.Generator(device).manual_seed(generator.initial_seed())
    try:
        with Reporter(options.max_iter, verbose) as reporter:
            data = _move(data, _blur(model, rows, device), device)
            terms = [Term(module, log_prob, options, n_batches) for module, log_prob in parts]
            train(terms, data, options, reporter, on_device, history)
    finally:
        for module in moved:
            module.to("cpu", torch.float64)
        model.eval()


def _terms(model: Model) -> list[tuple[nn.Module, LogProb]]:
    """Parts of a model with the terms of the log-density that they alone decide."""

    def of_labels(labels: Tensor, y: Tensor) -> Tensor:
        return model.labels.log_prob(labels)

    return [(model.labels, of_labels), (model.values, model.values.log_prob_of_scores)]


def _trained_parts(model: Model) -> list[tuple[nn.Module, LogProb]]:
    """Those that can become better than their closed form."""
    learns = (model.labels.has_more_to_learn, model.values.has_more_to_learn)
    return [term for term, more in zip(_terms(model), learns, strict=True) if more]


def _prepare(
    model: Model,
    rows: EncodedRows,
    held_out: EncodedRows | None,
    parts: list[tuple[nn.Module, LogProb]],
) -> TrainingRows:
    """Send rows through what training leaves as it is, once."""
    trained = [module for module, _ in parts]
    fixed = [log_prob for module, log_prob in _terms(model) if module not in trained]

    def send(rows: EncodedRows) -> tuple[Scores, float]:
        labels, rare, x = rows.tensors()
        with torch.no_grad():
            y, log_det = model.values.marginals.forward_and_log_det(x)
            offset = log_det + model.labels.rare_log_prob(rare)
        scores = Scores(labels, y)
        given = sum(mean_log_prob(log_prob, scores) for log_prob in fixed)
        return scores, float(offset.mean() + rows.log_volume.mean()) + given

    scores, offset = send(rows)
    if held_out is None:
        return TrainingRows(scores, None, offset, math.nan)
    held_out_scores, held_out_offset = send(held_out)
    return TrainingRows(scores, held_out_scores, offset, held_out_offset)


def _blur(model: Model, rows: EncodedRows, device: torch.device) -> Blur | None:
    if not rows.cells.any():
        return None
    marginals = copy.deepcopy(model.values.marginals).to(device)
    values, cells = (
        torch.tensor(np.ascontiguousarray(array.T), device=device)
        for array in (rows.values, rows.cells)
    )
    return Blur(marginals, values, cells, torch.float32)


def _move(data: TrainingRows, blur: Blur | None, device: torch.device) -> TrainingRows:
    """Send rows to where they are learnt from, in float32."""
    validation = data.validation
    return replace(
        data,
        train=data.train.to(device, torch.float32),
        validation=None if validation is None else validation.to(device, torch.float32),
        blur=blur,
    )


def _note_closed_form(data: TrainingRows, history: History) -> None:
    """Nothing is trained: the offsets are all there is."""
    held_out = data.train_offset if data.validation is None else data.validation_offset
    history.best_score = held_out
    history.append(data.train_offset, data.validation_offset, 0.0, 0.0)
