"""Proposals for some of the unknown cells of rows, the other unknown cells summed out."""

from collections.abc import Iterator

import torch
from torch import Tensor

from skflow.conditioning.components import Columns
from skflow.conditioning.importance import ImportanceSampler, sobol
from skflow.conditioning.partial_rows import PartialRows
from skflow.conditioning.proposal import Conditional


class SomeCells:
    """The mixed components' conditional distribution of some unknown cells, in closed form.

    Parameters
    ----------
    sampler : ImportanceSampler
    rows : PartialRows
    labels, values : tuple of int
        Positions of the cells among labelled and among valued columns; others stay unknown.
    """

    def __init__(
        self, sampler: ImportanceSampler, rows: PartialRows, labels: Columns, values: Columns
    ) -> None:
        self.sampler = sampler
        self.rows = rows
        self.labels = labels
        self.values = values

    def draw(self, uniform: Tensor, n_draws: int) -> tuple[Tensor, Tensor]:
        """Draw the cells.

        Parameters
        ----------
        uniform : Tensor of shape (n_rows, n_uniform)
            Uniform numbers of each row; the last is not used.
        n_draws : int

        Returns
        -------
        labels : Tensor of int64, shape (n_labelled, n_rows, n_draws)
            Those of ``rows`` in all other columns.
        y : Tensor of shape (n_valued, n_rows, n_draws)
            NaN where a value is absent or unknown.
        """
        labels = self.rows.labels[:, :, None].repeat(1, 1, n_draws)
        y = self.rows.y[:, :, None].repeat(1, 1, n_draws)
        points = sobol(n_draws, self.sampler.n_uniform - 1).to(y)
        for own, conditional in self._conditionals(self.rows):
            shifted = (points + uniform[own, None, :-1]) % 1
            labels[:, own], y[:, own] = conditional.draw(shifted)
        return labels, y

    def log_prob(self, source: Tensor, labels: Tensor, y: Tensor) -> Tensor:
        """Log-density of cells given what is known of their rows.

        Parameters
        ----------
        source : Tensor of int64, shape (n_cells,)
            The row of each.
        labels : Tensor of int64, shape (n_labelled, n_cells)
        y : Tensor of shape (n_valued, n_cells)

        Returns
        -------
        log_prob : Tensor of shape (n_cells,)
            In nats, per unit of gaussianized values.
        """
        log_prob = y.new_empty(y.shape[1])
        for own, conditional in self._conditionals(self.rows.take(source)):
            cells = labels[:, own, None], y[:, own, None]
            log_prob[own] = conditional.log_prob(*cells).squeeze(1)
        return log_prob

    def _conditionals(self, rows: PartialRows) -> Iterator[tuple[Tensor, Conditional]]:
        components, rules = self.sampler.components, self.sampler.rules
        numbers = rows.patterns()
        for number in torch.unique(numbers):
            own = (numbers == number).nonzero().squeeze(1)
            pattern = rows.pattern_of(int(own[0]))
            some = pattern._replace(
                unknown_labels=tuple(c for c in pattern.unknown_labels if c in self.labels),
                unknown_values=tuple(v for v in pattern.unknown_values if v in self.values),
            )
            yield own, Conditional(components, rules, rows.take(own), some)
