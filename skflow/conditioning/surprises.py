r"""How surprising each cell of a row is, after some of its others, in closed form.

The surprise of a cell is the negative logarithm of the probability that a draw of its column,
given the cells before it in some order, is no likelier. Under the mixed components
(:mod:`skflow.conditioning.components`) every such conditional is a mixture: of labels with
probabilities :math:`P`, and of values with the distribution function :math:`F`. For a value y,
of which the label says "a value" with the probability m,

.. math:: -\log \Bigl( \sum_{l: P(l) \le t} P(l) + t \Bigr), \qquad
          t = 2 m \min\bigl(F(y), 1 - F(y)\bigr),

and for a label, t is its own probability.

The mean over all orders says which cells are strange, whatever else is strange: cells that
support each other surprise where none of them has been seen yet, and a cell that contradicts
several others surprises after any of them. It is a Shapley value of the game in which a cell gains
what it surprises by when it is seen.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from skflow.conditioning.components import MixedComponents, columns_of, distinct_columns
from skflow.initialization.gaussian_mixture import RIDGE

SEED = 0  # of the orders: all rows share them, and a row's surprises depend on no other row
TIE = 1e-9  # difference of log-probabilities that may be due to rounding
MOST_ENTRIES = 2**22  # log-weights at once
Order = Sequence[int]


class Surprises:
    """Surprises of the cells of rows; see the module's text for the formula.

    Parameters
    ----------
    components : MixedComponents
        On the CPU.
    columns : sequence of (int or None, int or None)
        Position of each column among those with labels, and among those with values.
    labels : Tensor of int64, shape (n_labelled, n_rows)
    y : Tensor of shape (n_valued, n_rows)
        Gaussianized values, NaN where absent.
    """

    def __init__(
        self,
        components: MixedComponents,
        columns: Sequence[tuple[int | None, int | None]],
        labels: Tensor,
        y: Tensor,
    ) -> None:
        self.components = components
        self.columns = columns
        self.labels = labels
        self.y = y
        self._label_log_probs = torch.tensor_split(
            components.label_log_probs, components.offsets[1:].cpu(), dim=1
        )

    def take(self, rows: Tensor) -> "Surprises":
        """Some of the rows, by index."""
        return Surprises(self.components, self.columns, self.labels[:, rows], self.y[:, rows])

    def in_order(self, order: Order) -> Tensor:
        """Surprise of each cell after those before it in ``order``, ``(n_columns, n_rows)``.

        0 for columns that are not in it.
        """
        return self._mean_over([order])

    def over_orders(self, n_orders: int) -> Tensor:
        """Mean surprise of each cell over random orders of all columns, ``(n_columns, n_rows)``.

        Each order also counts backwards, ``2 * n_orders`` in all.
        """
        generator = torch.Generator().manual_seed(SEED)
        n_columns = len(self.columns)
        orders = [torch.randperm(n_columns, generator=generator).tolist() for _ in range(n_orders)]
        return self._mean_over([*orders, *(order[::-1] for order in orders)])

    def given_rest(self) -> Tensor:
        """Surprise of each cell after all others, ``(n_columns, n_rows)``."""
        surprises = self.y.new_zeros(len(self.columns), self._n_rows)
        for rows, present in self._patterns():
            values = sorted(present)
            deviations, factor = self._gaussians(rows, values)
            # With the precision P, the residual of value j is (P y)_j / P_jj, of variance 1 / P_jj.
            eye = torch.eye(len(values)).to(factor)
            inverse = torch.linalg.solve_triangular(factor, eye, upper=False)
            log_scales = -inverse.square().sum(dim=1).log() / 2
            whitened = inverse @ deviations
            z = (inverse.mT @ whitened) * log_scales.exp()[:, :, None]
            log_det = factor.diagonal(dim1=1, dim2=2).log().sum(dim=1)
            log_weights = (self.components.log_weights() - log_det)[:, None]
            log_weights = log_weights - whitened.square().sum(dim=1) / 2
            for log_probs, labels in zip(self._label_log_probs, self.labels[:, rows], strict=False):
                log_weights = log_weights + log_probs[:, labels]
            of_values = -z.square() / 2 - log_scales[:, :, None]
            for j, (label, value) in enumerate(self.columns):
                before, own = log_weights, None
                if label is not None:
                    before = before - self._label_log_probs[label][:, self.labels[label, rows]]
                if value in present:
                    place = values.index(value)
                    before, own = before - of_values[:, place], z[:, place]
                surprises[j, rows] = self._surprise(j, rows, before, own)
        return surprises

    def _mean_over(self, orders: Sequence[Order]) -> Tensor:
        """Mean surprise of each cell over orders of the same columns, ``(n_columns, n_rows)``."""
        surprises = self.y.new_zeros(len(self.columns), self._n_rows)
        n_entries = len(self.components.gaussians.weights) * len(orders[0]) * self._n_rows
        size = max(1, MOST_ENTRIES // max(1, n_entries))
        for start in range(0, len(orders), size):
            some = orders[start : start + size]
            for rows, present in self._patterns():
                before, z = zip(*(self._along(rows, present, order) for order in some), strict=True)
                repeated = rows.repeat(len(some))
                for j in some[0]:
                    own = torch.cat([part[j] for part in z], dim=1) if j in z[0] else None
                    log_weights = torch.cat([part[j] for part in before], dim=1)
                    found = self._surprise(j, repeated, log_weights, own)
                    surprises[j, rows] += found.view(len(some), -1).sum(dim=0)
        return surprises / len(orders)

    @property
    def _n_rows(self) -> int:
        return max(self.labels.shape[1], self.y.shape[1])

    def _patterns(self) -> Iterator[tuple[Tensor, frozenset[int]]]:
        """Yield rows that have the same values present, by index, and which these are."""
        if not len(self.y):
            yield torch.arange(self._n_rows), frozenset()
            return
        patterns, pattern = distinct_columns(~self.y.isnan())
        for number, present in enumerate(patterns.unbind(dim=1)):
            yield (pattern == number).nonzero().squeeze(1), frozenset(columns_of(present))

    def _along(
        self, rows: Tensor, present: frozenset[int], order: Order
    ) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
        """Log-weights before each cell of an order, and residuals of values after them, by column.

        All are of shape ``(n_components, n_rows)``; residuals are standardised.
        """
        values = [value for _, value in map(self.columns.__getitem__, order) if value in present]
        deviations, factor = self._gaussians(rows, values)
        residuals = torch.linalg.solve_triangular(factor, deviations, upper=False)
        log_scales = factor.diagonal(dim1=1, dim2=2).log()
        log_weights = self.components.log_weights()[:, None].expand(-1, len(rows))
        before: dict[int, Tensor] = {}
        z: dict[int, Tensor] = {}
        for j in order:
            before[j] = log_weights
            label, value = self.columns[j]
            if label is not None:
                own = self._label_log_probs[label][:, self.labels[label, rows]]
                log_weights = log_weights + own
            if value in present:
                place = len(z)
                z[j] = residuals[:, place]
                log_weights = log_weights - z[j].square() / 2 - log_scales[:, place, None]
        return before, z

    def _surprise(self, j: int, rows: Tensor, log_weights: Tensor, z: Tensor | None) -> Tensor:
        """Surprise of cells of a column under weights of components, ``(n_rows,)``.

        ``z`` are the residuals of values in units of their standard deviations, None where absent.
        """
        label, _ = self.columns[j]
        own, others = log_weights.new_zeros(len(rows)), None
        if label is not None:
            labels = self.labels[label, rows]
            probs = self._label_log_probs[label].exp().T @ torch.softmax(log_weights, dim=0)
            log_probs = probs.clamp_min(torch.finfo(probs.dtype).tiny).log()
            own = log_probs.gather(0, labels[None])[0]
            others = log_probs.scatter(0, labels[None], -math.inf)
            log_weights = log_weights + self._label_log_probs[label][:, labels]
        if z is not None:
            log_shares = torch.log_softmax(log_weights, dim=0)
            low, high = (
                torch.logsumexp(log_shares + torch.special.log_ndtr(side), dim=0)
                for side in (z, -z)
            )
            own = own + (torch.minimum(low, high) + math.log(2)).clamp_max(0.0)
        if others is not None:
            no_likelier = others.masked_fill(others > own + TIE, -math.inf)
            own = torch.logaddexp(own, torch.logsumexp(no_likelier, dim=0))
        return -own.clamp_max(0.0)

    def _gaussians(self, rows: Tensor, values: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Deviations of values from their means, and the factors of their covariances.

        Returns
        -------
        deviations : Tensor of shape (n_components, len(values), n_rows)
        factor : Tensor of shape (n_components, len(values), len(values))
            Lower Cholesky factor.
        """
        _, means, covariances = self.components.gaussians
        chosen = torch.tensor(values, dtype=torch.int64)
        ridge = RIDGE * torch.eye(len(values), dtype=means.dtype)
        factor = torch.linalg.cholesky(covariances[:, chosen[:, None], chosen] + ridge)
        return self.y[chosen][:, rows] - means[:, chosen, None], factor
