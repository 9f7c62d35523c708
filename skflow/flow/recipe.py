"""The sizes of a flow, and the flow built from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor

from skflow.flow.bijection import Chain
from skflow.flow.categorical import AutoregressiveCategorical, LabelStart, blank_start
from skflow.flow.conditional_flow import ConditionalFlow
from skflow.flow.context import LabelFeatures, Vocabulary
from skflow.flow.coupling import Coupling
from skflow.flow.marginals import Marginals
from skflow.flow.mixture import Mixture
from skflow.flow.model import Model
from skflow.flow.torch_state import usual_torch

Number = TypeVar("Number", int, float)

MOST_FEATURES = 64
LAYERS_OF_ONE_COLUMN = 2  # each of which bends it given its labels

# Names of arrays in the state of a model.
PARENTS = "labels.parents"
MARGINALS = "values.marginals.x_knots"
MIXTURE = "values.mixture.log_weights"


@dataclass(frozen=True)
class FlowRecipe:
    """Sizes of a model.

    Attributes
    ----------
    n_layers : int
        Coupling layers; 0 leaves the closed form alone.
    hidden_units, n_blocks : int
        Width and residual blocks of each conditioner.
    n_bins : int
        Bins of each spline.
    dropout : float
        Rate inside the residual blocks.
    bound : float
        The splines bend within ``[-bound, bound]``, and that is what conditioners
        and mixture read of a value farther out.
    n_labels : tuple of int
        Known labels of each labelled column.
    unseen : tuple of float
        Probability of a label never seen, of each.
    value_label : tuple of (int, int)
        Of each value, its labelled column and the label that says there is one.
    """

    n_layers: int
    hidden_units: int
    n_bins: int
    dropout: float
    bound: float
    n_blocks: int = 1
    n_labels: tuple[int, ...] = ()
    unseen: tuple[float, ...] = ()
    value_label: tuple[tuple[int, int], ...] = ()

    @property
    def n_entries(self) -> int:
        """Labels of all columns together, "never seen" of each among them."""
        return sum(self.n_labels) + len(self.n_labels)

    @property
    def n_couplings(self) -> int:
        """Coupling layers that find something to read."""
        n_columns = len(self.value_label)
        if n_columns == 0 or (n_columns == 1 and not self.n_labels):
            return 0
        return self.n_layers if n_columns > 1 else min(self.n_layers, LAYERS_OF_ONE_COLUMN)

    @property
    def n_features(self) -> int:
        """Features of the labels that conditioners read."""
        return min(self.hidden_units, MOST_FEATURES) if self.n_labels else 0

    def build(
        self,
        labels: LabelStart,
        marginals: Marginals,
        mixture: Mixture,
        generator: torch.Generator | None,
    ) -> Model:
        """Return a model whose trained parts are where the closed form left them.

        Without a generator their starting weights are left out, for a state to be loaded.
        """
        n_columns = len(self.value_label)
        model = Model(
            self._build_labels(labels, generator),
            ConditionalFlow(
                Vocabulary(self.n_labels),
                self._build_features(generator),
                marginals,
                self.build_couplings(generator),
                mixture,
            ),
            torch.tensor(self.value_label, dtype=torch.int64).view(n_columns, 2),
        )
        return model.double().eval()

    def _build_features(self, generator: torch.Generator | None) -> LabelFeatures | None:
        if not self.n_labels:
            return None
        return LabelFeatures(self.n_entries, self.n_features, self.dropout, generator)

    def _build_labels(
        self, start: LabelStart, generator: torch.Generator | None
    ) -> AutoregressiveCategorical:
        return AutoregressiveCategorical(
            self.n_labels,
            self.unseen,
            start,
            width=_label_width(len(self.n_labels)),
            dropout=self.dropout,
            generator=generator,
        )

    def build_couplings(self, generator: torch.Generator | None) -> Chain:
        """Return coupling layers that are the identity.

        They run through the columns by turns from first to last and from last to first:
        a table's own order is often that of causes and effects.
        """
        return Chain(
            Coupling(
                len(self.value_label),
                backwards=layer % 2 == 1,
                n_features=self.n_features,
                n_bins=self.n_bins,
                bound=self.bound,
                hidden_units=self.hidden_units,
                n_blocks=self.n_blocks,
                dropout=self.dropout,
                generator=generator,
            )
            for layer in range(self.n_couplings)
        ).double()


def model_state(model: Model) -> dict[str, NDArray]:
    """Return the model's numbers as arrays, by name."""
    return {name: tensor.cpu().numpy() for name, tensor in model.state_dict().items()}


@usual_torch()
def restore_model(recipe: FlowRecipe, state: Mapping[str, NDArray]) -> Model:
    """Build the model that :func:`model_state` was taken from.

    Raises
    ------
    ValueError
        Where the arrays are not those of such a model; no more memory is taken before
        than theirs.
    """
    # Building a model on the device "meta" takes no memory but for its modules: these must be
    # no more than the arrays say.
    if recipe.n_couplings * (1 + recipe.n_blocks) > len(state):
        raise ValueError(f"{len(state)} arrays are too few for its layers and blocks")
    with torch.device("meta"):
        expected = _build_blank(recipe, state).state_dict()
    if expected.keys() != state.keys():
        odd = sorted(expected.keys() ^ state.keys())
        raise ValueError(f"{odd[0]} is missing, or there without need")
    for name, built in expected.items():
        dtype = np.float64 if built.dtype.is_floating_point else np.int64
        if state[name].shape != tuple(built.shape) or state[name].dtype != dtype:
            raise ValueError(
                f"{name} must be {dtype.__name__} of shape {tuple(built.shape)}; it is "
                f"{state[name].dtype} of shape {state[name].shape}"
            )
    model = _build_blank(recipe, state)
    for name, built in model.state_dict().items():
        if not built.is_floating_point() and not np.array_equal(built.numpy(), state[name]):
            raise ValueError(f"{name} is not what it must be in a model of this size")
    tensors = {name: _adopt(array) for name, array in state.items()}
    model.load_state_dict(tensors, assign=True)
    return model.eval()


def _length(state: Mapping[str, NDArray], name: str) -> int:
    if name not in state or not state[name].ndim:
        raise ValueError(f"{name} is missing, or a single number")
    return len(state[name])


def _build_blank(recipe: FlowRecipe, state: Mapping[str, NDArray]) -> Model:
    """Build a model for the state to be assigned to; what was initialized takes no memory."""
    if _length(state, PARENTS) != len(recipe.n_labels):
        raise ValueError(f"{PARENTS} must be of shape {(len(recipe.n_labels),)}")
    parents = state[PARENTS].tolist()
    if any(not -1 <= parent < j for j, parent in enumerate(parents)):
        raise ValueError(f"{PARENTS} must be earlier columns, or -1")
    n_columns = len(recipe.value_label)
    n_knots, n_components = _length(state, MARGINALS), _length(state, MIXTURE)
    fills = "values.mixture.filling" in state
    with torch.device("meta"):
        labels = blank_start(recipe.n_labels, parents)
        marginals = Marginals.blank(n_columns, n_knots)
        mixture = Mixture.blank(
            n_columns, n_components, recipe.bound, recipe.n_entries, fills=fills
        )
    return recipe.build(labels, marginals, mixture, None)


def _adopt(array: NDArray) -> Tensor:
    """Return a tensor of the array's own memory; a copy where it is mapped read-only."""
    return torch.from_numpy(array) if array.flags.writeable else torch.tensor(array)


def choose_recipe(
    n_rows: int,
    *,
    n_labels: tuple[int, ...],
    unseen: tuple[float, ...],
    value_label: tuple[tuple[int, int], ...],
    n_layers: int | str,
    hidden_units: int | str,
    n_bins: int,
    dropout: float | str,
) -> FlowRecipe:
    """Fill in what is "auto" from the number of training rows."""
    return FlowRecipe(
        n_layers=unless_auto(n_layers, _default_layers(n_rows)),
        hidden_units=unless_auto(hidden_units, _default_width(n_rows)),
        n_bins=int(n_bins),
        dropout=unless_auto(dropout, _default_dropout(n_rows)),
        bound=_spline_bound(n_rows),
        n_labels=n_labels,
        unseen=unseen,
        value_label=value_label,
    )


def unless_auto(given: Number | str, default: Number) -> Number:
    """Return what was given, a plain number of the default's type; the default for "auto"."""
    return default if isinstance(given, str) else type(default)(given)


def _label_width(n_labelled: int) -> int:
    """Of the network of labels: its work grows with the columns times this."""
    return 64 if n_labelled <= 32 else 32 if n_labelled <= 128 else 16


def _default_layers(n_rows: int) -> int:
    """None where so few rows could only mislead them."""
    return 0 if n_rows < 80 else 3


def _default_width(n_rows: int) -> int:
    """The units are shared out among the groups of columns: few would leave each too few."""
    return 64 if n_rows < 600 else 128 if n_rows < 16_000 else 256


def _default_dropout(n_rows: int) -> float:
    """None for large tables."""
    return 0.1 if n_rows < 5000 else 0.0


def _spline_bound(n_rows: int) -> float:
    """Half-width that holds all but the outermost of as many normal scores."""
    return float(min(max(-ndtri(0.5 / n_rows), 3.0), 5.0))
