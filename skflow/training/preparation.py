"""Rows sent through what training leaves as it is, once, block by block.

Only what training reads is kept: float32 scores, labels in as few bytes as hold them,
and the centres of cells that each epoch draws in anew.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from skflow.dequantization import dequantize, fork
from skflow.flow.model import Model, Rows
from skflow.rows import RowSource, encoded_blocks
from skflow.training.blur import Blur
from skflow.training.objective import LogProb, TrainingBatch, mean_log_prob

Part = tuple[nn.Module, LogProb]


class PreparedRows(NamedTuple):
    """Rows as training reads them.

    Attributes
    ----------
    scores : Scores
    offset : float
        What encoding, marginals and all that is not trained add to the log-density,
        the mean in nats per row.
    blur : Blur or None
        Draws the values of the rows anew; None where none lies on a grid.
    """

    scores: TrainingBatch
    offset: float
    blur: Blur | None


def prepare(
    model: Model, source: RowSource, fixed: Sequence[Part], generator: torch.Generator
) -> PreparedRows:
    """Encode the rows of ``source``, draw them within their cells, and send them on.

    Parameters
    ----------
    model : Model
        In float64, on the CPU.
    source : RowSource
    fixed : sequence of Part
        Parts of the model that are not trained.
    generator : torch.Generator
    """
    n_rows, n_columns = len(source), len(model.value_label)
    labels = empty_labels(model.labels.sizes.tolist(), n_rows)
    y = torch.empty((n_columns, n_rows), dtype=torch.float32)
    marginals, quantized_columns = model.values.marginals, source.quantized_columns
    blur = Blur(marginals, quantized_columns, n_rows) if quantized_columns else None
    noise, total = fork(generator), 0.0
    for block, rows in encoded_blocks(source, n_columns + len(labels)):
        if blur is not None:
            blur.keep(block, rows)
        of_block, novel, x = Rows.of(dequantize(rows, quantized_columns, noise))
        with torch.no_grad():
            scores, log_det = marginals.forward_and_log_det(x)
            offset = log_det + model.labels.novel_log_prob(novel)
        sent = TrainingBatch(of_block, scores)
        given = sum(mean_log_prob(module, log_prob, sent) for module, log_prob in fixed)
        total += float(offset.sum()) + float(rows.log_volume.sum()) + given * len(rows)
        labels[:, block], y[:, block] = of_block, scores
    return PreparedRows(TrainingBatch(labels, y), total / n_rows, blur)


def empty_labels(n_labels: Sequence[int], n_rows: int) -> Tensor:
    """Return room for labels; ``n_labels[j]``, one more than the last, is "never seen"."""
    most = max(n_labels, default=0)
    dtypes = (torch.uint8, torch.int16, torch.int32)
    dtype = next(dtype for dtype in dtypes if most <= torch.iinfo(dtype).max)
    return torch.empty((len(n_labels), n_rows), dtype=dtype)
