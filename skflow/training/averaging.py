"""A moving average of the weights: smoother, and better on held-out rows."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class EMA:
    """Exponential moving average of parameters (cf. Polyak and Juditsky, 1992).

    Parameters
    ----------
    parameters : list of nn.Parameter
    horizon : float
        Steps over which the average forgets.
    """

    def __init__(self, parameters: list[nn.Parameter], horizon: float) -> None:
        self.parameters = parameters
        self.average = [p.detach().clone() for p in self.parameters]
        self.horizon = horizon
        self.n_steps = 0

    def next_weight(self) -> float:
        """Weight of the next step in the average; the first steps are averaged evenly."""
        self.n_steps += 1
        return max(1 / (self.n_steps + 1), 1 / self.horizon)

    def update(self, share: float | Tensor) -> None:
        """Take in the weights after a step; a share on the device is read there."""
        weights = [p.data for p in self.parameters]
        with torch.no_grad():
            if isinstance(share, Tensor):
                steps = torch._foreach_sub(weights, self.average)
                torch._foreach_mul_(steps, share)
                torch._foreach_add_(self.average, steps)
            else:
                torch._foreach_lerp_(self.average, weights, share)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average into the model for a while."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for parameter, average in zip(self.parameters, self.average, strict=True):
            parameter.data, average.data = average.data, parameter.data
