"""Imputation: draws for missing values, so that expectation maximisation has whole rows."""

import torch
from torch import Tensor

from skflow.clock import Clock
from skflow.rows import weighted_mean

SWEEPS = 8
RIDGE = 1e-3


def impute(
    y: Tensor,
    generator: torch.Generator,
    clock: Clock | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Draw missing values of rows, given the values that are there.

    Gibbs sweeps under one Gaussian, refitted at each sweep (data augmentation, Tanner
    and Wong, 1987). They end where the time of the clock is over: before, values are drawn
    from their columns alone. Each row has draws of its own.

    Parameters
    ----------
    y : Tensor of shape (n_columns, n_rows)
        NaN is missing.
    generator : torch.Generator
    clock : Clock, optional
    weight : Tensor of shape (n_rows,), optional
        Weight of each row in the moments of the Gaussian; None gives all rows the same weight.
    """
    absent = y.isnan()
    if not bool(absent.any()):
        return y
    weight = y.new_ones(y.shape[1]) if weight is None else weight
    mean = mean_of_present(y, weight)
    deviation = mean_of_present((y - mean).square(), weight, default=1.0).sqrt()
    filled = torch.where(absent, mean + deviation * _normal_like(y, generator), y)
    incomplete = absent.any(dim=1).nonzero().flatten()
    for _ in range(SWEEPS if len(y) > 1 else 0):
        if clock is not None and clock.is_over:
            break
        mean = weighted_mean(filled, weight)[:, None]
        centred = filled - mean
        precisions = precision_rows(centred, weight, incomplete)
        for j, precision in zip(incomplete.tolist(), precisions, strict=True):
            if clock is not None and clock.is_over:
                return filled
            # One column after the other: values that are missing together stay correlated.
            pull = (precision @ centred) / precision[j]
            noise = _normal_like(y[j], generator) / precision[j].sqrt()
            filled[j] = torch.where(absent[j], filled[j] - pull + noise, y[j])
            centred[j] = filled[j] - mean[j]
    return filled


def mean_of_present(y: Tensor, weight: Tensor, default: float = 0.0) -> Tensor:
    """Weighted mean of each column's values, ``(n_columns, 1)``; NaN is missing.

    A column without a value has the ``default``.
    """
    present = weight * ~y.isnan()
    return weighted_mean(y.masked_fill(y.isnan(), 0.0), present)[:, None].nan_to_num(default)


def precision_rows(centred: Tensor, weight: Tensor, columns: Tensor) -> Tensor:
    r"""Return the rows of some columns of a precision matrix, ``(len(columns), n_columns)``.

    That of the covariance of all columns, plus a ridge. With fewer rows than columns, the identity
    of Woodbury needs the inverse of a matrix as large as the rows only,

    .. math:: (X X^T + r I)^{-1} = \frac{1}{r} \bigl(I - X (X^T X + r I)^{-1} X^T\bigr) .
    """
    (n_columns, n_rows), mass = centred.shape, weight.sum()
    if n_rows < n_columns:
        scaled = centred * (weight / mass).sqrt()
        ridge = RIDGE * scaled.square().sum(dim=1).mean().clamp_min(RIDGE)
        inner = scaled.T @ scaled + ridge * torch.eye(n_rows, dtype=centred.dtype)
        rows = -torch.linalg.solve(inner, scaled[columns].T).T @ scaled.T
        rows[torch.arange(len(columns)), columns] += 1
        return rows / ridge
    covariance = (weight * centred) @ centred.T / mass
    ridge = RIDGE * covariance.diagonal().mean().clamp_min(RIDGE)
    identity = torch.eye(n_columns, dtype=centred.dtype)
    return torch.linalg.inv(covariance + ridge * identity)[columns]


def _normal_like(y: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(y.shape, generator=generator, dtype=y.dtype)
