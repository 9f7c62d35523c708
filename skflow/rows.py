"""Encoded rows, and sources of them: what a table's codec returns and a model is fitted to."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

BLOCK_ENTRIES = 2**15
MIN_BLOCK_ROWS = 1024


@dataclass(frozen=True)
class EncodedRows:
    """Rows of a table as numbers.

    Attributes
    ----------
    labels : ndarray of int64, shape (n_rows, n_labelled)
        Index of each label among the known labels of its column; their number where the
        category, level or missing marker is novel. float64 in conditions, where a number between
        two levels has a position between their labels.
    novel : ndarray of float64, shape (n_rows, n_labelled)
        Coordinate of a novel number in a column of levels; NaN elsewhere.
    values : ndarray of float64, shape (n_rows, n_valued)
        Encoded numbers; NaN where a row has no value in the column.
    bin_widths : ndarray of float64, shape (n_rows, n_valued)
        Width of the grid's bin about each encoded value; 0 in columns without a grid.
    log_volume : ndarray of float64, shape (n_rows,)
        Log-derivative of the encoding, in nats, per unit of the original columns.
    weight : ndarray of float64, shape (n_rows,), optional
        Weight of each row in losses, means and counts; None gives all rows the same weight.
    given : EncodedRows, optional
        The condition of each row: the columns that are given, which have no log-volume.
    """

    labels: NDArray[Any]
    novel: FloatArray
    values: FloatArray
    bin_widths: FloatArray
    log_volume: FloatArray
    weight: FloatArray | None = None
    given: "EncodedRows | None" = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n_values(self) -> int:
        """Columns of values, those of the condition among them."""
        return self.values.shape[1] + (0 if self.given is None else self.given.n_values)

    @property
    def quantized_columns(self) -> list[int]:
        """Columns of values on a grid."""
        return np.flatnonzero(self.bin_widths.any(axis=0)).tolist()

    @property
    def mass(self) -> float:
        """Sum of the weights: the number of rows if all weights are equal."""
        return float(len(self) if self.weight is None else self.weight.sum())

    def take(self, rows: Any) -> Self:
        """Return some of the rows, by slice, mask or index."""
        given = None if self.given is None else self.given.take(rows)
        arrays = {name: array[rows] for name, array in self.arrays().items()}
        return replace(self, **arrays, given=given)

    def at_levels(self) -> Self:
        """Return the rows with the label of the nearest level of each position."""
        return replace(self, labels=np.rint(self.labels).astype(np.int64))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of these rows by name, those of their condition left out."""
        return {name: part for name, part in vars(self).items() if isinstance(part, np.ndarray)}


class LevelValues(NamedTuple):
    """Levels of a condition that is a column of labels and one of values.

    Attributes
    ----------
    label, value : int
        Positions of the column among those of labels, and among those of values.
    values : tuple of float
        Encoded value of each level, ascending.
    """

    label: int
    value: int
    values: tuple[float, ...]


@dataclass(frozen=True)
class Layout:
    """Facts about the columns that a model depends on.

    Attributes
    ----------
    n_labels : tuple of int
        Number of known labels of each labelled column.
    unseen : tuple of float
        Probability of a label never seen, for each labelled column.
    value_labels : tuple of (int, int, int)
        For each valued column, the labelled column, and the first and the end of its labels
        "a value"; (-1, 0, 1) where every row has a value.
    bounds : tuple of (float, float)
        Support of each valued column, in encoded values.
    given : (tuple of int, int, tuple of LevelValues), optional
        Numbers of known labels of the conditions, number of their columns of values, and the levels
        of those that are read as labels and as values.
    joint_parents : tuple of tuples of (int, int, int)
        For each labelled column, the earlier ones that decide together what it may be: each with
        the first and the end of the labels that count. Empty where no column has several.
    """

    n_labels: tuple[int, ...]
    unseen: tuple[float, ...]
    value_labels: tuple[tuple[int, int, int], ...]
    bounds: tuple[tuple[float, float], ...]
    given: tuple[tuple[int, ...], int, tuple[LevelValues, ...]] | None = None
    joint_parents: tuple[tuple[tuple[int, int, int], ...], ...] = ()


def concatenate(parts: Sequence[EncodedRows]) -> EncodedRows:
    """Join rows, one part after the other; either all parts have weights, or none."""
    names = parts[0].arrays()
    given = [part.given for part in parts if part.given is not None]
    return EncodedRows(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names},
        given=concatenate(given) if given else None,
    )


def weighted_mean(values: Any, weight: Any = None) -> Any:
    r"""Return the weighted mean over the last axis, :math:`\sum_i w_i x_i / \sum_i w_i`.

    Parameters
    ----------
    values : ndarray or Tensor of shape (..., n_rows)
    weight : ndarray or Tensor of shape (n_rows,) or (..., n_rows), optional
        A row of weight 2 counts as two equal rows; None gives all rows the same weight.
    """
    if weight is None:
        return values.mean(-1)
    return (values * weight).sum(-1) / weight.sum(-1)


def weighted_sum(values: Any, weight: Any = None) -> Any:
    r"""Return the weighted sum over the last axis, :math:`\sum_i w_i x_i`; None weighs by 1."""
    return values.sum(-1) if weight is None else (values * weight).sum(-1)


def effective_number(weight: Any) -> float:
    r"""Return :math:`(\sum_i w_i)^2 / \sum_i w_i^2`, as many rows of equal weights (Kish, 1965)."""
    return float(weight.sum() ** 2 / (weight**2).sum())


@dataclass(frozen=True)
class WeightScale:
    r"""How weights of rows are scaled: only their ratios count.

    In sum scaled weights are the effective number of rows,

    .. math:: n_\mathrm{eff} = \frac{(\sum_i w_i)^2}{\sum_i w_i^2},

    of as many equal weights a weighted mean has the same variance [1]_. Ratios to the largest
    weight are rounded to 24 bits, so that rounding errors of a common factor have no effect; a
    weight is taken for 0 where its ratio is below 1e-38.

    Attributes
    ----------
    largest : float
        Largest weight.
    n_positive : int
        Rows of positive weight.
    factor : float or None
        Scaled weight of a row of the largest weight; None where all positive weights are equal.
    mass : float
        Sum of the scaled weights: the number of rows where their weights are equal.

    References
    ----------
    .. [1] L. Kish, "Survey Sampling", Wiley, 1965, section 11.7.
    """

    largest: float
    n_positive: int
    factor: float | None
    mass: float

    @classmethod
    def fit(cls, read: Callable[[], Iterable[FloatArray]]) -> Self:
        """Find the scale of weights that come in parts.

        Parameters
        ----------
        read : callable
            Returns the parts, each an array of finite weights from 0 on, not all of them 0. It is
            called twice.
        """
        largest = max(float(part.max(initial=0.0)) for part in read())
        ratios = (_positive_ratios(part, largest)[1] for part in read())
        n_positive, total, squares, smallest = 0, 0.0, 0.0, 1.0
        for part in ratios:
            n_positive += len(part)
            total, squares = total + part.sum(), squares + (part**2).sum()
            smallest = min(smallest, part.min(initial=1.0))
        if smallest == 1.0:
            return cls(largest, n_positive, None, float(n_positive))
        return cls(largest, n_positive, float(total / squares), float(total**2 / squares))

    def apply(self, weight: FloatArray) -> tuple[NDArray[np.bool_], FloatArray | None]:
        """Return which rows have a positive weight, and their scaled weights, if not all equal."""
        is_positive, ratios = _positive_ratios(weight, self.largest)
        return is_positive, None if self.factor is None else ratios * self.factor


def _positive_ratios(weight: FloatArray, largest: float) -> tuple[NDArray[np.bool_], FloatArray]:
    ratios = (weight / largest).astype(np.float32)
    is_positive = ratios >= np.finfo(np.float32).tiny
    return is_positive, ratios[is_positive].astype(np.float64)


class RowSource(Protocol):
    """Rows that are encoded when they are read: no encoded copy of the whole table is held.

    Attributes
    ----------
    quantized_columns : list of int
        Columns of values on a grid.
    mass : float
        Sum of the weights: the number of rows if all weights are equal.
    """

    @property
    def quantized_columns(self) -> list[int]: ...  # noqa: D102

    @property
    def mass(self) -> float: ...  # noqa: D102

    def __len__(self) -> int: ...

    def take(self, rows: Any) -> EncodedRows:
        """Encode some of the rows, by slice or index."""
        ...


class WindowedRows(ABC):
    """A source of more rows than memory holds: training reads them in windows of equal size.

    Attributes
    ----------
    n_windows : int
        Windows that hold all rows once.
    sample : RowSource
        Some of the rows, drawn at random, for what is fitted to a sample.
    """

    n_windows: int
    sample: RowSource

    @abstractmethod
    def window(self, epoch: int) -> RowSource:
        """Return the rows of an epoch, in random order: others in each, until all were read."""


def window_of(source: RowSource, epoch: int) -> RowSource:
    """Return the rows of an epoch: all rows of a source that is in memory."""
    return source.window(epoch) if isinstance(source, WindowedRows) else source


def sample_of(source: RowSource) -> RowSource:
    """Return rows that represent those of a source: all rows where they are in memory."""
    return source.sample if isinstance(source, WindowedRows) else source


def block_size(n_columns: int) -> int:
    """Return the rows of a block whose arrays of ``n_columns`` stay small."""
    return max(MIN_BLOCK_ROWS, BLOCK_ENTRIES // max(1, n_columns))


def row_blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Yield slices of rows whose arrays of ``n_columns`` stay small."""
    size = block_size(n_columns)
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


def encoded_blocks(source: RowSource, n_columns: int) -> Iterator[tuple[slice, EncodedRows]]:
    """Encode all rows of a source, in their order: yield slices and their rows."""
    for block in row_blocks(len(source), n_columns):
        yield block, source.take(block)
