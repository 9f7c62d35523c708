r"""Log-densities of rows under floored triangular components, with gradients written out.

Component k gives column j of a row the density

.. math::

    f_{kj} = (1 - e_j) \, N(y_j; m_{kj}, s_{kj}^2) + e_j b_j, \qquad
    m_{kj} = c_{kj} + \sum_i A_{kji} x_i,

and a row the sum of their logarithms over its present columns. Training spends its time
in the mixture here. With :math:`q = (1 - e) N / f`, the normal part's share, and
:math:`t = (y - m) / s`,

.. math::

    \frac{\partial \log f}{\partial m} = \frac{q t}{s}, \quad
    \frac{\partial \log f}{\partial s} = \frac{q (t^2 - 1)}{s}, \quad
    \frac{\partial \log f}{\partial e} = \frac{1 - q}{e} - \frac{q}{1 - e}, \quad
    \frac{\partial \log f}{\partial b} = \frac{1 - q}{b},

so q and t are the only arrays of components by columns by rows that are saved.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.linalg.lapack import dtrtri
from torch import Tensor
from torch.autograd.function import once_differentiable

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
MIN_SCALE = 1e-4
MIN_FLOOR = 1e-3
START_FLOOR = 5e-3
LINE_SHARE = 1 / 32  # least spread of components along a level, in units of that of all rows
ELLIPTICAL_FLOOR = 1.5e-3  # radii hold the tails; of many columns, each floor costs


class GaussianComponents(NamedTuple):
    """Weights ``(K,)``, means ``(K, d)`` and covariances ``(K, d, d)``."""

    weights: Tensor
    means: Tensor
    covariances: Tensor


class EllipticalComponents(NamedTuple):
    """Components with one mean and, but for their squared radii, one covariance.

    Attributes
    ----------
    weights, radii : Tensor of shape (K,)
    means : Tensor of shape (1, d)
    coefficients : Tensor of shape (1, d, d)
        Regressions of the covariance; see :func:`regressions`.
    deviations : Tensor of shape (1, d)
        Standard deviations of what these leave, times which radius k has those of component k.
    """

    weights: Tensor
    radii: Tensor
    means: Tensor
    coefficients: Tensor
    deviations: Tensor


class Components(NamedTuple):
    """Parameters of K components of d columns, with m regressors.

    Attributes
    ----------
    coefficients : Tensor of shape (K, d, m) or (1, d, m)
        Those of all components, in the second case.
    intercept, scale : Tensor of shape (K, d)
    floor : Tensor of shape (d,)
    """

    coefficients: Tensor
    intercept: Tensor
    scale: Tensor
    floor: Tensor


def regress(
    components: GaussianComponents | EllipticalComponents,
    n_given: int = 0,
    lines: Sequence[int] = (),
) -> Components:
    """Regress each column on those before it, under each component.

    The coefficients of elliptical components are those of one, ``(1, d, d)``. Columns of the
    condition are the first ``n_given``, those of them that are levels are ``lines``; see
    :func:`widen`.
    """
    means, start_floor = components.means, START_FLOOR
    if isinstance(components, EllipticalComponents):
        coefficients, start_floor = components.coefficients, ELLIPTICAL_FLOOR
        scale = components.radii[:, None] * components.deviations
    else:
        coefficients, scale = regressions(components.covariances)
        if lines:
            own = torch.arange(means.shape[1])[:, None] < n_given
            slopes, scale_of_rows = regressions(widen(components, n_given, lines))
            coefficients = torch.where(own, coefficients, slopes)
            scale = torch.where(own[:, 0], scale, scale_of_rows)
    intercept = (means - (coefficients @ means[:, :, None]).squeeze(2)).expand(len(scale), -1)
    floor = torch.full_like(means[0], start_floor)
    return Components(coefficients, intercept.clone(), scale, floor)


def regressions(covariances: Tensor) -> tuple[Tensor, Tensor]:
    """Regress each column on those before it, under covariances ``(K, d, d)``.

    Returns
    -------
    coefficients : Tensor of shape (K, d, d)
        Zero from the diagonal on.
    deviations : Tensor of shape (K, d)
        Standard deviations given the columns before.
    """
    # From the Cholesky factor L of the covariance: row j of L^-1, scaled to 1 on the diagonal, is
    # the residual of column j.
    raised = covariances.clone()
    raised.diagonal(dim1=1, dim2=2).add_(MIN_SCALE**2)
    factor = torch.linalg.cholesky(raised)
    scale = factor.diagonal(dim1=1, dim2=2).clone()
    # LAPACK inverts a triangle in a third of the time that it solves for the identity in.
    inverses = [dtrtri(triangle, lower=True)[0] for triangle in factor.numpy()]
    whitening = torch.from_numpy(np.stack(inverses))
    return whitening.mul_(-scale[:, :, None]).tril_(-1), scale


def widen(components: GaussianComponents, n_given: int, lines: Sequence[int]) -> Tensor:
    r"""Covariances of components that are spread a little along levels of the condition.

    A component that lies at one level says nothing about the way to the next one. Its rows are
    regressed on the level as those of all components are: with the regression :math:`B` of the rows
    on the condition, and directions :math:`v_l` of 1 in the level :math:`l` and :math:`B_l` in the
    rows, the covariance is

    .. math:: \Sigma_k + \sum_l \lambda_l v_l v_l^T, \qquad \lambda_l = T_{ll} / 32^2,

    where :math:`T` is the covariance of all components together. One that spans several levels
    keeps its own regression.
    """
    weights, means, covariances = components
    centred = means - weights @ means
    total = torch.einsum("k,kij->ij", weights, covariances) + (weights * centred.T) @ centred
    spread = total.diagonal()[:n_given] * LINE_SHARE**2
    of_condition = total[:n_given, :n_given] + spread.diag()
    directions = torch.zeros_like(total)[:, :n_given]
    directions[:n_given] = torch.eye(n_given).to(total)
    directions[n_given:] = torch.linalg.solve(of_condition, total[n_given:, :n_given], left=False)
    along = directions[:, list(lines)]
    widened: Tensor = covariances + (along * spread[list(lines)]) @ along.T
    return widened


def log_prob(
    y: Tensor, broad: Tensor, regressors: Tensor, absent: Tensor, components: Components
) -> Tensor:
    """Log-density of each row under each component, ``(K, n_rows)``, in nats.

    Parameters
    ----------
    y : Tensor of shape (d, n_rows)
        Finite everywhere, also where a value is missing.
    broad : Tensor of shape (d, n_rows)
        The broad density at ``y``.
    regressors : Tensor of shape (m, n_rows)
        The means are linear in them.
    absent : Tensor of bool, shape (d, n_rows)
        Missing entries; they add nothing.
    components : Components
    """
    if torch.is_grad_enabled():
        result: Tensor = _LogProb.apply(y, broad, regressors, absent, *components)
        return result
    standardised, _, _ = _standardise(y, regressors, components)
    normal, least = _parts(standardised, broad, absent, components)
    return normal.add_(least).log_().sum(dim=1)


class _LogProb(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, y: Tensor, broad: Tensor, regressors: Tensor, absent: Tensor, *parameters: Tensor
    ) -> Tensor:
        components = Components(*parameters)
        standardised, weight, precision = _standardise(y, regressors, components)
        normal, least = _parts(standardised, broad, absent, components)
        density, floor = normal + least, components.floor
        share = normal.div_(density)
        ctx.save_for_backward(
            standardised, share, weight, precision, broad, regressors, absent, floor
        )
        return density.log_().sum(dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_result: Tensor) -> tuple[Tensor | None, ...]:
        standardised, share, weight, precision, broad, regressors, absent, floor = ctx.saved_tensors
        weighted = share * of_result[:, None]
        of_normal = weighted.sum(dim=0)
        of_broad = of_result.sum(dim=0).masked_fill(absent, 0.0) - of_normal
        of_scale = precision * (-weighted.sum(dim=2))
        of_mean = weighted.mul_(standardised)  # times the scale
        of_scale += precision * torch.linalg.vecdot(of_mean, standardised, dim=2)
        of_intercept = of_mean.sum(dim=2) * precision
        if len(weight) < precision.numel():
            of_y = -of_mean.mul_(precision[:, :, None]).sum(dim=0)
            of_coefficients = -(of_y @ regressors.T)[None]
            of_regressors = weight.T @ of_y
        else:
            flat = of_mean.flatten(0, 1)
            of_coefficients = (flat @ regressors.T).unflatten(0, precision.shape)
            of_coefficients = of_coefficients * precision[:, :, None]
            of_regressors = -(weight.T @ flat)
            of_y = -of_mean.mul_(precision[:, :, None]).sum(dim=0)
        of_floor = (of_broad / floor[:, None] - of_normal / (1 - floor[:, None])).sum(dim=1)
        of_parameters = (of_coefficients, of_intercept, of_scale, of_floor)
        return of_y, of_broad / broad, of_regressors, None, *of_parameters


def _standardise(
    y: Tensor, regressors: Tensor, components: Components
) -> tuple[Tensor, Tensor, Tensor]:
    """Return t, ``(K, d, n_rows)``, the weight of regressors in it, and the precisions.

    Where components share coefficients, the weight is that in y less the mean, ``(d, m)``.
    """
    coefficients, intercept, scale, _ = components
    precision = 1 / scale
    if len(coefficients) < len(precision):
        deviations = torch.addmm(y, coefficients[0], regressors, alpha=-1)
        standardised = (deviations - intercept[:, :, None]).mul_(precision[:, :, None])
        return standardised, -coefficients[0], precision
    weight = (-coefficients * precision[:, :, None]).flatten(0, 1)
    offset = (-intercept * precision).view(-1, 1)
    standardised = torch.addmm(offset, weight, regressors)
    standardised = standardised.view(*precision.shape, y.shape[1])
    return standardised.addcmul_(y, precision[:, :, None]), weight, precision


def _parts(
    standardised: Tensor, broad: Tensor, absent: Tensor, components: Components
) -> tuple[Tensor, Tensor]:
    """Return the normal parts of factors, ``(K, d, n_rows)``, and the broad ones, ``(d, n_rows)``.

    They are 0 and 1 where a value is missing: a product with 0 or 1 takes a sixth of the time of a
    mask.
    """
    log_peak = torch.log1p(-components.floor) - components.scale.log() - LOG_SQRT_2PI
    normal = torch.addcmul(log_peak[:, :, None], standardised, standardised, value=-0.5).exp_()
    least = (components.floor[:, None] * broad).masked_fill_(absent, 1.0)
    return normal.mul_((~absent).to(normal.dtype)), least


class Residuals(NamedTuple):
    r"""Factors of a mixture's joint sum at some rows.

    The factor of column j under component k is
    :math:`\exp(\text{log\_peaks}_{kj} - r_{kj}^2 / 2) + \exp(\text{log\_floors}_j)`.

    Attributes
    ----------
    standardised : Tensor of shape (n_components, n_columns, n_rows)
        The residuals r; 0 where a value is missing.
    log_peaks : Tensor of shape (n_components, n_columns)
        Log of each Gaussian part at its mean.
    log_floors : Tensor of shape (n_columns, n_rows)
        Log of the broad part; -inf where a value is missing: its factor is 1.
    log_weights : Tensor of shape (n_components, n_rows)
        Log of the components' weights.
    """

    standardised: Tensor
    log_peaks: Tensor
    log_floors: Tensor
    log_weights: Tensor

    def log_factors(self, columns: slice = slice(None)) -> Tensor:
        """Log of the factors of some columns, ``(n_components, n_columns, n_rows)``, in nats."""
        standardised, log_floors = self.standardised[:, columns], self.log_floors[columns]
        normal = torch.exp(self.log_peaks[:, columns, None] - standardised.square() / 2)
        return (normal + log_floors.exp()).log().masked_fill(log_floors.isneginf(), 0.0)

    def log_prob(self) -> Tensor:
        """Log-density of each row, in nats."""
        return torch.logsumexp(self.log_factors().sum(dim=1) + self.log_weights, dim=0)
