"""The sizes of a flow, and the flow built from them."""

import math
from dataclasses import dataclass

import torch
from numpy.typing import NDArray
from scipy.special import ndtri

from skflow.flow.bijection import Bijection, Chain
from skflow.flow.coupling import Coupling
from skflow.flow.marginals import Marginals
from skflow.flow.mixture import Mixture
from skflow.flow.model import Model
from skflow.flow.permutation import Permutation, alternating_orders


@dataclass(frozen=True)
class FlowRecipe:
    """Sizes of the coupling layers.

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
    """

    n_layers: int
    hidden_units: int
    n_bins: int
    dropout: float
    bound: float
    n_blocks: int = 1

    def build_couplings(self, n_columns: int, generator: torch.Generator) -> Chain:
        """Return permutations and coupling layers, the identity up to the orders."""
        if n_columns < 2:
            return Chain([])
        layers: list[Bijection] = []
        for order in alternating_orders(n_columns, self.n_layers, generator):
            coupling = Coupling(
                n_columns,
                n_bins=self.n_bins,
                bound=self.bound,
                hidden_units=self.hidden_units,
                n_blocks=self.n_blocks,
                dropout=self.dropout,
                generator=generator,
            )
            layers += [Permutation(order), coupling]
        if layers:
            layers.append(_restoring_permutation(layers, n_columns))
        return Chain(layers).double()


def model_state(model: Model) -> dict[str, NDArray]:
    """Return the model's numbers as arrays, by name."""
    return {name: tensor.cpu().numpy() for name, tensor in model.state_dict().items()}


def restore_model(recipe: FlowRecipe, state: dict[str, NDArray]) -> Model:
    """Build the model that :func:`model_state` was taken from."""
    varying = torch.tensor(state["varying"])
    n_columns = int(varying.sum())
    n_components = len(state["mixture.log_weights"])
    model = Model(
        varying,
        Marginals.blank(n_columns, len(state["marginals.x_knots"])),
        recipe.build_couplings(n_columns, torch.Generator()),
        Mixture.blank(n_columns, n_components, recipe.bound),
    )
    model.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    return model.eval()


def _restoring_permutation(layers: list[Bijection], n_columns: int) -> Permutation:
    """Return to the table's own order, in which the mixture was fitted."""
    order = torch.arange(n_columns)
    for layer in layers:
        if isinstance(layer, Permutation):
            order = order[layer.order]
    return Permutation(torch.argsort(order))


def choose_recipe(
    n_rows: int,
    n_columns: int,
    n_layers: int | str,
    hidden_units: int | str,
    n_bins: int,
    dropout: float | str,
) -> FlowRecipe:
    """Fill in what is "auto" from the size of the training rows."""
    return FlowRecipe(
        n_layers=_default_layers(n_rows) if isinstance(n_layers, str) else n_layers,
        hidden_units=_default_width(n_rows) if isinstance(hidden_units, str) else hidden_units,
        n_bins=n_bins,
        dropout=_default_dropout(n_rows) if isinstance(dropout, str) else dropout,
        bound=_spline_bound(n_rows),
    )


def _default_layers(n_rows: int) -> int:
    """None where so few rows could only mislead them, fewer where they are few."""
    return 0 if n_rows < 80 else 4 if n_rows < 2000 else 6


def _default_width(n_rows: int) -> int:
    """A power of 2 that grows as the square root of the rows."""
    return 2 ** int(min(max(round(math.log2(n_rows) / 2 + 0.5), 5), 8))


def _default_dropout(n_rows: int) -> float:
    """Fades as rows grow; large tables want none at all."""
    return 0.2 if n_rows < 2000 else 0.1 if n_rows < 5000 else 0.0


def _spline_bound(n_rows: int) -> float:
    """Half-width that holds all but the outermost of as many normal scores."""
    return float(min(max(-ndtri(0.5 / n_rows), 3.0), 5.0))
