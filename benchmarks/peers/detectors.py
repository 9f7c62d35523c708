"""The other detectors of the benchmark of outliers; of all, higher scores are more normal."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata, skew
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM
from torch import Tensor, nn

FloatArray = NDArray[np.floating]

N_COMPONENTS = 5
ROWS_PER_COLUMN = 5  # of a component; where there are fewer, the mixture is one Gaussian
ENSEMBLE = (1, 2, 3, 5, 10, 20)  # components of the mixtures whose ranks are averaged
FLOOR = 1e-3  # of variances, in mixtures


class Peer:
    """A detector with standardised columns.

    Parameters
    ----------
    model : estimator
        With ``fit`` and ``score_samples``.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.scaler = StandardScaler()

    def fit(self, X: FloatArray) -> Self:
        """Fit the scaler and the detector."""
        self.model.fit(self.scaler.fit_transform(X.astype(np.float64)))
        return self

    def score_samples(self, X: FloatArray) -> FloatArray:
        """Score fresh rows."""
        return self.model.score_samples(self.scaler.transform(X.astype(np.float64)))

    def score_fitted(self, X: FloatArray) -> FloatArray:
        """Score the rows it was fitted to; none is its own neighbour."""
        return _score_fitted(self.model, self.scaler.transform(X.astype(np.float64)))


def _score_fitted(model: Any, X: FloatArray) -> FloatArray:
    if isinstance(model, LocalOutlierFactor):
        return model.negative_outlier_factor_
    return getattr(model, "score_fitted", model.score_samples)(X)


class Neighbours:
    """Distances to the five nearest neighbours.

    Parameters
    ----------
    summarise : callable
        Makes one of the five: the largest is that to the fifth neighbour, the mean is steadier.
    """

    def __init__(self, summarise: Callable[..., FloatArray]) -> None:
        self.summarise = summarise
        self.neighbours = NearestNeighbors(n_neighbors=5)

    def fit(self, X: FloatArray) -> Self:
        """Keep the rows."""
        self.neighbours.fit(X)
        return self

    def score_samples(self, X: FloatArray | None) -> FloatArray:
        """Score fresh rows, or the fitted ones where ``X`` is None."""
        return -self.summarise(self.neighbours.kneighbors(X)[0], axis=1)

    def score_fitted(self, X: FloatArray) -> FloatArray:
        """Score the fitted rows; of them a row itself is no neighbour."""
        return self.score_samples(None)


class MeanRank:
    """The mean of the ranks that several detectors give the rows which are scored together.

    Parameters
    ----------
    models : sequence of estimators
    """

    def __init__(self, models: Sequence[Any]) -> None:
        self.models = models

    def fit(self, X: FloatArray) -> Self:
        """Fit each detector."""
        for model in self.models:
            model.fit(X)
        return self

    def score_samples(self, X: FloatArray) -> FloatArray:
        """Score fresh rows."""
        return np.mean([rankdata(model.score_samples(X)) for model in self.models], axis=0)

    def score_fitted(self, X: FloatArray) -> FloatArray:
        """Score the fitted rows."""
        return np.mean([rankdata(_score_fitted(model, X)) for model in self.models], axis=0)


class ColumnTails:
    """ECOD: logarithms of empirical tail probabilities, summed over columns.

    Three sums, of left tails, of right tails, and of the tail that a column is skewed to;
    the strangest counts, as in algorithm 1 of Z. Li et al., arXiv:2201.00382. Tails are
    those of the fitted rows and the scored one; pyod lets all scored rows in.
    """

    def fit(self, X: FloatArray) -> Self:
        """Sort each column."""
        self.sorted = np.sort(X, axis=0)
        self.skewed_left = np.nan_to_num(skew(X, axis=0)) < 0
        return self

    def score_samples(self, X: FloatArray) -> FloatArray:
        """Score rows."""
        n_rows = len(self.sorted)
        pairs = list(zip(self.sorted.T, X.T, strict=True))
        below = [np.searchsorted(column, cells, side="right") for column, cells in pairs]
        above = [n_rows - np.searchsorted(column, cells, side="left") for column, cells in pairs]
        left, right = (np.log((1 + np.column_stack(n)) / (1 + n_rows)) for n in (below, above))
        tails = (left, right, np.where(self.skewed_left, left, right))
        return np.min([tail.sum(axis=1) for tail in tails], axis=0)


class PlanarFlow:
    """The flow of deep detection benchmarks, with two repairs.

    Layers, rate, epochs and batches are those of the code of V. Livernoche et al.,
    arXiv:2305.18593. There the score adds the log-determinant of a row to the mean
    base log-density of all rows; here each row has its own. There gradients are clipped
    once, before training; here in each step.
    """

    N_LAYERS, N_EPOCHS, BATCH_SIZE = 10, 200, 64

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def fit(self, X: FloatArray) -> Self:
        """Maximise the likelihood of the rows."""
        torch.manual_seed(self.seed)
        rows = torch.from_numpy(X).float()
        shape = self.N_LAYERS, rows.shape[1]
        sizes = (shape, shape, (self.N_LAYERS,))
        self.parameters = [nn.Parameter(0.01 * torch.randn(size)) for size in sizes]
        optimizer = torch.optim.Adam(self.parameters, lr=2e-3, weight_decay=1e-4)
        for _ in range(self.N_EPOCHS):
            for batch in torch.randperm(len(rows)).split(self.BATCH_SIZE):
                optimizer.zero_grad()
                (-self.log_prob(rows[batch], *self.parameters).mean()).backward()
                nn.utils.clip_grad_norm_(self.parameters, max_norm=1.0)
                optimizer.step()
        return self

    @torch.no_grad()
    def score_samples(self, X: FloatArray) -> FloatArray:
        """Return log-densities less a constant; in float64, so that far rows have one too."""
        parameters = [parameter.double() for parameter in self.parameters]
        return self.log_prob(torch.from_numpy(X).double(), *parameters).numpy()

    @staticmethod
    def log_prob(rows: Tensor, weights: Tensor, scales: Tensor, biases: Tensor) -> Tensor:
        """Return the log-density of each row, less the constant of the base.

        A layer moves a row along its scale alone, so what later layers see of it is kept
        instead of the row.
        """
        slopes = weights @ scales.T
        seen = rows @ weights.T + biases
        bends = []
        for i, moved in enumerate(slopes.unbind(dim=1)):
            bends.append(torch.tanh(seen[:, i]))
            seen = torch.addr(seen, bends[-1], moved)
        bend = torch.stack(bends, dim=1)
        stretch = 1 + (1 - bend.square()) * slopes.diagonal()
        log_det = torch.log(stretch.abs() + 1e-6).sum(dim=1)
        return log_det - (rows + bend @ scales).square().sum(dim=1) / 2


def _mixture(n_rows: int, n_columns: int, seed: int) -> GaussianMixture:
    many = n_rows >= N_COMPONENTS * ROWS_PER_COLUMN * n_columns
    return GaussianMixture(N_COMPONENTS if many else 1, reg_covar=FLOOR, random_state=seed)


def _mixtures(seed: int) -> MeanRank:
    return MeanRank([GaussianMixture(k, reg_covar=FLOOR, random_state=seed) for k in ENSEMBLE])


def _hyperspheres(n_rows: int, n_columns: int, seed: int) -> Any:
    from aderh import ADERH  # pages are drawn without it

    return ADERH(random_state=seed)


# Each is built for a number of rows and columns and a seed.
MODELS: dict[str, Callable[[int, int, int], Any]] = {
    "kNN": lambda n_rows, n_columns, seed: Neighbours(np.max),
    "kNN mean": lambda n_rows, n_columns, seed: Neighbours(np.mean),
    "LOF": lambda n_rows, n_columns, seed: LocalOutlierFactor(novelty=True),
    "IsolationForest": lambda n_rows, n_columns, seed: IsolationForest(random_state=seed),
    "GaussianMixture": _mixture,
    "mixtures": lambda n_rows, n_columns, seed: _mixtures(seed),
    "kNN mean + mixtures": lambda n_rows, n_columns, seed: MeanRank(
        [Neighbours(np.mean), _mixtures(seed)]
    ),
    "ADERH": _hyperspheres,
    "OneClassSVM": lambda n_rows, n_columns, seed: OneClassSVM(),
    "ECOD": lambda n_rows, n_columns, seed: ColumnTails(),
    "PlanarFlow": lambda n_rows, n_columns, seed: PlanarFlow(seed),
}


def _build(name: str, n_rows: int, n_columns: int, seed: int) -> Peer:
    return Peer(MODELS[name](n_rows, n_columns, seed))


PEERS: dict[str, Callable[[int, int, int], Peer]] = {name: partial(_build, name) for name in MODELS}
# Scores of these depend on the rows that are scored together.
SCORED_TOGETHER = ("mixtures", "kNN mean + mixtures", "ADERH")
