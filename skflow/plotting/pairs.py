"""PairDisplay: two columns of rows, over the highest-density regions of the density."""

from collections.abc import Hashable, Sequence
from typing import Any, Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d
from sklearn.utils import check_random_state

from skflow.estimators.meta import density_of
from skflow.plotting.columns import ColumnAxis, MissingBand, find_column
from skflow.plotting.style import VERMILLION, axes_or_new

FloatArray = NDArray[np.float64]

N_DRAWS = 10_000
N_BINS = 100  # histogram bins along an axis of numbers
SMOOTHING = 2.5  # standard deviation of the Gaussian filter, in bins
REGIONS = {0.5: "#7FB2D5", 0.8: "#B3D1E6", 0.95: "#DDEAF4"}  # mass of a region: its colour


class PairDisplay:
    """Two columns of rows, over the highest-density regions of the density.

    The regions hold 50, 80 and 95 % of rows sampled from the density, whatever their other
    columns. Flagged rows are marked; a flagged row inside all regions is unusual in other
    columns, or in combination with them (see :class:`ReasonsDisplay`). Rows of equal
    categories or levels are spread a little. A row whose number is missing lies in a band
    along the edge; the regions are those of rows with both numbers. If a few rows lie so far
    out that the others would be squeezed into one spot, the axis is logarithmic beyond the
    middle, as its label says; for skewed positive numbers it is logarithmic.

    It is drawn by :meth:`from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    positions : ndarray of shape (n_samples, 2)
        Rows on the two axes; NaN if a number is missing.
    flagged : ndarray of bool of shape (n_samples,)
        Rows that the detector calls outliers.
    hdr_mass : ndarray of shape (n_x, n_y)
        Probability mass of all denser bins, for each bin: the highest-density region of
        80 % consists of the bins below 0.8.
    edges : pair of ndarray
        Edges of the bins along the two axes.
    axes : pair of ColumnAxis
        Axes of the two columns.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skflow import FlowDensity, FlowOutlierDetector
    >>> from skflow.plotting import PairDisplay
    >>> X = load_iris(as_frame=True).data
    >>> density = FlowDensity(n_layers=0, n_components=1)
    >>> detector = FlowOutlierDetector(density, random_state=0).fit(X)
    >>> display = PairDisplay.from_estimator(
    ...     detector, X, features=("petal length (cm)", "petal width (cm)"), random_state=0
    ... )
    >>> display.positions.shape
    (150, 2)
    """

    ax_: Axes
    figure_: Any

    def __init__(
        self,
        positions: FloatArray,
        flagged: NDArray[np.bool_],
        hdr_mass: FloatArray,
        edges: tuple[FloatArray, FloatArray],
        axes: tuple[ColumnAxis, ColumnAxis],
    ) -> None:
        self.positions = positions
        self.flagged = flagged
        self.hdr_mass = hdr_mass
        self.edges = edges
        self.axes = axes

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        features: Sequence[Hashable],
        *,
        random_state: int | np.random.RandomState | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Sample rows from the density, and draw two columns of ``X`` over their regions.

        Parameters
        ----------
        estimator : FlowOutlierDetector or FlowDensity
            Fitted. A density flags no row.
        X : array-like of shape (n_samples, n_features)
        features : pair of str or int
            Columns along x and y, by name or position.
        random_state : int, RandomState instance or None, default=None
            Seed of the rows sampled from the density.
        ax : matplotlib Axes, default=None
            Where to draw; None draws in a new figure.

        Returns
        -------
        display : PairDisplay

        Raises
        ------
        ValueError
            If ``features`` are not two columns of the table.
        """
        density = density_of(estimator)
        pair = _find_pair(density, features)
        generator = check_random_state(random_state)
        rows = estimator._read(X).columns
        drawn = density._read(density.sample(N_DRAWS, generator)).columns
        first, second = (ColumnAxis.of(density.schema_.columns[j], drawn[j], rows[j]) for j in pair)
        axes = (first, second)
        placed = [axis.place(drawn[j]) for axis, j in zip(axes, pair, strict=True)]
        hdr_mass, edges = _compute_hdr_mass(axes, placed, generator)
        positions = [axis.place(rows[j]) for axis, j in zip(axes, pair, strict=True)]
        flagged = np.zeros(len(positions[0]), dtype=bool)
        if hasattr(estimator, "predict"):
            flagged = estimator.predict(X) == -1
        return cls(np.column_stack(positions), flagged, hdr_mass, edges, axes).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None draws in a new figure.

        Returns
        -------
        self : PairDisplay
        """
        ax = axes_or_new(ax, width=7.4, height=5)
        for column, axis in zip(self.axes, (ax.xaxis, ax.yaxis), strict=True):
            column.scale.set_on(axis)
        self._plot_regions(ax)
        bands = [
            MissingBand.below(column.scale, numbers, edges)
            for column, numbers, edges in zip(self.axes, self.positions.T, self.edges, strict=True)
        ]
        self._plot_rows(ax, bands)
        for column, band, numbers, axis, draw_line in zip(
            self.axes,
            bands,
            self.positions.T,
            (ax.xaxis, ax.yaxis),
            (ax.axvline, ax.axhline),
            strict=True,
        ):
            column.format_axis(axis, numbers, band)
            if band is not None:
                draw_line(band.end, color="0.6", lw=0.8, ls=":")
        handles = ax.get_legend_handles_labels()[0]
        handles += [Patch(color=c, label=f"{r:.0%} of the density") for r, c in REGIONS.items()]
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _plot_regions(self, ax: Axes) -> None:
        """Colour each point by the smallest region that contains it."""
        hdr_mass = self.hdr_mass.T
        shares, colors = [0.0, *REGIONS], list(REGIONS.values())
        if not any(axis.levels for axis in self.axes):
            cells = zip(self.axes, self.edges, strict=True)
            centres = [axis.scale.inverse(_middles(axis.scale.forward(e))) for axis, e in cells]
            ax.contourf(*centres, hdr_mass, levels=shares, colors=colors, zorder=0)
        else:  # no contour exists between two levels
            norm = BoundaryNorm(shares, len(colors))
            masked = np.ma.masked_greater_equal(hdr_mass, shares[-1])
            ax.pcolormesh(*self.edges, masked, cmap=ListedColormap(colors), norm=norm, zorder=0)

    def _plot_rows(self, ax: Axes, bands: Sequence[MissingBand | None]) -> None:
        jitter = np.random.default_rng(0).uniform(-1, 1, self.positions.shape)
        places = self.positions + jitter * [axis.jitter for axis in self.axes]
        for k, band in enumerate(bands):
            if band is not None:
                inside = band.at(jitter[:, k] / 3)
                places[:, k] = np.where(np.isnan(places[:, k]), inside, places[:, k])
        x, y = places.T
        normal: dict[str, Any] = {"color": "0.15", "alpha": 0.6, "lw": 0}
        strange: dict[str, Any] = {"color": VERMILLION, "marker": "^", "ec": "k", "lw": 0.6}
        for mask, name, area, style in (
            (~self.flagged, "rows", (4, 16), normal),
            (self.flagged, "flagged", (20, 55), strange),
        ):
            if n := np.count_nonzero(mask):
                size = np.clip(8000 / n, *area)  # smaller markers for more rows
                ax.scatter(x[mask], y[mask], s=size, label=f"{n} {name}", **style)


def _find_pair(density: Any, features: Sequence[Hashable]) -> list[int]:
    """Return the positions of two columns."""
    if isinstance(features, str) or len(features) != 2:
        raise ValueError(f"features must be two columns; got {features!r}.")
    pair = [find_column(density.schema_, feature) for feature in features]
    if pair[0] == pair[1]:
        raise ValueError(f"features must be two different columns; got {features!r}.")
    return pair


def _compute_hdr_mass(
    axes: Sequence[ColumnAxis], placed: Sequence[FloatArray], generator: np.random.RandomState
) -> tuple[FloatArray, tuple[FloatArray, FloatArray]]:
    """Return the share of samples in all denser bins, for each bin; and the edges of the bins."""
    both = ~np.isnan(placed[0] + placed[1])
    x, y = (axis.spread(p[both], generator) for axis, p in zip(axes, placed, strict=True))
    edges = _edges(axes[0], x), _edges(axes[1], y)
    counts = np.histogram2d(x, y, bins=edges)[0]
    density, numeric = counts, [k for k, axis in enumerate(axes) if not axis.levels]
    for k in numeric:
        # Along one axis alone, fewer samples share a bin.
        density = gaussian_filter1d(density, SMOOTHING * 2 / len(numeric), axis=k, mode="constant")
    order = np.argsort(-density, axis=None, kind="stable")
    # Masses are counts of samples, not smoothed ones, so that the regions hold their shares.
    in_order = counts.ravel()[order]
    hdr_mass = np.empty(counts.size)
    hdr_mass[order] = (np.cumsum(in_order) - in_order) / max(len(x), 1)
    return hdr_mass.reshape(counts.shape), edges


def _edges(axis: ColumnAxis, numbers: FloatArray) -> FloatArray:
    """Return the edges of bins: one bin per level, else bins of equal width on the axis."""
    if axis.levels:
        return np.arange(-0.5, len(axis.levels))
    places = axis.scale.forward(numbers)
    low, high = np.quantile(places, [0.001, 0.999]).tolist() if len(places) else (0.0, 1.0)
    pad = 0.1 * (high - low) or 0.5
    return axis.scale.inverse(np.linspace(low - pad, high + pad, N_BINS + 1, dtype=np.float64))


def _middles(edges: FloatArray) -> FloatArray:
    return (edges[1:] + edges[:-1]) / 2
