"""Colours, axes and names shared by all displays."""

from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from sklearn.utils.validation import check_is_fitted

from skflow.estimators.regressor import FlowRegressor

# Distinguishable for colour-blind readers: M. Okabe and K. Ito, "Color Universal Design", 2008.
BLACK, ORANGE, GREEN = "#000000", "#E69F00", "#009E73"
BLUE, VERMILLION = "#0072B2", "#D55E00"

LONGEST_NAME = 28  # letters of the name of a column or a value


def axes_or_new(ax: Axes | None, width: float = 6.4, height: float = 4.4) -> Axes:
    """Return the axes to draw in: ``ax`` if given, else axes of a new figure."""
    return plt.subplots(figsize=(width, height), layout="constrained")[1] if ax is None else ax


def shorten(text: str, longest: int = LONGEST_NAME) -> str:
    """Return a name for matplotlib: one line, at most ``longest`` letters, no formula."""
    line = " ".join(text.split())
    if len(line) > longest:  # the end is kept: similar names often differ there
        tail = (longest - 1) // 3
        line = line[: longest - 1 - tail].rstrip() + "…" + line[len(line) - tail :].lstrip()
    return line.replace("$", r"\$")


def regressor_of(estimator: Any) -> FlowRegressor:
    """Return a fitted regressor of one output.

    Raises
    ------
    NotFittedError
    TypeError
        If it is not a FlowRegressor.
    ValueError
        If it has several outputs.
    """
    check_is_fitted(estimator)
    if not isinstance(estimator, FlowRegressor):
        raise TypeError(
            f"Expected a FlowRegressor; got {type(estimator).__name__}. Pass the fitted regressor "
            "itself."
        )
    if len(estimator._dtypes) > 1:
        raise ValueError(
            f"Expected one output; the regressor has {len(estimator._dtypes)}. Fit a regressor "
            "for each."
        )
    return estimator
