"""Vectorised root search for increasing functions."""

from collections.abc import Callable

import torch
from torch import Tensor

MAX_STEPS = 200


def find_root(
    function: Callable[[Tensor], tuple[Tensor, Tensor]],
    low: Tensor,
    high: Tensor,
    tolerance: Tensor,
) -> Tensor:
    """Find the root of an increasing function, elementwise.

    Newton's steps inside a shrinking bracket; where a step leaves the bracket,
    or the last one did not halve the residual, the bracket is bisected.

    Parameters
    ----------
    function : callable
        Returns the value and the derivative at each entry.
    low, high : Tensor
        A bracket of the root, entry by entry.
    tolerance : Tensor
        Residual that rounding alone can cause: the search of an entry ends there.
    """
    x = (low + high) / 2
    previous = torch.full_like(x, torch.inf)
    ulp = 2 * torch.finfo(x.dtype).eps
    for _ in range(MAX_STEPS):
        value, derivative = function(x)
        low = torch.where(value <= 0, x, low)
        high = torch.where(value >= 0, x, high)
        newton = x - value / derivative
        trusted = (newton >= low) & (newton <= high) & (value.abs() < previous / 2)
        step = torch.where(trusted, newton, (low + high) / 2)
        done = (value.abs() <= tolerance) | ((newton - x).abs() <= ulp * x.abs())
        step = torch.where(done, x, step)
        previous = value.abs()
        # One host synchronisation a step, to stop when nothing moves any more.
        if bool((step == x).all()):
            break
        x = step
    return x
