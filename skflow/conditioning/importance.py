r"""Importance sampling of unknown cells, with the exact joint density of the flow.

Draws from a proposal :math:`q(x_A \mid x_B)` have the weights

.. math:: w_i = \frac{p(x_A^i, x_B)}{q(x_A^i \mid x_B)}, \qquad
          p(x_B) \approx \frac{1}{N} \sum_i w_i ,

and a draw that is chosen with a probability in proportion to its weight follows
:math:`p(x_A \mid x_B)` as N grows (sampling-importance-resampling; Rubin, 1987). The effective
sample size is :math:`1 / \sum_i \bar w_i^2` with the normalized weights :math:`\bar w`.

The draws of a row are points of one Sobol sequence, shifted by the row's own uniform numbers
(randomized quasi-Monte Carlo): each is uniform, together they are even. Errors are those of
independent draws, hence upper estimates.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from scipy.stats import qmc
from torch import Tensor

from skflow.conditioning.components import MixedComponents
from skflow.conditioning.partial_rows import PartialRows, Pattern
from skflow.conditioning.proposal import Conditional, LabelRules
from skflow.flow.batch import Batch
from skflow.flow.model import Model

BLOCK_ENTRIES = 2_000_000  # of a block's largest array
PARTICLES = 2**16  # draws at once, of all rows
MOST_DRAWS = 256  # of a row whose effective sample size is small
LEAST_SHARE = 1 / 4  # of the draws, that the effective sample size should be
LEAST_SIZE = 30  # likewise, where draws are many


class Particles(NamedTuple):
    """Weighted draws of whole rows.

    Attributes
    ----------
    labels : Tensor of int64, shape (n_labelled, n_rows, n_draws)
    y : Tensor of shape (n_valued, n_rows, n_draws)
    log_weights : Tensor of shape (n_rows, n_draws)
        In nats; their mean estimates the density of what is known.
    is_exact : Tensor of bool, shape (n_rows,)
        Whether the draws of a row are all that is possible: its sums are exact.
    """

    labels: Tensor
    y: Tensor
    log_weights: Tensor
    is_exact: Tensor

    def log_mean_weight(self) -> Tensor:
        """Estimate of the log-density of what is known, ``(n_rows,)``, in nats."""
        return torch.logsumexp(self.log_weights, dim=1) - math.log(self.log_weights.shape[1])

    def effective_size(self) -> Tensor:
        """Effective sample size, ``(n_rows,)``; infinite where draws are all that is possible."""
        size = 1 / torch.softmax(self.log_weights, dim=1).square().sum(dim=1)
        return size.masked_fill(self.is_exact, torch.inf)

    def error(self) -> Tensor:
        """Standard error of the log mean weight, ``(n_rows,)``, in nats."""
        n_draws = self.log_weights.shape[1]
        variance = (1 / self.effective_size() - 1 / n_draws) * n_draws / max(1, n_draws - 1)
        return variance.clamp_min(0.0).sqrt()

    def choose(self, uniform: Tensor, n_chosen: int) -> tuple[Tensor, Tensor]:
        """Choose draws by their weights, by systematic resampling.

        Parameters
        ----------
        uniform : Tensor of shape (n_rows,)
        n_chosen : int
            Draws of each row.

        Returns
        -------
        labels : Tensor of int64, shape (n_labelled, n_rows, n_chosen)
        y : Tensor of shape (n_valued, n_rows, n_chosen)
        """
        cumulative = torch.softmax(self.log_weights, dim=1).cumsum(dim=1)
        steps = torch.arange(n_chosen, device=uniform.device)
        at = (uniform[:, None] + steps) / n_chosen * cumulative[:, -1:]
        index = torch.searchsorted(cumulative, at).clamp_max(cumulative.shape[1] - 1)
        return tuple(  # type: ignore[return-value]
            part.gather(2, index.expand(len(part), -1, -1)) for part in (self.labels, self.y)
        )


class Answers(NamedTuple):
    """What importance sampling says about rows.

    Attributes
    ----------
    labels : Tensor of int64, shape (n_labelled, n_rows, n_chosen)
        Whole rows, chosen among the draws by their weights.
    y : Tensor of shape (n_valued, n_rows, n_chosen)
    log_density : Tensor of shape (n_rows,)
        Log-density of what is known, in nats per unit of gaussianized values.
    error : Tensor of shape (n_rows,)
        Its standard error, in nats.
    effective_size : Tensor of shape (n_rows,)
        Effective sample size; infinite where the answer is exact.
    is_reliable : Tensor of bool, shape (n_rows,)
        Whether the effective sample size is large enough.
    """

    labels: Tensor
    y: Tensor
    log_density: Tensor
    error: Tensor
    effective_size: Tensor
    is_reliable: Tensor

    @classmethod
    def of(cls, particles: Particles, uniform: Tensor, n_chosen: int, least: float) -> "Answers":
        """Choose among weighted draws; ``least`` is the effective size that is large enough."""
        size = particles.effective_size()
        chosen = particles.choose(uniform, n_chosen)
        density = particles.log_mean_weight()
        return cls(*chosen, density, particles.error(), size, size >= least)

    def put(self, rows: Tensor, others: "Answers") -> None:
        """Replace the answers for some rows, by index."""
        for own, other in zip(self, others, strict=True):
            own.movedim(1 if own.ndim == 3 else 0, 0)[rows] = other.movedim(
                1 if own.ndim == 3 else 0, 0
            )


class ImportanceSampler:
    """Draws of unknown cells of rows, weighted by the joint density of a model.

    Parameters
    ----------
    model : Model
        Fitted, on any device.
    components : MixedComponents
        As :func:`~skflow.conditioning.distillation.distill` fits them.
    allowed : Tensor of bool, shape (n_entries,)
        Labels that may be drawn, in the vocabulary of all columns.
    """

    def __init__(self, model: Model, components: MixedComponents, allowed: Tensor) -> None:
        self.device = model.value_label.device
        self.model = model
        self.components = components.to(self.device)
        offsets, log_probs = self.components.offsets, self.components.label_log_probs
        self.rules = LabelRules(log_probs, allowed.to(self.device), offsets, model.value_label)

    @property
    def n_uniform(self) -> int:
        """Uniform numbers that each row takes."""
        return 2 + len(self.model.value_label) + len(self.components.offsets)

    def answer(
        self, rows: PartialRows, uniform: Tensor, n_draws: int, n_chosen: int = 1
    ) -> Answers:
        """Draw the unknown cells of rows; more often where the effective sample size is small.

        Parameters
        ----------
        rows : PartialRows
        uniform : Tensor of shape (n_rows, n_uniform)
            Uniform numbers of each row, on which nothing but its own answers depends.
        n_draws : int
            Draws of a row at first.
        n_chosen : int
            Draws that are returned.
        """
        particles = self.draw(rows, uniform, n_draws)
        least = n_draws * LEAST_SHARE
        answers = Answers.of(particles, uniform[:, -1], n_chosen, least)
        hard = (~answers.is_reliable).nonzero().squeeze(1)
        if len(hard):
            n_more = max(MOST_DRAWS, 4 * n_draws)
            for own in hard.split(max(1, PARTICLES // n_more)):
                particles = self.draw(rows.take(own), uniform[own], n_more)
                least = max(LEAST_SIZE, n_chosen)
                answers.put(own, Answers.of(particles, uniform[own, -1], n_chosen, least))
        return answers

    def draw(self, rows: PartialRows, uniform: Tensor, n_draws: int) -> Particles:
        """Draw the unknown cells of rows, and weigh the draws.

        Parameters
        ----------
        rows : PartialRows
        uniform : Tensor of shape (n_rows, n_uniform)
            Uniform numbers of each row. The last is left to :meth:`Particles.choose`.
        n_draws : int
        """
        labels = rows.labels[:, :, None].repeat(1, 1, n_draws)
        y = rows.y[:, :, None].repeat(1, 1, n_draws)
        log_q = y.new_zeros(rows.n_rows, n_draws)
        is_exact = torch.zeros(rows.n_rows, dtype=torch.bool, device=y.device)
        numbers = rows.patterns()
        order = torch.argsort(numbers, stable=True)
        for own in order.split(torch.unique(numbers, return_counts=True)[1].tolist()):
            chosen, pattern = rows.take(own), rows.pattern_of(int(own[0]))
            every = self.every_label(pattern, n_draws)
            if every is not None:
                labels[:, own], log_q[own] = self.enumerate(chosen, pattern, every, n_draws)
                is_exact[own] = True
                continue
            conditional = Conditional(self.components, self.rules, chosen, pattern)
            points = (sobol(n_draws, self.n_uniform - 1).to(y) + uniform[own, None, :-1]) % 1
            labels[:, own], y[:, own] = drawn = conditional.draw(points)
            log_q[own] = conditional.log_prob(*drawn)
        return Particles(labels, y, self.log_prob(rows, labels, y) - log_q, is_exact)

    def log_prob(self, rows: PartialRows, labels: Tensor, y: Tensor) -> Tensor:
        """Joint log-density of draws, ``(n_rows, n_draws)``, per unit of gaussianized values."""
        flat_labels, flat_y = labels.flatten(1), y.flatten(1)
        of_values = _in_blocks(self.log_prob_of_values, self.model, flat_labels, flat_y)
        if bool(rows.label_is_known.all()):
            of_labels = _in_blocks(self.log_prob_of_labels, self.model, rows.labels, rows.y)
            return of_values.view(y.shape[1:]) + of_labels[:, None]
        of_labels = _in_blocks(self.log_prob_of_labels, self.model, flat_labels, flat_y)
        return (of_values + of_labels).view(y.shape[1:])

    def log_prob_of_labels(self, labels: Tensor, y: Tensor) -> Tensor:
        """Log-probability of labels, ``(n_rows,)``, in nats."""
        return self.model.labels.log_prob(Batch(labels, y))

    def log_prob_of_values(self, labels: Tensor, y: Tensor) -> Tensor:
        """Log-density of values to 1e-5 nats; exact where the mixture clamps what it reads."""
        flow, batch = self.model.values, Batch(labels, y)
        log_prob = flow.approximate_log_prob(batch)
        far = (y.abs() > flow.mixture.bound).any(dim=0).nonzero().squeeze(1)
        if len(far):
            log_prob[far] = flow.log_prob(batch.take(far))
        return log_prob

    def every_label(self, pattern: Pattern, n_draws: int) -> Tensor | None:
        """Return all combinations of unknown labels, if these are few and no value is unknown."""
        if pattern.unknown_values:
            return None
        allowed = [self.rules.allowed[c] for c in pattern.unknown_labels]
        if math.prod(map(len, allowed)) > n_draws:
            return None
        every = torch.cartesian_prod(*allowed) if allowed else torch.zeros(1, 0, dtype=torch.int64)
        return every.reshape(-1, len(allowed)).T

    def enumerate(
        self, rows: PartialRows, pattern: Pattern, every: Tensor, n_draws: int
    ) -> tuple[Tensor, Tensor]:
        """Return labels that run through all combinations; the other draws have no weight."""
        labels = rows.labels[:, :, None].repeat(1, 1, n_draws)
        n_combinations = every.shape[1]
        for c, own in zip(pattern.unknown_labels, every, strict=True):
            labels[c, :, :n_combinations] = own
            labels[c, :, n_combinations:] = own[0]
        log_q = rows.y.new_full((rows.n_rows, n_draws), torch.inf)
        log_q[:, :n_combinations] = -math.log(n_draws)
        return labels, log_q


@lru_cache(maxsize=8)
def sobol(n_points: int, n_dimensions: int) -> Tensor:
    """Return points of a Sobol sequence, ``(n_points, n_dimensions)``, not randomized."""
    n_rounded = 1 << (n_points - 1).bit_length()
    points = qmc.Sobol(n_dimensions, scramble=False).random(n_rounded)
    return torch.tensor(points[:n_points])


def _in_blocks(function: Callable[..., Tensor], model: Model, *rows: Tensor) -> Tensor:
    """Apply a function to blocks of rows, the last axis of each tensor."""
    n_rows = rows[0].shape[-1]
    most = max(64, BLOCK_ENTRIES // model.entries_per_row)
    size = max(1, math.ceil(n_rows / math.ceil(n_rows / most)))
    blocks = zip(*(part.split(size, dim=-1) for part in rows), strict=True)
    return torch.cat([function(*block) for block in blocks])
