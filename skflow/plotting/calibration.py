"""PITDisplay: whether predicted distributions have the right spread."""

from typing import Any, Self

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike
from scipy.stats import binom

from skflow.plotting.style import BLACK, BLUE, axes_or_new, regressor_of

BAND = 0.99  # share of uniform samples


class PITDisplay:
    r"""Histogram of the probability integral transform, flat if predictions are calibrated.

    :math:`U_i = F(y_i \mid x_i)` of fresh rows are uniform if the distributions are right. Bars
    high at both ends: the distributions are too narrow; high in the middle: too wide; rising or
    falling: predictions are too low, or too high. The shaded band holds 99 % of the bars of
    uniform samples.

    It is drawn by :meth:`from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    pit : array-like of shape (n_samples,)
        Values of the predicted distribution functions.
    n_bins : int, default=10

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    skflow.metrics.coverage_error : The mean deviation of the bars.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skflow import FlowDensity, FlowRegressor
    >>> from skflow.plotting import PITDisplay
    >>> X, y = load_diabetes(return_X_y=True)
    >>> density = FlowDensity(n_layers=0, n_components=1)
    >>> regressor = FlowRegressor(density, random_state=0).fit(X[:300], y[:300])
    >>> display = PITDisplay.from_estimator(regressor, X[300:], y[300:])
    >>> display.pit.shape
    (142,)
    """

    ax_: Axes
    figure_: Any

    def __init__(self, pit: ArrayLike, *, n_bins: int = 10) -> None:
        self.pit = np.asarray(pit, dtype=np.float64)
        self.n_bins = n_bins

    @classmethod
    def from_estimator(
        cls,
        regressor: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        n_bins: int = 10,
        random_state: int | np.random.RandomState | None = 0,
        ax: Axes | None = None,
    ) -> Self:
        """Predict rows and draw the histogram.

        Parameters
        ----------
        regressor : FlowRegressor
            Fitted to one output.
        X : array-like of shape (n_samples, n_features)
            Preferably rows that were not fitted.
        y : array-like of shape (n_samples,)
        n_bins : int, default=10
        random_state : int, RandomState instance or None, default=0
            Seed of the draws where a distribution function jumps.
        ax : matplotlib Axes, default=None
            Where to draw; None draws in a new figure.

        Returns
        -------
        display : PITDisplay
        """
        regressor_of(regressor)
        pit = regressor.predict_dist(X).pit(np.asarray(y), random_state)
        return cls(pit.ravel(), n_bins=n_bins).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None draws in a new figure.

        Returns
        -------
        self : PITDisplay
        """
        ax = axes_or_new(ax)
        n, edges = len(self.pit), np.linspace(0, 1, self.n_bins + 1)
        usual = binom(n, 1 / self.n_bins)
        low, high = (usual.ppf(end) / n for end in ((1 - BAND) / 2, (1 + BAND) / 2))
        ax.axhspan(low, high, color="0.88", label="99 % of uniform samples")
        weights = np.full(n, 1 / n)
        ax.hist(self.pit, edges.tolist(), weights=weights, color=BLUE, alpha=0.6, label="rows")
        ax.axhline(1 / self.n_bins, color=BLACK, lw=1)
        ax.set(xlabel="predicted probability of a lower y", ylabel="share of rows", xlim=(0, 1))
        ax.set_ylim(top=1.25 * max(ax.get_ylim()[1], high))
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self
