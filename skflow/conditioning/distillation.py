"""Expectation maximization of mixed components, fitted to draws of a flow (distillation).

A flow's own draws are free, so components may be many, and no training row is stored. A mixture
fitted to them minimizes the Kullback-Leibler divergence from the flow to the mixture: what
limits the weights of importance sampling.
"""

import math

import torch
from torch import Tensor

from skflow.conditioning.components import MixedComponents
from skflow.flow.batch import Batch
from skflow.flow.context import Vocabulary
from skflow.flow.floored_components import (
    EllipticalComponents,
    GaussianComponents,
    regressions,
)
from skflow.flow.model import Latents, Model
from skflow.flow.recipe import WIDE
from skflow.initialization.elliptical import MOST_RADII, fit_radii, radius_responsibilities
from skflow.initialization.gaussian_mixture import (
    RIDGE,
    ComponentPrior,
    PriorStrength,
    SufficientStatistics,
    maximize,
    natural_parameters,
    pooled_covariance,
)
from skflow.initialization.imputation import impute
from skflow.torch_state import usual_torch

N_DRAWS = 10_000
DRAWS_PER_COLUMN = 40  # where columns are many
HELD_OUT = 2_000
SEED = 0
N_COMPONENTS = (16, 64)  # held-out draws choose between them
MOST_ENTRIES = 4_000_000  # in all covariances
N_ITER = 60
TOLERANCE = 1e-3  # nats per row
LABEL_ROWS = 1.0  # rows of prior in the probabilities of each component's labels
INFLATION = 1.1  # factor of covariances
BROAD = 2.0  # factor of the pooled covariance, for the broad component
BLOCK_ENTRIES = 8_000_000


@usual_torch()
@torch.no_grad()
def distill(model: Model) -> MixedComponents:
    """Fit components to draws of a model; the last one is broad. The seed is fixed.

    Parameters
    ----------
    model : Model
        Fitted, on the CPU.
    """
    generator = torch.Generator().manual_seed(SEED)
    draws = _draw(model, generator)
    vocabulary = Vocabulary(model.labels.sizes.tolist())
    fitting = DrawsOfModel(draws, vocabulary, model.labels.unseen, generator)
    n_columns = max(1, len(draws.y))
    most = max(1, MOST_ENTRIES // n_columns**2)
    if n_columns > WIDE:  # whose covariances would take minutes
        return fitting.with_broad(fitting.fit_radii(min(MOST_RADII, most)))
    fits = [fitting.fit(min(k, most), generator) for k in N_COMPONENTS]
    best = max(fits, key=fitting.held_out_score)
    return fitting.with_broad(best)


def _draw(model: Model, generator: torch.Generator) -> Batch:
    """Draw labels and gaussianized values, without what comes from the floor of the mixture."""
    size = max(64, BLOCK_ENTRIES // model.entries_per_row)
    parts: list[Batch] = []
    n_columns = len(model.value_labels)
    n_draws = N_DRAWS if n_columns <= WIDE else min(N_DRAWS, DRAWS_PER_COLUMN * n_columns)
    for start in range(0, n_draws, size):
        n_rows = min(size, n_draws - start)
        z = [
            torch.randn(len(part), n_rows, generator=generator, dtype=torch.float64)
            for part in (model.labels.sizes, model.value_labels)
        ]
        u = torch.rand(z[1].shape, generator=generator, dtype=torch.float64)
        rows = model.draw(Latents(*z), u)
        kept = model.is_within_reach(rows)
        batch, _ = model.gaussianize(rows)
        parts.append(batch.take(kept.nonzero().squeeze(1)))
    labels = torch.cat([part.labels for part in parts], dim=1)
    return Batch(labels, torch.cat([part.y for part in parts], dim=1))


class DrawsOfModel:
    """Draws of a model, to which components are fitted by expectation maximization.

    Parameters
    ----------
    draws : Batch
        Labels and gaussianized values.
    vocabulary : Vocabulary
        Of the labels of all columns.
    unseen : Tensor of shape (n_labelled,)
        Probability of a novel label in each column.
    generator : torch.Generator
        Draws absent values, which expectation maximization alone needs.
    """

    def __init__(
        self, draws: Batch, vocabulary: Vocabulary, unseen: Tensor, generator: torch.Generator
    ) -> None:
        self.vocabulary = vocabulary
        codes, y = vocabulary(draws.labels), impute(draws.y, generator)
        n_fitted = y.shape[1] - min(HELD_OUT, y.shape[1] // 5)
        self.held_out = draws.take(torch.arange(n_fitted, y.shape[1]))
        self.codes = codes[:, :n_fitted]
        self.rows = SufficientStatistics(y[:, :n_fitted].contiguous())
        sizes = torch.diff(vocabulary.offsets, append=torch.tensor([vocabulary.n_entries]))
        self.column = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
        counts = self._count(self.rows.y.new_ones(1, n_fitted), self.codes)[0] + 0.5
        novel = vocabulary.offsets + sizes - 1
        counts[novel] = 0.0
        frequencies = self._normalize(counts[None])[0] * (1 - unseen[self.column])
        frequencies[novel] = unseen
        self.frequencies = frequencies

    def fit(self, n_components: int, generator: torch.Generator) -> MixedComponents:
        """Fit so many components, from draws as their centres."""
        y, n_columns = self.rows.y, len(self.rows.y)
        pooled = pooled_covariance(y, self.rows.weight)
        shrunk = pooled * n_components ** (-2 / max(1, n_columns))
        strength = PriorStrength(pooled_rows=1.0, diagonal_rows=1.0 * n_columns)
        prior = ComponentPrior(y.mean(dim=1), shrunk, strength)
        centres = torch.randperm(y.shape[1], generator=generator)[:n_components]
        weights = y.new_full((len(centres),), 1 / len(centres))
        gaussians = GaussianComponents(
            weights, y[:, centres].T.clone(), shrunk.expand(len(centres), -1, -1)
        )
        own = self._count(torch.eye(len(centres), dtype=y.dtype), self.codes[:, centres])
        log_labels = self._smooth(own)
        previous = -math.inf
        for _ in range(N_ITER):
            moments, counts, score = self.expect(gaussians, log_labels)
            gaussians, log_labels = maximize(moments, prior), self._smooth(counts)
            if score - previous < TOLERANCE:
                break
            previous = score
        return MixedComponents(gaussians, log_labels, self.vocabulary.offsets)

    def fit_radii(self, most: int) -> MixedComponents:
        """Fit components that share a mean and, but for their scales, a covariance.

        At most ``most`` of them; see :mod:`skflow.initialization.elliptical`.
        """
        y = self.rows.y
        mean, pooled = y.mean(dim=1), pooled_covariance(y, self.rows.weight)
        covariance = pooled + RIDGE * torch.eye(len(y)).to(pooled)
        factor = torch.linalg.cholesky(covariance)
        whitened = torch.linalg.solve_triangular(factor, y - mean[:, None], upper=False)
        distances, weight = whitened.square().sum(dim=0), y.new_ones(y.shape[1])
        squares, weights, *_ = fit_radii(distances, len(y), weight, most)
        elliptical = EllipticalComponents(
            weights, squares.sqrt(), mean[None], *regressions(covariance[None])
        )
        gaussians = GaussianComponents(
            weights, mean.expand(len(squares), -1), squares[:, None, None] * covariance
        )
        responsibilities = radius_responsibilities(y, elliptical)
        log_labels = self._smooth(self._count(responsibilities, self.codes))
        return MixedComponents(gaussians, log_labels, self.vocabulary.offsets)

    def held_out_score(self, components: MixedComponents) -> float:
        """Mean log-density of draws that nothing was fitted to, in nats."""
        labels, y = self.held_out[:2]
        log_joint = components.log_weights()[:, None] + components.log_probs_of_present(y)
        log_joint += components.log_probs_of_labels(labels, tuple(range(len(labels))))
        return float(torch.logsumexp(log_joint, dim=0).mean())

    def with_broad(self, components: MixedComponents) -> MixedComponents:
        """Inflate covariances, and add a broad component as the last."""
        weights, means, covariances = components.gaussians
        pooled = pooled_covariance(self.rows.y, self.rows.weight)
        broad = BROAD * (pooled + pooled.diagonal().diag()) / 2
        gaussians = GaussianComponents(
            torch.cat((weights, weights.mean()[None])),
            torch.cat((means, self.rows.y.mean(dim=1)[None])),
            torch.cat((INFLATION * covariances, broad[None])),
        )
        log_labels = torch.cat((components.label_log_probs, self.frequencies.log()[None]))
        return MixedComponents(gaussians, log_labels, self.vocabulary.offsets)

    def expect(
        self, gaussians: GaussianComponents, log_labels: Tensor
    ) -> tuple[Tensor, Tensor, float]:
        """Return expected statistics, label counts and the mean log-density."""
        natural = natural_parameters(gaussians)
        moments, counts = torch.zeros_like(natural), torch.zeros_like(log_labels)
        of_label = log_labels.T.contiguous()  # entries of a label side by side: read much faster
        total, start = 0.0, 0
        for statistics, _ in self.rows.blocks(len(natural)):
            codes = self.codes[:, start : start + statistics.shape[1]]
            start += statistics.shape[1]
            of_row = (natural @ statistics).T.contiguous()
            for own in codes:
                of_row += of_label[own]
            log_joint = of_row.T.contiguous()
            log_density = torch.logsumexp(log_joint, dim=0)
            responsibilities = (log_joint - log_density).exp_()
            moments += responsibilities @ statistics.T
            counts += self._count(responsibilities, codes)
            total += float(log_density.sum())
        return moments, counts, total / start

    def _count(self, responsibilities: Tensor, codes: Tensor) -> Tensor:
        """Return the weight of each label in each component, ``(n_components, n_entries)``."""
        counts = responsibilities.new_zeros(self.vocabulary.n_entries, len(responsibilities))
        of_row = responsibilities.T.contiguous()
        for own in codes:
            counts.index_add_(0, own, of_row)
        return counts.T.contiguous()

    def _smooth(self, counts: Tensor) -> Tensor:
        """Return log-probabilities of labels from their counts, drawn to the frequencies."""
        return self._normalize(counts + LABEL_ROWS * self.frequencies).log()

    def _normalize(self, counts: Tensor) -> Tensor:
        """Divide counts by the sum of each column's."""
        totals = counts.new_zeros(len(counts), len(self.vocabulary.offsets))
        totals.index_add_(1, self.column, counts)
        return counts / totals[:, self.column]
