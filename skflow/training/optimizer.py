"""The optimizer: AdamW, the schedule of its learning rate, the moving average of its weights.

AdamW is called through torch's functional form. torch's optimizer classes import its compiler
at their first use, which takes seconds; the function they end in does not.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from skflow.training.state import load_tensors

INITIALIZED_RATE = 0.25  # share of the learning rate for what the initialization set
WARM_UP = 0.03
LAST_RATE = 0.01
AVERAGE_POWER = 3  # the weight of a step in the average grows as this power of its number


class AdamW:
    """Decoupled weight decay (Loshchilov and Hutter, 2019, arXiv:1711.05101).

    Parameters
    ----------
    model : nn.Module
        Decay falls on the parameters named ``weight``, the conditioners' matrices.
        Parameters that are neither weights nor biases were set by the initialization;
        they move slowly, so that the first steps do not undo it.
    weight_decay : float
    max_norm : float
        Gradients are clipped to this norm before a step.
    rate_factors : mapping of str to Tensor, optional
        Shares of the learning rate of some of the parameters, by name; they are broadcast.
    """

    def __init__(
        self,
        model: nn.Module,
        weight_decay: float,
        max_norm: float,
        rate_factors: Mapping[str, Tensor] | None = None,
    ) -> None:
        factors = rate_factors or {}
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        weights = [(n, p) for n, p in named if n.endswith(".weight")]
        biases = [(n, p) for n, p in named if n.endswith(".bias")]
        initialized = [(n, p) for n, p in named if not n.endswith((".weight", ".bias"))]
        self.groups = []
        for kind, decay, rate in (
            (weights, weight_decay, 1.0),
            (biases, 0.0, 1.0),
            (initialized, 0.0, INITIALIZED_RATE),
        ):
            full = [p for name, p in kind if name not in factors]
            slowed = {name: p for name, p in kind if name in factors}
            if full:
                self.groups.append(_Group(full, decay, rate))
            if slowed:
                shares = [factors[name].to(p) for name, p in slowed.items()]
                self.groups.append(_Group(slowed.values(), decay, rate, shares))
        self.parameters = [p for group in self.groups for p in group.parameters]
        self.max_norm = max_norm

    def step(self, learning_rate: float | Tensor) -> None:
        """Clip the gradients, update the parameters, clear the gradients."""
        torch.nn.utils.clip_grad_norm_(self.parameters, self.max_norm)
        for group in self.groups:
            group.step(learning_rate)
        self.clear_gradients()

    def clear_gradients(self) -> None:
        """Remove gradients: the next backward pass makes new ones and does not add to these."""
        for parameter in self.parameters:
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Return the moments and numbers of steps of all parameters, by name."""
        return {
            f"{g}.{name}": tensor
            for g, group in enumerate(self.groups)
            for name, tensor in group.state_dict().items()
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that :meth:`state_dict` returned."""
        load_tensors(self.state_dict(), state)


class _Group:
    """Parameters that share a weight decay and a rate, with their moments.

    Where there are ``shares``, each parameter moves by these shares of its step only.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        weight_decay: float,
        rate_factor: float = 1.0,
        shares: Iterable[Tensor] = (),
    ) -> None:
        self.parameters = list(parameters)
        self.weight_decay = weight_decay
        self.rate_factor = rate_factor
        self.shares = list(shares)
        self.means = [torch.zeros_like(p) for p in self.parameters]
        self.squares = [torch.zeros_like(p) for p in self.parameters]
        self.steps = [p.new_zeros(()) for p in self.parameters]

    def step(self, learning_rate: float | Tensor) -> None:
        gradients: list[Tensor] = [
            torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters
        ]
        with torch.no_grad():
            starts = [p.clone() for p in self.parameters] if self.shares else []
            adamw(
                list(self.parameters),
                gradients,
                self.means,
                self.squares,
                [],
                self.steps,
                fused=True,
                amsgrad=False,
                beta1=0.9,
                beta2=0.99,
                lr=learning_rate * self.rate_factor,
                weight_decay=self.weight_decay,
                eps=1e-8,
                maximize=False,
            )
            for parameter, start, share in zip(self.parameters, starts, self.shares, strict=False):
                parameter.copy_(torch.lerp(start, parameter, share))

    def state_dict(self) -> dict[str, Tensor]:
        """Return the moments and numbers of steps, by name."""
        return (
            _numbered("means", self.means)
            | _numbered("squares", self.squares)
            | _numbered("steps", self.steps)
        )


class EMA:
    """Exponential moving average of parameters (cf. Polyak and Juditsky, 1992).

    It is smoother than the parameters, and scores better on held-out rows. Until it forgets,
    the weight of a step grows as the cube of its number, so that a short training is not held back
    by its first steps (polynomial-decay averaging, Shamir and Zhang, 2013, :arxiv:`1212.1824`).

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
        """Weight of the next step in the average."""
        self.n_steps += 1
        return max((1 + AVERAGE_POWER) / (self.n_steps + 1 + AVERAGE_POWER), 1 / self.horizon)

    def update(self, weight: float | Tensor) -> None:
        """Average in the parameters after a step; a weight on the device is read there."""
        parameters = [p.data for p in self.parameters]
        with torch.no_grad():
            if isinstance(weight, Tensor):
                steps = torch._foreach_sub(parameters, self.average)
                torch._foreach_mul_(steps, weight)
                torch._foreach_add_(self.average, steps)
            else:
                torch._foreach_lerp_(self.average, parameters, weight)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average into the model for a while."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state_dict(self) -> dict[str, Any]:
        """Return the number of steps and the average, by name."""
        return {"n_steps": self.n_steps} | _numbered("average", self.average)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that :meth:`state_dict` returned."""
        self.n_steps = state["n_steps"]
        load_tensors(_numbered("average", self.average), state)

    def _swap(self) -> None:
        for parameter, average in zip(self.parameters, self.average, strict=True):
            parameter.data, average.data = average.data, parameter.data


def rate_factor(progress: float) -> float:
    """Share of the peak learning rate at ``progress`` from 0 to 1: a short rise, then a cosine."""
    if progress < WARM_UP:
        return (progress + 1e-3) / (WARM_UP + 1e-3)
    phase = min(1.0, (progress - WARM_UP) / (1 - WARM_UP))
    return LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * phase)) / 2


def _numbered(name: str, tensors: Iterable[Tensor]) -> dict[str, Tensor]:
    return {f"{name}.{i}": tensor for i, tensor in enumerate(tensors)}
