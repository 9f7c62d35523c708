"""Sizes and arrays of a model of labels and values, checked as they are read."""

from typing import Any

import msgspec
import numpy as np

from skflow.archive.document import RecipeFields
from skflow.exceptions import ModelFileError
from skflow.flat_state import Arrays
from skflow.flow.model import Model
from skflow.flow.recipe import MISSING_EMBEDDING, ConditionSizes, FlowRecipe, restore_model
from skflow.rows import Layout

# A model works on numbers of the order of 1 to 1,000, but the slopes of a column of which only
# the last digits of its floats vary are as large as 1e16.
LARGEST = 1e18
MARGINALS = ("marginals", "given_marginals")
ASCENDING = tuple(f"{part}.{knots}" for part in MARGINALS for knots in ("x_knots", "y_knots"))
POSITIVE = tuple(
    f"{part}.{name}" for part in MARGINALS for name in ("derivatives", "lower_tail", "upper_tail")
)


def pack_recipe(recipe: FlowRecipe) -> dict[str, Any]:
    """Return the sizes of a model, but for those that follow from the columns."""
    return msgspec.to_builtins(msgspec.convert(recipe, RecipeFields, from_attributes=True))


def unpack_recipe(fields: RecipeFields, layout: Layout) -> FlowRecipe:
    """Return the recipe of a model for columns of this layout."""
    return FlowRecipe(
        **msgspec.structs.asdict(fields),
        n_labels=layout.n_labels,
        unseen=layout.unseen,
        value_labels=layout.value_labels,
        given=None if layout.given is None else ConditionSizes(*layout.given),
        joint_parents=layout.joint_parents,
    )


def unpack_model(recipe: FlowRecipe, arrays: Arrays, *, has_missing: bool) -> Model:
    """Return the model of these arrays, whose numbers are all in range."""
    if (MISSING_EMBEDDING in arrays) != has_missing:
        raise ModelFileError(f"{MISSING_EMBEDDING} is missing, or there without need.")
    for name, array in arrays.items():
        # Extremes instead of every magnitude: no memory is taken.
        if array.size and not -LARGEST <= array.min() <= array.max() <= LARGEST:
            raise ModelFileError(f"{name} holds what is not finite.")
    for name in ASCENDING:
        if name in arrays and not (np.diff(arrays[name], axis=0) > 0).all():
            raise ModelFileError(f"{name} must ascend.")
    for name in POSITIVE:
        if name in arrays and not (arrays[name] > 0).all():
            raise ModelFileError(f"{name} must be above 0.")
    try:
        return restore_model(recipe, arrays)
    except ValueError as error:
        raise ModelFileError(f"The arrays are not those of the model: {error}.") from error
