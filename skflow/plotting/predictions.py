"""PredictiveDensityDisplay: the predicted density of one row, with interval and truth."""

from typing import Any, Self

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from skflow.plotting.style import BLACK, BLUE, ORANGE, VERMILLION, axes_or_new, regressor_of

N_PLACES = 400
OUTERMOST = 0.002  # probability beyond each end of the axis


class PredictiveDensityDisplay:
    """Predicted density of y in one row, with an interval and the true y.

    Levels and atoms of y are bars as high as their probabilities, on an axis of their own where
    there are densities as well.

    It is drawn by :meth:`from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    places : ndarray of shape (n_places,)
        Values of y, ascending.
    density : ndarray of shape (n_places,)
        Density at these, per unit of y.
    levels : ndarray of shape (n_levels,)
        Values of y that have probabilities.
    probabilities : ndarray of shape (n_levels,)
    interval : pair of y
        Ends of the interval.
    coverage : float
        Probability that the interval is meant to hold.
    mean : y
    truth : y, default=None

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    QuantileFanDisplay : Quantiles along one condition.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skflow import FlowDensity, FlowRegressor
    >>> from skflow.plotting import PredictiveDensityDisplay
    >>> X, y = load_diabetes(return_X_y=True)
    >>> density = FlowDensity(n_layers=0, n_components=1)
    >>> regressor = FlowRegressor(density, random_state=0).fit(X, y)
    >>> display = PredictiveDensityDisplay.from_estimator(regressor, X, row=3, y=y)
    >>> bool(display.truth == y[3])
    True
    """

    ax_: Axes
    figure_: Any

    def __init__(
        self,
        places: NDArray[Any],
        density: NDArray[np.float64],
        levels: NDArray[Any],
        probabilities: NDArray[np.float64],
        interval: tuple[Any, Any],
        *,
        coverage: float,
        mean: Any,
        truth: Any = None,
    ) -> None:
        self.places = places
        self.density = density
        self.levels = levels
        self.probabilities = probabilities
        self.interval = interval
        self.coverage = coverage
        self.mean = mean
        self.truth = truth

    @classmethod
    def from_estimator(
        cls,
        regressor: Any,
        X: ArrayLike,
        *,
        row: int = 0,
        y: ArrayLike | None = None,
        coverage: float = 0.9,
        ax: Axes | None = None,
    ) -> Self:
        """Predict one row and draw its density.

        Parameters
        ----------
        regressor : FlowRegressor
            Fitted to one output.
        X : array-like of shape (n_samples, n_features)
        row : int, default=0
            Position of the row.
        y : array-like of shape (n_samples,), default=None
            True values, of which that of the row is marked.
        coverage : float, default=0.9
            Of the calibrated interval.
        ax : matplotlib Axes, default=None
            Where to draw; None draws in a new figure.

        Returns
        -------
        display : PredictiveDensityDisplay
        """
        regressor_of(regressor)
        predicted = regressor.predict_dist(X)[[row]]
        ends = predicted.ppf([OUTERMOST, 1 - OUTERMOST])[0]
        places = ends[0] + np.linspace(0, 1, N_PLACES) * (ends[1] - ends[0])
        if places.dtype.kind == "f" and ends.dtype.kind in "iu":
            places = np.unique(np.round(places)).astype(ends.dtype)
        levels, probabilities = predicted.levels_, predicted.probabilities_[0]
        density = predicted.pdf(places[None])[0]
        density = np.where(np.isin(places, levels), np.nan, density)
        interval = regressor.predict_interval(X, coverage)[row]
        truth = None if y is None else np.asarray(y).ravel()[row]
        if probabilities.sum() > 1 - 1e-9:
            places, density = places[:0], density[:0]
        display = cls(
            places,
            density,
            levels,
            probabilities,
            (interval[0], interval[1]),
            coverage=coverage,
            mean=predicted.mean()[0],
            truth=truth,
        )
        return display.plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None draws in a new figure.

        Returns
        -------
        self : PredictiveDensityDisplay
        """
        ax = axes_or_new(ax)
        low, high = self.interval
        label = f"{self.coverage:.0%} interval"
        ax.axvspan(low, high, color=ORANGE, alpha=0.25, lw=0, label=label)
        of_levels = ax
        if len(self.places):
            ax.plot(self.places, self.density, color=BLUE, label="density")
            if len(self.levels):
                of_levels = ax.twinx()
        if len(self.levels):
            color = BLUE if of_levels is ax else BLACK
            ends = np.zeros(len(self.levels)), self.probabilities
            of_levels.vlines(self.levels, *ends, lw=4, color=color, label="probability")
            of_levels.set(ylabel="probability", ylim=(0, 1.05 * self.probabilities.max()))
        ax.axvline(self.mean, color=BLACK, ls=":", label="mean")
        if self.truth is not None:
            ax.axvline(self.truth, color=VERMILLION, ls="--", label="truth")
        if len(self.places):
            ax.set(ylabel="density per unit of y")
            ax.set_ylim(bottom=0)
        ax.set(xlabel="y")
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self
