"""Expectation maximisation for a Gaussian mixture, with a covariance prior."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from skflow.flow.floored_components import GaussianComponents
from skflow.rows import weighted_mean

RIDGE = 1e-8
UNCORRELATED = 1e4  # rows of prior that leave components a diagonal covariance
MEAN_ROWS = 0.05  # rows of prior in each mean: none is the value of a single row
BLOCK = 500_000  # entries of the arrays worked on at once: they stay in the cache
KEPT = 8_000_000  # entries of statistics that are made once and kept


class PriorStrength(NamedTuple):
    """How many rows the prior of the covariances is worth."""

    pooled_rows: float
    diagonal_rows: float


def prior_strengths(n_columns: int) -> dict[str, PriorStrength]:
    """From components that share the shape of all rows to free, narrow, diagonal ones."""
    return {
        "shared": PriorStrength(pooled_rows=n_columns + 2.0, diagonal_rows=0.0),
        "shrunk": PriorStrength(pooled_rows=1.0, diagonal_rows=1.0 * n_columns),
        "free": PriorStrength(pooled_rows=0.1, diagonal_rows=1.0 * n_columns),
        "narrow": PriorStrength(pooled_rows=0.02, diagonal_rows=4.0 * n_columns),
        "diagonal": PriorStrength(pooled_rows=0.02, diagonal_rows=UNCORRELATED),
    }


class ComponentPrior(NamedTuple):
    """Where means and covariances are drawn to, and how strongly."""

    mean: Tensor
    pooled: Tensor
    strength: PriorStrength


class SufficientStatistics:
    """``(1, y_i, y_i y_j)`` for i >= j of each row: a Gaussian's log-density is linear in them.

    So both steps of the algorithm are matrix products.

    Parameters
    ----------
    y : Tensor of shape (n_columns, n_rows)
        In float64: narrow components leave float32 no digits.
    weight : Tensor of shape (n_rows,), optional
        A row of weight 2 counts as two equal rows; None gives all rows the same weight.
    """

    def __init__(self, y: Tensor, weight: Tensor | None = None) -> None:
        self.y = y
        self.weight = y.new_ones(y.shape[1]) if weight is None else weight
        n_columns = len(y)
        self.size = 1 + n_columns + n_columns * (n_columns + 1) // 2
        self.kept = sufficient_statistics(y) if self.size * y.shape[1] <= KEPT else None

    def blocks(self, n_components: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield statistics ``(size, n_rows)`` and weights of some rows after the other."""
        n_rows = max(1, BLOCK // (self.size + n_components))
        if self.kept is not None:
            statistics = iter(self.kept.split(n_rows, dim=1))
        else:
            statistics = map(sufficient_statistics, self.y.split(n_rows, dim=1))
        yield from zip(statistics, self.weight.split(n_rows), strict=True)


def fit_gaussian_mixture(
    rows: SufficientStatistics,
    n_components: int,
    *,
    strength: PriorStrength,
    n_iter: int,
    generator: torch.Generator,
    tol: float = 1e-3,
    has_time: Callable[[], bool] = lambda: True,
) -> GaussianComponents:
    r"""Fit a mixture to ``rows``.

    The M-step shrinks each component's scatter twice,

    .. math::

        \Sigma_k = \frac{N_k \tilde S_k + \nu K^{-2/d} S}{N_k + \nu}, \qquad
        \tilde S_k = S_k \text{ with off-diagonal entries times } \frac{N_k}{N_k + \omega},

    where :math:`S_k` is the weighted covariance of component k with :math:`N_k`
    rows and :math:`S` that of all rows. The first, ``pooled_rows`` = :math:`\nu`,
    leads from one Gaussian to a kernel density with Scott's bandwidth; the second,
    ``diagonal_rows`` = :math:`\omega`, lets a component of few rows be narrow in
    single columns without inventing correlations. Means are drawn to that of all rows,
    as by a twentieth of a row. Neither degenerates, so many
    components are safe on few rows (cf. Fraley and Raftery, 2007).

    Parameters
    ----------
    rows : SufficientStatistics
    n_components : int
    strength : PriorStrength
    n_iter : int
        Steps at most.
    generator : torch.Generator
        Chooses the starting centres (k-means++), rows by their weights.
    tol : float
        Stop when the mean log-likelihood, in nats per row, gains less.
    has_time : callable
        Asked after each step; where it says no, that was the last.
    """
    y, n_columns = rows.y, len(rows.y)
    pooled = pooled_covariance(y, rows.weight) * n_components ** (-2 / n_columns)
    prior = ComponentPrior(weighted_mean(y, rows.weight), pooled, strength)
    if n_components == 1:
        return _fit_gaussian(rows, prior)
    # From broad components: they split up slowly, and into fewer local optima than
    # the tight clusters of k-means.
    components = GaussianComponents(
        weights=y.new_full((n_components,), 1 / n_components),
        means=_spread_centres(rows, n_components, generator),
        covariances=pooled.expand(n_components, -1, -1),
    )
    previous = -torch.inf
    for _ in range(n_iter):
        components, log_likelihood = _step(rows, components, prior)
        if log_likelihood - previous < tol or not has_time():
            break
        previous = log_likelihood
    return components


def _fit_gaussian(rows: SufficientStatistics, prior: ComponentPrior) -> GaussianComponents:
    """One component needs no iteration: what every step would return."""
    centred = rows.y - prior.mean[:, None]
    scatter = (rows.weight * centred) @ centred.T
    covariances = _posterior_mode(scatter[None], rows.weight.sum()[None], prior)
    return GaussianComponents(rows.y.new_ones(1), prior.mean[None], covariances)


def _step(
    rows: SufficientStatistics, components: GaussianComponents, prior: ComponentPrior
) -> tuple[GaussianComponents, float]:
    """One E-step and one M-step, a block of rows at a time."""
    natural = natural_parameters(components)
    moments = torch.zeros_like(natural)
    total = natural.new_zeros(())
    for statistics, weight in rows.blocks(len(natural)):
        log_joint = natural @ statistics
        peak = log_joint.amax(dim=0)
        joint = log_joint.sub_(peak).exp_()
        density = joint.sum(dim=0)
        moments += joint.div_(density / weight) @ statistics.T
        total += ((density.log_() + peak) * weight).sum()
    return maximize(moments, prior), float(total) / float(rows.weight.sum())


def responsibilities(y: Tensor, components: GaussianComponents) -> Tensor:
    """Posterior probability of each component, ``(K, n_rows)``, for rows of ``y``."""
    if len(components.weights) == 1:
        return torch.ones_like(y[:1])
    natural = natural_parameters(components)
    blocks = y.split(max(1, BLOCK // sum(natural.shape)), dim=1)
    log_joint = [natural @ sufficient_statistics(block) for block in blocks]
    return torch.softmax(torch.cat(log_joint, dim=1), dim=0)


def maximize(moments: Tensor, prior: ComponentPrior) -> GaussianComponents:
    """M-step, from the expected sufficient statistics ``(K, n_statistics)``."""
    n_components, n_columns = len(moments), len(prior.pooled)
    mass = moments[:, 0] + 10 * torch.finfo(moments.dtype).eps
    sums = moments[:, 1 : n_columns + 1]
    means = (sums + MEAN_ROWS * prior.mean) / (mass + MEAN_ROWS)[:, None]
    products = 1 + n_columns + _Triangle.of(n_columns, moments.device).of_square
    second = moments.index_select(1, products).view(n_components, n_columns, n_columns)
    cross = sums[:, :, None] * means[:, None, :]
    square = mass[:, None, None] * means[:, :, None] * means[:, None, :]
    scatter = second.sub_(cross).sub_(cross.transpose(1, 2)).add_(square)
    return GaussianComponents(mass / mass.sum(), means, _posterior_mode(scatter, mass, prior))


def sufficient_statistics(y: Tensor) -> Tensor:
    """Return ``(1, y_i, y_i y_j)`` for i >= j of each row, ``(n_statistics, n_rows)``."""
    rows, columns, *_ = _Triangle.of(y.shape[0], y.device)
    return torch.cat((y.new_ones(1, y.shape[1]), y, y[rows] * y[columns]))


def natural_parameters(components: GaussianComponents) -> Tensor:
    """Coefficients ``(K, n_statistics)`` of log-weight plus log-density, up to a constant."""
    weights, means, covariances = components
    triangle, raised = _Triangle.of(means.shape[1], means.device), covariances.clone()
    raised.diagonal(dim1=1, dim2=2).add_(RIDGE)
    factor = torch.linalg.cholesky(raised)
    precision = torch.cholesky_inverse(factor)
    linear = (precision @ means[:, :, None]).squeeze(2)
    log_det = factor.diagonal(dim1=1, dim2=2).log().sum(dim=1)
    constant = weights.log() - log_det - (linear * means).sum(dim=1) / 2
    quadratic = triangle.weight * precision.flatten(1).index_select(1, triangle.in_square)
    return torch.cat((constant[:, None], linear, quadratic), dim=1)


class _Triangle(NamedTuple):
    """Places of the products ``y_i y_j``, i >= j, in a square of them, and back.

    Attributes
    ----------
    rows, columns : Tensor of int64, shape (n_products,)
        The columns i and j of each product.
    in_square : Tensor of int64, shape (n_products,)
        Place of each in a flattened square.
    of_square : Tensor of int64, shape (n_columns * n_columns,)
        The product at each place of it.
    weight : Tensor of shape (n_products,)
        Coefficient of a precision's entry: off the diagonal a product stands for two of them.
    """

    rows: Tensor
    columns: Tensor
    in_square: Tensor
    of_square: Tensor
    weight: Tensor

    @classmethod
    @lru_cache(maxsize=8)
    @torch.inference_mode(False)  # what is kept must serve gradients as well
    def of(cls, n_columns: int, device: torch.device) -> "_Triangle":
        """Return that of some columns, kept: every step of the algorithm asks for it."""
        rows, columns = torch.tril_indices(n_columns, n_columns, device=device)
        of_square = rows.new_empty(n_columns, n_columns)
        of_square[rows, columns] = of_square[columns, rows] = torch.arange(len(rows)).to(rows)
        weight = torch.where(rows == columns, -0.5, -1.0)
        return cls(rows, columns, rows * n_columns + columns, of_square.flatten(), weight)


def _posterior_mode(scatter: Tensor, mass: Tensor, prior: ComponentPrior) -> Tensor:
    """Covariances from scatter matrices ``(K, d, d)`` of ``mass`` rows each."""
    pooled_rows, diagonal_rows = prior.strength
    rows = mass[:, None, None]
    diagonal = torch.diag_embed(scatter.diagonal(dim1=1, dim2=2))
    scatter = scatter + (diagonal - scatter) * diagonal_rows / (rows + diagonal_rows)
    return (scatter + pooled_rows * prior.pooled) / (rows + pooled_rows)


def pooled_covariance(y: Tensor, weight: Tensor) -> Tensor:
    """Covariance of all rows, shrunk to its diagonal where rows are few."""
    n_columns, n_rows = len(y), float(weight.sum())
    centred = y - weighted_mean(y, weight)[:, None]
    covariance = (weight * centred) @ centred.T / n_rows
    diagonal = covariance.diagonal().diag()
    return covariance + (diagonal - covariance) * n_columns / (n_columns + n_rows)


def _spread_centres(
    rows: SufficientStatistics, n_components: int, generator: torch.Generator
) -> Tensor:
    """k-means++ (Arthur and Vassilvitskii, 2007): far rows are likelier centres."""
    y, weight = rows.y, rows.weight
    n_rows, mass = y.shape[1], weight.cumsum(dim=0)
    # One of as many equal shares of the weight as there are rows, equal rows counted apart.
    n_shares = max(int((weight > 0).sum()), round(float(mass[-1])))
    share = (torch.randint(n_shares, (1,), generator=generator).double() + 0.5) / n_shares
    chosen = torch.searchsorted(mass, share.to(mass) * mass[-1]).clamp_max(n_rows - 1).cpu()
    distance = (y - y[:, chosen.to(y.device)]).square().sum(dim=0)
    for _ in range(n_components - 1):
        draw = torch.rand(1, generator=generator, dtype=torch.float64).to(y.device)
        cumulative = (weight * distance).double().cumsum(dim=0)
        index = torch.searchsorted(cumulative, draw * cumulative[-1]).clamp_max(n_rows - 1)
        chosen = torch.cat((chosen, index.to(chosen.device)))
        fresh = (y - y[:, index]).square().sum(dim=0)
        distance = torch.minimum(distance, fresh)
    return y[:, chosen.to(y.device)].T.clone()
