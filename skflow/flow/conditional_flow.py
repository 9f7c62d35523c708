"""Density of a row's gaussianized values, given its labels and its condition."""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from skflow.flow.batch import Batch
from skflow.flow.bijection import Chain
from skflow.flow.context import Context, ContextEncoder
from skflow.flow.coupling import Coupling
from skflow.flow.floored_components import LOG_SQRT_2PI, Residuals
from skflow.flow.mixture import Mixture

ALMOST_ZERO = 1e-300


class ConditionalFlow(nn.Module):
    r"""Coupling layers, then the mixture layer, then N(0, I).

    .. math:: \log p(y \mid c) = \log N(f(y; c); 0, I)
              + \log |\det \partial f(y; c) / \partial y|.

    Missing values, NaN, are left out of both terms. The context :math:`c` is made from the
    labels and the condition of a row.

    Parameters
    ----------
    couplings : iterable of Coupling
    mixture : Mixture
        Starts from the components that expectation maximization found.
    label_encoder : ContextEncoder, optional
        Encoder of the row's own labels; None where there are none.
    given_encoder : ContextEncoder, optional
        Encoder of conditions; None for a density without conditions.
    """

    def __init__(
        self,
        couplings: Iterable[Coupling],
        mixture: Mixture,
        label_encoder: ContextEncoder | None = None,
        given_encoder: ContextEncoder | None = None,
    ) -> None:
        super().__init__()
        self.label_encoder = label_encoder
        self.given_encoder = given_encoder
        self.couplings = nn.ModuleList(couplings)
        self.mixture = mixture

    @property
    def has_more_to_learn(self) -> bool:
        """Whether gradients can improve on the mixture: there are coupling layers."""
        return len(self.couplings) > 0

    @property
    def entries_per_row(self) -> int:
        """Number of entries, per row, of the largest intermediate array."""
        n_components, n_columns = self.mixture.intercept.shape  # those of the condition included
        n_parameters = [3 * coupling.n_bins for coupling in self._couplings()]
        return max(1, n_columns) * max([n_components, *n_parameters])

    def log_prob(self, batch: Batch, *, quantize: bool = True) -> Tensor:
        """Log-density of each row's gaussianized values, ``(n_rows,)``, in nats.

        Parameters
        ----------
        batch : Batch
        quantize : bool
            Whether columns are rounded where other columns read them: the density of the
            map. Training sets it False: rounding has no gradient.
        """
        context = self.context(batch.labels, batch.given, quantize=quantize)
        y, total = batch.y, batch.y.new_zeros(batch.y.shape[1])
        for coupling in self._couplings():
            y, log_det = coupling.forward_and_log_det(y, context)
            total = total + log_det
        # The mixture's log-determinant and base density, without its map.
        return total + self.mixture.log_prob(y, context)

    def approximate_log_prob(self, batch: Batch) -> Tensor:
        """Log-density of each row to 1e-5 nats: the mixture's joint sum, at half the work."""
        context = self.context(batch.labels, batch.given)
        y, log_det = Chain(self._couplings()).forward_and_log_det(batch.y, context)
        return log_det + self.mixture.log_prob(y, context._replace(quantize=False))

    def log_prob_of_draws(self, batch: Batch) -> Tensor:
        """Log-density of each row to 1e-5 nats, also where the mixture clamps what it reads.

        There the mixture's joint sum is not its density, which is evaluated for these rows only.
        """
        context = self.context(batch.labels, batch.given)
        y, log_det = Chain(self._couplings()).forward_and_log_det(batch.y, context)
        log_prob = self.mixture.log_prob(y, context._replace(quantize=False))
        far = (y.abs() > self.mixture.bound).any(dim=0).nonzero().squeeze(1)
        if len(far):
            log_prob[far] = self.mixture.log_prob(y[:, far], context.take(far))
        return log_det + log_prob

    def smooth_log_prob(self, batch: Batch) -> Tensor:
        """Log-density of each row without any rounding: with gradients, to 1e-5 nats."""
        context = self.context(batch.labels, batch.given, quantize=False)
        y, log_det = Chain(self._couplings()).forward_and_log_det(batch.y, context)
        return log_det + self.mixture.smooth_log_prob(y, context)

    def residuals(self, batch: Batch) -> tuple[Residuals, Tensor]:
        """Factors of the mixture's joint sum, and the couplings' log-determinant."""
        context = self.context(batch.labels, batch.given)
        y, log_det = Chain(self._couplings()).forward_and_log_det(batch.y, context)
        return self.mixture.residuals(y, context), log_det

    def latents_and_log_prob(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Latents, NaN where a value is missing, and log-density of each row."""
        context = self.context(batch.labels, batch.given)
        z, log_det = self._map().forward_and_log_det(batch.y, context)
        log_normal = -(z.square() / 2 + LOG_SQRT_2PI)
        return z, log_det + log_normal.nan_to_num(0.0).sum(dim=0)

    def latents(self, batch: Batch) -> Tensor:
        """Send values to independent standard normal variables; 0 if missing, and only then."""
        context = self.context(batch.labels, batch.given)
        z, _ = self._map().forward_and_log_det(batch.y, context)
        return z.masked_fill(z == 0, ALMOST_ZERO).nan_to_num(0.0)

    def inverse(self, z: Tensor, labels: Tensor, given: Batch | None = None) -> Tensor:
        """Send latents back to gaussianized values; NaN stays NaN."""
        return self._map().inverse(z, self.context(labels, given))

    def draw(self, z: Tensor, u: Tensor, labels: Tensor, given: Batch | None = None) -> Tensor:
        """Turn random numbers into draws of gaussianized values; see :meth:`Mixture.draw`."""
        context = self.context(labels, given)
        y = self.mixture.draw(z, u, context)
        return Chain(self._couplings()).inverse(y, context)

    def context(
        self, labels: Tensor, given: Batch | None = None, *, quantize: bool = True
    ) -> Context:
        """Encode the labels and the condition of each row."""
        codes, of_given = None, None
        features: list[Tensor] = []
        if self.label_encoder is not None:
            codes = self.label_encoder.vocabulary(labels)
            features.append(self.label_encoder(codes))
        if self.given_encoder is not None and given is not None:
            of_given = self.given_encoder.encode(given)
            features.append(of_given)
            given_codes = self.given_encoder.vocabulary(given.labels)
            if codes is None or self.label_encoder is None:
                codes = given_codes
            else:
                first = self.label_encoder.vocabulary.n_entries
                codes = torch.cat((codes, given_codes + first))
        condition = None if given is None else given.y
        of_both = torch.cat(features) if features else None
        corners = tuple(
            self.context(labels, corner, quantize=quantize)._replace(share=corner.weight)
            for corner in (() if given is None else given.corners)
        )
        return Context(codes, of_both, of_given, condition, quantize, corners)

    def _couplings(self) -> list[Coupling]:
        return cast(list[Coupling], list(self.couplings))

    def _map(self) -> Chain:
        return Chain([*self._couplings(), self.mixture])
