"""Draws for absent entries, so that expectation maximisation sees whole rows."""

import torch
from torch import Tensor

from skflow.clock import Clock

SWEEPS = 8
RIDGE = 1e-3


def impute(y: Tensor, generator: torch.Generator, clock: Clock | None = None) -> Tensor:
    """Draw absent entries of ``y``, ``(n_columns, n_rows)``, given the present ones.

    Gibbs sweeps under one Gaussian, refitted at each sweep (data augmentation, Tanner
    and Wong, 1987). They end where the time of the ``clock`` is over: before, entries are
    drawn from their columns alone.
    """
    absent = y.isnan()
    if not bool(absent.any()):
        return y
    mean = y.nanmean(dim=1, keepdim=True).nan_to_num(0.0)
    deviation = (y - mean).square().nanmean(dim=1, keepdim=True).sqrt().nan_to_num(1.0)
    filled = torch.where(absent, mean + deviation * _normal_like(y, generator), y)
    for _ in range(SWEEPS if len(y) > 1 else 0):
        mean = filled.mean(dim=1, keepdim=True)
        precision = _ridged_precision(filled - mean)
        for j in absent.any(dim=1).nonzero().flatten().tolist():
            if clock is not None and clock.is_over:
                return filled
            # One column after the other: entries absent together stay correlated.
            pull = (precision[j] @ (filled - mean)) / precision[j, j]
            noise = _normal_like(y[j], generator) / precision[j, j].sqrt()
            filled[j] = torch.where(absent[j], filled[j] - pull + noise, y[j])
    return filled


def _ridged_precision(centred: Tensor) -> Tensor:
    covariance = centred @ centred.T / centred.shape[1]
    ridge = RIDGE * covariance.diagonal().mean().clamp_min(RIDGE)
    identity = torch.eye(len(centred), dtype=centred.dtype)
    return torch.linalg.inv(covariance + ridge * identity)


def _normal_like(y: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(y.shape, generator=generator, dtype=y.dtype)
