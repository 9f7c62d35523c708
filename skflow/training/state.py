"""The state of a training between two epochs: all that the next epochs depend on.

Parts of a training have ``state_dict`` and ``load_state_dict`` as modules of torch do: flat
dictionaries of numbers and tensors, whose names begin with those of their parts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor

from skflow.flat_state import Arrays


@dataclass
class TrainingState:
    """State of a training as numbers and arrays, which a file can hold.

    Attributes
    ----------
    numbers : dict
        Floats, not all of them finite, and integers, by name.
    arrays : dict of ndarray
    """

    numbers: dict[str, Any] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        """Copy a dictionary of numbers and tensors: further epochs change these in place."""
        tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
        return cls(
            {name: value for name, value in state.items() if name not in tensors},
            {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()},
        )

    def as_dict(self) -> dict[str, Any]:
        """Return numbers and tensors by name."""
        return self.numbers | {name: torch.tensor(array) for name, array in self.arrays.items()}


def load_tensors(tensors: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Copy tensors of a state into their place, where a captured step reads them.

    Raises
    ------
    ValueError
        Where a tensor has another shape: the state is of another training.
    """
    for name, tensor in tensors.items():
        if state[name].shape != tensor.shape:
            came, expected = tuple(state[name].shape), tuple(tensor.shape)
            raise ValueError(f"{name} has shape {came}, expected {expected}.")
        tensor.detach().copy_(state[name])
