"""What other columns see of a column."""

import torch
from torch import Tensor

READ_STEP = 2.0**-20


def quantize_inputs(y: Tensor, bound: float) -> Tensor:
    """Clamp to ``[-bound, bound]``, and round to a grid.

    On the way back a column returns with some 1e-13 of error where its map is flat, and
    what the next column is told turns so fast, now and then, that it would inherit the
    error ten thousandfold. Rounded, both directions read the same. A far value, clamped,
    cannot saturate what reads it.

    A map whose parameters depend on rounded columns is as triangular as before: its
    log-determinant is that of the maps column by column, and stays exact.
    """
    return torch.round(y.clamp(-bound, bound) / READ_STEP) * READ_STEP
