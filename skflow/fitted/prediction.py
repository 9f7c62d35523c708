"""Distributions of the columns of a conditional density, for rows of conditions."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp, ndtri
from scipy.stats import qmc

from skflow.fitted.averaged_values import AveragedValues
from skflow.fitted.blocks import join, send_rows
from skflow.fitted.drawn_column import DrawnColumn
from skflow.fitted.predicted_column import PredictedColumn, Values
from skflow.fitted.table_density import TableDensity
from skflow.flow.blocks import device_blocks
from skflow.flow.predicted_values import PredictedValues
from skflow.rows import block_size
from skflow.table.frames import Conditions
from skflow.table.number_codecs import NumberCodec

FloatArray = NDArray[np.float64]

N_DRAWS = 512  # per row, where targets are several
DRAWN_ROWS = 64  # rows of conditions at once


def predict_column(
    densities: Sequence[TableDensity],
    weights: FloatArray,
    given: Conditions,
    device: str | torch.device,
    spread: float = 1.0,
) -> PredictedColumn:
    r"""Average of the distributions of the only target of densities, for rows of conditions.

    With the weight :math:`w_m` of density m, its probability :math:`P_m` of a label, and its
    density :math:`p_m` of values given their label v,

    .. math:: P = \sum_m w_m P_m, \qquad
              p = \frac{\sum_m w_m P_m(v) \, p_m}{\sum_m w_m P_m(v)} ,

    The average of values is then narrowed by its spread (:mod:`skflow.fitted.averaged_values`).

    Parameters
    ----------
    densities : sequence of TableDensity
        Densities of one column given others, with equal codecs.
    weights : ndarray of shape (n_densities,)
        Their weights, whose sum is 1.
    given : Conditions
        Columns that are given.
    device : str or torch.device
    spread : float, default=1
    """
    members = [_predict_by_one(density, given, device) for density in densities]
    own = densities[0].codec.columns[densities[0].codec.targets[0]]
    assert isinstance(own, NumberCodec)
    of_members = np.stack([log_probs for log_probs, _ in members])
    of_members = of_members + np.log(weights / weights.sum())[:, None, None]
    log_probs = logsumexp(of_members, axis=0)
    of_levels = list(zip(*(values for _, values in members), strict=True))
    if not of_levels:
        return PredictedColumn(own, log_probs, None)
    of_values = np.moveaxis(of_members[:, :, own.labels.value_labels], 2, 0)
    levels = [_average(*pair, spread) for pair in zip(of_levels, of_values, strict=True)]
    values = _average(levels, log_probs[:, own.labels.value_labels].T)
    return PredictedColumn(own, log_probs, values, tuple(levels))


def _average(
    members: Sequence[Values], log_weights: NDArray[np.float64], spread: float = 1.0
) -> Values:
    """Return the average of distributions, whose weights ``(n_members, n_rows)`` need no unit."""
    if len(members) == 1:
        return members[0]
    normalized = torch.from_numpy(log_softmax(log_weights, axis=0))
    return AveragedValues(tuple(members), normalized, spread)


def _predict_by_one(
    density: TableDensity, given: Conditions, device: str | torch.device
) -> tuple[NDArray[np.float64], list[PredictedValues]]:
    """Log-probabilities of labels, and the distribution of values given each label of values."""
    codec, conditions = density.codec, density.codec.given
    assert conditions is not None
    model = density.move_model(given.rows.n_rows, device)
    value_labels = codec.columns[codec.targets[0]].labels.value_labels
    log_probs: list[torch.Tensor] = []
    of_levels: list[list[PredictedValues]] = [[] for _ in value_labels]
    for block in device_blocks(given.rows.n_rows, model, block_size(codec.n_encoded)):
        encoded = conditions.encode(given.rows.take(block.rows))
        with block:
            rows = send_rows(encoded, model.value_labels.device)[1]
            n_labelled, n_rows = len(model.labels.sizes), len(encoded)
            of_labels = model.marginals.x_knots.new_zeros(1, n_rows)  # "a value" is certain
            if n_labelled:
                of_labels = model.first_label_log_probs(n_rows, rows)
            log_probs.append(of_labels.cpu())
            for parts, label in zip(of_levels, value_labels, strict=True):
                labels = model.value_labels.new_full((n_labelled, n_rows), label)
                values = PredictedValues.of(model, labels, rows)
                parts.append(PredictedValues.join([values]))
    return join(log_probs), [PredictedValues.join(parts) for parts in of_levels]


def draw_columns(
    densities: Sequence[TableDensity],
    weights: FloatArray,
    given: Conditions,
    device: str | torch.device,
) -> list[DrawnColumn]:
    """Distributions of all targets of densities by draws, of each density by its weight.

    The same quasi-random normal draws serve all rows of conditions: what is drawn in a row does
    not depend on the others.
    """
    first = densities[0].codec
    n_draws = np.diff(np.round(N_DRAWS * weights.cumsum()), prepend=0).astype(np.int64)
    n_latents, n_places = len(first.latent_names), len(first.latent_names) + len(first.value_codecs)
    uniform = [qmc.Halton(n_places, rng=seed).random(n) for seed, n in enumerate(n_draws)]
    columns = [first.columns[j] for j in first.targets]
    codecs = [codec for codec in columns if isinstance(codec, NumberCodec)]
    drawn: list[list[FloatArray]] = [[] for _ in codecs]
    for start in range(0, given.rows.n_rows, DRAWN_ROWS):
        rows = np.arange(start, min(start + DRAWN_ROWS, given.rows.n_rows))
        of_members: list[list[FloatArray]] = [[] for _ in codecs]
        for density, own in zip(densities, uniform, strict=True):
            if not len(own):
                continue
            conditions = given.take(np.repeat(rows, len(own)))
            z = np.tile(ndtri(own[:, :n_latents].clip(1e-9, 1 - 1e-9)), (len(rows), 1))
            u = np.tile(own[:, n_latents:], (len(rows), 1))
            cells, is_within_reach = density.draw(z, u, conditions, device)
            reached = is_within_reach.reshape(len(rows), len(own))
            for parts, codec, j in zip(of_members, codecs, first.targets, strict=True):
                x = codec.coordinates.read(cells[j]).reshape(reached.shape)
                usual = np.nanmedian(np.where(reached, x, np.nan), axis=1, keepdims=True)
                parts.append(np.where(reached, x, usual))
        for parts, of_rows in zip(drawn, of_members, strict=True):
            parts.append(np.concatenate(of_rows, axis=1))
    pairs = zip(codecs, drawn, strict=True)
    return [DrawnColumn(codec, np.concatenate(parts)) for codec, parts in pairs]
