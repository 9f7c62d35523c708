"""TrainingCurveDisplay: scores by epoch."""

from typing import Any, Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from skflow.estimators.meta import density_of
from skflow.plotting.style import BLUE, ORANGE, VERMILLION, axes_or_new

FEW_EPOCHS = 30  # most epochs for which each has a marker


class TrainingCurveDisplay:
    """Scores of the training rows and of the held-out rows, by epoch.

    If the score of the held-out rows still rises at the end, more epochs would help. If it
    falls while that of the training rows rises, ``dropout`` or ``weight_decay`` may help.

    It is drawn by :meth:`from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    train_score : array-like of shape (n_epochs,)
        Mean log-density of the training rows during training, in nats per row. It is
        computed with dropout, so it may be the lower one.
    validation_score : array-like of shape (n_epochs,)
        Mean log-density of the held-out rows, in nats per row; NaN without held-out rows.
    best_score : float
        Score of the weights that were kept, in nats per row. The initial weights are among
        the candidates, and labels and values have separate best weights, so it may be above
        the scores of all epochs.

    Attributes
    ----------
    best_epoch : int
        Epoch, counted from 1, of the highest held-out score, or of the highest training
        score if no rows were held out.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    sklearn.model_selection.LearningCurveDisplay : Scores by the number of rows.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skflow import FlowDensity
    >>> from skflow.plotting import TrainingCurveDisplay
    >>> X = load_iris().data
    >>> flow = FlowDensity(n_layers=2, n_components=1, max_iter=5, random_state=0).fit(X)
    >>> display = TrainingCurveDisplay.from_estimator(flow)
    >>> len(display.train_score) == flow.n_iter_
    True
    """

    ax_: Axes
    figure_: Any

    def __init__(
        self, train_score: ArrayLike, validation_score: ArrayLike, best_score: float
    ) -> None:
        self.train_score = np.asarray(train_score, dtype=np.float64)
        self.validation_score = np.asarray(validation_score, dtype=np.float64)
        self.best_score = best_score
        held_out = ~np.isnan(self.validation_score).all()
        self._monitored = self.validation_score if held_out else self.train_score
        self.best_epoch = 1 + int(np.nanargmax(self._monitored))

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None) -> Self:
        """Draw the training history of an estimator.

        Parameters
        ----------
        estimator : FlowDensity or FlowOutlierDetector
            Fitted estimator. For a detector, its ``density_`` is used.
        ax : matplotlib Axes, default=None
            Where to draw; None draws in a new figure.

        Returns
        -------
        display : TrainingCurveDisplay
        """
        density = density_of(estimator)
        history = density.history_
        scores = history["train_score"], history["validation_score"]
        return cls(*scores, density.best_validation_score_).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None draws in a new figure.

        Returns
        -------
        self : TrainingCurveDisplay
        """
        ax = axes_or_new(ax)
        epochs = np.arange(1, len(self.train_score) + 1)
        marker = "." if len(epochs) <= FEW_EPOCHS else ""
        ax.plot(
            epochs, self.train_score, color=ORANGE, ls="--", marker=marker, label="training rows"
        )
        if self._monitored is self.validation_score:
            ax.plot(epochs, self._monitored, color=BLUE, marker=marker, label="held-out rows")
        best = self._monitored[self.best_epoch - 1]
        kept = f"weights kept: {self.best_score:.4g}"
        ax.axhline(self.best_score, color="0.5", lw=1, ls=":", zorder=0, label=kept)
        ax.plot(
            [self.best_epoch],
            [best],
            color=VERMILLION,
            marker="D",
            ls="",
            label=f"best epoch: {self.best_epoch} ({best:.4g})",
        )
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.set(xlabel="epoch", ylabel="nats per row", xlim=(0.5, len(epochs) + 0.5))
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self
