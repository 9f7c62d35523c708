"""Measures of a row's normality that do not depend on the units of columns."""

import math

import torch
from torch import Tensor

from skflow.flow.model import Model, Rows


def standardized_scores(model: Model, rows: Rows, label_log_tails: Tensor) -> tuple[Tensor, ...]:
    """Three measures of each row's normality that no column's unit changes, in nats.

    Parameters
    ----------
    model : Model
    rows : Rows
    label_log_tails : Tensor of shape (n_entries,)
        See :func:`~skflow.outliers.marginal_tails.label_log_tails`.

    Returns
    -------
    log_prob : Tensor of shape (n_rows,)
        Log-density of the gaussianized values and the labels.
    least : Tensor of shape (n_rows,)
        The lowest, over columns, of a label's log-probability and a value's two-sided
        log tail probability, given the columns before.
    marginal : Tensor of shape (n_rows,)
        The sum, over columns, of the log tail probabilities of label and value, each in its
        column alone.
    """
    of_labels = model.label_log_probs(rows.labels)
    novel = model.novel_log_prob(rows.novel)
    batch, _ = model.gaussianize(rows)
    z, log_prob = model.flow.latents_and_log_prob(batch)
    none = log_prob.new_zeros(1, log_prob.shape[0])
    far = novel.clamp_max(0.0)
    least = torch.cat((of_labels, _log_tails(z), none)).amin(dim=0) + far
    alone = label_log_tails[model.labels.vocabulary(rows.labels)].sum(dim=0)
    marginal = alone + _log_tails(batch.y).sum(dim=0) + far
    return of_labels.sum(dim=0) + novel + log_prob, least, marginal


def _log_tails(z: Tensor) -> Tensor:
    """Two-sided log tail probability of standard normal values; 0 where there is none."""
    return (torch.special.log_ndtr(-z.abs()) + math.log(2)).nan_to_num(0.0)
