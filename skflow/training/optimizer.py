"""AdamW through torch's functional form.

torch's optimizer classes import its compiler at their first use, which takes
seconds; the function they end in does not.
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from skflow.training.averaging import EMA
from skflow.training.options import TrainingOptions

FITTED_RATE = 0.25  # share of the learning rate for what was fitted in closed form


class Descent:
    """Gradient steps on a model, with a moving average of its weights.

    Parameters
    ----------
    model : nn.Module
    options : TrainingOptions
    n_batches : int
        Steps per epoch.
    rate_factors : mapping of str to Tensor, optional
        As in :class:`AdamW`.
    """

    def __init__(
        self,
        model: nn.Module,
        options: TrainingOptions,
        n_batches: int,
        rate_factors: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.optimizer = AdamW(model, options.weight_decay, options.max_norm, rate_factors)
        self.average = EMA(self.optimizer.parameters, max(1.0, options.averaged_epochs * n_batches))

    def step(self, learning_rate: float | Tensor, share: float | Tensor) -> None:
        """Update the weights from their gradients, and the average by its ``share``.

        As tensors on the device both are read there, at each replay of a captured step.
        """
        self.optimizer.step(learning_rate)
        self.average.update(share)

    def averaged_weights(self) -> AbstractContextManager[None]:
        """Put the average into the model for a while."""
        return self.average.in_place()


class AdamW:
    """Decoupled weight decay (Loshchilov and Hutter, 2019, arXiv:1711.05101).

    Parameters
    ----------
    model : nn.Module
        Decay falls on the parameters named ``weight``, the conditioners' matrices.
        Parameters that are neither weights nor biases were fitted in closed form;
        they move slowly, lest the first steps undo that.
    weight_decay : float
    max_norm : float
        Gradients are clipped to this norm before a step.
    rate_factors : mapping of str to Tensor, optional
        Shares of the learning rate of some of the parameters, by name: one for each row of
        a weight, and each entry of a bias.
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
        full = [(name, p) for name, p in named if name not in factors]
        fitted = [p for name, p in full if not name.endswith((".weight", ".bias"))]
        self.groups = [
            _Group([p for name, p in full if name.endswith(".weight")], weight_decay),
            _Group([p for name, p in full if name.endswith(".bias")], 0.0),
            _Group(fitted, 0.0, FITTED_RATE),
        ]
        for suffix, decay in ((".weight", weight_decay), (".bias", 0.0)):
            slowed = [(p, factors[n]) for n, p in named if n in factors and n.endswith(suffix)]
            if slowed:
                parameters, shares = zip(*slowed, strict=True)
                self.groups.append(_Group(parameters, decay, shares=shares))
        self.parameters = [p for group in self.groups for p in group.parameters]
        self.max_norm = max_norm

    def step(self, learning_rate: float | Tensor) -> None:
        """Clip the gradients, update the parameters, clear the gradients."""
        torch.nn.utils.clip_grad_norm_(self.parameters, self.max_norm)
        for group in self.groups:
            group.step(learning_rate)
        self.clear_gradients()

    def clear_gradients(self) -> None:
        """Have the next backward pass make gradients anew, not add to these."""
        for parameter in self.parameters:
            parameter.grad = None


class _Group:
    """Parameters that share a weight decay and a rate, with their moments.

    Where there are ``shares``, each parameter goes these shares of its step only.
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
