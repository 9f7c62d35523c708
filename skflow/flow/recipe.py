"""The sizes of a flow, and the flow built from them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import nn

from skflow.flow.categorical import AutoregressiveCategorical
from skflow.flow.conditional_flow import ConditionalFlow
from skflow.flow.context import ContextEncoder
from skflow.flow.coupling import Coupling
from skflow.flow.effects import ConditionEffects, ConditionLogits, ConditionStart, LabelEffects
from skflow.flow.label_start import (
    JOINT,
    JointParents,
    LabelStart,
    blank_start,
    rows_of_table,
)
from skflow.flow.marginals import Marginals
from skflow.flow.mixture import Mixture
from skflow.flow.model import Model
from skflow.flow.rational_quadratic import n_parameters
from skflow.rows import LevelValues
from skflow.torch_state import usual_torch

Number = TypeVar("Number", int, float)

WIDE = 64  # columns of values from which a table is wide
ROWS_PER_COLUMN = 4  # fewer rows of a wide table could only mislead layers
MOST_FEATURES = 64
LAYERS_OF_ONE_COLUMN = 2  # each transforms it given its labels and condition

# Names of arrays in the state of a model.
PARENTS = "labels.parents"
GROUPS = "labels.bias"
MARGINALS = "marginals.x_knots"
GIVEN_MARGINALS = "given_marginals.x_knots"
MIXTURE = "flow.mixture.log_weights"
REGRESSIONS = "flow.mixture.coefficients"
MISSING_EMBEDDING = "flow.mixture.missing_embedding"


@dataclass(frozen=True)
class ConditionSizes:
    """Sizes of a condition.

    Attributes
    ----------
    n_labels : tuple of int
        Number of known labels of each labelled column.
    n_values : int
        Number of columns of values.
    levels : tuple of LevelValues
        Levels of the columns that are labels and values.
    """

    n_labels: tuple[int, ...] = ()
    n_values: int = 0
    levels: tuple[LevelValues, ...] = ()


@dataclass(frozen=True)
class FlowRecipe:
    """Sizes of a model.

    Attributes
    ----------
    n_layers : int
        Number of coupling layers; 0 leaves the Gaussian mixture copula.
    hidden_units, n_blocks : int
        Width and number of residual blocks of each conditioner.
    n_bins : int
        Number of bins of each spline.
    dropout : float
        Rate inside the residual blocks.
    bound : float
        Splines are the identity outside ``[-bound, bound]``; conditioners and mixture
        clamp their inputs to it.
    n_labels : tuple of int
        Number of known labels of each labelled column.
    unseen : tuple of float
        Probability of the novel label of each labelled column.
    value_labels : tuple of (int, int, int)
        The labelled column of each value, and the first and the end of the labels there that say
        "a value"; -1 for a column of values alone, without labels.
    given : ConditionSizes, optional
        Sizes of the conditions; None for a model without conditions.
    joint_parents : tuple
        Joint parents that labelled columns may have; see :class:`LabelStart`.
    """

    n_layers: int
    hidden_units: int
    n_bins: int
    dropout: float
    bound: float
    n_blocks: int = 1
    n_labels: tuple[int, ...] = ()
    unseen: tuple[float, ...] = ()
    value_labels: tuple[tuple[int, int, int], ...] = ()
    given: ConditionSizes | None = None
    joint_parents: JointParents = ()

    @property
    def n_entries(self) -> int:
        """Number of labels that values depend on, the novel label of each column included."""
        return sum(self.n_context_labels) + len(self.n_context_labels)

    @property
    def n_context_labels(self) -> tuple[int, ...]:
        """Numbers of known labels that values depend on: of the row, then of its condition."""
        if self.given is None or not self.value_labels:
            return self.n_labels
        return self.n_labels + self.given.n_labels

    @property
    def n_given(self) -> int:
        """Number of columns of the condition that lead the mixture; none without others."""
        return self.given.n_values if self.given is not None and self.value_labels else 0

    @property
    def n_couplings(self) -> int:
        """Number of coupling layers whose conditioner has inputs."""
        n_columns = len(self.value_labels)
        if n_columns == 0 or (n_columns == 1 and not self.n_labels and self.given is None):
            return 0
        return self.n_layers if n_columns > 1 else min(self.n_layers, LAYERS_OF_ONE_COLUMN)

    @property
    def n_features(self) -> int:
        """Number of features that conditioners take of the context: of labels, of conditions."""
        n_encoders = bool(self.n_labels) + (self.given is not None)
        return n_encoders * min(self.hidden_units, MOST_FEATURES)

    def build(
        self,
        labels: LabelStart,
        marginals: Marginals,
        mixture: Mixture,
        generator: torch.Generator | None,
        given_marginals: Marginals | None = None,
    ) -> Model:
        """Return a model with the density of the initialization: its networks have no effect yet.

        Parameters
        ----------
        labels : LabelStart
        marginals : Marginals
        mixture : Mixture
            It becomes a part of the model, with effects of the condition where there is one.
        generator : torch.Generator or None
            Source of the starting weights; without one they take no memory, for a state to
            be loaded.
        given_marginals : Marginals, optional
            Marginals of the condition's values, where there are conditions.
        """
        n_features, given_logits = min(self.hidden_units, MOST_FEATURES), None
        # The work of the network of labels grows with its groups times its width.
        width = 64 if labels.n_groups <= 32 else 32 if labels.n_groups <= 128 else 16
        if self.given is not None and self.n_labels:
            n_labels, n_values = self.given.n_labels, self.given.n_values
            start = labels.given or ConditionStart.none(sum(self.n_labels), n_labels, n_values)
            given_logits = ConditionLogits(start, n_labels, self.bound)
        label_model = AutoregressiveCategorical(
            self.n_labels,
            self.unseen,
            labels,
            width=width,
            dropout=self.dropout,
            generator=generator,
            given_encoder=(self._build_given_encoder(width, generator) if self.n_labels else None),
            given_logits=given_logits,
        )
        label_encoder = given_encoder = None
        if self.n_labels:
            label_encoder = self._build_encoder(self.n_labels, 0, n_features, generator)
        couplings = self.build_couplings(generator)
        if self.value_labels:
            given_encoder = self._build_given_encoder(n_features, generator)
        if given_encoder is not None:
            n_components, n_columns = len(mixture.log_weights), len(self.value_labels)
            effects = ConditionEffects(n_features, n_components, n_columns, mixture.n_given)
            mixture.effects.append(effects)
        model = Model(
            label_model,
            ConditionalFlow(couplings, mixture, label_encoder, given_encoder),
            marginals,
            torch.tensor(self.value_labels, dtype=torch.int64).view(len(self.value_labels), 3),
            given_marginals,
            () if self.given is None else self.given.levels,
        )
        return model.double().eval()

    def _build_encoder(
        self,
        n_labels: tuple[int, ...],
        n_values: int,
        n_features: int,
        generator: torch.Generator | None,
    ) -> ContextEncoder:
        return ContextEncoder(
            n_labels,
            n_values,
            n_features,
            dropout=self.dropout,
            bound=self.bound,
            generator=generator,
        )

    def _build_given_encoder(
        self, n_features: int, generator: torch.Generator | None
    ) -> ContextEncoder | None:
        if self.given is None:
            return None
        return self._build_encoder(self.given.n_labels, self.given.n_values, n_features, generator)

    def build_couplings(self, generator: torch.Generator | None) -> list[Coupling]:
        """Return coupling layers that are the identity.

        Their order of columns alternates, from first to last and from last to first: a
        table's own order is often that of causes and effects.
        """
        return [
            Coupling(
                len(self.value_labels),
                backwards=layer % 2 == 1,
                n_features=self.n_features,
                n_bins=self.n_bins,
                bound=self.bound,
                hidden_units=self.hidden_units,
                n_blocks=self.n_blocks,
                dropout=self.dropout,
                generator=generator,
            ).double()
            for layer in range(self.n_couplings)
        ]


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
    # Weights take no memory before they are loaded, but masks of the same sizes do: layers and
    # widths must be borne out by the arrays before any mask is made.
    n_layers = recipe.n_couplings * (1 + recipe.n_blocks)
    n_outputs = len(recipe.value_labels) * n_parameters(recipe.n_bins)
    widest = recipe.hidden_units * max(recipe.hidden_units * bool(recipe.n_blocks), n_outputs)
    n_entries = sum(array.size for array in state.values())
    if n_layers and (n_layers > len(state) or widest > n_entries):
        raise ValueError("its layers are more or wider than its arrays")
    model = _build_blank(recipe, state)
    expected = model.state_dict()
    if expected.keys() != state.keys():
        odd = sorted(expected.keys() ^ state.keys())
        raise ValueError(f"{odd[0]} is missing, or there without need")
    for name, built in expected.items():
        dtype = np.float64 if built.dtype.is_floating_point else np.int64
        if state[name].shape != tuple(built.shape):
            raise ValueError(
                f"{name} must be of shape {tuple(built.shape)}; it is {state[name].shape}"
            )
        if state[name].dtype != dtype:
            raise ValueError(f"{name} must be {dtype.__name__}; it is {state[name].dtype}")
        if dtype == np.int64 and not np.array_equal(built.numpy(), state[name]):
            raise ValueError(f"{name} is not what it must be in a model of this size")
    # In the memory of the arrays, but for those that are mapped read-only.
    tensors = {
        name: torch.from_numpy(array) if array.flags.writeable else torch.tensor(array)
        for name, array in state.items()
    }
    model.load_state_dict(tensors, assign=True)
    return model.eval()


def _build_blank(recipe: FlowRecipe, state: Mapping[str, NDArray]) -> Model:
    """Build a model for the state to be assigned to; what is loaded takes no memory."""
    for name in (PARENTS, GROUPS, MARGINALS, MIXTURE, REGRESSIONS):
        if name not in state or not state[name].ndim:
            raise ValueError(f"{name} is missing, or a single number")
    if state[PARENTS].shape != (len(recipe.n_labels),):
        raise ValueError(f"{PARENTS} must hold {len(recipe.n_labels)} columns")
    parents = state[PARENTS].tolist()
    if any(not JOINT <= parent < j for j, parent in enumerate(parents)):
        raise ValueError(f"{PARENTS} must be earlier columns, -1 or {JOINT}")
    joint = recipe.joint_parents or ((),) * len(parents)
    if any(parent == JOINT and not own for parent, own in zip(parents, joint, strict=True)):
        raise ValueError(f"{PARENTS} must not be {JOINT} where there is no joint parent")
    n_rows = [rows_of_table(recipe.n_labels, parent) for parent in parents]
    n_probabilities = sum(n * m for n, m in zip(n_rows, recipe.n_labels, strict=True))
    if n_probabilities > sum(array.size for array in state.values()):
        raise ValueError("its tables of labels are larger than its arrays")
    n_groups = len(state[GROUPS])
    if n_groups > len(parents) or (parents and not n_groups):
        raise ValueError(f"{GROUPS} must hold 1 to {len(parents)} groups of columns")
    labels = blank_start(recipe.n_labels, parents, n_groups, recipe.joint_parents)
    n_columns, given_marginals = len(recipe.value_labels), None
    n_given = 0 if recipe.given is None else recipe.given.n_values
    of_given = state.get(GIVEN_MARGINALS, np.empty((0, n_given)))
    if of_given.shape[1:2] != (n_given,):
        raise ValueError(f"{GIVEN_MARGINALS} must hold {n_given} columns")
    with torch.device("meta"):
        marginals = Marginals.blank(n_columns, len(state[MARGINALS]))
        if recipe.given is not None:
            given_marginals = Marginals.blank(n_given, len(of_given))
            start = ConditionStart.none(sum(recipe.n_labels), recipe.given.n_labels, n_given)
            labels = labels._replace(given=start)
        n_components, n_columns = len(state[MIXTURE]), n_columns + recipe.n_given
        effects = []
        if recipe.n_entries:
            table = torch.zeros(recipe.n_entries, n_components + n_columns, dtype=torch.float64)
            effects = [LabelEffects(table)]
        mixture = Mixture(
            n_components,
            n_columns,
            recipe.bound,
            effects,
            has_missing=MISSING_EMBEDDING in state,
            n_given=recipe.n_given,
            is_elliptical=len(state[REGRESSIONS]) == 1,
        )
    return recipe.build(labels, marginals, mixture, None, given_marginals)


def choose_recipe(
    n_rows: int,
    *,
    n_labels: tuple[int, ...],
    unseen: tuple[float, ...],
    value_labels: tuple[tuple[int, int, int], ...],
    n_layers: int | str,
    hidden_units: int | str,
    n_bins: int,
    dropout: float | str,
) -> FlowRecipe:
    """Fill in what is "auto" from the number of training rows, and of columns of values."""
    n_columns = len(value_labels)
    # So few rows could only mislead layers.
    is_short = n_columns > WIDE and n_rows < ROWS_PER_COLUMN * n_columns
    layers = 0 if n_rows < 80 or is_short else 3
    # Groups of columns share the units: fewer would leave too few for each.
    units = 64 if n_rows < 600 else 128 if n_rows < 16_000 else 256
    # All but the outermost of as many normal draws lie within.
    bound = float(min(max(-ndtri(0.5 / n_rows), 3.0), 5.0))
    return FlowRecipe(
        n_layers=unless_auto(n_layers, layers),
        hidden_units=unless_auto(hidden_units, units),
        n_bins=int(n_bins),
        dropout=unless_auto(dropout, 0.1 if n_rows < 5000 else 0.0),
        bound=bound,
        n_labels=n_labels,
        unseen=unseen,
        value_labels=value_labels,
    )


def without_idle_layers(recipe: FlowRecipe, model: Model) -> tuple[FlowRecipe, Model]:
    """Drop coupling layers that training has left at the identity; the density stays the same."""
    for name, parameter in model.flow.couplings.named_parameters():
        if ".output_layer." in name and bool(parameter.any()):
            return recipe, model
    model.flow.couplings = nn.ModuleList()
    return replace(recipe, n_layers=0), model


def unless_auto(given: Number | str, default: Number) -> Number:
    """Return what was given, a plain number of the default's type; the default for "auto"."""
    return default if isinstance(given, str) else type(default)(given)
