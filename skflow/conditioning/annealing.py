r"""Annealing: draws that move from the proposal to the flow, where the weights of draws are uneven.

Particles of a row start as draws from the proposal :math:`q(x_A \mid x_B)` and follow the densities

.. math:: \pi_t(x_A) \propto q(x_A \mid x_B)^{1 - t} \, p(x_A, x_B)^t

from t = 0 to t = 1 (sequential Monte Carlo; Del Moral, Doucet and Jasra, 2006). Each row takes
the largest steps that leave half of its particles effective. After a step particles are
resampled by their weights, then moved by Metropolis and Hastings: one column after the other is
proposed from its conditional under the proposal's components, given all other columns, and now
and then all together, which leads from one mode to another. The product of the mean weights is an
unbiased estimate of :math:`p(x_B)`.
"""

import math

import torch
from torch import Tensor

from skflow.conditioning.importance import ImportanceSampler
from skflow.conditioning.partial_rows import PartialRows
from skflow.conditioning.particles import (
    Answers,
    effective_size,
    largest_power,
    relative_variance,
    resample,
)

N_PARTICLES = 64
MOST_STEPS = 20
N_MOVES = 4  # columns that are moved after each step
LEAST_SHARE = 0.5  # least share of particles that are effective after a step
LEAST_SIZE = 8.0  # effective size from which particles that moved on are reliable
SEED = 0


class Annealing:
    """Particles of some rows on their way from the proposal to the flow.

    Parameters
    ----------
    sampler : ImportanceSampler
    rows : PartialRows
    uniform : Tensor of shape (n_rows, n_uniform)
        Uniform numbers of each row: all random numbers of a row are shifted by them.
    particles : (Tensor of shape (n_labelled, n_rows, n), Tensor of shape (n_valued, n_rows, n))
        Labels and values of n particles of each row.
    time : float
        Where they are on the way: 0 for draws from the proposal, 1 for those from the flow.
    """

    @classmethod
    def start(cls, sampler: ImportanceSampler, rows: PartialRows, uniform: Tensor) -> "Annealing":
        """Begin with draws from the proposal."""
        drawn = sampler.draw(rows, uniform, N_PARTICLES)
        return cls(sampler, rows, uniform, (drawn.labels, drawn.y), time=0.0)

    def __init__(
        self,
        sampler: ImportanceSampler,
        rows: PartialRows,
        uniform: Tensor,
        particles: tuple[Tensor, Tensor],
        *,
        time: float,
    ) -> None:
        self.sampler = sampler
        self.rows = rows
        self.uniform = uniform
        self.generator = torch.Generator().manual_seed(SEED)
        self.labels, self.y = particles
        self.log_q = sampler.log_proposal(rows, *particles)
        self.log_ratio = sampler.log_prob(rows, *particles) - self.log_q
        self.time = torch.full_like(uniform[:, 0], time)
        self.log_density = torch.zeros_like(self.time)
        self.variance = torch.zeros_like(self.time)
        self.n_moved = 0

    def run(self, n_chosen: int) -> Answers:
        """Move all particles to the flow, and choose among them."""
        for number in range(MOST_STEPS):
            is_moving = self.time < 1
            if not bool(is_moving.any()):
                break
            self._step(last=number == MOST_STEPS - 1)
            for _ in range(N_MOVES):
                self._move(is_moving)
        evenly = torch.arange(n_chosen, device=self.y.device) / n_chosen
        index = ((self.uniform[:, -1:] + evenly) % 1 * N_PARTICLES).long()
        size = 1 / (self.variance + 1 / N_PARTICLES)
        return Answers(
            self.labels.gather(2, index.expand(len(self.labels), -1, -1)),
            self.y.gather(2, index.expand(len(self.y), -1, -1)),
            self.log_density,
            self.variance.sqrt(),
            size,
            size >= LEAST_SIZE,
        )

    def stay(self, n_moves: int) -> tuple[Tensor, Tensor]:
        """Move particles that are at the end of the way, and return them."""
        for _ in range(n_moves):
            self._move(torch.ones_like(self.time, dtype=torch.bool))
        return self.labels, self.y

    def _step(self, *, last: bool) -> None:
        """Take a step of each row in time, and resample its particles."""
        step = rest = 1 - self.time
        if not last:
            step = largest_power(self.log_ratio, LEAST_SHARE * N_PARTICLES, rest)
        log_weights = step[:, None] * self.log_ratio
        self.log_density += torch.logsumexp(log_weights, dim=1) - math.log(N_PARTICLES)
        self.variance += relative_variance(effective_size(log_weights), N_PARTICLES)
        self.time = torch.where(step == rest, 1.0, self.time + step)
        index = resample(log_weights, self._uniform(1)[:, 0, -1], N_PARTICLES)
        self.labels = self.labels.gather(2, index.expand_as(self.labels))
        self.y = self.y.gather(2, index.expand_as(self.y))
        self.log_ratio, self.log_q = self.log_ratio.gather(1, index), self.log_q.gather(1, index)

    def _move(self, is_moving: Tensor) -> None:
        """Propose other cells of one unknown column, or of all, in each of these rows."""
        own = is_moving.nonzero().squeeze(1)
        n_particles = self.y.shape[2]
        uniform = self._uniform(n_particles)[own].flatten(0, 1)
        rows, labels, y = self.rows.take(own), self.labels[:, own], self.y[:, own]
        label_is_known, value_is_known = self._block(rows)
        flat = PartialRows(
            labels.flatten(1),
            y.masked_fill(~value_is_known[:, :, None], torch.nan).flatten(1),
            label_is_known.repeat_interleave(n_particles, dim=1),
            value_is_known.repeat_interleave(n_particles, dim=1),
        )
        new_labels, new_y = labels.clone(), y.clone()
        new, old = (new_labels.flatten(1), new_y.flatten(1)), (labels.flatten(1), y.flatten(1))
        log_back = y.new_zeros(flat.n_rows)
        for some, conditional in self.sampler.conditionals(flat):
            drawn = conditional.draw(uniform[some, None, :-1])
            before = [part[:, some, None] for part in old]
            log_back[some] = (conditional.log_prob(*before) - conditional.log_prob(*drawn))[:, 0]
            for part, fresh in zip(new, drawn, strict=True):
                part[:, some] = fresh[:, :, 0]
        new_labels, new_y = new[0].view(labels.shape), new[1].view(y.shape)
        log_q = self.sampler.log_proposal(rows, new_labels, new_y)
        log_ratio = self.sampler.log_prob(rows, new_labels, new_y) - log_q
        time = self.time[own, None]
        gain = (log_q + time * log_ratio) - (self.log_q[own] + time * self.log_ratio[own])
        accepts = uniform[:, -1].log().view(log_q.shape) < gain + log_back.view(log_q.shape)
        self.labels[:, own] = torch.where(accepts, new_labels, labels)
        self.y[:, own] = torch.where(accepts, new_y, y)
        self.log_q[own] = torch.where(accepts, log_q, self.log_q[own])
        self.log_ratio[own] = torch.where(accepts, log_ratio, self.log_ratio[own])

    def _block(self, rows: PartialRows) -> tuple[Tensor, Tensor]:
        """Return which labels and values stay as they are in this move: all but one column's."""
        n_labels = len(rows.labels)
        labelled = self.sampler.model.value_labels[:, 0]
        alone = n_labels + torch.arange(len(labelled), device=labelled.device)
        column = torch.where(labelled < 0, alone, labelled)  # where each value belongs
        unknown = torch.zeros(n_labels + len(labelled), rows.n_rows, dtype=torch.bool).to(
            alone.device
        )
        unknown[:n_labels] = ~rows.label_is_known
        unknown[column] |= ~rows.value_is_known
        n_unknown = unknown.sum(dim=0)
        turn = self.n_moved % (n_unknown + 1)
        chosen = unknown & ((unknown.cumsum(dim=0) - 1 == turn) | (turn == n_unknown))
        self.n_moved += 1
        label_stays = ~chosen[:n_labels] | rows.label_is_known
        return label_stays, ~(chosen[column] & ~rows.value_is_known)

    def _uniform(self, n_draws: int) -> Tensor:
        """Draw uniform numbers, ``(n_rows, n_draws, n_uniform)``, each row's shifted by its own."""
        size = n_draws, self.uniform.shape[1]
        fresh = torch.rand(size, generator=self.generator, dtype=torch.float64)
        return (fresh.to(self.uniform) + self.uniform[:, None]) % 1
