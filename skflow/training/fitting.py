"""Fit a model to encoded rows: closed form first, gradients last."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skflow.flow.model import Model
from skflow.flow.recipe import FlowRecipe
from skflow.training.closed_form import fit_closed_form
from skflow.training.loop import History, TrainingRows, mean_score, train
from skflow.training.options import TrainingOptions
from skflow.training.reporter import Reporter

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class EncodedRows:
    """Encoded rows, ``(n_rows, n_columns)``, and the log-volume of each, in nats."""

    matrix: FloatArray
    log_volume: FloatArray


def start_model(
    rows: EncodedRows,
    held_out: EncodedRows | None,
    recipe: FlowRecipe,
    n_components: int | str,
    generator: torch.Generator,
) -> Model:
    """Return the closed form: a model whose coupling layers are still the identity."""
    varying = (rows.matrix != rows.matrix[0]).any(axis=0)
    closed_form = fit_closed_form(
        rows.matrix[:, varying],
        None if held_out is None else held_out.matrix[:, varying],
        None if isinstance(n_components, str) else n_components,
        recipe.bound,
        generator,
    )
    couplings = recipe.build_couplings(int(varying.sum()), generator)
    return Model(torch.tensor(varying), closed_form.marginals, couplings, closed_form.mixture)


def train_model(
    model: Model,
    rows: EncodedRows,
    held_out: EncodedRows | None,
    options: TrainingOptions,
    *,
    device: torch.device,
    generator: torch.Generator,
    verbose: int,
    history: History,
) -> None:
    """Train in float32 on ``device``; leave the model in float64 on the CPU.

    ``history`` takes the scores, in nats per row of the original columns. A model
    without coupling layers is not trained: its closed form is its one epoch.
    """
    data = _prepare(model, rows, held_out)
    if len(model.couplings.bijections) == 0:
        _note_closed_form(model, data, history)
        return
    trained = (model.couplings, model.mixture)
    for part in trained:
        part.to(device, torch.float32)
    on_device = torch.Generator(device).manual_seed(generator.initial_seed())
    try:
        with Reporter(options.max_iter, verbose) as reporter:
            data = data.to(device, torch.float32)
            train(model, data, options, reporter, on_device, history)
    finally:
        for part in trained:
            part.to("cpu", torch.float64)
        model.eval()


def _prepare(model: Model, rows: EncodedRows, held_out: EncodedRows | None) -> TrainingRows:
    """Send rows through the marginals, which training leaves as they are, once."""
    y, offset = _marginal_scores(model, rows)
    if held_out is None:
        return TrainingRows(y, None, offset, math.nan)
    y_held_out, held_out_offset = _marginal_scores(model, held_out)
    return TrainingRows(y, y_held_out, offset, held_out_offset)


def _marginal_scores(model: Model, rows: EncodedRows) -> tuple[Tensor, float]:
    x = torch.tensor(np.ascontiguousarray(rows.matrix.T))
    with torch.no_grad():
        y, log_det = model.marginals.forward_and_log_det(x[model.varying])
        offset = log_det + model.point_mass.log_prob(x[~model.varying])
    return y, float(offset.mean() + rows.log_volume.mean())


def _note_closed_form(model: Model, data: TrainingRows, history: History) -> None:
    train_score = held_out = mean_score(model, data.train) + data.train_offset
    if data.validation is not None:
        held_out = mean_score(model, data.validation) + data.validation_offset
    history.best_score = held_out
    history.append(train_score, math.nan if data.validation is None else held_out, 0.0, 0.0)
