"""The start in closed form: marginals and mixture, chosen on held-out rows."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skflow.flow.expectation_maximization import (
    PriorStrength,
    fit_gaussian_mixture,
)
from skflow.flow.marginals import Marginals
from skflow.flow.mixture import Mixture

FloatArray = NDArray[np.float64]

FEW_ROWS = 30  # too few to choose anything by: one Gaussian on standardised columns
FEW_COMPONENTS = 8  # enough to tell which marginals suit the table
MOST_COMPONENTS = 256
EM_ROWS = 20_000  # more add little to where the mixture starts
EM_STEPS = 60
PATIENCE = 2  # doublings of the components without a gain
HELD_OUT = 0.2  # of the rows, where the caller holds none out


@dataclass(frozen=True)
class ClosedForm:
    """Fitted marginals and mixture."""

    marginals: Marginals
    mixture: Mixture


def fit_closed_form(
    train: FloatArray,
    validation: FloatArray | None,
    n_components: int | None,
    bound: float,
    generator: torch.Generator,
) -> ClosedForm:
    """Fit marginals and mixture to ``train``, ``(n_rows, n_columns)``.

    Marginals (standardising or Gaussianising), the number of components and the
    strength of their prior are those with the highest mean log-density on the
    held-out rows; where the caller holds none out, on a fifth of the rows, and
    the winner is fitted once more to all.

    Parameters
    ----------
    train, validation : ndarray of shape (n_rows, n_columns)
    n_components : int or None
        None chooses it.
    bound : float
        Of the mixture layer.
    generator : torch.Generator
    """
    search = _Search(n_components, bound, generator)
    if train.shape[1] == 0:
        return ClosedForm(Marginals.fit(train, n_bins=1), Mixture.blank(0, 1, bound))
    if len(train) < FEW_ROWS:
        plain = _Candidate(1, n_components or 1, PriorStrength(1.0, 0.0))
        return search.fit(train, plain)
    if validation is not None and len(validation) > 0:
        return search.best(train, validation)[1]
    rows = torch.randperm(len(train), generator=generator).numpy()
    n_held_out = int(HELD_OUT * len(train))
    winner, _ = search.best(train[rows[n_held_out:]], train[rows[:n_held_out]])
    return search.fit(train, winner)


@dataclass(frozen=True)
class _Candidate:
    """What is chosen on held-out rows."""

    n_bins: int
    n_components: int
    strength: PriorStrength


@dataclass(frozen=True)
class _Trial:
    """A fitted candidate and its held-out score, in nats per row of encoded columns."""

    candidate: _Candidate
    closed_form: ClosedForm
    score: float


class _Search:
    """Fits candidates and compares them on held-out rows."""

    def __init__(
        self, n_components: int | None, bound: float, generator: torch.Generator
    ) -> None:
        self.n_components = n_components
        self.bound = bound
        # Every candidate starts from the same draw: they differ in nothing else.
        self.seed = int(torch.randint(2**31, (1,), generator=generator))

    def best(self, train: FloatArray, held_out: FloatArray) -> tuple[_Candidate, ClosedForm]:
        """Choose the marginals with few components, then climb with each prior."""
        ladder = self._ladder(*train.shape)
        few = [k for k in ladder if k <= FEW_COMPONENTS] or ladder
        more = [k for k in ladder if k not in few]
        trials = []
        for n_bins in (1, gaussianising_bins(len(train))):
            marginals = Marginals.fit(train, n_bins)
            trials += self._climb(marginals, train, held_out, few)
        top = max(trials, key=_score_of)
        trials += self._climb(top.closed_form.marginals, train, held_out, more)
        top = max(trials, key=_score_of)
        return top.candidate, top.closed_form

    def _climb(
        self, marginals: Marginals, train: FloatArray, held_out: FloatArray, ladder: list[int]
    ) -> list[_Trial]:
        """Raise the number of components under each prior until the score falls twice."""
        y, _ = _scores(marginals, train)
        y_held_out, offset = _scores(marginals, held_out)
        n_bins = len(marginals.x_knots) - 1
        trials = []
        for strength in prior_strengths(train.shape[1]):
            top, falls = -np.inf, 0
            for n_components in ladder:
                mixture = self._fit_mixture(y, n_components, strength)
                with torch.inference_mode():
                    score = offset + float(mixture.log_prob(y_held_out).mean())
                candidate = _Candidate(n_bins, n_components, strength)
                trials.append(_Trial(candidate, ClosedForm(marginals, mixture), score))
                falls = 0 if score > top else falls + 1
                top = max(top, score)
                if falls == PATIENCE:
                    break
        return trials

    def fit(self, train: FloatArray, candidate: _Candidate) -> ClosedForm:
        """Fit one candidate."""
        marginals = Marginals.fit(train, candidate.n_bins)
        y, _ = _scores(marginals, train)
        mixture = self._fit_mixture(y, candidate.n_components, candidate.strength)
        return ClosedForm(marginals, mixture)

    def _ladder(self, n_rows: int, n_columns: int) -> list[int]:
        if self.n_components is not None:
            return [self.n_components]
        # Each component should rest on some rows, and all of them fit in memory.
        most = min(MOST_COMPONENTS, n_rows // 6, 20_000_000 // n_columns**2)
        return [2**i for i in range(10) if i == 0 or 2**i <= most]

    def _fit_mixture(self, y: Tensor, n_components: int, strength: PriorStrength) -> Mixture:
        generator = torch.Generator().manual_seed(self.seed)
        rows = y
        if y.shape[1] > EM_ROWS:
            rows = y[:, torch.randperm(y.shape[1], generator=generator)[:EM_ROWS]]
        components = fit_gaussian_mixture(
            rows,
            min(n_components, rows.shape[1]),
            strength=strength,
            n_iter=EM_STEPS,
            generator=generator,
        )
        return Mixture(components, self.bound)


def _score_of(trial: _Trial) -> float:
    return trial.score


def prior_strengths(n_columns: int) -> list[PriorStrength]:
    """Two ends: components that share the shape of all rows, and free, narrow ones."""
    return [
        PriorStrength(pooled_rows=n_columns + 2.0, diagonal_rows=0.0),
        PriorStrength(pooled_rows=0.1, diagonal_rows=float(n_columns)),
    ]


def gaussianising_bins(n_rows: int) -> int:
    """Bins of a Gaussianising marginal: resolution grows as the cube root of the rows."""
    return int(np.clip(round(n_rows ** (1 / 3)), 4, 32))


def _scores(marginals: Marginals, table: FloatArray) -> tuple[Tensor, float]:
    """Rows sent through the marginals, and the mean log-determinant in nats per row."""
    with torch.inference_mode():
        x = torch.tensor(np.ascontiguousarray(table.T))
        y, log_det = marginals.forward_and_log_det(x)
    return y.clone(), float(log_det.mean())
