r"""How surprising each cell of a row is, after some of its others, in closed form.

The surprise of a cell is the negative logarithm of the probability that a draw of its column,
given the cells before it in some order, is no likelier. Under the mixed components
(:mod:`skflow.conditioning.components`) every such conditional is a mixture: of labels with
probabilities :math:`P`, and of values with the distribution function :math:`F`. For a value y,
of which the label says "a value" with the probability m,

.. math:: -\log \Bigl( \sum_{l: P(l) \le t} P(l) + t \Bigr), \qquad
          t = 2 m \min\bigl(F(y), 1 - F(y)\bigr),

and for a label, t is its own probability.

The mean over all orders tells which cells are strange, whatever else is strange: cells that
support each other surprise where none of them has been seen yet, and a cell that contradicts
several others surprises after any of them. It is a Shapley value of the game in which a cell gains
what it surprises by when it is seen.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from skflow.conditioning.components import MixedComponents, columns_of
from skflow.initialization.gaussian_mixture import RIDGE

SEED = 0  # of the orders: all rows share them, and a row's surprises depend on no other row
TIE = 1e-9  # difference of log-probabilities that may be due to rounding
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
        self._label_probs = [
            part.exp()
            for part in torch.tensor_split(
                components.label_log_probs, components.offsets[1:].cpu(), dim=1
            )
        ]

    def take(self, rows: Tensor) -> "Surprises":
        """Some of the rows, by index."""
        return Surprises(self.components, self.columns, self.labels[:, rows], self.y[:, rows])

    def in_order(self, order: Order) -> Tensor:
        """Surprise of each cell after those before it in ``order``, ``(n_columns, n_rows)``.

        0 for columns that are not in it.
        """
        surprises = self.y.new_zeros(len(self.columns), self._n_rows)
        for rows, present in self._patterns():
            surprises[:, rows] = self._of_pattern(rows, present, order)
        return surprises

    def over_orders(self, n_orders: int) -> Tensor:
        """Mean surprise of each cell over random orders of all columns, ``(n_columns, n_rows)``.

        Each order also counts backwards, ``2 * n_orders`` in all.
        """
        generator = torch.Generator().manual_seed(SEED)
        total = self.y.new_zeros(len(self.columns), self._n_rows)
        orders = [
            torch.randperm(len(self.columns), generator=generator).tolist() for _ in range(n_orders)
        ]
        for rows, present in self._patterns():
            for order in orders:
                total[:, rows] += self._of_pattern(rows, present, order)
                total[:, rows] += self._of_pattern(rows, present, order[::-1])
        return total / (2 * n_orders)

    @property
    def _n_rows(self) -> int:
        return max(self.labels.shape[1], self.y.shape[1])

    def _patterns(self) -> Iterator[tuple[Tensor, frozenset[int]]]:
        """Yield rows that have the same values present, by index, and which these are."""
        if not len(self.y):
            yield torch.arange(self._n_rows), frozenset()
            return
        patterns, pattern = torch.unique(~self.y.isnan(), dim=1, return_inverse=True)
        for number, present in enumerate(patterns.unbind(dim=1)):
            yield (pattern == number).nonzero().squeeze(1), frozenset(columns_of(present))

    def _of_pattern(self, rows: Tensor, present: frozenset[int], order: Order) -> Tensor:
        """Surprises of rows that have the same values present."""
        surprises = self.y.new_zeros(len(self.columns), len(rows))
        log_weights = self.components.log_weights()[:, None].repeat(1, len(rows))
        values = [value for _, value in map(self.columns.__getitem__, order) if value in present]
        residuals, log_scales = self._residuals(rows, values)
        for j in order:
            label, value = self.columns[j]
            own, others = log_weights.new_zeros(len(rows)), None
            if label is not None:
                labels = self.labels[label, rows]
                probs = self._label_probs[label].T @ torch.softmax(log_weights, dim=0)
                log_probs = probs.clamp_min(torch.finfo(probs.dtype).tiny).log()
                own = log_probs.gather(0, labels[None])[0]
                others = log_probs.scatter(0, labels[None], -math.inf)
                log_weights = log_weights + self._label_probs[label][:, labels].log()
            if value in present:
                place = values.index(value)
                z, log_scale = residuals[:, place], log_scales[:, place, None]
                log_shares = torch.log_softmax(log_weights, dim=0)
                low, high = (
                    torch.logsumexp(log_shares + torch.special.log_ndtr(side), dim=0)
                    for side in (z, -z)
                )
                own = own + (torch.minimum(low, high) + math.log(2)).clamp_max(0.0)
                log_weights = log_weights - z.square() / 2 - log_scale
            if others is not None:
                no_likelier = others.masked_fill(others > own + TIE, -math.inf)
                own = torch.logaddexp(own, torch.logsumexp(no_likelier, dim=0))
            surprises[j] = -own.clamp_max(0.0)
        return surprises

    def _residuals(self, rows: Tensor, values: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Residuals of values after those before them, standardised, and their log-scales.

        Returns
        -------
        residuals : Tensor of shape (n_components, len(values), n_rows)
        log_scales : Tensor of shape (n_components, len(values))
        """
        _, means, covariances = self.components.gaussians
        chosen = torch.tensor(values, dtype=torch.int64)
        ridge = RIDGE * torch.eye(len(values), dtype=means.dtype)
        factor = torch.linalg.cholesky(covariances[:, chosen[:, None], chosen] + ridge)
        deviations = self.y[chosen][:, rows] - means[:, chosen, None]
        residuals = torch.linalg.solve_triangular(factor, deviations, upper=False)
        return residuals, factor.diagonal(dim1=1, dim2=2).log()
