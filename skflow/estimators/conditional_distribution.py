"""ConditionalDistribution: the predictive distribution of each row."""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from skflow.fitted.drawn_column import DrawnColumn
from skflow.fitted.predicted_column import PredictedColumn
from skflow.table.reading import read_numpy
from skflow.table.storage import StoredColumn, as_family, refuse_infinite

FloatArray = NDArray[np.float64]


class ConditionalDistribution:
    r"""Predictive distribution of y in each row, with the methods of scipy's distributions.

    It is returned by :meth:`FlowRegressor.predict_dist`. Each of the M fits of the regressor maps
    y to a standard normal variable, :math:`z = f_m(y; x)`; for one output

    .. math:: F(y \mid x) = \frac{1}{M} \sum_m \Phi(f_m(y; x)), \qquad
              p(y \mid x) = \frac{1}{M} \sum_m \varphi(f_m(y; x)) \, |\partial f_m / \partial y| .

    Values are narrowed by ``spread_`` of the regressor, s, to :math:`\Phi(\Phi^{-1}(F) / s)`.
    Levels and atoms of y, numbers that occur so often that they are events of their own, have
    probabilities: there the distribution function jumps. On a grid, as of whole numbers and
    dates, it jumps at each point, and ``pdf`` is per unit of y.

    For several outputs, the distribution of each is that of 512 draws, as many of each fit, the
    same normal draws in all rows; ``logpdf`` and ``pdf`` are those of all outputs together, in
    closed form.

    Numbers are in units of y and, where a method returns a y, in the dtype of y. Distances and
    densities of dates and durations are in seconds.

    Attributes
    ----------
    levels_ : ndarray of shape (n_levels,)
        Values of y with a probability, ascending; of one output.
    probabilities_ : ndarray of shape (n_rows, n_levels), float64
        Their probabilities; the rest of 1 is that of other values.

    See Also
    --------
    FlowRegressor : Fits and predicts.

    Examples
    --------
    >>> import numpy as np
    >>> from skflow import FlowDensity, FlowRegressor
    >>> X = np.random.default_rng(0).normal(size=(250, 1))
    >>> y = X[:, 0] + np.random.default_rng(1).normal(size=250)
    >>> regressor = FlowRegressor(FlowDensity(n_layers=0, n_components=1), random_state=0).fit(X, y)
    >>> distribution = regressor.predict_dist([[-1.0], [1.0]])
    >>> distribution.mean().round(1), distribution.std().round(1)
    (array([-1. ,  0.8]), array([0.9, 0.9]))
    >>> distribution.ppf([0.05, 0.95]).round(1)
    array([[-2.4,  0.4],
           [-0.6,  2.2]])
    >>> distribution.cdf(0.0).round(2)
    array([0.88, 0.18])
    >>> distribution[1:].crps([1.0]).round(2)
    array([0.22])
    """

    def __init__(
        self,
        columns: Sequence[PredictedColumn | DrawnColumn],
        dtypes: Sequence[np.dtype],
        *,
        is_table: bool,
        log_density: Callable[[Any, Any], FloatArray] | None = None,
    ) -> None:
        self._columns = list(columns)
        self._dtypes = list(dtypes)
        self._is_table = is_table
        self._log_density = log_density
        self._rows: Any = None

    def __len__(self) -> int:
        return len(self._columns[0])

    def __getitem__(self, rows: Any) -> Self:
        """Return the distributions of some rows, by index, slice, mask or indices."""
        chosen = np.arange(len(self))[rows]
        chosen = np.atleast_1d(chosen)
        part = copy.copy(self)
        part._columns = [column.take(chosen) for column in self._columns]
        part._rows = chosen if self._rows is None else self._rows[chosen]
        return part

    def __repr__(self) -> str:
        what = "1 output" if len(self._columns) == 1 else f"{len(self._columns)} outputs"
        return f"ConditionalDistribution({len(self)} rows, {what})"

    @property
    def levels_(self) -> NDArray[Any]:
        """Values of y with a probability, ascending, ``(n_levels,)``."""
        column = self._only("levels_")
        cells = column.codec.stored.filled(column.codec.known.values)
        return _to_array(cells, self._dtypes[0])

    @property
    def probabilities_(self) -> FloatArray:
        """Probability of each of ``levels_``, ``(n_rows, n_levels)``."""
        return self._only("probabilities_").probabilities

    def logpdf(self, y: ArrayLike) -> FloatArray:
        """Log-density of y, or log-probability of a level, in nats per unit of y.

        Parameters
        ----------
        y : scalar or array-like of shape (n_rows,), (n_rows, n_values) or (1, n_values)
            A number for all rows, one for each row, or several for each row; for several
            outputs of shape (n_rows, n_outputs).

        Returns
        -------
        log_density : ndarray of shape (n_rows,) or (n_rows, n_values), float64
        """
        if self._log_density is not None:
            return self._log_density(y, self._rows)
        column = self._only("logpdf")
        values, shape = self._broadcast(y)
        return column.log_prob(self._read(values, 0), values.shape[1]).reshape(shape)

    def pdf(self, y: ArrayLike) -> FloatArray:
        """Density of y, or probability of a level; the exponential of :meth:`logpdf`."""
        return np.exp(self.logpdf(y))

    def cdf(self, y: ArrayLike) -> FloatArray:
        """Probability of at most y.

        Parameters
        ----------
        y : scalar or array-like of shape (n_rows,), (n_rows, n_values) or (1, n_values)
            For several outputs of shape (n_rows, n_outputs).

        Returns
        -------
        probability : ndarray of shape (n_rows,) or (n_rows, n_values), float64
            For several outputs (n_rows, n_outputs).
        """
        return self._cdf(y, below=False)

    def probability_below(self, y: ArrayLike) -> FloatArray:
        """Probability of less than y: :meth:`cdf` without the probability of y itself."""
        return self._cdf(y, below=True)

    def pit(
        self, y: ArrayLike, random_state: int | np.random.RandomState | None = None
    ) -> FloatArray:
        """Probability integral transform: :meth:`cdf`, where it jumps a draw within the jump.

        Parameters
        ----------
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)
        random_state : int, RandomState instance or None, default=None

        Returns
        -------
        pit : ndarray of the shape of y, float64
            Uniform on [0, 1] if the distributions are right.
        """
        below, up_to = self.probability_below(y), self.cdf(y)
        shares = check_random_state(random_state).uniform(size=below.shape)
        return np.asarray(below + shares * (up_to - below))

    def sf(self, y: ArrayLike) -> FloatArray:
        """Probability of more than y: 1 less :meth:`cdf`."""
        return 1 - self.cdf(y)

    def ppf(self, q: ArrayLike) -> NDArray[Any]:
        """Quantiles: the least y with a :meth:`cdf` of at least q.

        Parameters
        ----------
        q : float or array-like of shape (n_quantiles,), or (n_rows, n_quantiles)
            Probabilities, in (0, 1).

        Returns
        -------
        quantiles : ndarray of shape (n_rows,) or (n_rows, n_quantiles)
            In the dtype of y, on its grid and within its bounds. For several outputs
            (n_rows, n_outputs) or (n_rows, n_outputs, n_quantiles).

        Raises
        ------
        ValueError
            Where q is empty, or not between 0 and 1.
        """
        shares = np.asarray(q, dtype=np.float64)
        if not shares.size or not ((shares > 0) & (shares < 1)).all():
            raise ValueError(f"Quantiles are numbers between 0 and 1, both left out; got {q!r}.")
        each = np.broadcast_to(np.atleast_2d(shares), (len(self), np.atleast_2d(shares).shape[1]))
        cells = [column.ppf(each) for column in self._columns]
        pairs = zip(cells, self._dtypes, strict=True)
        quantiles = self._join([_to_array(*pair).reshape(each.shape) for pair in pairs])
        return quantiles[..., 0] if shares.ndim == 0 else quantiles

    def ppf_of_outputs(self, q: FloatArray) -> NDArray[Any]:
        """Quantiles at a probability for each output, ``(n_rows,)`` or ``(n_rows, n_outputs)``."""
        pairs = zip(self._columns, q, self._dtypes, strict=True)
        return self._join(
            [
                _to_array(column.ppf(np.full((len(self), 1), at)), dtype)
                for column, at, dtype in pairs
            ]
        )

    def median(self) -> NDArray[Any]:
        """Medians: ``ppf(0.5)``."""
        return self.ppf(0.5)

    def interval(self, confidence: float = 0.9) -> tuple[NDArray[Any], NDArray[Any]]:
        """Central intervals, which hold y with a probability of ``confidence``.

        Returns
        -------
        low, high : ndarray of shape (n_rows,) or (n_rows, n_outputs)
            Quantiles; not calibrated, as those of :meth:`FlowRegressor.predict_interval` are.
        """
        return self.ppf((1 - confidence) / 2), self.ppf((1 + confidence) / 2)

    def mean(self) -> NDArray[Any]:
        """Means, float64, or dates or durations; ``(n_rows,)`` or ``(n_rows, n_outputs)``.

        Values are taken no farther out than the training rows make likely: tails of a density
        that is finite everywhere need have no mean.
        """
        means = []
        for column in self._columns:
            x, coordinates = column.mean(), column.codec.coordinates
            if column.codec.stored.family.is_temporal:
                means.append(_to_array(column.codec.stored.filled(coordinates.write(x))))
            else:
                means.append(column.codec.numbers_at(x))
        return self._join(means)

    def var(self) -> FloatArray:
        """Variances, in squared units of y."""
        return self._join([(_unit(column) * column.std()) ** 2 for column in self._columns])

    def std(self) -> NDArray[Any]:
        """Standard deviations in units of y; of dates and durations as durations."""
        deviations = self._join([_unit(column) * column.std() for column in self._columns])
        return self._columns[0].codec.stored.family.deviation(deviations)

    def mode(self) -> NDArray[Any]:
        """Likeliest y: the likeliest level, or the densest value where that is likelier.

        On a grid, each value has a probability; elsewhere a level is compared to all values.
        """
        return _to_array(self._only("mode").mode(), self._dtypes[0])

    def entropy(self) -> FloatArray:
        """Entropy in nats, of levels and densities per unit of y, ``(n_rows,)``."""
        return self._only("entropy").entropy()

    def crps(self, y: ArrayLike) -> FloatArray:
        r"""Continuous ranked probability score of y, in units of y; lower is better [1]_.

        .. math:: \mathrm{CRPS}(F, y) = \int (F(t) - [y \le t])^2 \, dt
                  = E|Y - y| - \tfrac{1}{2} E|Y - Y'| .

        Numerical integration between 241 quantiles, where fits are averaged those of each fit in
        turn; values on a grid count as spread over their cells.

        Parameters
        ----------
        y : scalar or array-like of shape (n_rows,) or (n_rows, n_outputs)

        Returns
        -------
        crps : ndarray of shape (n_rows,) or (n_rows, n_outputs), float64

        References
        ----------
        .. [1] T. Gneiting, A. E. Raftery, "Strictly Proper Scoring Rules, Prediction, and
           Estimation", JASA 102, 2007, equations 20 and 21.
        """
        pairs = zip(self._columns, self._coordinates(y), strict=True)
        return self._join([_unit(column) * column.crps(at[:, 0]) for column, at in pairs])

    def value_masses(self, y: ArrayLike) -> FloatArray:
        """Probability of values up to y, of those below y, and of all values, ``(n_rows, 3)``.

        Values are what is no level; NaN where y is a level, and for several outputs.
        """
        column = self._columns[0]
        if not isinstance(column, PredictedColumn):
            return np.full((len(self), 3), np.nan)
        return column.value_masses(self._coordinates(y)[0][:, 0])

    def sample(
        self, size: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> NDArray[Any]:
        """Draw y in each row.

        Parameters
        ----------
        size : int, default=1
            Number of draws in each row.
        random_state : int, RandomState instance or None, default=None
            None draws afresh at each call.

        Returns
        -------
        y : ndarray of shape (size, n_rows) or (size, n_rows, n_outputs)
            In the dtype of y. Several outputs are drawn together, from 512 draws in each row.
        """
        generator = check_random_state(random_state)
        drawn = []
        if self._log_density is not None:
            columns = [c for c in self._columns if isinstance(c, DrawnColumn)]
            places = generator.randint(columns[0].draws.shape[1], size=(len(self), size))
            for column, dtype in zip(columns, self._dtypes, strict=True):
                cells = column.cells(np.take_along_axis(column.draws, places, axis=1).ravel())
                drawn.append(_to_array(cells, dtype).reshape(len(self), size))
            return np.moveaxis(self._join(drawn), -1, 0)
        shares = generator.uniform(np.finfo(np.float64).tiny, 1, size=(len(self), size))
        cells = self._only("sample").ppf(shares, within_reach=True)
        values = _to_array(cells, self._dtypes[0]).reshape(len(self), size)
        return np.moveaxis(self._join([values]), -1, 0)

    def _cdf(self, y: ArrayLike, *, below: bool) -> FloatArray:
        pairs = zip(self._columns, self._coordinates(y), strict=True)
        joined = self._join([column.cdf(at, below=below) for column, at in pairs])
        is_several = not self._is_table and np.ndim(y) == 2
        return joined if is_several else joined[..., 0]

    def _coordinates(self, y: Any) -> list[FloatArray]:
        """Coordinates of the values of each output, ``(n_rows, n_values)``."""
        table, shape = np.asarray(y), (len(self), len(self._columns))
        if self._is_table and table.shape != shape:
            raise ValueError(f"y must be of shape {shape}, rows and outputs; got {table.shape}.")
        outputs = table.T[:, :, None] if self._is_table else [self._broadcast(y)[0]]
        return [
            self._columns[k].codec.coordinates.read(self._read(values, k)).reshape(values.shape)
            for k, values in enumerate(outputs)
        ]

    def _broadcast(self, y: Any) -> tuple[NDArray[Any], tuple[int, ...]]:
        """Return values ``(n_rows, n_values)``, and the shape of what is computed of them."""
        values = np.asarray(y)
        if self._is_table and values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim > 2 or (values.ndim and len(values) not in (1, len(self))):
            raise ValueError(
                f"y must be a number, or of shape ({len(self)},), ({len(self)}, n_values) or "
                f"(1, n_values), for {len(self)} rows; got shape {values.shape}."
            )
        if values.ndim < 2:
            return np.broadcast_to(values, (len(self),))[:, None], (len(self),)
        shape = (len(self), values.shape[1])
        return np.broadcast_to(values, shape), shape

    def _read(self, values: NDArray[Any], k: int) -> StoredColumn:
        """Read values of an output as cells, one row after the other."""
        return read_target(values.ravel(), self._columns[k].codec.stored)

    def _join(self, outputs: list[NDArray[Any]]) -> NDArray[Any]:
        return np.stack(outputs, axis=1) if self._is_table else outputs[0]

    def _only(self, name: str) -> PredictedColumn:
        column = self._columns[0]
        if len(self._columns) > 1 or not isinstance(column, PredictedColumn):
            raise ValueError(
                f"{name} is of one output; this distribution has {len(self._columns)}. Fit one "
                "regressor for each output, or use the methods of quantiles and draws."
            )
        return column


def read_target(values: NDArray[Any], fitted: StoredColumn) -> StoredColumn:
    """Read values of y as cells of the fitted column; refuse missing ones and infinities."""
    try:
        column = as_family(read_numpy(values), fitted)
    except TypeError as error:
        raise TypeError(f"y {error}") from error
    refuse_infinite([column])
    if not column.present.all():
        raise ValueError("Input y contains NaN.")
    return column


def _unit(column: PredictedColumn | DrawnColumn) -> float:
    """Units of y in one unit of its coordinates."""
    return math.exp(-column.codec.coordinates.log_unit)


def _to_array(cells: StoredColumn, dtype: np.dtype | None = None) -> NDArray[Any]:
    """Cells as an array of numbers, dates or durations, in ``dtype`` if given."""
    values = cells.family.to_array(cells.values, cells.tick)
    return values if dtype is None else values.astype(dtype)
