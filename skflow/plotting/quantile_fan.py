"""QuantileFanDisplay: predicted quantiles of y along one column of X."""

from typing import Any, Self

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from skflow.plotting.style import BLUE, axes_or_new, regressor_of, shorten
from skflow.table.frames import column_values, repeat_row

N_PLACES = 50
BANDS = (0.05, 0.25, 0.5, 0.75, 0.95)
OUTER = (0.02, 0.98)  # quantiles of the column's values


class QuantileFanDisplay:
    """Quantiles of y along one column of X, the other columns of a row fixed: a fan chart.

    It answers "what if": the same row, one condition moved. The line is the median, bands lie
    between pairs of quantiles.

    It is drawn by :meth:`from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    places : ndarray of shape (n_places,)
        Values of the column.
    quantiles : ndarray of shape (n_places, n_quantiles)
        Predicted quantiles.
    levels : sequence of float
        Their probabilities, ascending.
    name : str
        Name of the column.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skflow import FlowDensity, FlowRegressor
    >>> from skflow.plotting import QuantileFanDisplay
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> density = FlowDensity(n_layers=0, n_components=1)
    >>> regressor = FlowRegressor(density, random_state=0).fit(X, y)
    >>> display = QuantileFanDisplay.from_estimator(regressor, X, "bmi", row=3)
    >>> display.quantiles.shape
    (50, 5)
    """

    ax_: Axes
    figure_: Any

    def __init__(
        self,
        places: NDArray[Any],
        quantiles: NDArray[Any],
        levels: ArrayLike = BANDS,
        name: str = "",
    ) -> None:
        self.places = places
        self.quantiles = quantiles
        self.levels = np.asarray(levels, dtype=np.float64)
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        regressor: Any,
        X: ArrayLike,
        feature: int | str,
        *,
        row: int = 0,
        places: ArrayLike | None = None,
        quantiles: ArrayLike = BANDS,
        ax: Axes | None = None,
    ) -> Self:
        """Predict copies of a row that differ in one column, and draw the quantiles.

        Parameters
        ----------
        regressor : FlowRegressor
            Fitted to one output.
        X : array-like of shape (n_samples, n_features)
        feature : int or str
            The column, by position or name.
        row : int, default=0
            Position of the row whose other columns are kept.
        places : array-like of shape (n_places,), default=None
            Values of the column; by default 50 between the outer fiftieths of those in X.
        quantiles : array-like of shape (n_quantiles,), default=(0.05, 0.25, 0.5, 0.75, 0.95)
            Probabilities, ascending.
        ax : matplotlib Axes, default=None
            Where to draw; None draws in a new figure.

        Returns
        -------
        display : QuantileFanDisplay
        """
        regressor_of(regressor)
        values = column_values(X, feature)
        if places is None:
            if values.dtype.kind not in "iufMm":
                raise ValueError(
                    f"feature must be a column of numbers, dates or durations; {feature!r} holds "
                    f"{values.dtype}. Name such a column, or the places= to compare."
                )
            present = values[values == values]  # NaN and NaT are not equal to themselves
            low, high = np.quantile(present, OUTER, method="nearest")
            steps = low + np.linspace(0, 1, N_PLACES) * (high - low)
            is_whole = values.dtype.kind in "iu"
            places = np.unique(np.round(steps).astype(values.dtype)) if is_whole else steps
        places = np.asarray(places)
        rows = repeat_row(X, row, feature, places)
        levels = np.sort(np.atleast_1d(np.asarray(quantiles, dtype=np.float64)))
        predicted = regressor.predict(rows, quantiles=levels)
        return cls(places, predicted, levels, str(feature)).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None draws in a new figure.

        Returns
        -------
        self : QuantileFanDisplay
        """
        ax = axes_or_new(ax)
        n_bands = len(self.levels) // 2
        for k in range(n_bands):
            low, high = self.quantiles[:, k], self.quantiles[:, -1 - k]
            label = f"{self.levels[k]:.3g} to {self.levels[-1 - k]:.3g}"
            shade = 0.2 + 0.35 * k / max(1, n_bands - 1)
            ax.fill_between(self.places, low, high, color=BLUE, alpha=shade, lw=0, label=label)
        if len(self.levels) % 2:
            middle = self.quantiles[:, n_bands]
            ax.plot(self.places, middle, color=BLUE, label=f"{self.levels[n_bands]:.3g}")
        ax.set(xlabel=shorten(self.name), ylabel="quantiles of y")
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self
