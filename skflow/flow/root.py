"""Vectorised root search for increasing functions."""

from collections.abc import Callable

import torch
from torch import Tensor

MAX_STEPS = 200

Entries = slice | Tensor
Function = Callable[[Tensor, Entries], tuple[Tensor, Tensor, Tensor, Tensor]]


def find_root(
    function: Function, low: Tensor, high: Tensor, tolerance: Tensor, start: Tensor, near: float
) -> Tensor:
    r"""Find the root of an increasing function, elementwise.

    Halley's steps :math:`n / (1 - n f'' / 2 f')`, with Newton's :math:`n = f / f'`, inside a
    shrinking bracket; where a step leaves the bracket, or the last one did not halve the
    residual, the bracket is bisected. Once half of the entries have converged, the steps go
    on with the others only.

    The residual that is left after a step from the residual :math:`f` is of third order,
    :math:`f n^2 |(f'' / 2 f')^2 - f''' / 6 f'|`. The search ends with the first step from which
    a bound of this is below the tolerance; nothing is evaluated at its end.

    Parameters
    ----------
    function : callable
        Returns value, two derivatives and a bound of the third one's magnitude at ``x``, for
        the entries with the given indices.
    low, high : Tensor of shape (n_entries,)
        Bracket of the root of each entry.
    tolerance : Tensor of shape (n_entries,)
        Residual that rounding alone can cause: the search of an entry ends below it.
    start : Tensor of shape (n_entries,)
        Starting point, moved to the nearest end of the bracket if outside.
    near : float
        Residual from which on a step can be the last one.
    """
    root = x = torch.minimum(torch.maximum(start, low), high)
    entries: Entries = slice(None)
    previous = torch.full_like(x, torch.inf)
    ulp = 2 * torch.finfo(x.dtype).eps
    for _ in range(MAX_STEPS):
        value, slope, curvature, third = function(x, entries)
        low = torch.where(value <= 0, x, low)
        high = torch.where(value >= 0, x, high)
        newton = value / slope
        bend = newton * curvature / (2 * slope)
        halley = x - newton / (1 - bend).clamp_min(0.5)
        size = value.abs()
        trusted = (halley >= low) & (halley <= high) & (size < previous / 2)
        step = torch.where(trusted, halley, (low + high) / 2)
        done = (size <= tolerance) | (newton.abs() <= ulp * x.abs())
        step = torch.where(done, x, step)
        left = size * (bend.square() + newton.square() * third / (6 * slope))
        last = done | (trusted & (size <= near) & (left <= tolerance))
        moving = ~last & (step != x)
        # One host synchronisation a step, to stop when nothing moves any more.
        n_moving = int(moving.sum())
        x, previous = step, size
        if 2 * n_moving <= len(x):
            root = _put(root, entries, x)
            if n_moving == 0:
                return root
            entries = moving.nonzero()[:, 0] if isinstance(entries, slice) else entries[moving]
            low, high, tolerance = low[moving], high[moving], tolerance[moving]
            x, previous = x[moving], previous[moving]
    return _put(root, entries, x)


def _put(root: Tensor, entries: Entries, x: Tensor) -> Tensor:
    return x if isinstance(entries, slice) else root.index_copy(0, entries, x)
