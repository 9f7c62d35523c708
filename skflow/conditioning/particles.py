"""Weighted draws of whole rows, and the answers that they give."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


def effective_size(log_weights: Tensor) -> Tensor:
    r"""Effective sample size :math:`1 / \sum_i \bar w_i^2` of weights, ``(n_rows, n_draws)``."""
    return 1 / torch.softmax(log_weights, dim=1).square().sum(dim=1)


def relative_variance(size: Tensor, n_draws: int) -> Tensor:
    """Variance of a mean weight over its square, from the effective size of ``n_draws``."""
    return (1 / size - 1 / n_draws) * n_draws / max(1, n_draws - 1)


def places(log_weights: Tensor, uniform: Tensor, n_chosen: int) -> tuple[Tensor, Tensor]:
    """Cumulative weights, ``(n_rows, n_draws)``, and where draws are chosen among them.

    Parameters
    ----------
    log_weights : Tensor of shape (n_rows, n_draws)
    uniform : Tensor of shape (n_rows,)
    n_chosen : int
        Draws of each row.

    Returns
    -------
    cumulative : Tensor of shape (n_rows, n_draws)
    at : Tensor of shape (n_rows, n_chosen)
        Evenly spread.
    """
    cumulative = torch.softmax(log_weights, dim=1).cumsum(dim=1)
    steps = torch.arange(n_chosen, device=uniform.device)
    return cumulative, (uniform[:, None] + steps) / n_chosen * cumulative[:, -1:]


def resample(log_weights: Tensor, uniform: Tensor, n_chosen: int) -> Tensor:
    """Choose draws in proportion to their weights: systematic resampling; see :func:`places`.

    Returns
    -------
    index : Tensor of int64, shape (n_rows, n_chosen)
    """
    cumulative, at = places(log_weights, uniform, n_chosen)
    return torch.searchsorted(cumulative, at).clamp_max(cumulative.shape[1] - 1)


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
        return effective_size(self.log_weights).masked_fill(self.is_exact, torch.inf)

    def error(self) -> Tensor:
        """Standard error of the log mean weight, ``(n_rows,)``, in nats."""
        variance = relative_variance(self.effective_size(), self.log_weights.shape[1])
        return variance.clamp_min(0.0).sqrt()

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
        index = resample(self.log_weights, uniform, n_chosen)
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
