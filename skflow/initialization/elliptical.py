r"""One covariance at several radii, for tables of many columns.

Where columns are about as many as rows, a covariance matrix per component is out of reach, and the
one of all rows is nearly singular. It is shrunk to a factor model,

.. math:: \Sigma = (1 - \lambda) S + \lambda A \, U \operatorname{diag}(\eta) U^T A^T, \quad
    A A^T = W W^T + \Psi,

with :math:`S` the covariance of the rows and as many factors as eigenvalues of their correlation
exceed those of noise, :math:`(1 + \sqrt{d / n})^2` (Marchenko and Pastur, 1967), or, where columns
are nearly functions of few factors, of the little noise that these leave; see
:func:`count_factors`. Factors cost time linear in columns. What factors leave is in the eigenvalues
of :math:`A^{-1} S A^{-T}`, with vectors :math:`U`: columns that nearly add up to a constant are
eigenvalues below those of noise, which no factor is. Where rows are more than columns, eigenvalues
within noise have the mean of these as :math:`\eta`, and others the variance that the population has
along their vectors; see :func:`spiked_spectrum`.

Components share the mean and the regressions of this covariance, and differ in scale: component k
has the covariance :math:`c_k \Sigma`. Rows of many columns differ in their distance from the mean
far more than normal rows do, and a mixture of scales is a heavy-tailed elliptical distribution.

The distance of a row is that from a fit without it, in closed form. A row moves :math:`S`, and
:math:`T` along eigenvectors outside of noise. With :math:`q^s_i` and :math:`q^n_i` the parts of
:math:`q_i = x_i^T \Sigma^{-1} x_i` along these and along the others, two steps of the formula of
Sherman and Morrison give

.. math::

    q_{-i} = \frac{q_i + \lambda a q^s_i q^n_i}{D}, \quad
    \log \det \Sigma_{-i} = \log \det \Sigma + \log D, \quad
    D = 1 - a \, (q^s_i + (1 - \lambda) q^n_i + \lambda a q^s_i q^n_i), \quad
    a = \frac{p_i}{1 - p_i}, \quad p_i = u_i / n ,

where :math:`x_i` is the row less the mean of all; less that of the others it is
:math:`x_i / (1 - p_i)`. One eigendecomposition gives it for all :math:`\lambda`, of
which the likeliest is taken. Rows then weigh :math:`u_i = E[1 / c \mid x_i]` in a second fit, as in
a fit of a multivariate t distribution: far rows say less about the covariance.
"""

import math
from typing import NamedTuple

import scipy.linalg
import torch
from torch import Tensor

from skflow.flow.floored_components import EllipticalComponents
from skflow.initialization.low_rank_covariance import LowRankCovariance
from skflow.rows import effective_number, weighted_mean

BLUR = 1e-5  # standard deviation of noise that exact functions of other columns get
SHRINKAGES = (0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.55, 0.7, 0.85, 0.95, 0.99)
FITS = 2
FACTOR_STEPS = 20
ROWS_PER_FACTOR = 8
FAR_ABOVE = 10  # eigenvalues of factors, in terms of those of noise, that need no more rows
NOISE_STEPS = 3  # to separate eigenvalues of noise from others
LEAST_UNIQUE = BLUR**2 / 4  # variance of a column that factors leave
LEAST_VARIANCE = 1e-12  # along an eigenvector, in terms of that of noise
MOST_RADII = 8
RADII_STEPS = 60
STEP = 0.35  # between logarithms of squared radii, where the search for them begins
NEAREST = 0.1  # squared radius, in terms of the median: copies of a row have a distance of 0


class _Radii(NamedTuple):
    """Squared radii ``(K,)``, their weights, and what rows make of them.

    Attributes
    ----------
    squares, weights : Tensor of shape (K,)
    log_prob : Tensor of shape (n_rows,)
        Log-density of each row, up to a constant.
    precision : Tensor of shape (n_rows,)
        Mean of the inverse of the squared radius, given the row.
    """

    squares: Tensor
    weights: Tensor
    log_prob: Tensor
    precision: Tensor


def fit_elliptical(y: Tensor, weight: Tensor | None = None) -> EllipticalComponents:
    """Fit the mean, the shrunk covariance and the radii.

    Parameters
    ----------
    y : Tensor of shape (n_columns, n_rows)
        In float64, without missing values.
    weight : Tensor of shape (n_rows,), optional
        A row of weight 2 counts as two equal rows; None gives all rows the same weight.
    """
    weight = y.new_ones(y.shape[1]) if weight is None else weight
    y, weight = y[:, weight > 0], weight[weight > 0]
    distinct, place = torch.unique(y, dim=1, return_inverse=True)
    if distinct.shape[1] < y.shape[1]:  # copies are left out together
        y, weight = distinct, weight.new_zeros(distinct.shape[1]).index_add(0, place, weight)
    # Exact functions of other columns are at a distance of 0 whatever keeps the covariance
    # positive, and radii would be fitted to that: too small for all other columns.
    noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(0), dtype=y.dtype)
    y = noise.to(y.device).mul_(BLUR).add_(y)
    influence = torch.ones_like(weight)
    for step in range(FITS):
        share = weight * influence / weight.sum()
        mean = y @ share
        rows = (y - mean[:, None]) * share.sqrt()
        deviations = rows.square().sum(dim=1).sqrt().clamp_min(1e-12)[:, None]
        rows = rows / deviations
        loadings, unique = fit_factors(rows, effective_number(weight))
        shrinkage, radii, target = choose_shrinkage(rows, weight, influence, loadings, unique)
        if len(radii.squares) == 1 or step == FITS - 1:
            break
        influence = radii.precision / weighted_mean(radii.precision, weight)
    weights, squares = radii.weights, radii.squares
    if len(squares) == 1:  # two equal ones: the mixture clamps regressors of one nearer
        weights, squares = weights.repeat(2) / 2, squares.repeat(2)
    shrunk = LowRankCovariance(
        shrinkage * target.variances * deviations.squeeze(1).square(),
        deviations * torch.cat((rows, target.factors), dim=1),
        torch.cat((rows.new_full((rows.shape[1],), 1 - shrinkage), shrinkage * target.weights)),
    )
    return EllipticalComponents(weights, squares.sqrt(), mean[None], *shrunk.regressions())


def fit_factors(rows: Tensor, n_effective: float) -> tuple[Tensor, Tensor]:
    """Fit a factor model by expectation maximization (Rubin and Thayer, 1982).

    Parameters
    ----------
    rows : Tensor of shape (n_columns, n_rows)
        Their products are correlations.
    n_effective : float
        Number of rows, of equal weights, that say as much.

    Returns
    -------
    loadings : Tensor of shape (n_columns, n_factors)
    unique : Tensor of shape (n_columns,)
        Variance that the factors leave.
    """
    n_columns, n_rows = rows.shape
    is_wide = n_rows < n_columns
    gram = rows.T @ rows if is_wide else rows @ rows.T
    n_factors = count_factors(torch.linalg.eigvalsh(gram).flip(0), n_columns, n_effective)
    largest = (len(gram) - max(n_factors, 1), len(gram) - 1)
    found = scipy.linalg.eigh(gram.cpu().numpy(), subset_by_index=largest)
    size, vectors = (torch.as_tensor(part).to(rows)[..., :n_factors] for part in found)
    vectors = rows @ vectors / size.sqrt() if is_wide else vectors
    total = rows.square().sum(dim=1)
    noise = (total.sum() - size.sum()) / (n_columns - n_factors)
    loadings = vectors * (size - noise).clamp_min(0).sqrt()
    unique = (total - loadings.square().sum(dim=1)).clamp_min(LEAST_UNIQUE)
    identity = torch.eye(n_factors).to(rows)
    for _ in range(FACTOR_STEPS if n_factors else 0):
        scaled = loadings / unique[:, None]
        posterior = torch.linalg.inv(identity + loadings.T @ scaled)
        scores = posterior @ (scaled.T @ rows)
        cross = rows @ scores.T
        loadings = torch.linalg.solve(posterior + scores @ scores.T, cross, left=False)
        unique = (total - (loadings * cross).sum(dim=1)).clamp_min(LEAST_UNIQUE)
    return loadings, unique


def count_factors(sizes: Tensor, n_columns: int, n_effective: float) -> int:
    r"""Count the factors of a correlation matrix by its eigenvalues :math:`\lambda_i`.

    One per eigenvalue above those of noise of variance 1, but not more than one per 8 rows, as few
    rows say little of many factors. There are at least k, of at most half of the eigenvalues,
    where these stand out from what they leave,

    .. math:: \lambda_k > 10 \, (1 + \sqrt{d / n})^2 \sum_{i > k} \lambda_i / (d - k) .

    Parameters
    ----------
    sizes : Tensor of shape (n_eigenvalues,)
        Descending; those that are not there are 0.
    n_columns : int
    n_effective : float
        Number of rows, of equal weights, that say as much.
    """
    edge = (1 + math.sqrt(n_columns / n_effective)) ** 2
    n_above = min(int((sizes > edge).sum()), int(n_effective) // ROWS_PER_FACTOR)
    n_left = n_columns - torch.arange(1, len(sizes) // 2 + 1).to(sizes)
    left = (sizes.sum() - sizes.cumsum(0))[: len(n_left)] / n_left  # noise beside as many factors
    apart = (sizes[: len(n_left)] > FAR_ABOVE * edge * left).nonzero()
    return max(n_above, int(apart[-1]) + 1 if len(apart) else 0)


def choose_shrinkage(
    rows: Tensor, weight: Tensor, influence: Tensor, loadings: Tensor, unique: Tensor
) -> tuple[float, _Radii, LowRankCovariance]:
    """Return the likeliest shrinkage and radii, of rows that fits leave out one by one; the target.

    The target is what the covariance of the rows is shrunk to.
    """
    (n_columns, n_rows), mass = rows.shape, float(weight.sum())
    scale = unique.sqrt()[:, None]
    left, singular, _ = torch.linalg.svd(loadings / scale, full_matrices=False)
    stretch = (1 + singular.square()).sqrt()[:, None]  # A = scale * (I + left (stretch - 1) left^T)
    white = rows / scale
    white = white - left @ ((1 - 1 / stretch) * (left.T @ white))
    log_det = 2 * (scale.log().sum() + stretch.log().sum())
    target = LowRankCovariance(unique, loadings, torch.ones_like(loadings[0]))
    if n_rows <= n_columns:
        size, vectors = torch.linalg.eigh(white.T @ white)
        squares = vectors.T.square() * size.clamp_min(0)[:, None]
        expected, is_noise = torch.ones_like(size), torch.ones_like(size, dtype=torch.bool)
    else:
        size, vectors = torch.linalg.eigh(white @ white.T)
        squares = (vectors.T @ white).square()
        expected, is_noise, noise = spiked_spectrum(size, n_columns / effective_number(weight))
        spikes = vectors[:, ~is_noise]
        spikes = scale * (spikes + left @ ((stretch - 1) * (left.T @ spikes)))
        target = LowRankCovariance(
            noise * unique,
            torch.cat((loadings, spikes), dim=1),
            torch.cat((noise * target.weights, expected[~is_noise] - noise)),
        )
    squares = squares * (mass / (weight * influence))
    own = influence * weight / mass
    ratio = own / (1 - own)
    best, chosen = -math.inf, None
    for shrinkage in SHRINKAGES:
        spectrum = torch.lerp(size.clamp_min(0), expected, shrinkage)
        along_noise = (is_noise / spectrum) @ squares
        along_spikes = (~is_noise / spectrum) @ squares
        both = shrinkage * ratio * along_spikes * along_noise
        left_out = 1 - ratio * (along_spikes + (1 - shrinkage) * along_noise + both)
        left_out = left_out.clamp_min(1e-12)
        distance = (along_spikes + along_noise + both) / left_out / (1 - own).square()
        log_dets = log_det + spectrum.log().sum() + left_out.log()
        log_dets = log_dets + (n_columns - len(size)) * math.log(shrinkage)
        radii = fit_radii(distance, n_columns, weight, MOST_RADII)
        score = float(weighted_mean(radii.log_prob - log_dets / 2, weight))
        if score > best:
            best, chosen = score, (shrinkage, radii, target)
    assert chosen is not None
    return chosen


def spiked_spectrum(size: Tensor, ratio: float) -> tuple[Tensor, Tensor, float]:
    r"""Return variances of the population along eigenvectors of a sample, and which are noise.

    Eigenvalues :math:`\ell` of a population whose other ones are 1 are found, in samples with
    :math:`\gamma` columns per row, at :math:`\lambda = \ell (1 + \gamma / (\ell - 1))`, outside of
    :math:`(1 \pm \sqrt\gamma)^2`, and along their vectors the population has the variance

    .. math:: \eta = 1 + (\ell - 1) c^2, \quad
        c^2 = \frac{1 - \gamma / (\ell - 1)^2}{1 + \gamma / (\ell - 1)}.

    Parameters
    ----------
    size : Tensor of shape (n_columns,)
        Eigenvalues of a covariance.
    ratio : float
        Columns per row, at most 1.

    Returns
    -------
    variances : Tensor of shape (n_columns,)
    is_noise : Tensor of bool, shape (n_columns,)
        Whether an eigenvalue is within the range of those of noise.
    noise : float
        Variance along all of these.

    References
    ----------
    J. Baik, J. W. Silverstein, "Eigenvalues of large sample covariance matrices of spiked
    population models", Journal of Multivariate Analysis 2006, theorem 1.1; D. Donoho, M. Gavish,
    I. Johnstone, "Optimal shrinkage of eigenvalues in the spiked covariance model", Annals of
    Statistics 2018, equations 1.10 to 1.12.
    """
    low, high = ((1 + sign * math.sqrt(ratio)) ** 2 for sign in (-1, 1))
    is_noise = torch.ones_like(size, dtype=torch.bool)
    for _ in range(NOISE_STEPS):
        noise = float(size[is_noise].mean())
        relative = size / noise
        is_noise = (relative >= low) & (relative <= high)
        if not is_noise.any():  # columns that are linear functions of few others
            is_noise = torch.ones_like(is_noise)
    middle = relative + 1 - ratio
    apart = (middle.square() - 4 * relative).clamp_min(0).sqrt()
    spike = (middle + torch.where(relative > 1, apart, -apart)) / 2 - 1
    aligned = (1 - ratio / spike.square()) / (1 + ratio / spike)
    variances = 1 + spike * aligned.clamp(0, 1)
    variances = torch.where(is_noise, 1.0, variances.clamp_min(LEAST_VARIANCE))
    return noise * variances, is_noise, noise


def fit_radii(distance: Tensor, n_columns: int, weight: Tensor, most: int) -> _Radii:
    """Fit scales to squared distances of rows: more of them, the more these spread."""
    each = distance / n_columns
    low, centre, high = each.quantile(each.new_tensor([0.01, 0.5, 0.99])).tolist()
    low = max(low, NEAREST * centre)
    spread = math.log(high / low) - 4 * math.sqrt(2 / n_columns)  # beyond that of normal rows
    n_radii = min(max(1 + round(spread / STEP), 1), most)
    squares = torch.logspace(math.log(low), math.log(high), n_radii, math.e).to(each)
    weights = torch.full_like(squares, 1 / n_radii)

    def log_joint() -> Tensor:
        logs = squares.log() * n_columns / 2 - weights.log()
        return -(distance / 2 / squares[:, None] + logs[:, None])

    for _ in range(RADII_STEPS if n_radii > 1 else 1):
        share = torch.softmax(log_joint(), dim=0)
        counted = share * weight
        rows = counted.sum(dim=1) + 1e-6
        weights = rows / rows.sum()
        squares = ((counted @ each) / rows).clamp_min(NEAREST * centre)
    joint = log_joint()
    precision = (1 / squares) @ torch.softmax(joint, dim=0)
    return _Radii(squares, weights, torch.logsumexp(joint, dim=0), precision)


def radius_responsibilities(y: Tensor, components: EllipticalComponents) -> Tensor:
    """Posterior probability of each radius, ``(K, n_rows)``, for rows of ``y``."""
    weights, radii, means, coefficients, deviations = components
    if len(weights) == 1:
        return torch.ones_like(y[:1])
    centred = y - means[0, :, None]
    white = (centred - coefficients[0] @ centred) / deviations[0, :, None]
    distance = white.square().sum(dim=0)
    logs = weights.log() - len(y) * radii.log()
    return torch.softmax(logs[:, None] - distance / 2 / radii.square()[:, None], dim=0)
