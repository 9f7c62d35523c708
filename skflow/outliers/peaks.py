r"""Peaks of a conditional density that are too narrow for evenly spread nodes.

The density is a mixture of components, each a product of factors: a Gaussian of the
standardised residual of one column, on a floor. Along the line of one column residuals are
smooth, however narrow the peaks are. So a residual that changes sign between two nodes has
its root there, and the product of the factors that are near theirs has a peak.
"""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from skflow.outliers.lines import Scan

FloatArray = NDArray[np.float64]
Rows = NDArray[np.intp]

STEEP = 3.0  # change of a residual between two nodes from which they may miss a peak
NEGLIGIBLE = 10.0  # below the largest mass of a row's peaks, in nats
N_CLIMBED = 3
FAN = np.array([-9.0, -5, -3, -1.8, -0.8, 0.0, 0.8, 1.8, 3, 5, 9])  # widths from a peak
MOST_TRIED = 12  # points on the way to a root


class Roots(NamedTuple):
    """Roots of residuals between two nodes: each entry one of them, ``(n_roots,)``.

    Attributes
    ----------
    rows, cells, components, columns : ndarray of int
    low, high : ndarray
        The nodes of the cell.
    low_residuals, high_residuals : ndarray of shape (n_roots, n_columns)
        Residuals there, of all columns under the component.
    """

    rows: Rows
    cells: Rows
    components: Rows
    columns: Rows
    low: FloatArray
    high: FloatArray
    low_residuals: FloatArray
    high_residuals: FloatArray

    def take(self, kept: Rows | NDArray[np.bool_]) -> "Roots":
        """Some of the roots."""
        parts = {name: part[kept] for name, part in self._asdict().items()}
        return self._replace(**parts)


class Evaluate(Protocol):
    """Residuals of rows, by index, at z-coordinates: ``(n_points, n_components, n_columns)``."""

    def __call__(self, rows: Rows, places: FloatArray) -> FloatArray: ...  # noqa: D102


def find_peaks(places: FloatArray, scan: Scan, evaluate: Evaluate) -> tuple[Rows, FloatArray]:
    """Rows, and z-coordinates that resolve their narrow peaks.

    Parameters
    ----------
    places : ndarray of shape (n_rows, n_nodes)
        Z-coordinates of nodes, sorted.
    scan : Scan
        Density at the nodes of one row after the other.
    evaluate : callable
        Residuals of rows, by index, at z-coordinates.
    """
    shape = places.shape
    found = _find_roots(scan.standardised.reshape(*shape, *scan.standardised.shape[1:]))
    if not len(found[0]):
        return found[0], np.empty(0)
    row, cell, component, column = found
    node = np.ravel_multi_index((row, cell), shape)
    factors, root = scan.factors_at(node), np.arange(len(row))
    roots = Roots(
        row,
        cell,
        component,
        scan.columns[column],
        places[row, cell],
        places[row, cell + 1],
        factors.standardised[root, component],
        scan.factors_at(node + 1).standardised[root, component],
    )
    floors, peaks = factors.log_floors, factors.log_peaks[component]
    present = np.isfinite(floors)
    depths = np.where(present, floors - peaks, -np.inf)
    heights = factors.log_weights[root, component] + np.where(present, peaks, 0).sum(axis=1)
    slopes = (roots.high_residuals - roots.low_residuals) / (roots.high - roots.low)[:, None]
    steps = (-roots.low_residuals[root, roots.columns] / slopes[root, roots.columns])[:, None]
    starts = roots.low + steps[:, 0], roots.low_residuals + steps * slopes
    peaks_at, widths, losses = _maximise(*starts, slopes, depths)
    masses = heights + losses + scan.log_jacobian[node] + np.log(widths)
    least = scan.log_density.reshape(shape)
    with np.errstate(divide="ignore"):  # of nodes that coincide
        least = logsumexp(least[:, 1:] + np.log(np.diff(places, axis=1)), axis=1)
    np.maximum.at(least, roots.rows, masses)
    kept = np.flatnonzero(masses > least[roots.rows] - NEGLIGIBLE)
    kept = kept[_distinct(roots.rows[kept], peaks_at[kept], widths[kept], masses[kept])]
    at, residuals, slopes = _solve(roots.take(kept), evaluate)
    peaks_at, widths, _ = _maximise(at, residuals, slopes, depths[kept])
    fans = peaks_at[:, None] + widths[:, None] * FAN
    return np.repeat(roots.rows[kept], len(FAN)), fans.ravel()


def _find_roots(residuals: FloatArray) -> tuple[Rows, ...]:
    """Rows, cells, components and columns where residuals change their sign, and much."""
    low, high = residuals[:, :-1], residuals[:, 1:]
    return np.nonzero(((low < 0) != (high < 0)) & (np.abs(high - low) > STEEP))


def _maximise(
    places: FloatArray, residuals: FloatArray, slopes: FloatArray, depths: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Maxima of the product of those factors that are above their floors.

    Returns
    -------
    places : ndarray of shape (n_roots,)
    widths : ndarray of shape (n_roots,)
        Standard deviations of the product.
    losses : ndarray of shape (n_roots,)
        Its logarithm there, less that of all factors' peaks.
    """
    widths = np.full(len(places), np.inf)
    for _ in range(N_CLIMBED):
        felt = np.where(-(residuals**2) / 2 > depths, slopes, 0.0)
        precision = (felt**2).sum(axis=1).clip(np.finfo(np.float64).tiny)
        step = -(residuals * felt).sum(axis=1) / precision
        places, residuals = places + step, residuals + step[:, None] * slopes
        widths = precision**-0.5
    return places, widths, np.maximum(-(residuals**2) / 2, depths).sum(axis=1)


def _distinct(rows: Rows, places: FloatArray, widths: FloatArray, masses: FloatArray) -> Rows:
    """Index of the largest one of peaks that coincide."""
    order = np.lexsort((places, rows))
    apart = np.diff(places[order]) > np.minimum(widths[order][1:], widths[order][:-1]) / 2
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = apart | (np.diff(rows[order]) > 0)
    group = np.empty(len(order), dtype=np.intp)
    group[order] = begins.cumsum()
    by_mass = np.lexsort((-masses, group))
    return by_mass[np.unique(group[by_mass], return_index=True)[1]]


def _solve(roots: Roots, evaluate: Evaluate) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Roots by secants and bisection: z-coordinates, residuals and slopes there.

    Without coupling layers residuals are linear, and the first secant is exact.
    """
    low, high = roots.low.copy(), roots.high.copy()
    low_residuals, high_residuals = roots.low_residuals.copy(), roots.high_residuals.copy()
    at, residuals = low.copy(), low_residuals.copy()
    far = np.arange(len(low))
    for n_tried in range(MOST_TRIED):
        if not len(far):
            break
        column = roots.columns[far]
        below, above = low_residuals[far, column], high_residuals[far, column]
        share = below / (below - above) if n_tried % 3 < 2 else 0.5
        at[far] = low[far] + share * (high[far] - low[far])
        found = evaluate(roots.rows[far], at[far])
        found = found[np.arange(len(far)), roots.components[far]]
        residuals[far] = found
        own = found[np.arange(len(far)), column]
        is_low = (own < 0) == (below < 0)
        low[far[is_low]], low_residuals[far[is_low]] = at[far[is_low]], found[is_low]
        high[far[~is_low]], high_residuals[far[~is_low]] = at[far[~is_low]], found[~is_low]
        far = far[np.abs(own) > 1]
    width = np.maximum(high - low, np.finfo(np.float64).tiny)
    return at, residuals, (high_residuals - low_residuals) / width[:, None]
