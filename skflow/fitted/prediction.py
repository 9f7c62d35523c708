"""Distributions of the columns of a conditional density, for rows of conditions."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import qmc

from skflow.fitted.blocks import join, send_rows
from skflow.fitted.drawn_column import DrawnColumn
from skflow.fitted.predicted_column import PredictedColumn
from skflow.fitted.table_density import TableDensity
from skflow.flow.blocks import device_blocks
from skflow.flow.model import Model, Rows
from skflow.flow.predicted_values import PredictedValues
from skflow.rows import block_size
from skflow.table.frames import Conditions
from skflow.table.number_codecs import NumberCodec

N_DRAWS = 512  # per row, where targets are several
DRAWN_ROWS = 64  # rows of conditions at once


def predict_column(
    density: TableDensity, given: Conditions, device: str | torch.device
) -> PredictedColumn:
    """Distribution of the only target of a density, for rows of conditions.

    Parameters
    ----------
    density : TableDensity
        Density of one column given others.
    given : Conditions
        Columns that are given.
    device : str or torch.device
    """
    codec, conditions = density.codec, density.codec.given
    assert conditions is not None
    model = density.move_model(given.rows.n_rows, device)
    own = codec.columns[codec.targets[0]]
    assert isinstance(own, NumberCodec)
    log_probs, parts = [], []
    for block in device_blocks(given.rows.n_rows, model, block_size(codec.n_encoded)):
        encoded = conditions.encode(given.rows.take(block.rows))
        with block:
            rows = send_rows(encoded, model.value_label.device)[1]
            of_labels, of_values = _predict(model, len(encoded), rows, own.labels.value_label)
            log_probs.append(of_labels.cpu())
            if of_values is not None:
                parts.append(PredictedValues.join([of_values]))
    values = PredictedValues.join(parts) if parts else None
    return PredictedColumn(own, join(log_probs), values)


def _predict(
    model: Model, n_rows: int, given: Rows, value_label: int
) -> tuple[torch.Tensor, PredictedValues | None]:
    """Log-probabilities of all labels, ``(n_labels, n_rows)``, and the value's distribution."""
    n_labelled = len(model.labels.sizes)
    labels = model.value_label.new_full((n_labelled, n_rows), value_label)
    log_probs = model.marginals.x_knots.new_empty(0, n_rows)
    if n_labelled:
        log_probs = model.first_label_log_probs(n_rows, given)
    has_value = bool(len(model.value_label))
    return log_probs, PredictedValues.of(model, labels, given) if has_value else None


def draw_columns(
    density: TableDensity, given: Conditions, device: str | torch.device
) -> list[DrawnColumn]:
    """Distributions of all targets of a density by draws, for rows of conditions.

    The same quasi-random normal draws serve all rows: what is drawn in a row does not depend on
    the others.
    """
    n_latents, targets = len(density.codec.latent_names), density.codec.targets
    columns = [density.codec.columns[j] for j in targets]
    codecs = [codec for codec in columns if isinstance(codec, NumberCodec)]
    uniform = qmc.Sobol(n_latents + len(density.codec.value_codecs), rng=0).random(N_DRAWS)
    z, u = ndtri(uniform[:, :n_latents].clip(1e-9, 1 - 1e-9)), uniform[:, n_latents:]
    drawn: list[list[NDArray[np.float64]]] = [[] for _ in codecs]
    for start in range(0, given.rows.n_rows, DRAWN_ROWS):
        rows = np.arange(start, min(start + DRAWN_ROWS, given.rows.n_rows))
        conditions = given.take(np.repeat(rows, N_DRAWS))
        tiled_z, tiled_u = np.tile(z, (len(rows), 1)), np.tile(u, (len(rows), 1))
        cells, is_within_reach = density.draw(tiled_z, tiled_u, conditions, device)
        reached = is_within_reach.reshape(len(rows), N_DRAWS)
        for parts, codec, j in zip(drawn, codecs, targets, strict=True):
            x = codec.coordinates.read(cells[j]).reshape(reached.shape)
            usual = np.nanmedian(np.where(reached, x, np.nan), axis=1, keepdims=True)
            parts.append(np.where(reached, x, usual))
    pairs = zip(codecs, drawn, strict=True)
    return [DrawnColumn(codec, np.concatenate(parts)) for codec, parts in pairs]
