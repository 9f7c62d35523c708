"""Measures of a row's normality that do not depend on the units of columns."""

import math

import torch
from torch import Tensor

from skflow.flow.model import Model, Rows


def standardized_scores(
    model: Model, rows: Rows, given: Rows | None = None
) -> tuple[Tensor, Tensor]:
    """Two measures of each row's normality that no column's unit changes, in nats.

    Returns
    -------
    log_prob : Tensor of shape (n_rows,)
        Log-density of the gaussianized values and the labels.
    least : Tensor of shape (n_rows,)
        The lowest, over columns, of a label's log-probability and a value's two-sided
        log tail probability, given the columns before.
    """
    of_labels = model.label_log_probs(rows.labels, given)
    novel = model.novel_log_prob(rows.novel)
    batch, _ = model.gaussianize(rows, given)
    z, log_prob = model.flow.latents_and_log_prob(batch)
    tails = (torch.special.log_ndtr(-z.abs()) + math.log(2)).nan_to_num(0.0)
    none = log_prob.new_zeros(1, log_prob.shape[0])
    least = torch.cat((of_labels, tails, none)).amin(dim=0) + novel.clamp_max(0.0)
    return of_labels.sum(dim=0) + novel + log_prob, least
