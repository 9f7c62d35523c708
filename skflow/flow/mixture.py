r"""The mixture layer: a floored Gaussian mixture as the last bijection.

Component k gives column j, given the columns before it, the density

.. math::

    f_{kj}(y_j) = (1 - e_j) \, N(y_j; m_{kj}, s_{kj}^2) + e_j \, b(y_j), \qquad
    m_{kj} = c_{kj} + t_j + \sum_{i<j} A_{kji} \, (r(y_i) - t_i),

with :math:`b` the broad density (:mod:`skflow.flow.heavy_tails`) and :math:`r` a clamp
to the interval of the splines, then a rounding to 2^-20
(:func:`~skflow.flow.conditioner.quantize_inputs`). The conditional density of column j is

.. math::

    p_j = \sum_k w_{kj} f_{kj}(y_j), \qquad
    w_{kj} \propto \pi_k \prod_{i<j} f_{ki}(r(y_i)).

Three formulas follow from these factors.

* The *density* of a row is :math:`\prod_j p_j`; exact, and that of the map.
* The *joint sum* is :math:`\sum_k \pi_k \prod_j f_{kj}(y_j)`. Without the rounding in
  :math:`r`, and within the interval, it equals the density. It has gradients and takes
  half the work: training maximizes it.
* The *map* sends each column to the normal quantile of its conditional distribution
  function, :math:`z_j = \Phi^{-1}(\int_{-\infty}^{y_j} p_j)`.

The floor :math:`e_j` keeps scores finite far out, limits what a row that is unusual in one
column loses to that column, and bounds the contraction of the map, as an exact inverse
needs.

The context of a row shifts the logits of the weights :math:`\pi_k`, and the means by :math:`t`: by
its labels, by its condition, or by the sum of both effects. A missing value adds no factor; each
component has an embedding of it, the value that later columns regress on in its place.

Where a row has a condition, its values are the leading columns. They weigh the components and are
regressed on, and are neither mapped nor scored: the product runs over the other columns, and the
joint sum is divided by that of the leading columns alone. This is the conditional density of a
mixture of all columns. Between levels of a condition, weights are averages of those at the levels
(:mod:`skflow.flow.between_levels`).
"""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from skflow.flow import floored_components
from skflow.flow.bijection import Bijection, split_absent
from skflow.flow.conditioner import quantize_inputs
from skflow.flow.context import NO_CONTEXT, Context
from skflow.flow.effects import ContextEffect
from skflow.flow.floored_components import (
    LOG_SQRT_2PI,
    MIN_FLOOR,
    MIN_SCALE,
    Components,
    EllipticalComponents,
    GaussianComponents,
    Residuals,
    regress,
)
from skflow.flow.heavy_tails import broad_density
from skflow.flow.univariate_mixture import ComponentWeights, UnivariateMixture

FAR = 4  # bounds of an elliptical mixture, in terms of those of splines


class Mixture(Bijection):
    """Floored mixture of triangular Gaussian regressions; see the module's text.

    Parameters
    ----------
    n_components, n_columns : int
        All parameters are 0 at first; :meth:`from_components` sets them. The columns of a
        condition are among them.
    bound : float
        Columns are clamped to ``[-bound, bound]`` where later ones regress on them.
    effects : iterable of nn.Module
        Callables of the context. Each returns ``(n_components + n_columns, n_rows)``,
        what is added to the logits of the weights and to the means.
    has_missing : bool
        Whether components have an embedding of missing values, at first their mean.
        Otherwise it is 0.
    n_given : int
        Leading columns that are conditions, read from ``context.condition``.
    is_elliptical : bool
        Whether all components have the same regressions and the same embedding of missing values,
        and so cost the work of one.
    """

    def __init__(
        self,
        n_components: int,
        n_columns: int,
        bound: float,
        effects: Iterable[nn.Module] = (),
        *,
        has_missing: bool = False,
        n_given: int = 0,
        is_elliptical: bool = False,
    ) -> None:
        super().__init__()
        self.n_given = n_given
        n_regressions = 1 if is_elliptical else n_components

        def zeros(*size: int) -> nn.Parameter:
            return nn.Parameter(torch.zeros(size, dtype=torch.float64))

        # Radii take whole rows out far, where clamped columns would mislead all later ones.
        self.bound = bound * (FAR if is_elliptical and n_components > 1 else 1)
        self.log_weights = zeros(n_components)
        self.intercept = zeros(n_components, n_columns)
        self.coefficients = zeros(n_regressions, n_columns, n_columns)
        self.log_scale = zeros(n_components, n_columns)
        self.floor_logit = zeros(n_columns)
        self.missing_embedding = zeros(n_regressions, n_columns) if has_missing else None
        self.effects = nn.ModuleList(effects)

    @classmethod
    def from_components(
        cls,
        components: GaussianComponents | EllipticalComponents,
        bound: float,
        effects: Iterable[nn.Module] = (),
        *,
        has_missing: bool = False,
        n_given: int = 0,
        lines: Sequence[int] = (),
    ) -> "Mixture":
        """Return the mixture of Gaussian components, usually found by expectation maximization."""
        coefficients, intercept, scale, floor = regress(components, n_given, lines)
        layer = cls(
            len(intercept),
            len(floor),
            bound,
            effects,
            has_missing=has_missing,
            n_given=n_given,
            is_elliptical=len(coefficients) == 1,
        )
        layer.log_weights = nn.Parameter(components.weights.log())
        layer.intercept = nn.Parameter(intercept)
        layer.coefficients = nn.Parameter(coefficients)
        layer.log_scale = nn.Parameter(scale.log())
        layer.floor_logit = nn.Parameter(torch.logit(floor - MIN_FLOOR))
        if has_missing:
            layer.missing_embedding = nn.Parameter(components.means.clone())
        return layer

    def sharpness(self) -> Tensor:
        r"""Square root of the mean precision of each column that is mapped, ``(n_mapped,)``.

        Component k has the precision matrix :math:`\sum_j a_{kj} a_{kj}^T / s_{kj}^2` with
        :math:`a_{kj} = e_j - A_{kj}`. Its diagonal is the curvature of the log-density along
        one column, others fixed: large where a column is a narrow function of others, or
        others are of it.
        """
        with torch.no_grad():
            own = torch.eye(len(self.floor_logit)).to(self.coefficients)
            regressions = (own - self.coefficients.tril(-1)) / self._scale()[:, :, None]
            precisions = regressions.square().sum(dim=1)[:, self.n_given :]
            return (torch.softmax(self.log_weights, dim=0) @ precisions).sqrt()

    def log_prob(self, y: Tensor, context: Context = NO_CONTEXT) -> Tensor:
        """Log-density of each row of ``y``, ``(n_mapped, n_rows)``, in nats.

        Where ``context.quantize`` is not set, the joint sum instead of the density.
        """
        y, absent = split_absent(self._with_condition(y, context))
        effect = self._effect_of(context)
        if not context.quantize:
            return self._log_joint_sum(y, absent, effect)
        return self._log_density(y, quantize_inputs(y, self.bound), absent, effect)

    def smooth_log_prob(self, y: Tensor, context: Context = NO_CONTEXT) -> Tensor:
        """Log-density without the rounding, so with gradients, ``(n_rows,)``, in nats."""
        y, absent = split_absent(self._with_condition(y, context))
        read = y.clamp(-self.bound, self.bound)
        return self._log_density(y, read, absent, self._effect_of(context))

    def _log_density(
        self, y: Tensor, read: Tensor, absent: Tensor, effect: ContextEffect
    ) -> Tensor:
        log_prob = y.new_zeros(y.shape[1])
        columns = self._columns(read, absent, effect, is_read=True)
        for j, column in enumerate(columns, self.n_given):
            log_prob = log_prob + column.density(y[j]).log().masked_fill(absent[j], 0.0)
        return log_prob

    def residuals(self, y: Tensor, context: Context = NO_CONTEXT) -> Residuals:
        """Return the factors of the joint sum; columns are not rounded."""
        y, absent = split_absent(self._with_condition(y, context))
        effect = self._effect_of(context)
        regressors = y.clamp(-self.bound, self.bound) - effect.shift
        if self.missing_embedding is not None:
            regressors = torch.where(absent, self.missing_embedding[:, :, None], regressors)
        products = torch.matmul(self.coefficients.tril(-1), regressors)
        mean = products + self.intercept[:, :, None] + effect.shift
        log_floors = self._floor()[:, None].log() + broad_density(y).log()
        standardised = (y - mean) / self._scale()[:, :, None]
        return Residuals(
            standardised.masked_fill(absent, 0.0)[:, self.n_given :],
            self.log_peaks(),
            log_floors.masked_fill(absent, -torch.inf)[self.n_given :],
            self._log_weights_given(y, absent, effect).expand(-1, y.shape[1]),
        )

    def log_peaks(self) -> Tensor:
        """Log of each mapped factor's Gaussian part at its mean, ``(n_components, n_mapped)``."""
        peaks = torch.log1p(-self._floor()) - self._scale().log() - LOG_SQRT_2PI
        return peaks[:, self.n_given :]

    def _log_joint_sum(self, y: Tensor, absent: Tensor, effect: ContextEffect) -> Tensor:
        """Log of the joint sum, ``(n_rows,)``, over that of the condition."""
        log_factors = self._log_factors(y, absent, effect, slice(self.n_given, None))
        log_weights = self._log_weights_given(y, absent, effect)
        return torch.logsumexp(log_factors + log_weights, dim=0)

    def _log_weights_given(self, y: Tensor, absent: Tensor, effect: ContextEffect) -> Tensor:
        """Log-weights given the columns of the condition, ``(K, n or 1)``."""
        log_weights = effect.log_weights
        if self.n_given:
            of_condition = self._log_factors(y, absent, effect, slice(self.n_given))
            log_weights = torch.log_softmax(log_weights + of_condition, dim=0)
        return effect.or_between(log_weights)

    def _log_factors(
        self, y: Tensor, absent: Tensor, effect: ContextEffect, columns: slice
    ) -> Tensor:
        """Log of the product of some columns' factors, ``(K, n)``, through gradients written out.

        Columns are not rounded.
        """
        regressors = y.clamp(-self.bound, self.bound) - effect.shift
        coefficients, embedding = self.coefficients.tril(-1), self.missing_embedding
        if embedding is not None and len(embedding) < len(self.log_weights):
            regressors = torch.where(absent, embedding.T, regressors)
        elif embedding is not None:
            # Indicators of missing values are regressors as well, by coefficients times embeddings.
            regressors = torch.cat((regressors.masked_fill(absent, 0.0), absent.to(y.dtype)))
            coefficients = torch.cat((coefficients, coefficients * embedding[:, None]), dim=2)
        components = Components(
            coefficients[:, columns],
            self.intercept[:, columns],
            self._scale()[:, columns],
            self._floor()[columns],
        )
        deviations, broad = (y - effect.shift)[columns], broad_density(y)[columns]
        return floored_components.log_prob(
            deviations, broad, regressors, absent[columns], components
        )

    def forward_and_log_det(
        self, x: Tensor, context: Context = NO_CONTEXT
    ) -> tuple[Tensor, Tensor]:
        """Send each column to the normal quantile of its conditional distribution."""
        x, absent = split_absent(self._with_condition(x, context))
        read, effect = quantize_inputs(x, self.bound), self._effect_of(context)
        columns = self._columns(read, absent, effect, is_read=True)
        scores = [column.normal_score(x[j]) for j, column in enumerate(columns, self.n_given)]
        if not scores:
            return x[self.n_given :], x.new_zeros(x.shape[1])
        z, log_derivatives = map(torch.stack, zip(*scores, strict=True))
        absent = absent[self.n_given :]
        return z.masked_fill(absent, torch.nan), log_derivatives.masked_fill(absent, 0.0).sum(dim=0)

    @torch.no_grad()
    def inverse(self, z: Tensor, context: Context = NO_CONTEXT) -> Tensor:
        """Solve for one column after the other; those of the condition are known."""
        z, absent = split_absent(self._with_condition(z, context))
        y, read = z.clone(), quantize_inputs(z, self.bound)
        columns = self._columns(read, absent, self._effect_of(context))
        for j, column in enumerate(columns, self.n_given):
            y[j] = column.quantile(z[j]).masked_fill(absent[j], 0.0)
            read[j] = quantize_inputs(y[j], self.bound)
        return y.masked_fill(absent, torch.nan)[self.n_given :]

    @torch.no_grad()
    def draw(self, z: Tensor, u: Tensor, context: Context = NO_CONTEXT) -> Tensor:
        """Turn random numbers into draws of the density, one column after the other.

        Each column is drawn from its conditional density: a component by its weight given
        the columns before, then the value. No equation is solved, but other than
        :meth:`inverse` this is no function of ``z`` alone.

        Parameters
        ----------
        z : Tensor of shape (n_mapped, n_rows)
            Standard normal, independent; NaN where a value is to be missing.
        u : Tensor of shape (n_mapped, n_rows)
            Uniform on [0, 1), independent.
        context : Context
        """
        z, absent = split_absent(self._with_condition(z, context))
        y, read = z.clone(), quantize_inputs(z, self.bound)
        columns = self._columns(read, absent, self._effect_of(context))
        for j, column in enumerate(columns, self.n_given):
            y[j] = column.draw(z[j], u[j - self.n_given]).masked_fill(absent[j], 0.0)
            read[j] = quantize_inputs(y[j], self.bound)
        return y.masked_fill(absent, torch.nan)[self.n_given :]

    def only_column(self, n_rows: int, context: Context = NO_CONTEXT) -> UnivariateMixture:
        """Return the density of the only column that is mapped, given the context of rows."""
        nothing = self.log_weights.new_zeros(1, n_rows)
        y, absent = split_absent(self._with_condition(nothing, context))
        read = quantize_inputs(y, self.bound)
        (column,) = self._columns(read, absent, self._effect_of(context))
        return column._replace(shift=column.shift.expand(n_rows))

    def _with_condition(self, columns: Tensor, context: Context) -> Tensor:
        """Return columns after those of the condition, clamped, where it leads them."""
        if not self.n_given:
            return columns
        assert context.condition is not None
        return torch.cat((context.condition.clamp(-self.bound, self.bound), columns))

    def _columns(
        self, read: Tensor, absent: Tensor, effect: ContextEffect, *, is_read: bool = False
    ) -> Iterator[UnivariateMixture]:
        """Yield the conditional density of each mapped column, given the columns before it.

        Parameters
        ----------
        read : Tensor of shape (n_columns, n_rows)
            Rounded columns, 0 where a value is missing.
        absent : Tensor of bool, shape (n_columns, n_rows)
        effect : ContextEffect
        is_read : bool
            Whether all columns are there; otherwise each is when the next one is taken.
        """
        weights = ComponentWeights(effect.log_weights.expand(-1, read.shape[1]))
        precisions, floors = 1 / self._scale(), self._floor()
        regressors = self._regressors(read, absent, effect.shift)
        has_absent = absent.is_cuda or bool(absent.any())
        for j in range(len(read)):
            coefficients = self.coefficients[:, j, :j, None]
            if self.missing_embedding is not None:
                of_missing = coefficients * self.missing_embedding[:, :j, None]
                coefficients = torch.cat((coefficients, of_missing), dim=2)
            if j == self.n_given and effect.between is not None:
                weights = ComponentWeights(effect.or_between(weights.current.log()))
            precision, current = precisions[:, j, None], weights.current
            offset = torch.addmm(
                -precision * self.intercept[:, j, None],
                -precision * coefficients.flatten(1),
                regressors[:j].flatten(0, 1),
            )
            column = UnivariateMixture(
                current, current.sum(dim=0), offset, precision, effect.shift[j], floors[j]
            )
            if j >= self.n_given:
                yield column
            factors = column.factors(read[j])
            weights.multiply(factors.masked_fill(absent[j], 1.0) if has_absent else factors)
            if not is_read:
                row = slice(j, j + 1)
                regressors[row] = self._regressors(read[row], absent[row], effect.shift[row])

    def _regressors(self, columns: Tensor, absent: Tensor, shift: Tensor) -> Tensor:
        """Columns less their shift and, where missing values have an embedding, their mask.

        ``(n_columns, 1, n_rows)``, or ``(n_columns, 2, n_rows)`` with the mask.
        """
        if self.missing_embedding is None:
            return (columns - shift)[:, None]
        return torch.stack(
            ((columns - shift).masked_fill(absent, 0.0), absent.to(columns.dtype)), 1
        )

    def _effect_of(self, context: Context) -> ContextEffect:
        """Return log-weights and shift of each row: the sum of all effects."""
        logits = self.log_weights[:, None]
        if not self.effects:
            no_shift = torch.zeros_like(self.intercept[0, :, None])
            return ContextEffect(torch.log_softmax(logits, dim=0), no_shift)
        first, *others = (effect(context) for effect in self.effects)
        on_logits, shift = sum(others, start=first).split(self.intercept.shape)
        effect = ContextEffect(torch.log_softmax(logits + on_logits, dim=0), shift)
        if not context.corners:
            return effect
        shares = torch.stack([c.share for c in context.corners if c.share is not None])[:, None]
        at_corners = []
        for corner in context.corners:
            of_corner = self._effect_of(corner)
            columns = self._with_condition(of_corner.shift[self.n_given :], corner)
            at_corners.append(self._log_weights_given(*split_absent(columns), of_corner))
        average = (torch.stack(at_corners) + shares.log()).logsumexp(dim=0)
        return effect._replace(between=average.masked_fill(shares[0] == 1, torch.nan))

    def _scale(self) -> Tensor:
        return self.log_scale.exp().clamp_min(MIN_SCALE)

    def _floor(self) -> Tensor:
        return MIN_FLOOR + (0.5 - MIN_FLOOR) * torch.sigmoid(self.floor_logit)
