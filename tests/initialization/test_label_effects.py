"""Effects of labels beside the plain formula, column by column."""

import numpy as np
import torch

from skflow.initialization.label_effects import PRIOR_ROWS, SWEEPS, fit_mean_effects


def plain_effects(y: np.ndarray, codes: np.ndarray, n_entries: int) -> np.ndarray:
    """Backfitting, one label after the other."""
    there = ~np.isnan(y)
    centred = np.where(there, y - np.nanmean(y, axis=1, keepdims=True), 0.0)
    effects = np.zeros((n_entries, len(y)))
    for _ in range(SWEEPS if len(codes) > 1 else 1):
        for i, code in enumerate(codes):
            others = sum(effects[codes[k]].T for k in range(len(codes)) if k != i) * there
            left = (centred - others) * there
            for label in np.unique(code):
                rows = code == label
                n_rows = there[:, rows].sum(axis=1)
                effects[label] = left[:, rows].sum(axis=1) / (n_rows + PRIOR_ROWS)
    return effects


def test_effects_are_those_of_the_plain_formula() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=(3, 60))
    y[1, ::7] = np.nan
    for sizes in ((5,), (4, 2, 7)):
        first = np.cumsum((0, *sizes[:-1]))
        codes = np.stack(
            [start + rng.integers(n, size=60) for n, start in zip(sizes, first, strict=True)]
        )
        codes[0, codes[0] == first[0]] += 1  # a label that no row has
        effects = fit_mean_effects(torch.tensor(y), torch.tensor(codes), sum(sizes))
        np.testing.assert_allclose(effects, plain_effects(y, codes, sum(sizes)), atol=1e-12)
        assert (effects[first[0]] == 0).all()
