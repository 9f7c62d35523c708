r"""Correction of a density along lines, from few points at which another one is evaluated.

Where columns are many, coupling layers cost whole rows while the mixture after them costs few
factors (:mod:`skflow.outliers.column_line`). Along the line of one column the logarithm of their
ratio is smooth, however narrow the density is. So the density is known at the nodes of the
mixture's, times a ratio that is interpolated between some of its quantiles.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.special import ndtr

from skflow.outliers.quadrature import Curve, Rows

FloatArray = NDArray[np.float64]

SHARES = ndtr(np.array([-4.2, -3.1, -2.3, -1.6, -1, -0.5, 0, 0.5, 1, 1.6, 2.3, 3.1, 4.2]))
FIXED = (-4.5, 4.5)  # z-coordinates: the range of the column alone
MOST_BENT = 0.5  # nats by which the log-ratio bends on average, so that few points suffice


class LogRatio:
    """Logarithm of a ratio of densities along lines, interpolated between few known points.

    Parameters
    ----------
    curve : Curve
        The density of the denominator. Its integrals have converged.
    own : ndarray of shape (n_rows,)
        Z-coordinates of the rows' own values.
    evaluate : callable
        The logarithm for rows, by index, at z-coordinates.
    """

    def __init__(
        self, curve: Curve, own: FloatArray, evaluate: Callable[[Rows, FloatArray], FloatArray]
    ) -> None:
        fixed = np.broadcast_to(FIXED, (len(own), len(FIXED)))
        places = np.column_stack([own, fixed, *(curve.quantile(share) for share in SHARES)])
        places = np.sort(places, axis=1)
        rows = np.repeat(np.arange(len(own)), places.shape[1])
        known = evaluate(rows, places.ravel()).reshape(places.shape)
        distinct = [np.unique(row, return_index=True) for row in places]
        self._of_rows = [
            PchipInterpolator(x, y[first]) for (x, first), y in zip(distinct, known, strict=True)
        ]
        bends = known[:, 1:-1] - (known[:, :-2] + known[:, 2:]) / 2
        #: Whether the interpolation is rough, for each row.
        self.is_rough = np.abs(bends[:, 1:-1]).mean(axis=1) > MOST_BENT

    def __call__(self, rows: Rows, places: FloatArray) -> FloatArray:
        """Interpolate for rows, by index; beyond the outermost known points the nearest counts."""
        values = np.empty(len(rows))
        for row in np.unique(rows):
            of_row = self._of_rows[row]
            at = places[rows == row].clip(of_row.x[0], of_row.x[-1])
            values[rows == row] = of_row(at)
        return values

    def multiply(self, curve: Curve) -> Curve:
        """Multiply the density of a curve by the ratio."""
        places = curve.nodes.places
        rows = np.repeat(np.arange(len(places)), places.shape[1])
        added = self(rows, places.ravel()).reshape(places.shape)
        return replace(curve, nodes=curve.nodes.raised(added))
