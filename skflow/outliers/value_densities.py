"""Conditional density of the values of one column: the joint density along a line.

On that line the column alone is standard normal: a point of it is a z-coordinate. Nodes of the
integral lie over the range of the column alone and about the row's own value; then about peaks
that are too narrow for these; then where integrals have not converged. In a column on a grid all
nodes are grid points.
"""

import math
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp

from skflow.outliers.corrections import interpolate_ratio
from skflow.outliers.joint_density import JointDensity
from skflow.outliers.lines import Line, Scan
from skflow.outliers.peaks import STEEP, find_peaks
from skflow.outliers.quadrature import Curve, Nodes, Rows, refine
from skflow.rows import EncodedRows
from skflow.table.number_codecs import ValueCodec

FloatArray = NDArray[np.float64]
LabelArray = NDArray[np.int64]

INNER = np.linspace(-4.5, 4.5, 46)
OUTER = np.array([1.3, 2.0, 4.0, 10.0, 40.0])  # times the last inner node, or the value
SHARP = 10.0  # ratio of the marginal's slopes at the ends of a bin, from which it needs nodes
WITHIN = np.array([0.0, 0.01, 0.1, 0.5, 0.9, 0.99, 1.0])  # such a bin, and those beside it
FARTHEST = 1e300  # encoded: beyond it numbers overflow
NOTHING = -1e9  # log-density there
ROUNDING = 1e-9  # by which the row's own value is below its level, in any unit of the column
N_GAUSS = 5  # points of a cell
LEAST_SHARE = math.log(1e-7)  # share of a row's mass from which a cell matters
STRANGE = math.log(0.05)  # log-share of values no likelier than one that is exact in any case
LOWEST = -1e4  # log-density, relative to the highest


class _Points(NamedTuple):
    """Points: z-coordinates, encoded values, grid steps, and log-derivatives between them."""

    places: FloatArray
    encoded: FloatArray
    steps: FloatArray
    per_place: FloatArray
    per_unit: FloatArray


class ValueDensity:
    """Conditional density of the values of a column in some rows, given their other columns.

    Parameters
    ----------
    column : ValueCodec
    joint : JointDensity
    rows : EncodedRows
        The value of the column is the row's own, where there is one; its label is that of a value.
    k : int
        The column, among those with values.
    rounding : int, default=0
        The rounding level of the values.
    is_exact : bool
        Whether the whole model is evaluated at each node also where columns are many.
    """

    def __init__(
        self,
        column: ValueCodec,
        joint: JointDensity,
        rows: EncodedRows,
        k: int,
        rounding: int = 0,
        *,
        is_exact: bool = False,
    ) -> None:
        self.rows = rows
        self._column = column
        self._rounding = rounding
        self._width = float(column.cells.widths[rounding])
        self._marginal = joint.marginals.of_columns([k])
        self._joint = joint
        self._k = k
        self._line, layers = joint.along(rows.labels, rows.values, k, is_exact=is_exact)
        own = np.nan_to_num(rows.values[:, k])
        at_own = self._points(self._gaussianize(own)[0])
        unsnapped = column.scaling.encode(column.scaling.decode(own))[1]
        level = self._line.log_prob(np.arange(len(own)), own) + unsnapped
        nodes, scan = self._start(at_own.places)
        #: Log of the unit of the densities of each row.
        self.offset = nodes.log_density.max(axis=1)
        self._level = level - self.offset + ROUNDING
        curve = Curve.through(self._lowered(nodes, self.offset[:, None]), step=self._width)
        peaks = find_peaks(nodes.places, scan, self._residuals_at)
        if len(peaks[0]):
            curve = curve.with_nodes(peaks[0], self._nodes_at(*peaks))
        self.curve = refine(curve, self._level, self._nodes_at)
        if layers is not None:
            self.correct(layers, at_own.places)

    def log_mass(self) -> FloatArray:
        """Log of the integral over all values, ``(n_rows,)``."""
        return self.curve.log_mass() + self.offset

    def log_integral(self) -> FloatArray:
        """Log of the integral over all values, also those off a grid, more accurately.

        Cells that matter are evaluated again, at the points of Gauss and Legendre. The error is
        usually below 1e-4 nats.
        """
        places, log_masses = self.curve.nodes.places, self.curve.log_masses()
        shares = log_masses - logsumexp(log_masses, axis=1, keepdims=True)
        row, cell = np.nonzero(shares > LEAST_SHARE)
        low, width = places[row, cell], places[row, cell + 1] - places[row, cell]
        points, weights = np.polynomial.legendre.leggauss(N_GAUSS)
        at = (low[:, None] + width[:, None] * (1 + points) / 2).ravel()
        values, log_det = self._marginal.inverse_and_log_det(torch.tensor(at)[None])
        with_values = self._with_values(np.repeat(row, N_GAUSS), values[0].numpy())
        log_density = self._joint.log_prob_values(*with_values, quantize=True) + log_det.numpy()
        log_density = log_density.reshape(-1, N_GAUSS) - self.offset[row, None]
        log_masses[row, cell] = np.log(width / 2) + logsumexp(log_density, axis=1, b=weights)
        return logsumexp(log_masses, axis=1) + self.offset

    def log_share_no_likelier(self) -> FloatArray:
        """Log-share of the values with a density no higher than that of the row's own value."""
        present = ~np.isnan(self.rows.values[:, self._k])
        below = self.curve.log_mass_below(self._level) - self.curve.log_mass()
        return np.where(present, np.minimum(below, 0.0), 0.0)

    def quantile(self, share: float) -> FloatArray:
        """Encoded value below which this share of each row's mass lies, ``(n_rows,)``."""
        return self._points(self.curve.quantile(share)).encoded

    def correct(self, layers: Line, own: FloatArray) -> None:
        """Multiply by the ratio of the whole model to the mixture, at few points of each row.

        Rows whose own value is strange, or for which so few points do not suffice, are exact.
        """
        evaluate = partial(self._ratios_at, layers)
        ratio, uncertain = interpolate_ratio(self.curve, self._level, own, evaluate)
        self._level += ratio(np.arange(len(own)), own)
        self.curve = refine(
            ratio.multiply(self.curve),
            self._level,
            lambda rows, at: self._nodes_at(rows, at).raised(ratio(rows, at)),
        )
        again = np.union1d(uncertain, np.flatnonzero(self.log_share_no_likelier() < STRANGE))
        if len(again):
            rows = self.rows.take(again)
            exact = ValueDensity(
                self._column, self._joint, rows, self._k, self._rounding, is_exact=True
            )
            self.curve = self.curve.put(again, exact.curve)
            self.offset[again], self._level[again] = exact.offset, exact._level

    def _start(self, own: FloatArray) -> tuple[Nodes, Scan]:
        """Nodes over the whole line, and a scan of the density there, per unit of the line."""
        own = own[:, None]
        beyond = np.sign(own) * np.maximum(np.abs(own), INNER[-1]) * OUTER
        fixed = np.concatenate(
            (-INNER[-1] * OUTER[::-1], INNER, INNER[-1] * OUTER, self._of_sharp_bins())
        )
        fixed = np.broadcast_to(fixed, (len(own), len(fixed)))
        places = np.sort(np.concatenate((own, beyond, fixed), axis=1), axis=1)
        points = self._points(places.ravel())
        rows = np.repeat(np.arange(len(own)), places.shape[1])
        widest = float(np.diff(points.places.reshape(places.shape), axis=1).max())
        scan = self._line.scan(rows, points.encoded, widest, STEEP)
        scan = replace(
            scan,
            log_density=scan.log_density + points.per_place,
            log_jacobian=scan.log_jacobian + points.per_place,
        )
        nodes = self._nodes(points, scan.log_density)
        return Nodes(*(part.reshape(places.shape) for part in nodes)), scan

    def _of_sharp_bins(self) -> FloatArray:
        """Z-coordinates about knots with a large change of the marginal's slope: gaps of modes."""
        knots = self._marginal.y_knots[:, 0, 0].numpy()
        log_slopes = self._marginal.derivatives[:, 0, 0].log().numpy()
        sharp = np.abs(np.diff(log_slopes)) > math.log(SHARP)
        bins = sharp.copy()
        bins[1:] |= sharp[:-1]
        bins[:-1] |= sharp[1:]
        places = knots[:-1, None] + WITHIN * np.diff(knots)[:, None]
        return np.unique(places[bins])

    def _nodes_at(self, rows: Rows, places: FloatArray) -> Nodes:
        points = self._points(places)
        log_density = self._line.log_prob(rows, points.encoded) + points.per_place
        nodes = self._nodes(points, log_density)
        return self._lowered(nodes, self.offset[rows])

    def _residuals_at(self, rows: Rows, places: FloatArray) -> FloatArray:
        return self._line.standardised(rows, self._points(places).encoded)

    def _ratios_at(self, layers: Line, rows: Rows, places: FloatArray) -> Nodes:
        points = self._points(places)
        ratio = layers.log_prob(rows, points.encoded) - self._line.log_prob(rows, points.encoded)
        return Nodes(points.places, ratio, ratio, points.steps)

    def _nodes(self, points: _Points, log_density: FloatArray) -> Nodes:
        log_density = np.where(np.abs(points.encoded) < FARTHEST, log_density, NOTHING)
        heights = log_density - points.per_place + points.per_unit
        return Nodes(points.places, log_density, heights, points.steps)

    def _lowered(self, nodes: Nodes, offset: FloatArray) -> Nodes:
        """Nodes with an offset subtracted from their log-densities, which are bounded below."""
        lowered = np.maximum(nodes.log_density - offset, LOWEST)
        heights = lowered + (nodes.heights - nodes.log_density)
        return nodes._replace(log_density=lowered, heights=heights)

    def _points(self, places: FloatArray) -> _Points:
        """Points at z-coordinates, or at the nearest points of the grid."""
        values, log_det = self._marginal.inverse_and_log_det(torch.tensor(places)[None])
        encoded, per_place = values[0].numpy(), log_det.numpy()
        scaling, width = self._column.scaling, self._width
        numbers = scaling.decode(encoded)
        if not width:
            per_unit = scaling.encode(numbers)[1]
            return _Points(places, encoded, np.zeros(len(places)), per_place, per_unit)
        level = np.full(len(numbers), self._rounding)
        numbers = self._column.cells.nearest(numbers, level)
        encoded, per_unit = scaling.encode(numbers)
        places, per_place = self._gaussianize(encoded)
        with np.errstate(over="ignore"):
            steps = (numbers / width).clip(-FARTHEST, FARTHEST)
        return _Points(places, encoded, steps, per_place, per_unit)

    def _gaussianize(self, encoded: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Z-coordinates of encoded values, and the log of encoded units per unit of the line."""
        places, log_det = self._marginal.forward_and_log_det(torch.tensor(encoded)[None])
        return places[0].numpy(), -log_det.numpy()

    def _with_values(self, rows: Rows, encoded: FloatArray) -> tuple[LabelArray, FloatArray]:
        """Labels and values of rows, with given values in the column."""
        values = self.rows.values[rows]
        values[:, self._k] = encoded
        return self.rows.labels[rows], values
