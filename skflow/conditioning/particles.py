"""Weighted draws of whole rows, and the answers that they give."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

SEED = 0
N_HALVED = 25  # halvings of the interval that a power is searched in
LARGE = 2.0**20  # products with it have fractional parts of 32 bits


def effective_size(log_weights: Tensor) -> Tensor:
    r"""Effective sample size :math:`1 / \sum_i \bar w_i^2` of weights, ``(n_rows, n_draws)``."""
    return 1 / torch.softmax(log_weights, dim=1).square().sum(dim=1)


def relative_variance(size: Tensor, n_draws: int) -> Tensor:
    """Variance of a mean weight over its square, from the effective size of ``n_draws``."""
    return (1 / size - 1 / n_draws) * n_draws / max(1, n_draws - 1)


def largest_power(log_weights: Tensor, least: float, most: Tensor) -> Tensor:
    """Largest power of weights, up to ``most``, that leaves so many effective, ``(n_rows,)``."""

    def is_enough(power: Tensor) -> Tensor:
        return effective_size(power[:, None] * log_weights) >= least

    low, high = torch.zeros_like(most), most
    for _ in range(N_HALVED):
        middle = (low + high) / 2
        enough = is_enough(middle)
        low, high = torch.where(enough, middle, low), torch.where(enough, high, middle)
    return torch.where(is_enough(most), most, low)


def scatter(uniform: Tensor, n_numbers: int) -> Tensor:
    """Uniform numbers of each row, ``(n_rows, n_numbers)``, nearly independent, from one number.

    They are the fractional parts of its products with large numbers.
    """
    generator = torch.Generator().manual_seed(SEED)
    multiples = LARGE * torch.rand(n_numbers, generator=generator, dtype=torch.float64)
    return (uniform[:, None] * multiples.to(uniform)) % 1


def places(
    log_weights: Tensor, uniform: Tensor, n_chosen: int, is_exact: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Cumulative weights, and where draws are chosen among them.

    The draws of a row are put in random order, and chosen at even steps of their cumulative weight
    (systematic resampling): none is chosen twice where all weights are below 1 / ``n_chosen``, and
    in any order of theirs, draws that are neighbours in a Sobol sequence would be chosen together.
    Where the draws are all that is possible, each choice is independent of the others.

    Parameters
    ----------
    log_weights : Tensor of shape (n_rows, n_draws)
    uniform : Tensor of shape (n_rows,)
    n_chosen : int
        Draws of each row.
    is_exact : Tensor of bool, shape (n_rows,), optional
        Whether the draws of a row are all that is possible; None for no row.

    Returns
    -------
    order : Tensor of int64, shape (n_rows, n_draws)
    cumulative : Tensor of shape (n_rows, n_draws)
        Weights in this order.
    at : Tensor of shape (n_rows, n_chosen)
    """
    n_draws = log_weights.shape[1]
    numbers = scatter(uniform, n_draws + n_chosen)  # for the order, and for choices
    order = numbers[:, :n_draws].argsort(dim=1)
    cumulative = torch.softmax(log_weights, dim=1).gather(1, order).cumsum(dim=1)
    at = (uniform[:, None] + torch.arange(n_chosen, device=uniform.device)) / n_chosen
    if is_exact is not None:
        at = torch.where(is_exact[:, None], numbers[:, n_draws:], at)
    return order, cumulative, at * cumulative[:, -1:]


def resample(
    log_weights: Tensor, uniform: Tensor, n_chosen: int, is_exact: Tensor | None = None
) -> Tensor:
    """Choose draws in proportion to their weights; see :func:`places`.

    Returns
    -------
    index : Tensor of int64, shape (n_rows, n_chosen)
    """
    order, cumulative, at = places(log_weights, uniform, n_chosen, is_exact)
    found = torch.searchsorted(cumulative, at).clamp_max(cumulative.shape[1] - 1)
    return order.gather(1, found)


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
    least : float
        Effective size that draws are chosen with: weights are tempered to it. What is chosen by
        tempered weights does not follow the density until it is moved.
    """

    labels: Tensor
    y: Tensor
    log_weights: Tensor
    is_exact: Tensor
    least: float = 0.0

    def log_mean_weight(self) -> Tensor:
        """Estimate of the log-density of what is known, ``(n_rows,)``, in nats."""
        return torch.logsumexp(self.log_weights, dim=1) - math.log(self.log_weights.shape[1])

    def effective_size(self) -> Tensor:
        """Effective sample size, ``(n_rows,)``; infinite where draws are all that is possible."""
        return effective_size(self.log_weights).masked_fill(self.is_exact, torch.inf)

    def error(self) -> Tensor:
        """Standard error of the log mean weight, ``(n_rows,)``, in nats."""
        variance = relative_variance(self.effective_size(), self.log_weights.shape[1])
        return variance.clamp_min(0.0).sqrt()

    def log_chances(self) -> Tensor:
        """Log-weights that draws are chosen by, ``(n_rows, n_draws)``."""
        if not self.least:
            return self.log_weights
        whole = torch.ones_like(self.log_weights[:, 0])
        power = largest_power(self.log_weights, self.least, whole)
        return torch.where(self.is_exact, whole, power)[:, None] * self.log_weights

    def choose(self, uniform: Tensor, n_chosen: int) -> tuple[Tensor, Tensor]:
        """Choose draws by their weights; see :func:`resample`.

        Parameters
        ----------
        uniform : Tensor of shape (n_rows,)
        n_chosen : int

        Returns
        -------
        labels : Tensor of int64, shape (n_labelled, n_rows, n_chosen)
        y : Tensor of shape (n_valued, n_rows, n_chosen)
        """
        index = resample(self.log_chances(), uniform, n_chosen, self.is_exact)
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
    def of(cls, particles: Particles, uniform: Tensor, n_chosen: int, least: Tensor) -> "Answers":
        """Choose among weighted draws; ``least`` is the effective size that is large enough."""
        size = particles.effective_size()
        chosen = particles.choose(uniform, n_chosen)
        density = particles.log_mean_weight()
        return cls(*chosen, density, particles.error(), size, size >= least)

    def put(self, rows: Tensor, others: "Answers") -> None:
        """Replace the answers for some rows, by index."""
        for own, other in zip(self, others, strict=True):
            axis = 1 if own.ndim == 3 else 0
            own.movedim(axis, 0)[rows] = other.movedim(axis, 0)
