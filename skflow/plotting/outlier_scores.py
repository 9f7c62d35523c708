"""OutlierScoreDisplay: distribution of outlier scores, with the threshold."""

from typing import Any, Self

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from skflow.plotting.scale import Scale, TailScale
from skflow.plotting.style import BLUE, ORANGE, VERMILLION, axes_or_new

FloatArray = NDArray[np.float64]

N_BINS = 50
FARTHEST = 10  # end of the linear axis below the threshold, in distances of the highest score


class OutlierScoreDisplay:
    """Histogram of outlier scores, with the threshold.

    The display shows one group of rows, or two groups to compare: new rows whose scores lie
    further left than those of the reference have changed. The axis of shares is logarithmic,
    because outliers are few; if some scores are very low, the axis of scores is logarithmic
    there, as its label says.

    It is drawn by :meth:`from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    scores : array-like of shape (n_samples,)
        Scores of rows; lower is more unusual.
    threshold : float
        Score below which rows are outliers.
    reference_scores : array-like of shape (n_reference,), default=None
        Scores of the reference rows.
    names : pair of str, default=("rows", "reference")
        Names of the two groups in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    ReasonsDisplay : Reasons why one row is unusual.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skflow import FlowDensity, FlowOutlierDetector
    >>> from skflow.plotting import OutlierScoreDisplay
    >>> X = load_iris().data
    >>> density = FlowDensity(n_layers=0, n_components=1)
    >>> detector = FlowOutlierDetector(density, random_state=0).fit(X)
    >>> display = OutlierScoreDisplay.from_estimator(detector, X)
    >>> display.threshold == detector.offset_
    True
    """

    ax_: Axes
    figure_: Any

    def __init__(
        self,
        scores: ArrayLike,
        threshold: float,
        *,
        reference_scores: ArrayLike | None = None,
        names: tuple[str, str] = ("rows", "reference"),
    ) -> None:
        self.scores = scores
        self.threshold = threshold
        self.reference_scores = reference_scores
        self.names = names

    @classmethod
    def from_estimator(
        cls,
        detector: Any,
        X: ArrayLike,
        *,
        reference: ArrayLike | None = None,
        names: tuple[str, str] = ("rows", "reference"),
        ax: Axes | None = None,
    ) -> Self:
        """Score rows and draw their scores.

        Parameters
        ----------
        detector : FlowOutlierDetector
            Fitted detector, also of scikit-learn, with ``score_samples`` and ``offset_``.
        X : array-like of shape (n_samples, n_features)
        reference : array-like of shape (n_reference, n_features), default=None
            Rows to compare with, such as the training rows.
        names : pair of str, default=("rows", "reference")
            Names of the two groups in the legend.
        ax : matplotlib Axes, default=None
            Where to draw; None draws in a new figure.

        Returns
        -------
        display : OutlierScoreDisplay

        Raises
        ------
        TypeError
            If the estimator has no threshold, such as a density.
        """
        check_is_fitted(detector)
        if not (hasattr(detector, "score_samples") and hasattr(detector, "offset_")):
            raise TypeError(
                f"Expected an outlier detector with score_samples and offset_; got "
                f"{type(detector).__name__}. Pass a FlowOutlierDetector."
            )
        scores = detector.score_samples(X)
        others = None if reference is None else detector.score_samples(reference)
        display = cls(scores, float(detector.offset_), reference_scores=others, names=names)
        return display.plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None draws in a new figure.

        Returns
        -------
        self : OutlierScoreDisplay
        """
        ax = axes_or_new(ax)
        groups = [np.asarray(self.scores)]
        if self.reference_scores is not None:
            groups.append(np.asarray(self.reference_scores))
        everything = np.concatenate(groups)
        scale = self._choose_scale(everything)
        scale.set_on(ax.xaxis)
        edges = scale.inverse(np.histogram_bin_edges(scale.forward(everything), N_BINS))
        edges[[0, -1]] = everything.min(), everything.max()  # exact ends, despite rounding
        styles: tuple[dict[str, Any], ...] = (
            {"color": BLUE, "histtype": "stepfilled", "alpha": 0.6},
            {"color": ORANGE, "histtype": "step", "linewidth": 2},
        )
        for scores, name, style in zip(groups, self.names, styles, strict=False):
            n_flagged = np.count_nonzero(scores < self.threshold)
            label = f"{name}: {n_flagged} of {len(scores)} flagged ({n_flagged / len(scores):.1%})"
            weights = np.full(len(scores), 1 / len(scores))
            ax.hist(scores, edges.tolist(), weights=weights, label=label, **style)
        label = f"threshold {self.threshold:.3g}"
        ax.axvline(self.threshold, color=VERMILLION, ls="--", label=label)
        beyond = f"; logarithmic below {scale.low:.3g}" if isinstance(scale, TailScale) else ""
        ax.set(
            xlabel=f"score (lower is more unusual{beyond})", ylabel="share of rows", yscale="log"
        )
        scale.set_ticks(ax.xaxis, everything)
        ax.set_ylim(bottom=0.5 / max(map(len, groups)))  # low enough to show a single row
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _choose_scale(self, scores: FloatArray) -> Scale:
        """Return a linear scale, or one with tails if scores lie far below the threshold."""
        above = max(float(scores.max()) - self.threshold, 0.0)
        low = self.threshold - FARTHEST * above
        if above == 0 or scores.min() >= low:
            return Scale()
        return TailScale(self.threshold - above, float(scores.max()))
