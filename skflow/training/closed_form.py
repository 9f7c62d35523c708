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
FEW_COMPONENTS = (1, 8)  # enough to tell which marginals suit the table
COMPONENTS = (1, 4, 8, 16, 32, 64, 128, 256)
EM_ROWS = 20_000  # more add little to where the mixture starts
EM_STEPS = 60
COVARIANCE_ENTRIES = 100_000  # in all components together
UNCORRELATED = 1e4  # rows of prior that leave components a diagonal covariance
MANY_ROWS = 3_000  # from here on one split tells candidates apart
SOME_ROWS = 1_000  # and from here on three folds do


@dataclass(frozen=True)
class ClosedForm:
    """Fitted marginals and mixture."""

    marginals: Marginals
    mixture: Mixture


@dataclass(frozen=True)
class _Fold:
    """Rows to fit and rows to judge by, ``(n_rows, n_columns)``."""

    train: FloatArray
    held_out: FloatArray


@dataclass(frozen=True)
class _SentFold:
    """A fold sent through marginals, ``(n_columns, n_rows)``.

    The offset is the mean log-determinant of its held-out rows, in nats.
    """

    train: Tensor
    held_out: Tensor
    offset: float

    @classmethod
    def through(cls, marginals: Marginals, fold: _Fold) -> "_SentFold":
        """Send a fold through marginals fitted on its training rows."""
        held_out, offset = _send(marginals, fold.held_out)
        return cls(_send(marginals, fold.train)[0], held_out, offset)


def fit_closed_form(
    train: FloatArray,
    validation: FloatArray | None,
    n_components: int | None,
    bound: float,
    generator: torch.Generator,
) -> ClosedForm:
    """Fit marginals and mixture to ``train``, ``(n_rows, n_columns)``.

    Marginals (standardising or Gaussianising), the number of components and the
    strength of their prior are those with the highest mean log-density on rows
    held out: on small tables by cross-validation over all rows given, on large
    ones on ``validation``, or a third of the rows where that is None.

    Parameters
    ----------
    train, validation : ndarray of shape (n_rows, n_columns)
    n_components : int or None
        None chooses it.
    bound : float
        Of the mixture layer.
    generator : torch.Generator
    """
    if train.shape[1] == 0:
        return ClosedForm(Marginals.fit(train, n_bins=1), Mixture.blank(0, 1, bound))
    search = _Search(n_components, bound, generator)
    if len(train) < FEW_ROWS:
        return search.fit(train, _Candidate(1, n_components or 1, PriorStrength(1.0, 0.0)))
    return search.fit(train, search.best(_make_folds(train, validation, generator)))


def _make_folds(
    train: FloatArray, validation: FloatArray | None, generator: torch.Generator
) -> list[_Fold]:
    """Pairs of rows to fit and rows to judge by."""
    if len(train) >= MANY_ROWS and validation is not None:
        return [_Fold(train, validation)]
    rows = train if validation is None else np.concatenate((train, validation))
    n_parts = 5 if len(train) < SOME_ROWS else 3
    n_folds = n_parts if len(train) < MANY_ROWS else 1
    parts = np.array_split(torch.randperm(len(rows), generator=generator).numpy(), n_parts)
    return [_Fold(np.delete(rows, part, axis=0), rows[part]) for part in parts[:n_folds]]


@dataclass(frozen=True)
class _Candidate:
    """What is chosen on held-out rows."""

    n_bins: int
    n_components: int
    strength: PriorStrength


class _Search:
    """Fits candidates and compares them on held-out rows."""

    def __init__(self, n_components: int | None, bound: float, generator: torch.Generator) -> None:
        self.n_components = n_components
        self.bound = bound
        # Every candidate starts from the same draw: they differ in nothing else.
        self.seed = int(torch.randint(2**31, (1,), generator=generator))

    def best(self, folds: list[_Fold]) -> _Candidate:
        """Choose the marginals with few components, then climb with each prior."""
        n_rows, n_columns = folds[0].train.shape
        priors = prior_strengths(n_columns)
        ladder = self._ladder(n_rows, n_columns)
        few = [k for k in ladder if k in FEW_COMPONENTS] or ladder
        more = [k for k in ladder if k not in few]
        scores: dict[_Candidate, float] = {}
        for n_bins in (1, gaussianising_bins(n_rows)):
            scores |= self._climb(folds, n_bins, few, [priors["shared"], priors["narrow"]])
        n_bins = max(scores, key=scores.__getitem__).n_bins
        scores |= self._climb(folds, n_bins, more, list(priors.values()))
        return max(scores, key=scores.__getitem__)

    def _climb(
        self, folds: list[_Fold], n_bins: int, ladder: list[int], priors: list[PriorStrength]
    ) -> dict[_Candidate, float]:
        """Raise the number of components under each prior until the score falls."""
        sent = [_SentFold.through(Marginals.fit(fold.train, n_bins), fold) for fold in folds]
        scores: dict[_Candidate, float] = {}
        for strength in priors:
            top = -np.inf
            for n_components in ladder:
                candidate = _Candidate(n_bins, n_components, strength)
                score = float(np.mean([self._judge(fold, candidate) for fold in sent]))
                scores[candidate] = score
                if not score > top:
                    break
                top = score
        return scores

    def _judge(self, fold: _SentFold, candidate: _Candidate) -> float:
        mixture = self._fit_mixture(fold.train, candidate)
        with torch.inference_mode():
            return fold.offset + float(mixture.log_prob(fold.held_out).mean())

    def fit(self, train: FloatArray, candidate: _Candidate) -> ClosedForm:
        """Fit one candidate."""
        marginals = Marginals.fit(train, candidate.n_bins)
        y, _ = _send(marginals, train)
        return ClosedForm(marginals, self._fit_mixture(y, candidate))

    def _ladder(self, n_rows: int, n_columns: int) -> list[int]:
        if self.n_components is not None:
            return [self.n_components]
        # Each component should rest on some rows; a step of the fit costs their number
        # times the square of the columns.
        most = min(n_rows // 6, COVARIANCE_ENTRIES // n_columns**2)
        return [k for k in COMPONENTS if k == 1 or k <= most]

    def _fit_mixture(self, y: Tensor, candidate: _Candidate) -> Mixture:
        generator = torch.Generator().manual_seed(self.seed)
        if y.shape[1] > EM_ROWS:
            y = y[:, torch.randperm(y.shape[1], generator=generator)[:EM_ROWS]]
        components = fit_gaussian_mixture(
            y,
            min(candidate.n_components, y.shape[1]),
            strength=candidate.strength,
            n_iter=EM_STEPS,
            generator=generator,
        )
        return Mixture(components, self.bound)


def prior_strengths(n_columns: int) -> dict[str, PriorStrength]:
    """From components that share the shape of all rows to free, narrow, diagonal ones."""
    return {
        "shared": PriorStrength(pooled_rows=n_columns + 2.0, diagonal_rows=0.0),
        "shrunk": PriorStrength(pooled_rows=1.0, diagonal_rows=1.0 * n_columns),
        "free": PriorStrength(pooled_rows=0.1, diagonal_rows=1.0 * n_columns),
        "narrow": PriorStrength(pooled_rows=0.02, diagonal_rows=4.0 * n_columns),
        "diagonal": PriorStrength(pooled_rows=0.02, diagonal_rows=UNCORRELATED),
    }


def gaussianising_bins(n_rows: int) -> int:
    """Bins of a Gaussianising marginal: resolution grows as the cube root of the rows."""
    return int(np.clip(round(n_rows ** (1 / 3)), 4, 32))


def _send(marginals: Marginals, table: FloatArray) -> tuple[Tensor, float]:
    """Rows sent through the marginals, and the mean log-determinant in nats per row."""
    with torch.inference_mode():
        x = torch.tensor(np.ascontiguousarray(table.T))
        y, log_det = marginals.forward_and_log_det(x)
    return y.clone(), float(log_det.mean())
