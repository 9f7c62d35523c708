"""The optimizer: AdamW, the schedule of its learning rate, the moving average of its weights.

AdamW is called through torch's functional form. torch's optimizer classes import its compiler
at their first use, which takes seconds; the function they end in does not.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

    The parameters become views of one vector: in a small network, separate steps of all parameters
    would cost as much as the matrix products.

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

    Attributes
    ----------
    parameters : list of nn.Parameter
    flat : Tensor of shape (n_numbers,)
        All of them.
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
        kinds = (
            (weights, weight_decay, 1.0),
            (biases, 0.0, 1.0),
            (initialized, 0.0, INITIALIZED_RATE),
        )
        self.parameters = [p for kind, *_ in kinds for _, p in kind]
        self.max_norm = max_norm
        self.flat = torch.cat([p.detach().reshape(-1) for p in self.parameters])
        self.gradient = torch.zeros_like(self.flat)
        sizes = [p.numel() for p in self.parameters]
        for parameter, part in zip(self.parameters, self.flat.split(sizes), strict=True):
            parameter.data = part.view_as(parameter)
        self.groups = []
        of_groups = [sum(p.numel() for _, p in kind) for kind, *_ in kinds]
        parts = zip(self.flat.split(of_groups), self.gradient.split(of_groups), strict=True)
        for (kind, decay, rate), (part, gradient) in zip(kinds, parts, strict=True):
            shares = None
            if any(name in factors for name, _ in kind):
                full = [factors.get(name, p.new_ones(())).to(p).expand_as(p) for name, p in kind]
                shares = torch.cat([share.reshape(-1) for share in full])
            if kind:
                self.groups.append(_Group(part, gradient, decay, rate, shares))

    def step(self, learning_rate: float | Tensor) -> None:
        """Clip the gradients, update the parameters, clear the gradients."""
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        torch.cat([gradient.reshape(-1) for gradient in gradients], out=self.gradient)
        norm = torch.linalg.vector_norm(self.gradient)
        self.gradient.mul_((self.max_norm / (norm + 1e-6)).clamp_max(1.0))
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
    """Parameters that share a weight decay and a rate, as one vector, with their moments.

    Where there are ``shares``, each number moves by this share of its step only.
    """

    def __init__(
        self,
        parameters: Tensor,
        gradient: Tensor,
        weight_decay: float,
        rate_factor: float,
        shares: Tensor | None,
    ) -> None:
        self.parameters = parameters
        self.gradient = gradient
        self.weight_decay = weight_decay
        self.rate_factor = rate_factor
        self.shares = shares
        self.mean = torch.zeros_like(parameters)
        self.square = torch.zeros_like(parameters)
        self.n_steps = parameters.new_zeros(())

    def step(self, learning_rate: float | Tensor) -> None:
        start = None if self.shares is None else self.parameters.clone()
        adamw(
            [self.parameters],
            [self.gradient],
            [self.mean],
            [self.square],
            [],
            [self.n_steps],
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.99,
            lr=learning_rate * self.rate_factor,
            weight_decay=self.weight_decay,
            eps=1e-8,
            maximize=False,
        )
        if start is not None and self.shares is not None:
            torch.lerp(start, self.parameters, self.shares, out=self.parameters)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the moments and numbers of steps, by name."""
        return {"mean": self.mean, "square": self.square, "n_steps": self.n_steps}


class EMA:
    """Exponential moving average of parameters (cf. Polyak and Juditsky, 1992).

    It is smoother than the parameters, and scores better on held-out rows. Until it forgets,
    the weight of a step grows as the cube of its number, so that a short training is not held back
    by its first steps (polynomial-decay averaging, Shamir and Zhang, 2013, :arxiv:`1212.1824`).

    Parameters
    ----------
    parameters : sequence of Tensor
    horizon : float
        Steps over which the average forgets.
    """

    def __init__(self, parameters: Sequence[Tensor], horizon: float) -> None:
        self.parameters = [p.detach() for p in parameters]
        self.average = [p.clone() for p in self.parameters]
        self.horizon = horizon
        self.n_steps = 0

    def next_weight(self) -> float:
        """Weight of the next step in the average."""
        self.n_steps += 1
        return max((1 + AVERAGE_POWER) / (self.n_steps + 1 + AVERAGE_POWER), 1 / self.horizon)

    def update(self, weight: float | Tensor) -> None:
        """Average in the parameters after a step; a weight on the device is read there."""
        for average, parameter in zip(self.average, self.parameters, strict=True):
            average.lerp_(parameter, weight)

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
            kept = parameter.clone()
            parameter.copy_(average)
            average.copy_(kept)


def rate_factor(progress: float) -> float:
    """Share of the peak learning rate at ``progress`` from 0 to 1: a short rise, then a cosine."""
    if progress < WARM_UP:
        return (progress + 1e-3) / (WARM_UP + 1e-3)
    phase = min(1.0, (progress - WARM_UP) / (1 - WARM_UP))
    return LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * phase)) / 2


def _numbered(name: str, tensors: Iterable[Tensor]) -> dict[str, Tensor]:
    return {f"{name}.{i}": tensor for i, tensor in enumerate(tensors)}
