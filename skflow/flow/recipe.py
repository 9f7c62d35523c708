"""The sizes of a flow, and the flow built from them."""

from dataclasses import dataclass

import torch
from numpy.typing import NDArray
from scipy.special import ndtri

from skflow.flow.bijection import Chain
from skflow.flow.context import LabelFeatures, Vocabulary
from skflow.flow.coupling import Coupling
from skflow.flow.labels import Labels, LabelStart, blank_start
from skflow.flow.marginals import Marginals
from skflow.flow.mixture import Mixture
from skflow.flow.model import Model
from skflow.flow.values import Values

MOST_FEATURES = 64
LAYERS_OF_ONE_COLUMN = 2  # each of which bends it given its labels


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
    def n_features(self) -> int:
        """Features of the labels that conditioners read."""
        return min(self.hidden_units, MOST_FEATURES) if self.n_labels else 0

    def build(
        self,
        labels: LabelStart,
        marginals: Marginals,
        mixture: Mixture,
        generator: torch.Generator,
    ) -> Model:
        """Return a model whose trained parts are where the closed form left them."""
        n_columns = len(self.value_label)
        model = Model(
            self._build_labels(labels, generator),
            Values(
                Vocabulary(self.n_labels),
                self._build_features(generator),
                marginals,
                self.build_couplings(n_columns, generator),
                mixture,
            ),
            torch.tensor(self.value_label, dtype=torch.int64).view(n_columns, 2),
        )
        return model.double().eval()

    def _build_features(self, generator: torch.Generator) -> LabelFeatures | None:
        if not self.n_labels:
            return None
        return LabelFeatures(self.n_entries, self.n_features, self.dropout, generator)

    def _build_labels(self, start: LabelStart, generator: torch.Generator) -> Labels:
        return Labels(
            self.n_labels,
            self.unseen,
            start,
            width=_label_width(len(self.n_labels)),
            dropout=self.dropout,
            generator=generator,
        )

    def build_couplings(self, n_columns: int, generator: torch.Generator) -> Chain:
        """Return coupling layers that are the identity.

        They run through the columns by turns from first to last and from last to first:
        a table's own order is often that of causes and effects.
        """
        n_layers = self.n_layers if n_columns > 1 else min(self.n_layers, LAYERS_OF_ONE_COLUMN)
        if n_columns == 0 or (n_columns == 1 and not self.n_labels):
            return Chain([])  # nothing to read
        return Chain(
            Coupling(
                n_columns,
                backwards=layer % 2 == 1,
                n_features=self.n_features,
                n_bins=self.n_bins,
                bound=self.bound,
                hidden_units=self.hidden_units,
                n_blocks=self.n_blocks,
                dropout=self.dropout,
                generator=generator,
            )
            for layer in range(n_layers)
        ).double()


def model_state(model: Model) -> dict[str, NDArray]:
    """Return the model's numbers as arrays, by name."""
    return {name: tensor.cpu().numpy() for name, tensor in model.state_dict().items()}


def restore_model(recipe: FlowRecipe, state: dict[str, NDArray]) -> Model:
    """Build the model that :func:`model_state` was taken from."""
    n_columns, n_components = len(recipe.value_label), len(state["values.mixture.log_weights"])
    model = recipe.build(
        blank_start(recipe.n_labels, state["labels.parents"].tolist()),
        Marginals.blank(n_columns, len(state["values.marginals.x_knots"])),
        Mixture.blank(
            n_columns,
            n_components,
            recipe.bound,
            recipe.n_entries,
            fills="values.mixture.filling" in state,
        ),
        torch.Generator(),
    )
    model.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    return model.eval()


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
        n_layers=_default_layers(n_rows) if isinstance(n_layers, str) else n_layers,
        hidden_units=_default_width(n_rows) if isinstance(hidden_units, str) else hidden_units,
        n_bins=n_bins,
        dropout=_default_dropout(n_rows) if isinstance(dropout, str) else dropout,
        bound=_spline_bound(n_rows),
        n_labels=n_labels,
        unseen=unseen,
        value_label=value_label,
    )


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
