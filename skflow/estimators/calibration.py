r"""Conformal calibration of intervals on held-out values of the distribution function.

For rows that nothing was fitted to, :math:`U_i = F(y_i \mid x_i)` are uniform if the fit is
right. Whatever they are, with :math:`U_{(k)}` the k-th smallest of m of them, a fresh row has

.. math:: P(U_{(k)} \le F(y \mid x) \le U_{(m + 1 - k)}) \ge 1 - \alpha, \qquad
          k = \lfloor (m + 1) \alpha / 2 \rfloor,

if it is exchangeable with these rows. So the quantiles of y at these two levels cover.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MANY_ROWS = 2_000
HELD_OUT = 0.1  # share of the rows in a part
MOST_HELD_OUT = 2_000
ENOUGH_ROWS = 33  # in a part, of three: where rows are few, all calibrate
FEWEST_ROWS = 20  # below, intervals are not calibrated


@dataclass(frozen=True)
class Calibration:
    """Values of the distribution function in rows that nothing was fitted to.

    Attributes
    ----------
    pit : ndarray of shape (n_rows, n_outputs)
        Sorted in each output; no rows where there are too few to calibrate.
    weight : ndarray of shape (n_rows, n_outputs)
        Weights of these rows, in the same order.
    """

    pit: FloatArray
    weight: FloatArray

    @classmethod
    def of(cls, pit: FloatArray, weight: FloatArray | None) -> "Calibration":
        """Sort the values of rows, which have these weights."""
        order = np.argsort(pit, axis=0, kind="stable")
        weights = np.ones(len(pit)) if weight is None else weight
        return cls(np.take_along_axis(pit, order, axis=0), weights[order])

    @property
    def n_rows(self) -> int:
        """Number of calibration rows."""
        return len(self.pit)

    def levels(self, coverage: float) -> FloatArray | None:
        """Levels of the two quantiles, ``(2, n_outputs)``; None with too few rows for them."""
        ends = np.empty((2, self.pit.shape[1]))
        for k in range(self.pit.shape[1]):
            for side, order in enumerate((slice(None), slice(None, None, -1))):
                pit, weight = self.pit[order, k], self.weight[order, k]
                effective = weight.sum() ** 2 / (weight**2).sum() if len(weight) else 0.0
                ranks = effective * weight.cumsum() / weight.sum() if len(weight) else weight
                n_reached = np.count_nonzero(
                    ranks <= (1 + effective) * (1 - coverage) / 2 * (1 + 1e-12)
                )
                if not n_reached:
                    return None
                ends[side, k] = pit[n_reached - 1]
        return ends


def plan(n_rows: int, generator: np.random.Generator) -> list[NDArray[np.int64]]:
    """Calibration rows: parts of the rows, each to be predicted by fits to the other rows.

    One part of many rows, three of few rows, none of very few rows, which do not calibrate.
    """
    if n_rows < FEWEST_ROWS:
        return []
    order, n_parts = generator.permutation(n_rows), 1 if n_rows >= MANY_ROWS else 3
    size = round(max(min(HELD_OUT * n_rows, MOST_HELD_OUT), min(n_rows / 3, ENOUGH_ROWS)))
    return [np.sort(order[k * size : (k + 1) * size]) for k in range(n_parts)]
