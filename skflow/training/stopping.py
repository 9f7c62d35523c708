"""When to stop, and which weights to keep."""

import math
from typing import Any

from torch import Tensor, nn

from skflow.flat_state import prefixed, take_prefixed
from skflow.training.state import load_tensors

NUMBERS = ("score", "reference", "latest", "trend", "n_iter_no_change", "n_iter", "best_iter")
TREND_EPOCHS = 5


class EarlyStopping:
    """Early stopping: the weights of the highest score, and a count of epochs without a gain.

    A score that is above its average over about five epochs rises: the first steps may cost more
    than many later ones win back.

    Parameters
    ----------
    model : nn.Module
    score : float
        Score of the present weights, in nats per row.
    tol : float
        A gain below it does not reset the count.

    Attributes
    ----------
    weights : dict of Tensor
        Best weights so far.
    best_iter : int
        Epoch that led to them; 0 where none has.
    """

    def __init__(self, model: nn.Module, score: float, tol: float) -> None:
        self.model = model
        self.tol = tol
        self.score = score
        self.reference = score
        self.latest = self.trend = score
        self.n_iter_no_change = 0
        self.n_iter = 0
        self.best_iter = 0
        self.weights = _copy_weights(model)

    def update(self, score: float) -> None:
        """Count an epoch by its score; one that is not finite is no gain."""
        self.n_iter += 1
        if math.isfinite(score):
            self.latest = score
            self.trend += (score - self.trend) / TREND_EPOCHS
        if score > self.score:
            self._keep(score)
        if score > self.reference + self.tol:
            self.reference = score
            self.n_iter_no_change = 0
        else:
            self.n_iter_no_change += 1

    def n_left(self, least: int, most: int) -> int:
        """Return the epochs until training stops, if none gains any more.

        It stops after as many epochs without a gain as led to the last one, ``least`` at least and
        ``most`` at most. While the score rises there is one more.
        """
        rises = self.latest > self.trend + self.tol
        patience = min(max(least, self.n_iter - self.n_iter_no_change), most)
        return max(int(rises), patience - self.n_iter_no_change)

    def _keep(self, score: float) -> None:
        self.score = score
        self.best_iter = self.n_iter
        self.weights = _copy_weights(self.model)

    def restore(self) -> None:
        """Put the best weights back into the model."""
        self.model.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        """Return the score, the counts of epochs and the best weights, by name."""
        numbers = {name: getattr(self, name) for name in NUMBERS}
        return numbers | prefixed("weights", self.weights)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that :meth:`state_dict` returned."""
        for name in NUMBERS:
            setattr(self, name, state[name])
        load_tensors(self.weights, take_prefixed("weights", state))


class FixedEpochs(EarlyStopping):
    """A fixed number of epochs, of which the latest weights count.

    Parameters
    ----------
    model, score
        As in :class:`EarlyStopping`.
    n_iter : int
        Epochs to run.
    """

    def __init__(self, model: nn.Module, score: float, n_iter: int) -> None:
        super().__init__(model, score, tol=0.0)
        self.most_iter = n_iter

    def update(self, score: float) -> None:
        """Keep the weights of an epoch, unless its score is not finite."""
        self.n_iter += 1
        if math.isfinite(score):
            self._keep(score)

    def n_left(self, least: int, most: int) -> int:
        """Return the epochs that have not run."""
        return max(0, self.most_iter - self.n_iter)


def _copy_weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
