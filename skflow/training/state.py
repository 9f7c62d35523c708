"""Where a training stands between two epochs: all that the next epochs depend on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from skflow.training.objective import Objective

Arrays = dict[str, NDArray[Any]]


@dataclass
class TrainingState:
    """Numbers and arrays that say where a training stands.

    Attributes
    ----------
    numbers : dict
        Floats, not all of them finite, and integers, by name.
    arrays : dict of ndarray
    """

    numbers: dict[str, Any] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)


def capture(terms: Sequence[Objective], generator: torch.Generator) -> TrainingState:
    """Return where the training of these terms stands."""
    standing = TrainingState(arrays={"generator": generator.get_state().cpu().numpy().copy()})
    for i, term in enumerate(terms):
        standing.numbers |= {f"{i}.{name}": getattr(term, name) for name in OF_TERM}
        standing.numbers |= {f"{i}.best.{name}": getattr(term.best, name) for name in OF_BEST}
        standing.numbers[f"{i}.n_steps"] = term.descent.average.n_steps
        # Copied: further epochs change the tensors in place.
        standing.arrays |= {
            f"{i}.{name}": tensor.detach().cpu().numpy().copy() for name, tensor in _tensors(term)
        }
    return standing


def restore(
    standing: TrainingState, terms: Sequence[Objective], generator: torch.Generator
) -> None:
    """Put terms that were begun, and their generator, where a training stood.

    Raises
    ------
    ValueError
        Where it was another training.
    """
    for i, term in enumerate(terms):
        for name in OF_TERM:
            setattr(term, name, standing.numbers[f"{i}.{name}"])
        for name in OF_BEST:
            setattr(term.best, name, standing.numbers[f"{i}.best.{name}"])
        term.descent.average.n_steps = standing.numbers[f"{i}.n_steps"]
        for name, tensor in _tensors(term):
            array = standing.arrays[f"{i}.{name}"]
            if array.shape != tensor.shape:
                raise ValueError(f"{name} is of shape {array.shape}, not {tuple(tensor.shape)}")
            # Into its place: a captured step reads there.
            tensor.detach().copy_(torch.tensor(array))
    generator.set_state(torch.tensor(standing.arrays["generator"]))


OF_TERM = ("peak", "roll_backs", "train_score")
OF_BEST = ("score", "reference", "n_iter_no_change", "n_iter", "best_iter")


def _tensors(term: Objective) -> Iterator[tuple[str, Tensor]]:
    """All tensors that epochs change, where they lie, by name."""
    for name, parameter in term.module.named_parameters():
        yield f"weights.{name}", parameter
        yield f"best.{name}", term.best.state[name]
    for i, average in enumerate(term.descent.average.average):
        yield f"average.{i}", average
    for g, group in enumerate(term.descent.optimizer.groups):
        for name in ("means", "squares", "steps"):
            for i, tensor in enumerate(getattr(group, name)):
                yield f"{name}.{g}.{i}", tensor
