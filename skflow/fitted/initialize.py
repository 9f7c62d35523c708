"""The initialization of a model from one pass over its rows."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skflow.dequantization import dequantize, fork
from skflow.fitted.settings import FitSettings
from skflow.flow.model import Model
from skflow.flow.recipe import FlowRecipe
from skflow.initialization.condition_logits import fit_condition_logits
from skflow.initialization.degenerate import TriangularFactor, warn_if_degenerate
from skflow.initialization.label_tree import fit_label_tree
from skflow.initialization.search import EM_ROWS, InitialConfig, SearchContext, fit_initial
from skflow.rows import RowSource, concatenate, encoded_blocks
from skflow.training.resident import empty_labels

# Rows and cells that the initialization is fitted to: more would move its few numbers by less
# than training does.
SAMPLE_ROWS = 40_000
SAMPLE_CELLS = 1_000_000


def initialize(
    rows: RowSource,
    held_out: RowSource | None,
    settings: FitSettings,
    generator: torch.Generator,
    config: InitialConfig | None = None,
) -> tuple[Model, InitialConfig | None]:
    """Return a model whose trained parts have no effect yet, and the choice of its marginals.

    Rows are encoded once: one pass keeps a sample of them, all labels in as few bytes as hold
    them, and the triangular factor that shows degenerate columns. The model is in float64 on the
    CPU. A ``config`` that was chosen before is fitted as it is, without a warning.
    """
    recipe = settings.recipe
    labels = empty_labels(recipe.n_labels, len(rows))
    n_given = 0 if recipe.given is None else recipe.given.n_values
    n_values = n_given + len(recipe.value_labels)
    factor = TriangularFactor(n_values)
    chosen = _choose_sample(len(rows), recipe, generator)
    parts, weights = [], []
    for block, encoded in encoded_blocks(rows, n_values + len(labels)):
        first, last = np.searchsorted(chosen, (block.start, block.stop))
        parts.append(encoded.take(chosen[first:last] - block.start))
        labels[:, block] = torch.from_numpy(encoded.labels.T)
        weights.append(encoded.weight)
        if config is None:
            given = [] if encoded.given is None else [encoded.given.values]
            factor.add(np.concatenate([*given, encoded.values], axis=1))
    warn_if_degenerate(factor, settings.value_names, n_given)
    sample = dequantize(concatenate(parts), rows.quantized_columns, fork(generator))
    fresh = None
    if held_out is not None:
        fresh = held_out.take(_choose_sample(len(held_out), recipe, generator))
        fresh = dequantize(fresh, held_out.quantized_columns, fork(generator))
    context = SearchContext(
        settings.bounds,
        recipe.n_context_labels,
        recipe.bound,
        settings.options.clock,
        settings.device,
        [] if recipe.given is None else [levels.value for levels in recipe.given.levels],
        recipe.n_layers > 0,
        settings.reporter,
    )
    initial = fit_initial(sample, fresh, settings.n_components, context, generator, config)
    tree = fit_label_tree(labels, recipe.n_labels, _join_weights(weights), recipe.joint_parents)
    marginals = initial.marginals
    if recipe.given is not None and recipe.n_labels:
        sizes = recipe.given.n_labels
        start = fit_condition_logits(
            sample, marginals, tree, sizes, recipe.bound, settings.options.clock
        )
        tree = tree._replace(given=start)
    model = recipe.build(tree, marginals.own, initial.mixture, generator, marginals.given)
    return model, initial.candidate


def _choose_sample(
    n_rows: int, recipe: FlowRecipe, generator: torch.Generator
) -> NDArray[np.int64]:
    """Return indices of rows in ascending order: all where they are few."""
    by_cells = SAMPLE_CELLS // max(1, recipe.n_given + len(recipe.value_labels))
    most = min(SAMPLE_ROWS, max(EM_ROWS, by_cells))
    if n_rows <= most:
        return np.arange(n_rows)
    chosen = torch.randperm(n_rows, generator=generator)[:most].sort().values
    return chosen.numpy()


def _join_weights(weights: Sequence[NDArray[np.float64] | None]) -> Tensor | None:
    given = [weight for weight in weights if weight is not None]
    return torch.tensor(np.concatenate(given)) if given else None
