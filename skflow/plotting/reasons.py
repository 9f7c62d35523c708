"""ReasonsDisplay: columns that make one row unusual."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from skflow.estimators.meta import density_of
from skflow.plotting.columns import texts_of, usual_values
from skflow.plotting.style import BLUE, axes_or_new, shorten

FloatArray = NDArray[np.float64]

N_DRAWS = 1000  # samples from which usual values are computed
MOST_TICKS = 6


class ReasonsDisplay:
    """Reasons why one row is unusual, the strongest on top.

    A bar shows how unlikely a column's value is given the row's other columns: "1 in 100" if
    one in a hundred draws of that column would be no likelier. Beside it are the value
    and, for comparison, the usual values of the column in all rows, whatever the other columns:
    the 5 % and 95 % quantiles of its numbers, or its most frequent value. A value that is usual
    there may be unlikely given the rest of its row. The title names the row, by its index or its
    position, with its score and p-value.

    It is drawn by :meth:`from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    strangeness : ndarray of shape (n_features,)
        Negative :meth:`FlowOutlierDetector.score_features` of the row, in nats.
    feature_names : sequence of str
        Names of the columns.
    values : sequence of str
        Values of the row, as text.
    usual : sequence of str
        Usual values of each column, as text.
    title : str, default=""
        Name of the row, its score and its p-value.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    OutlierScoreDisplay : Distribution of the scores of rows.
    PairDisplay : Two columns of all rows.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skflow import FlowDensity, FlowOutlierDetector
    >>> from skflow.plotting import ReasonsDisplay
    >>> X = load_iris(as_frame=True).data
    >>> density = FlowDensity(n_layers=0, n_components=1)
    >>> detector = FlowOutlierDetector(density, random_state=0).fit(X)
    >>> strange = X.iloc[[0]].assign(**{"petal length (cm)": 6.0})
    >>> display = ReasonsDisplay.from_estimator(detector, strange, random_state=0)
    >>> display.feature_names[display.strangeness.argmax()]
    'petal length (cm)'
    """

    ax_: Axes
    figure_: Any

    def __init__(
        self,
        strangeness: FloatArray,
        feature_names: Sequence[str],
        values: Sequence[str],
        usual: Sequence[str],
        title: str = "",
    ) -> None:
        self.strangeness = strangeness
        self.feature_names = feature_names
        self.values = values
        self.usual = usual
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        detector: Any,
        X: ArrayLike,
        *,
        row: int | None = None,
        max_features: int = 10,
        random_state: int | np.random.RandomState | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Compute the reasons of one row and draw them.

        Parameters
        ----------
        detector : FlowOutlierDetector
            Fitted detector.
        X : array-like of shape (n_samples, n_features)
            One row, or a table and the position ``row`` in it.
        row : int, default=None
            Position of the row, from 0; None if ``X`` has only one row.
        max_features : int, default=10
            Number of columns to show, the least likely ones.
        random_state : int, RandomState instance or None, default=None
            Seed of the rows sampled for usual values.
        ax : matplotlib Axes, default=None
            Where to draw; None draws in a new figure.

        Returns
        -------
        display : ReasonsDisplay

        Raises
        ------
        TypeError
            If the estimator gives no reasons, such as a density.
        ValueError
            If the row is ambiguous or does not exist.
        """
        density = density_of(detector)
        if not hasattr(detector, "score_features"):
            raise TypeError(
                f"{type(detector).__name__} gives no reasons. Pass a FlowOutlierDetector."
            )
        one = _take_row(X, row)
        cells = detector._read(one).columns
        drawn = density._read(density.sample(N_DRAWS, random_state)).columns
        score, p_value = detector.score_samples(one)[0], detector.p_values(one)[0]
        return cls(
            -np.asarray(detector.score_features(one), dtype=np.float64)[0],
            [column.name for column in cells],
            [texts_of(column)[0] for column in cells],
            [usual_values(column) for column in drawn],
            f"{_name_row(one, row)}score {score:.4g} (threshold {detector.offset_:.4g}), "
            f"p-value {p_value:.2g}",
        ).plot(ax, max_features=max_features)

    def plot(self, ax: Axes | None = None, *, max_features: int = 10) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None draws in a new figure.
        max_features : int, default=10
            Number of columns to show, the least likely ones.

        Returns
        -------
        self : ReasonsDisplay
        """
        if max_features < 1:
            raise ValueError(f"max_features must be at least 1; got {max_features}.")
        shown = np.argsort(-self.strangeness, kind="stable")[:max_features]
        ax = axes_or_new(ax, width=8, height=1.4 + 0.45 * len(shown))
        places = np.arange(len(shown))
        ax.barh(places, self.strangeness[shown], color=BLUE, height=0.6)
        ax.set_yticks(places, [self._label(j) for j in shown], fontsize="small")
        ax.invert_yaxis()
        ticks, texts = _one_in_ticks(float(self.strangeness[shown[0]]))
        ax.set_xticks(ticks, texts)
        ax.set_xlim(0, max(1.05 * self.strangeness[shown[0]], ticks[1]))
        ax.grid(axis="x", color="0.85")
        ax.set_axisbelow(True)
        ax.set_xlabel("bars, given the rest of the row: draws no likelier")
        if self.title:
            ax.set_title(self.title, fontsize="medium")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _label(self, j: int) -> str:
        name, value = shorten(self.feature_names[j]), shorten(self.values[j])
        return f"{name} = {value}\nin all rows: {self.usual[j]}"


def _take_row(X: Any, row: int | None) -> Any:
    """Return a table of one row.

    Raises
    ------
    ValueError
        If the row is ambiguous or does not exist.
    """
    n_rows = _num_samples(X)
    if row is None:
        if n_rows != 1:
            raise ValueError(f"X has {n_rows} rows. Pass one row, or say which with row=.")
        return X
    if not 0 <= row < n_rows:
        raise ValueError(f"row must be a position from 0 to {n_rows - 1}; got {row}.")
    return _safe_indexing(X, [row])


def _name_row(one: Any, position: int | None) -> str:
    """Return the name of a row: its index label, else its position if given."""
    if hasattr(one, "iloc"):
        return f"row {shorten(str(one.index[0]))}: "
    return "" if position is None else f"row {position}: "


def _one_in_ticks(largest: float) -> tuple[FloatArray, list[str]]:
    """Return ticks at probabilities of one in a power of ten, and their labels."""
    decades = max(int(largest / np.log(10)), 1)
    powers = range(0, decades + 1, 1 + decades // MOST_TICKS)
    texts = [f"1 in {10**k:,}" if k < 4 else f"1 in $10^{{{k}}}$" for k in powers]
    return np.log(10) * np.array(powers), ["all", *texts[1:]]
