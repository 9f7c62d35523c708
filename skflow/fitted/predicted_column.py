r"""Distribution of one column in each row, given the row's condition.

The column is a label and, perhaps, a value: with levels or atoms :math:`a_k` of probability
:math:`P_k`, and values of probability :math:`P_v` and distribution function :math:`G`,

.. math:: F(t) = \sum_{a_k \le t} P_k + P_v \, G(t).

Labels that no training row has are left out of it: no draw has them. On a grid, :math:`G` at a
point includes the cell of that point. With rounding levels, :math:`G` is the average of those of
the levels, each on its own grid.

Numbers are coordinates of the column (:mod:`skflow.table.coordinates`): float64, in steps of the
grid for integers, dates and durations.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_ndtr, logsumexp, ndtr, ndtri

from skflow.fitted.averaged_values import AveragedValues
from skflow.flow.blocks import Block
from skflow.flow.heavy_tails import student_density
from skflow.flow.predicted_values import N_BINS, N_NODES, PredictedValues
from skflow.table.number_codecs import NumberCodec
from skflow.table.storage import StoredColumn

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]
Values = PredictedValues | AveragedValues

BLOCK_ENTRIES = 1_000_000
N_FINE_NODES, N_FINE_BINS = 17, 16  # for the variance
N_LEVELS = 241  # nodes of integrals over all values
FARTHEST_LEVEL = 6.0  # standard normal
WIDE_CELL = 1e-3  # latent; the density within narrower ones is nearly constant
ON_GRID = 1e-6  # share of a step: numbers so near to a grid point are on it


@dataclass(frozen=True)
class PredictedColumn:
    """Distribution of a column of numbers, dates or durations in each row.

    Attributes
    ----------
    codec : NumberCodec
    label_log_probs : ndarray of shape (n_rows, n_labels)
        Log-probability of each known label.
    values : PredictedValues or AveragedValues, optional
        Distribution of the value, whatever its rounding level; None where the column has labels
        alone.
    of_levels : tuple of PredictedValues or AveragedValues
        Distributions of the value given its rounding level.
    """

    codec: NumberCodec
    label_log_probs: FloatArray
    values: Values | None
    of_levels: tuple[Values, ...] = ()

    def __len__(self) -> int:
        return len(self.label_log_probs)

    def take(self, rows: slice | NDArray) -> Self:
        """Return some of the rows."""
        index = rows if isinstance(rows, slice) else torch.from_numpy(rows)
        values = None if self.values is None else self.values.take(index)
        of_levels = tuple(own.take(index) for own in self.of_levels)
        log_probs = self.label_log_probs[rows]
        return replace(self, label_log_probs=log_probs, values=values, of_levels=of_levels)

    @cached_property
    def levels(self) -> FloatArray:
        """Coordinates of levels or atoms, ascending."""
        numbers = self.codec.known.numbers
        return np.array([self.codec.coordinates.coordinate_of(x) for x in numbers], dtype=float)

    @cached_property
    def probabilities(self) -> FloatArray:
        """Probability of each level or atom, ``(n_rows, n_levels)``."""
        if not len(self.levels):
            return np.empty((len(self), 0))
        drawn = self.label_log_probs[:, : self.codec.labels.value_labels.stop]
        shares = np.exp(drawn - logsumexp(drawn, axis=1, keepdims=True))
        return shares[:, : len(self.levels)]

    @cached_property
    def value_probability(self) -> FloatArray:
        """Probability that the cell is no level and no atom, ``(n_rows,)``."""
        if self.values is None:
            return np.zeros(len(self))
        return 1 - self.probabilities.sum(axis=1)

    @cached_property
    def level_shares(self) -> FloatArray:
        """Share of each rounding level in the probability of values, ``(n_rows, n_levels)``."""
        of_levels = self.label_log_probs[:, self.codec.labels.value_labels]
        return np.asarray(np.exp(of_levels - logsumexp(of_levels, axis=1, keepdims=True)))

    def log_prob(self, column: StoredColumn, n_places: int) -> FloatArray:
        """Log-density or log-probability of cells, ``(n_rows, n_places)``, in nats.

        ``column`` has ``n_places`` cells for each row, one row after the other.
        """
        encoded = self.codec.encode(column)
        shape = (len(self), n_places)
        total = encoded.log_volume.reshape(shape).copy()
        labels = encoded.labels.reshape(shape)
        n_labels, unseen = self.codec.labels.n_labels, self.codec.unseen
        own = np.take_along_axis(self.label_log_probs, labels.clip(max=n_labels - 1), axis=1)
        novel = student_density(torch.from_numpy(encoded.novel.reshape(shape))).log()
        total += np.where(labels < n_labels, own, math.log(unseen) + np.nan_to_num(novel.numpy()))
        x, at = encoded.values.reshape(shape), self.codec.coordinates.read(column).reshape(shape)
        for level, values in enumerate(self.of_levels):
            of_values = np.nan_to_num(self._log_prob_of_values(values, x))
            is_own = labels == self.codec.labels.value_labels[level]
            total += np.where(is_own, of_values, 0.0)
            if self.codec.step and isinstance(values, AveragedValues) and values.spread != 1:
                # A density is blurred over cells, as its fit was; one that is narrowed is not.
                per_unit = self.codec.coordinates.log_unit - math.log(self.codec.step)
                of_cells, are_wide = self.masses_of_cells(values, at, level)
                total = np.where(is_own & are_wide, own + of_cells + per_unit, total)
        return total

    def cdf(self, x: FloatArray, *, below: bool = False) -> FloatArray:
        """Probability of at most ``x``, ``(n_rows, n_places)``; or of less."""
        total = self._value_cdf(x, below=below) * self.value_probability[:, None]
        for level, probability in zip(self.levels, self.probabilities.T, strict=True):
            counts = level < x - self._near if below else level <= x + self._near
            total += counts * probability[:, None]
        return total.clip(0, 1)

    def value_masses(self, x: FloatArray) -> FloatArray:
        """Probability of values up to a number of each row, of those below it, and of all values.

        ``(n_rows, 3)``; NaN where the number is a level.
        """
        at, of_values = x[:, None], self.value_probability
        up_to, below = (self._value_cdf(at, below=is_below)[:, 0] for is_below in (False, True))
        masses = np.stack((up_to * of_values, below * of_values, of_values), axis=1)
        masses[(np.abs(at - self.levels) <= self._near).any(axis=1)] = np.nan
        return masses

    def ppf(self, u: FloatArray, *, within_reach: bool = False) -> StoredColumn:
        """Quantiles of probabilities ``(n_rows, n_places)``, as cells, one row after the other.

        With ``within_reach``, no value lies farther out than fitted rows make likely.
        """
        labels = np.full(u.shape, self.codec.labels.n_known)
        share, value_probability = u, self.value_probability[:, None]
        if len(self.levels):
            at_levels = np.broadcast_to(self.levels, self.probabilities.shape)
            below = self._value_cdf(at_levels, below=True) * value_probability
            up_to = self._value_cdf(at_levels) * value_probability
            steps = self.probabilities.cumsum(axis=1)
            begins = steps - self.probabilities
            if self.values is None:
                steps[:, -1] = np.inf  # whatever the rounding errors of the sum
            mass = np.zeros(u.shape)
            for k in range(len(self.levels)):
                begin = begins[:, k, None] + below[:, k, None]
                end = steps[:, k, None] + up_to[:, k, None]
                is_level = (u <= end) & (labels == self.codec.labels.n_known)
                is_level &= (u > begin) | (k == 0) & (self.values is None)
                labels = np.where(is_level, k, labels)
                mass = np.where(u > end, self.probabilities[:, k, None] + mass, mass)
            tiny = np.finfo(np.float64).tiny
            share = (u - mass) / np.maximum(value_probability, tiny)
        values = np.full(u.shape, np.nan)
        if self.values is not None:
            z = ndtri(share.clip(1e-300, 1 - 2**-53))
            values = self._inverse(self.values, z, within_reach=within_reach)
        if len(self.of_levels) > 1:
            at_atom = np.append(self.levels, 0.0)[labels]
            is_atom = labels < self.codec.labels.n_known
            return self._first_reaching(u, np.where(is_atom, at_atom, self._decode(values)))
        novel = np.full(u.size, np.nan)
        return self.codec.decode(labels.ravel(), novel, values.ravel(), on_grid=True)

    def _first_reaching(self, u: FloatArray, about: FloatArray) -> StoredColumn:
        """Cells of the least grid points with a probability of at most them of ``u``.

        A number lies in its own cell, whatever its level, and so no farther than the widest one
        from ``about``, the quantile without cells.
        """
        step, widest = self.codec.step, self.codec.cells.widest
        low = np.ceil((about - widest) / step) - 1
        high = np.floor((about + widest) / step) + 1
        while (high - low > 1).any():
            middle = np.floor((low + high) / 2)
            reaches = self.cdf(middle * step) >= u
            low, high = np.where(reaches, low, middle), np.where(reaches, middle, high)
        coordinates = self.codec.coordinates
        x = coordinates.place(high.ravel()).clip(*self.codec.support)
        return self.codec.stored.filled(coordinates.write(x))

    def mean(self) -> FloatArray:
        """Mean of each row, ``(n_rows,)``."""
        zero = np.zeros(len(self))
        return self._moments(zero, N_NODES, N_BINS)[0] * self._scale

    def std(self) -> FloatArray:
        """Standard deviation of each row, ``(n_rows,)``."""
        first, second = self._moments(self.mean(), N_FINE_NODES, N_FINE_BINS)
        return np.asarray(np.sqrt((second - first**2).clip(0)) * self._scale)

    def _moments(
        self, about: FloatArray, n_nodes: int, n_bins: int
    ) -> tuple[FloatArray, FloatArray]:
        """First and second moments about a number of each row, in units of the column's scale."""
        scale = self._scale
        away = (self.levels - about[:, None]) / scale
        first = (self.probabilities * away).sum(axis=1)
        second = (self.probabilities * away**2).sum(axis=1)
        if self.values is not None:
            n_entries = n_nodes * n_bins * self.values.entries_per_node
            for block in self._blocks(max(n_entries, self.values.entries_per_value)):
                rows = block.rows
                with block:
                    nodes = self.values.take(rows).nodes(n_nodes, n_bins)
                    x = (self._decode(nodes.values.T.numpy()) - about[rows, None]) / scale
                    weights = nodes.weights.T.numpy() * self.value_probability[rows, None]
                    first[rows] += (weights * x).sum(axis=1)
                    second[rows] += (weights * x**2).sum(axis=1)
        return first, second

    def crps(self, x: FloatArray) -> FloatArray:
        r"""Continuous ranked probability score of a number in each row, ``(n_rows,)``.

        .. math:: \int (F(t) - [x \le t])^2 \, dt

        by the trapezoidal rule between nodes, exact between levels.
        """
        places = np.broadcast_to(self.levels, (len(self), len(self.levels)))
        places = np.column_stack((places, x))
        if self.values is not None:
            z = np.linspace(-FARTHEST_LEVEL, FARTHEST_LEVEL, N_LEVELS)
            z = np.broadcast_to(z, (len(self), N_LEVELS))
            inner = self._of_values(self.values, z, lambda own, at: own.places(at))
            places = np.column_stack((places, self._decode(inner)))
        places = np.sort(places, axis=1)
        width = np.diff(places, axis=1)
        of_values = self._blurred_cdf(places) * self.value_probability[:, None]
        of_levels = np.zeros(width.shape)
        for level, probability in zip(self.levels, self.probabilities.T, strict=True):
            of_levels += (places[:, :-1] >= level) * probability[:, None]
        missing = places[:, :-1] >= x[:, None]
        left, right = (of_levels + end - missing for end in (of_values[:, :-1], of_values[:, 1:]))
        return (width * (left**2 + left * right + right**2)).sum(axis=1) / 3

    def mode(self) -> StoredColumn:
        """Likeliest cell: a level, or the densest value where that is likelier.

        On a grid the two have probabilities; elsewhere a level is compared to all values together.
        """
        n_known, step = self.codec.labels.n_known, self.codec.step
        labels = np.full(len(self), n_known)
        values, highest = np.full(len(self), np.nan), np.full(len(self), -np.inf)
        z = np.tile(np.linspace(-3, 3, N_LEVELS), (len(self), 1))
        for level, own in enumerate(self.of_levels):
            nodes = self._inverse(own, z)
            log_density = self._log_prob_of_cells(own, nodes, level)
            densest = np.arange(len(self)), log_density.argmax(axis=1)
            with np.errstate(divide="ignore"):
                peak = log_density[densest] + np.log(self.level_shares[:, level])
            is_higher = peak > highest
            values = np.where(is_higher, nodes[densest], values)
            labels = np.where(is_higher, n_known + level, labels)
            highest = np.maximum(highest, peak)
        if len(self.levels):
            of_value = self.value_probability * (np.exp(highest) * step if step else 1.0)
            is_value = of_value > self.probabilities.max(axis=1)
            labels = np.where(is_value, labels, self.probabilities.argmax(axis=1))
        return self.codec.decode(labels, np.full(len(self), np.nan), values, on_grid=True)

    def entropy(self) -> FloatArray:
        """Entropy of each row, ``(n_rows,)``, in nats: of labels, and of the value's density."""
        masses = self.probabilities
        with np.errstate(divide="ignore", invalid="ignore"):
            total = -np.nan_to_num(masses * np.log(masses)).sum(axis=1)
            if self.values is None:
                return total
            z = np.linspace(-FARTHEST_LEVEL, FARTHEST_LEVEL, N_LEVELS)
            weights = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
            for level, values in enumerate(self.of_levels):
                x = self._inverse(values, np.tile(z, (len(self), 1)))
                log_density = self._log_prob_of_cells(values, x, level)
                log_density += self.codec.coordinates.log_unit
                probability = self.value_probability * self.level_shares[:, level]
                own = np.log(probability) + (weights * log_density).sum(axis=1)
                total -= np.nan_to_num(probability * own)
        return total

    @property
    def _scale(self) -> float:
        """Unit of moments, whose squares are floats whatever the unit of the column."""
        return self.codec.scaling.scale or 1.0

    @property
    def _near(self) -> float:
        return ON_GRID * self.codec.step

    def _value_cdf(self, x: FloatArray, *, below: bool = False) -> FloatArray:
        """Distribution function of values, the cells up to each number."""
        step = self.codec.step
        if not step:
            return self._blurred_cdf(x)
        point = np.ceil(x / step - ON_GRID) - 1 if below else np.floor(x / step + ON_GRID)
        total = np.zeros(x.shape)
        for level, values in enumerate(self.of_levels):
            ends = self.codec.cells.ends_up_to(point, level)
            total += self.level_shares[:, [level]] * self._cdf_of(values, ends)
        return total

    def _blurred_cdf(self, x: FloatArray) -> FloatArray:
        """Distribution function of values without the cells of a grid."""
        if self.values is None:
            return np.zeros(x.shape)
        low, high = self.codec.cells.edges
        ends = np.where(x <= low, -np.inf, np.where(x >= high, np.inf, x))
        return self._cdf_of(self.values, ends)

    def _cdf_of(self, values: Values, x: FloatArray) -> FloatArray:
        """Distribution function at finite numbers, and at infinity."""
        finite = np.where(np.isfinite(x), x, 0.0)
        encoded = self.codec.scaling.encode(finite.ravel())[0].reshape(x.shape)
        share = ndtr(self._of_values(values, encoded, lambda own, at: own.latents(at)))
        return np.where(np.isfinite(x), share, x > 0)

    def _decode(self, encoded: FloatArray) -> FloatArray:
        """Coordinates of encoded values, within the outermost cells."""
        x = self.codec.scaling.decode(encoded.ravel()).reshape(encoded.shape)
        return x.clip(*self.codec.cells.edges)

    def _log_prob_of_values(self, values: Values, x: FloatArray) -> FloatArray:
        return self._of_values(values, x, lambda own, at: own.log_prob(at))

    def masses_of_cells(self, values: Values, x: FloatArray, level: int) -> tuple[FloatArray, Mask]:
        """Log-probabilities of the cells of numbers, and which cells are too wide for a density."""
        step = self.codec.step
        points = (np.ceil(x / step - ON_GRID) - 1, np.floor(x / step + ON_GRID))
        ends = [self.codec.cells.ends_up_to(point, level) for point in points]
        low, high = (ndtri(self._cdf_of(values, end)) for end in ends)
        # Both ends in the lower tail, where probabilities keep their digits.
        low, high = np.where(low > 0, -high, low), np.where(low > 0, -low, high)
        with np.errstate(divide="ignore", invalid="ignore"):
            log_probs = log_ndtr(high) + np.log1p(-np.exp(log_ndtr(low) - log_ndtr(high)))
            return log_probs, high - low > WIDE_CELL

    def _log_prob_of_cells(self, values: Values, x: FloatArray, level: int) -> FloatArray:
        """Log-density at encoded values, per coordinate: times the step, that of their cells."""
        per_coordinate = self.codec.scaling.encode(self._decode(x).ravel())[1].reshape(x.shape)
        log_density = self._log_prob_of_values(values, x) + per_coordinate
        if not (step := self.codec.step):
            return log_density
        of_cells = log_density + np.log(self.codec.cells.widths[level] / step)
        return np.minimum(of_cells, -math.log(step))  # a probability, per step

    def _inverse(self, values: Values, z: FloatArray, *, within_reach: bool = False) -> FloatArray:
        if within_reach:
            return self._of_values(values, z, lambda own, at: own.inverse_within_reach(at))
        return self._of_values(values, z, lambda own, at: own.inverse(at))

    def _of_values(
        self,
        values: Values,
        x: FloatArray,
        function: Callable[[Values, torch.Tensor], torch.Tensor],
    ) -> FloatArray:
        """Evaluate a function at ``(n_rows, n_places)``, block by block."""
        result = np.empty(x.shape)
        for block in self._blocks(x.shape[1] * values.entries_per_value):
            with block:
                places = torch.tensor(x[block.rows].T.copy())
                result[block.rows] = function(values.take(block.rows), places).T.numpy()
        return result

    def _blocks(self, entries_per_row: int) -> Iterator[Block]:
        size = max(1, BLOCK_ENTRIES // entries_per_row)
        for start in range(0, len(self), size):
            yield Block(slice(start, min(start + size, len(self))), can_be_halved=False)
