"""LatentNormalityDisplay: quantiles and correlations of latents beside their ideal."""

from collections.abc import Sequence
from typing import Any, Self

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, ndtr, ndtri

from skflow.estimators.meta import density_of
from skflow.plotting.scale import Scale, TailScale
from skflow.plotting.style import BLACK, GREEN, ORANGE, VERMILLION, shorten

FloatArray = NDArray[np.float64]

MOST_QUANTILES = 200
STRONG = 0.5  # correlations from here on have one colour
MOST_NAMES = 50  # names that fit along an axis
MOST_NUMBERS = 10  # largest matrix whose entries are written
MARGIN = 0.03  # margin beyond the farthest quantile, relative to the axis
MARKERS = {VERMILLION: "^", ORANGE: "s", GREEN: "o"}  # markers of the latents in the legend


class LatentNormalityDisplay:
    r"""Latents beside their ideal: standard normal and uncorrelated.

    The left panel shows the quantiles of each latent over those of the standard normal
    distribution: on the diagonal if the fit is right. The shaded band holds 99 % of normal
    samples at each quantile. The three latents farthest from normal are in the legend, with
    their Kolmogorov distance :math:`\max_z |F(z) - \Phi(z)|`. The right panel shows the
    absolute correlations between latents.

    Latents of labels are left out, because a discrete distribution is not normal. So are
    rows whose value is absent, with a latent of 0.

    It is drawn by :meth:`from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    latents : array-like of shape (n_samples, n_latents)
        Latents of values; exactly 0 for an absent value.
    names : sequence of str
        Names of the latents.

    Attributes
    ----------
    distances : ndarray of shape (n_latents,)
        Kolmogorov distance of each latent; NaN if fewer than two rows have it.
    correlations : ndarray of shape (n_latents, n_latents)
        Absolute correlation between two latents, among the rows that have both; NaN on
        the diagonal.
    ax_ : ndarray of two matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skflow import FlowDensity
    >>> from skflow.plotting import LatentNormalityDisplay
    >>> X = load_iris().data
    >>> flow = FlowDensity(n_layers=0, n_components=1, random_state=0).fit(X)
    >>> display = LatentNormalityDisplay.from_estimator(flow, X)
    >>> display.correlations.shape
    (4, 4)
    """

    ax_: NDArray[Any]
    figure_: Any

    def __init__(self, latents: ArrayLike, names: Sequence[str]) -> None:
        self.latents = np.asarray(latents, dtype=np.float64)
        self.names = names
        self.distances = np.array([_distance(z[z != 0]) for z in self.latents.T])
        self.correlations = _absolute_correlations(self.latents)

    @classmethod
    def from_estimator(cls, estimator: Any, X: ArrayLike, *, ax: ArrayLike | None = None) -> Self:
        """Transform rows to latents and draw these.

        Parameters
        ----------
        estimator : FlowDensity or FlowOutlierDetector
            Fitted estimator. For a detector, its ``density_`` is used.
        X : array-like of shape (n_samples, n_features)
            Preferably rows that were not fitted.
        ax : array-like of two matplotlib Axes, default=None
            Where to draw; None draws in a new figure.

        Returns
        -------
        display : LatentNormalityDisplay

        Raises
        ------
        ValueError
            If no column has values, so that all latents are those of labels.
        """
        density = density_of(estimator)
        codec = density._density.codec
        of_values = ~codec.latent_is_label
        if not of_values.any():
            raise ValueError(
                "Every column is taken for labels alone (see schema_): no latent is normal."
            )
        latents = np.asarray(density.transform(X), dtype=np.float64)[:, of_values]
        return cls(latents, density.get_feature_names_out()[of_values].tolist()).plot(ax)

    def plot(self, ax: ArrayLike | None = None) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : array-like of two matplotlib Axes, default=None
            Where to draw; None draws in a new figure.

        Returns
        -------
        self : LatentNormalityDisplay
        """
        if ax is None:
            height = float(np.clip(len(self.names) / 5, 5, 9))
            _, ax = plt.subplots(1, 2, figsize=(2.2 * height, height), layout="constrained")
        axes = np.asarray(ax, dtype=object).ravel()
        if len(axes) != 2:
            raise ValueError(f"ax must be two axes, for two pictures; got {len(axes)}.")
        self._plot_quantiles(axes[0])
        self._plot_correlations(axes[1])
        self.ax_, self.figure_ = axes, axes[0].figure
        return self

    @property
    def _n_usual(self) -> int:
        """Median over latents of the number of rows that have the latent."""
        return int(np.median(np.count_nonzero(self.latents, axis=0)))

    def _plot_quantiles(self, ax: Axes) -> None:
        shares, n = _shares(self._n_usual), self._n_usual
        normal = ndtri(shares)
        reach = 1.1 * max(normal.max(initial=1.0), 1.0)
        quantiles = np.concatenate([_quantiles(z)[1] for z in self.latents.T])
        scale, ends = _scale_of(quantiles, 1.5 * reach)
        scale.set_on(ax.yaxis)
        # The p-quantile of n uniform numbers is a beta variable.
        band = (ndtri(betaincinv(n * shares, n * (1 - shares), tail)) for tail in (0.005, 0.995))
        ax.fill_between(normal, *band, color="0.88", label="99 % of normal samples")
        ax.plot(normal, normal, color=BLACK, lw=1)
        for z in self.latents.T:
            ax.plot(*_quantiles(z), color="0.5", lw=0.8, alpha=0.6)
        farthest = np.argsort(-np.nan_to_num(self.distances), kind="stable")
        for j, (color, marker) in zip(farthest, MARKERS.items(), strict=False):
            label = f"distance {self.distances[j]:.3f}: {shorten(self.names[j], 18)}"
            style: dict[str, Any] = {"color": color, "marker": marker, "markevery": 0.1}
            ax.plot(*_quantiles(self.latents[:, j]), label=label, **style)
        ax.set(xlim=(-reach, reach), ylim=(ends[0], ends[1]))
        ax.set(xlabel="standard normal quantile", ylabel="quantile of the latent")
        scale.set_ticks(ax.yaxis, quantiles)
        ax.legend(loc="upper left", fontsize="small")

    def _plot_correlations(self, ax: Axes) -> None:
        image = ax.imshow(self.correlations, cmap="Blues", vmin=0, vmax=STRONG)
        ax.set_facecolor("0.8")  # colour of the diagonal
        shown = range(0, len(self.names), 1 + (len(self.names) - 1) // MOST_NAMES)
        size = float(np.clip(350 / len(shown), 4.5, 9))
        names = [shorten(self.names[j], 16) for j in shown]
        ax.set_xticks(shown, names, rotation=90, fontsize=size)
        ax.set_yticks(shown, names, fontsize=size)
        if len(self.names) <= MOST_NUMBERS:
            for (i, j), r in np.ndenumerate(self.correlations):
                if not np.isnan(r):
                    color = "w" if r > 0.6 * STRONG else "k"
                    ax.text(j, i, f"{r:.2f}", ha="center", va="center", color=color, fontsize=8)
        chance = 2 / np.sqrt(max(self._n_usual, 1))
        label = f"absolute correlation (by chance: up to {chance:.2f})"
        extend = "max" if np.nanmax(self.correlations, initial=0.0) > STRONG else "neither"
        ax.figure.colorbar(image, ax=ax, extend=extend, label=label, shrink=0.8)


def _scale_of(quantiles: FloatArray, reach: float) -> tuple[Scale, FloatArray]:
    """Return a scale and its ends; with tails if any quantile lies beyond ``reach``."""
    ends = np.array([min(-reach, quantiles.min(initial=0)), max(reach, quantiles.max(initial=0))])
    if np.abs(ends).max() <= reach:
        return Scale(), ends
    scale = TailScale(-reach, reach)
    places = scale.forward(ends)
    return scale, scale.inverse(places + MARGIN * np.ptp(places) * np.array([-1, 1]))


def _shares(n_rows: int) -> FloatArray:
    """Return the shares of rows below each drawn quantile, the two extremes included."""
    n = min(n_rows, MOST_QUANTILES)
    shares = (np.arange(n) + 0.5) / n
    if n < n_rows:
        shares[[0, -1]] = 0.5 / n_rows, 1 - 0.5 / n_rows
    return shares


def _quantiles(z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return standard normal quantiles, and those of a latent over the rows that have it."""
    present = z[z != 0]
    shares = _shares(len(present))
    return ndtri(shares), np.quantile(present, shares, method="hazen") if len(present) else shares


def _distance(z: FloatArray) -> float:
    """Return the Kolmogorov distance of a sample from the standard normal distribution."""
    n = len(z)
    if n < 2:
        return np.nan
    below = ndtr(np.sort(z))
    steps = np.arange(n + 1) / n
    return float(max(np.max(steps[1:] - below), np.max(below - steps[:-1])))


def _absolute_correlations(latents: FloatArray) -> FloatArray:
    """Return absolute correlations of columns, over the rows that have both."""
    present = (latents != 0).astype(np.float64)
    n_both = present.T @ present
    sums = latents.T @ present  # sums of a column over the rows that have the other
    squares = (latents**2).T @ present
    with np.errstate(divide="ignore", invalid="ignore"):
        variances = squares - sums**2 / n_both
        covariances = latents.T @ latents - sums * sums.T / n_both
        correlations = np.abs(covariances) / np.sqrt(variances * variances.T)
    np.fill_diagonal(correlations, np.nan)
    return np.minimum(correlations, 1.0)
