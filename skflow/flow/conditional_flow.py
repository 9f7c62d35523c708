"""The density of a row's values, given its labels."""

from torch import Tensor, nn

from skflow.flow.bijection import Chain
from skflow.flow.context import Context, LabelFeatures, Vocabulary
from skflow.flow.coupling import Coupling
from skflow.flow.floored_components import LOG_SQRT_2PI
from skflow.flow.marginals import Marginals
from skflow.flow.mixture import Mixture, Residuals

SHARPEST = 10.0  # a density that full steps do not destroy, per unit of a normal score
ALMOST_ZERO = 1e-300


class ConditionalFlow(nn.Module):
    r"""Marginals, then coupling layers, then the mixture layer, then N(0, I).

    .. math:: \log p(x \mid l) = \log N(f(x; l); 0, I)
              + \log |\det \partial f(x; l) / \partial x|.

    What is absent in a row, NaN, is left out of both terms.

    Parameters
    ----------
    vocabulary : Vocabulary
        Numbers the labels of all columns.
    features : LabelFeatures or None
        What coupling layers read of the labels; None where there are none.
    marginals : Marginals
        Fixed once fitted; float64 always.
    couplings : Chain
        Coupling layers; trained.
    mixture : Mixture
        Trained, from where expectation maximisation left it.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        features: LabelFeatures | None,
        marginals: Marginals,
        couplings: Chain,
        mixture: Mixture,
    ) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.features = features
        self.marginals = marginals
        self.couplings = couplings
        self.mixture = mixture

    @property
    def trained(self) -> list[nn.Module]:
        """What gradient steps change: all but the marginals."""
        features = [] if self.features is None else [self.features]
        return [*features, self.couplings, self.mixture]

    @property
    def has_more_to_learn(self) -> bool:
        """Whether there is more to fit than the closed form did."""
        return len(self.couplings.bijections) > 0

    @property
    def entries_per_row(self) -> int:
        """Size of the largest array that one row takes."""
        n_columns = max(1, self.marginals.x_knots.shape[1])
        splines = [len(self.marginals.x_knots)]
        splines += [3 * m.n_bins for m in self.couplings.modules() if isinstance(m, Coupling)]
        return n_columns * max(max(splines), self.mixture.intercept.shape[0])

    def rate_factors(self) -> dict[str, Tensor]:
        r"""Shares of the learning rate for the layers' outputs, by name of the parameter.

        A step of the optimizer moves a column about as far whatever the density is like.
        Where the density is sharp in a column, :math:`S_j` in terms of
        :meth:`Mixture.sharpness`, such a step destroys what the mixture knows, so its share is
        :math:`\min(1, (10 / S_j)^2)`. There is none where no column is as sharp.
        """
        shares = (SHARPEST / self.mixture.sharpness()).square().clamp_max(1.0)
        if not len(shares) or shares.min() == 1:
            return {}
        factors = {}
        for name, parameter in self.couplings.named_parameters(prefix="couplings"):
            if name.endswith((".write.weight", ".write.bias")):
                rows = shares.repeat(len(parameter) // len(shares))
                factors[name] = rows.view(-1, *[1] * (parameter.ndim - 1)).to(parameter)
        return factors

    def log_prob(self, labels: Tensor, x: Tensor) -> Tensor:
        """Log-density of each row of ``x``, ``(n_columns, n_rows)``, in nats."""
        y, log_det = self.marginals.forward_and_log_det(x)
        return log_det + self.log_prob_gaussianized(labels, y)

    def log_prob_gaussianized(self, labels: Tensor, y: Tensor) -> Tensor:
        """Log-density of values already sent through the marginals: what training sees."""
        context = self._context(labels)
        y, log_det = self.couplings.forward_and_log_det(y, context)
        # The mixture's log-determinant and base density, without its map.
        return log_det + self.mixture.log_prob(y, context)

    def residuals(self, labels: Tensor, x: Tensor) -> tuple[Residuals, Tensor]:
        """Residuals of each row under the mixture's components, and the log-determinant."""
        context = self._context(labels)
        y, log_det = self.marginals.forward_and_log_det(x)
        y, bent = self.couplings.forward_and_log_det(y, context)
        return self.mixture.residuals(y, context), log_det + bent

    def latents_gaussianized(self, labels: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Latents, NaN where absent, and log-density of values already sent so far."""
        context = self._context(labels)
        z, log_det = Chain([self.couplings, self.mixture]).forward_and_log_det(y, context)
        log_normal = -(z.square() / 2 + LOG_SQRT_2PI)
        return z, log_det + log_normal.nan_to_num(0.0).sum(dim=0)

    def latents(self, labels: Tensor, x: Tensor) -> Tensor:
        """Send values to independent standard normal variables; 0 where absent, and only there."""
        z, _ = self._flow().forward_and_log_det(x, self._context(labels))
        return z.masked_fill(z == 0, ALMOST_ZERO).nan_to_num(0.0)

    def inverse(self, labels: Tensor, z: Tensor) -> Tensor:
        """Send latents back to values; NaN stays NaN."""
        return self._flow().inverse_and_log_det(z, self._context(labels))[0]

    def _context(self, labels: Tensor) -> Context | None:
        if self.features is None:
            return None
        codes = self.vocabulary(labels)
        return Context(codes, self.features(codes))

    def _flow(self) -> Chain:
        return Chain([self.marginals, self.couplings, self.mixture])
