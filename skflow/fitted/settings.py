"""Settings of a fit, from the parameters of an estimator."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch

from skflow.clock import Clock
from skflow.flow.recipe import ConditionSizes, FlowRecipe, choose_recipe, unless_auto
from skflow.reporter import Reporter
from skflow.table.codec import TableCodec
from skflow.training.options import (
    TrainingOptions,
    choose_options,
    conditional_label_decay,
    fewer_epochs_without_a_gain,
)

# Parameters of the estimator that are sizes of the model, and options of its training.
OF_RECIPE = ("n_layers", "hidden_units", "n_bins", "dropout")
OF_TRAINING = (
    *("max_iter", "batch_size", "learning_rate", "weight_decay", "n_iter_no_change", "tol"),
)


@dataclass(frozen=True)
class FitSettings:
    """Everything that a fit depends on besides its rows.

    Attributes
    ----------
    recipe : FlowRecipe
        Sizes of the model.
    bounds : sequence of (low, high)
        Support of each column of values.
    value_names : sequence of str
        Names of these columns.
    n_components : int or None
        Gaussian components; None chooses them.
    options : TrainingOptions
    device : torch.device
        Where expectation maximization and training run.
    seed : int
    reporter : Reporter
    """

    recipe: FlowRecipe
    bounds: Sequence[tuple[float, float]]
    value_names: Sequence[str]
    n_components: int | None
    options: TrainingOptions
    device: torch.device
    seed: int = 0
    reporter: Reporter = field(default_factory=Reporter)

    @classmethod
    def choose(
        cls,
        estimator: Any,
        codec: TableCodec,
        mass: float,
        *,
        device: torch.device,
        seed: int,
        clock: Clock,
        reporter: Reporter,
    ) -> Self:
        """Fill in what is "auto" among the estimator's parameters, for rows of this mass."""
        layout, n_components, n_rows = codec.layout, estimator.n_components, max(1, round(mass))
        recipe = choose_recipe(
            n_rows,
            n_labels=layout.n_labels,
            unseen=layout.unseen,
            value_labels=layout.value_labels,
            **{name: getattr(estimator, name) for name in OF_RECIPE},
        )
        options = choose_options(
            n_rows, clock=clock, **{name: getattr(estimator, name) for name in OF_TRAINING}
        )
        if isinstance(estimator.n_iter_no_change, str):
            options = fewer_epochs_without_a_gain(options, len(layout.value_labels))
        recipe = replace(recipe, joint_parents=layout.joint_parents)
        if layout.given is not None:
            recipe = replace(recipe, given=ConditionSizes(*layout.given))
            decay = unless_auto(estimator.weight_decay, conditional_label_decay(n_rows))
            options = replace(options, label_weight_decay=decay)
        return cls(
            recipe=recipe,
            bounds=layout.bounds,
            value_names=codec.value_names,
            n_components=None if isinstance(n_components, str) else int(n_components),
            options=options,
            device=device,
            seed=seed,
            reporter=reporter,
        )
