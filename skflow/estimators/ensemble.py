"""Fits that a regressor averages: to all rows and to all but a part, with layers and without."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skflow.clock import Clock
from skflow.estimators.conditional_distribution import ConditionalDistribution
from skflow.estimators.cross_fit import cross_fit, sibling
from skflow.estimators.density import FlowDensity
from skflow.fitted.table_rows import EncodableTable, TableRows

FloatArray = NDArray[np.float64]
Predict = Callable[[list[FlowDensity], FloatArray], ConditionalDistribution]

MOST_ROWS_TO_REFIT = 20_000  # with more, the rows that calibrate are hardly missed


class Ensemble(NamedTuple):
    """Fits of a density, to be averaged.

    Attributes
    ----------
    fits : list of FlowDensity
        The density itself, and its cross-fits.
    initial_fits : list of FlowDensity
        As many fits to the same rows without coupling layers, or none.
    """

    fits: list[FlowDensity]
    initial_fits: list[FlowDensity]

    @classmethod
    def fit(
        cls,
        density: FlowDensity,
        known: EncodableTable,
        held_out: Sequence[NDArray[np.int64]],
        validation: TableRows | None,
        n_jobs: int | None,
        seed: int,
    ) -> "Ensemble":
        """Fit a density, and its cross-fits, each without the rows that it holds out."""
        every, clock = np.arange(known.table.n_rows), Clock(density.max_time)
        fitted = [replace(known.rows, rows=np.setdiff1d(every, own)) for own in held_out]
        if len(every) >= MOST_ROWS_TO_REFIT:
            density._fit(known, fitted[0], validation, clock)
            return cls([density], [])
        uses = [lambda fit, _: fit] * len(fitted)

        def with_cross_fits(first: FlowDensity) -> tuple[list[FlowDensity], bool]:
            title = f"fit 1 of {1 + len(fitted)}"
            choices = first._fit(known, known.rows, validation, clock, title)
            others = cross_fit(first, known, fitted, uses, n_jobs, choices, seed)
            return [first, *others], any(choices.n_iter)

        fits, is_trained = with_cross_fits(density)
        if not (fitted and is_trained):
            return cls(fits, [])
        initial = sibling(density, -1, seed)
        initial.set_params(n_layers=0, checkpoint_path=None, verbose=0)
        return cls(fits, with_cross_fits(initial)[0])

    def predict_part(
        self, holders: Sequence[int], predict: Predict, y: NDArray[Any]
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Log-densities and probabilities of y in the rows of a part, by fits that hold it out.

        Parameters
        ----------
        holders : sequence of int
            Cross-fits that hold out the part.
        predict : callable
            Takes fits and their weights, and gives the distribution of y in these rows.
        y : ndarray of shape (n_rows,) or (n_rows, n_outputs)

        Returns
        -------
        log_densities : ndarray of shape (n_groups, n_fits, n_rows)
            A group is the fits with coupling layers, or those without where there are such.
        probabilities : ndarray of shape (n_groups, n_fits, n_rows, 2)
            Probability of at most y, and of less; of several outputs,
            (n_groups, n_fits, n_rows, n_outputs, 2).
        masses : ndarray of shape (n_groups, n_fits, n_rows, 3)
            Those of :meth:`ConditionalDistribution.value_masses`.
        """
        groups = [[fits[1 + k] for k in holders] if fits[1:] else fits for fits in self if fits]
        share = np.full(1, 1 / len(groups[0]))
        predicted = [[predict([fit], share) for fit in fits] for fits in groups]
        log_densities = [[own.logpdf(y) for own in group] for group in predicted]
        up_to = [[own.cdf(y) for own in group] for group in predicted]
        below = [[own.probability_below(y) for own in group] for group in predicted]
        masses = [[own.value_masses(y) for own in group] for group in predicted]
        return np.array(log_densities), np.stack((up_to, below), axis=-1), np.array(masses)

    def weights(self, initial_share: float) -> FloatArray:
        """Weights of all fits in the average, whose sum is 1."""
        shares = (1 - initial_share, initial_share)
        return np.concatenate(
            [
                np.full(len(fits), share / max(1, len(fits)))
                for fits, share in zip(self, shares, strict=True)
            ]
        )
