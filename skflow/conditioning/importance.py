r"""Importance sampling of unknown cells, with the exact joint density of the flow.

Draws from a proposal :math:`q(x_A \mid x_B)` have the weights

.. math:: w_i = \frac{p(x_A^i, x_B)}{q(x_A^i \mid x_B)}, \qquad
          p(x_B) \approx \frac{1}{N} \sum_i w_i ,

and a draw that is chosen with a probability in proportion to its weight follows
:math:`p(x_A \mid x_B)` as N grows (sampling-importance-resampling; Rubin, 1987). The effective
sample size is :math:`1 / \sum_i \bar w_i^2` with the normalized weights :math:`\bar w`.

The draws of a row are points of one Sobol sequence, shifted by the row's own uniform numbers
(randomized quasi-Monte Carlo): each is uniform, together they are even. Where one value is
unknown they are quantiles (:mod:`skflow.conditioning.line`). Errors are those of independent
draws, hence upper estimates.
"""

import math
from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache

import torch
from scipy.stats import qmc
from torch import Tensor

from skflow.conditioning.components import MixedComponents
from skflow.conditioning.line import draw_on_line
from skflow.conditioning.partial_rows import PartialRows, Pattern
from skflow.conditioning.particles import Particles
from skflow.conditioning.proposal import Conditional, LabelRules
from skflow.conditioning.rounding import SinglePrecision
from skflow.flow.batch import Batch
from skflow.flow.blocks import device_blocks
from skflow.flow.model import Model

ROWS_ON_CPU = 2048  # draws that are weighed at once


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
        self.device = model.value_labels.device
        self.model = model
        self.components = components.to(self.device)
        offsets, log_probs = self.components.offsets, self.components.label_log_probs
        self.rules = LabelRules(log_probs, allowed.to(self.device), offsets, model.value_labels)

    @property
    def n_uniform(self) -> int:
        """Uniform numbers that each row takes."""
        return 2 + len(self.model.value_labels) + len(self.components.offsets)

    @cached_property
    def single(self) -> SinglePrecision | None:
        """The flow in single precision; None where there are no values."""
        return SinglePrecision(self.model.flow) if len(self.model.value_labels) else None

    def draw(
        self,
        rows: PartialRows,
        uniform: Tensor,
        n_draws: int,
        single: SinglePrecision | None = None,
    ) -> Particles:
        """Draw the unknown cells of rows, and weigh the draws.

        Parameters
        ----------
        rows : PartialRows
        uniform : Tensor of shape (n_rows, n_uniform)
            Uniform numbers of each row. The last is left to :meth:`Particles.choose`.
        n_draws : int
        single : SinglePrecision, optional
            What the draws are weighed by; without, they are weighed in double precision.
        """
        labels = rows.labels[:, :, None].repeat(1, 1, n_draws)
        y = rows.y[:, :, None].repeat(1, 1, n_draws)
        log_q = y.new_zeros(rows.n_rows, n_draws)
        is_exact = torch.zeros(rows.n_rows, dtype=torch.bool, device=y.device)
        for own, conditional in self.conditionals(rows):
            pattern = conditional.pattern
            every = self.every_label(pattern, n_draws)
            if every is not None:
                labels[:, own], log_q[own] = self.enumerate(conditional, every, n_draws)
                is_exact[own] = True
            elif pattern.is_on_line:
                evenly = torch.arange(n_draws).to(y) / n_draws
                drawn_y, log_q[own] = draw_on_line(conditional, (evenly + uniform[own, :1]) % 1)
                y[pattern.unknown_values[0], own] = drawn_y
            else:
                points = (sobol(n_draws, self.n_uniform - 1).to(y) + uniform[own, None, :-1]) % 1
                labels[:, own], y[:, own] = drawn = conditional.draw(points)
                log_q[own] = conditional.log_prob(*drawn)
        log_prob = self.log_prob(rows, labels, y, single)
        return Particles(labels, y, log_prob - log_q, is_exact)

    def conditionals(self, rows: PartialRows) -> Iterator[tuple[Tensor, Conditional]]:
        """Yield the rows of each pattern, by index, and the proposal for their unknown cells."""
        numbers = rows.patterns()
        order = torch.argsort(numbers, stable=True)
        for own in order.split(torch.unique(numbers, return_counts=True)[1].tolist()):
            pattern = rows.pattern_of(int(own[0]))
            yield own, Conditional(self.components, self.rules, rows.take(own), pattern)

    def log_proposal(self, rows: PartialRows, labels: Tensor, y: Tensor) -> Tensor:
        """Log-density of draws under the proposal, ``(n_rows, n_draws)``."""
        log_q = y.new_empty(y.shape[1:])
        for own, conditional in self.conditionals(rows):
            log_q[own] = conditional.log_prob(labels[:, own], y[:, own])
        return log_q

    def log_prob(
        self, rows: PartialRows, labels: Tensor, y: Tensor, single: SinglePrecision | None = None
    ) -> Tensor:
        """Joint log-density of draws, ``(n_rows, n_draws)``, per unit of gaussianized values.

        That of values is accurate to 1e-5 nats; with ``single`` it is in single precision.
        """
        flat_labels, flat_y = labels.flatten(1), y.flatten(1)
        flow = self.model.flow if single is None else single.flow
        flow_y = flat_y if single is None else flat_y.float()

        def log_prob_of_values(labels: Tensor, y: Tensor) -> Tensor:
            return flow.log_prob_of_draws(Batch(labels, y))

        def log_prob_of_labels(labels: Tensor, y: Tensor) -> Tensor:
            return self.model.labels.log_prob(Batch(labels, y))

        of_values = _in_blocks(log_prob_of_values, self.model, flat_labels, flow_y).to(y)
        if bool(rows.label_is_known.all()):
            of_labels = _in_blocks(log_prob_of_labels, self.model, rows.labels, rows.y)
            return of_values.view(y.shape[1:]) + of_labels[:, None]
        of_labels = _in_blocks(log_prob_of_labels, self.model, flat_labels, flat_y)
        return (of_values + of_labels).view(y.shape[1:])

    def every_label(self, pattern: Pattern, n_draws: int) -> Tensor | None:
        """Return all combinations of unknown labels, if these are few and no value is unknown."""
        if pattern.unknown_values:
            return None
        allowed = [self.rules.allowed[c] for c in pattern.unknown_labels]
        if math.prod(map(len, allowed)) > n_draws:
            return None
        if not allowed:
            return torch.zeros(0, 1, dtype=torch.int64)
        return torch.cartesian_prod(*allowed).reshape(-1, len(allowed)).T

    def enumerate(
        self, conditional: Conditional, every: Tensor, n_draws: int
    ) -> tuple[Tensor, Tensor]:
        """Return labels that run through all combinations; the other draws have no weight."""
        rows, pattern = conditional.rows, conditional.pattern
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
    parts = []
    for block in device_blocks(rows[0].shape[-1], model, ROWS_ON_CPU):
        with block:
            parts.append(function(*(part[..., block.rows] for part in rows)))
    return torch.cat(parts)
