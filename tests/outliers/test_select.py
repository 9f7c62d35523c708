"""Selections keep the false discovery rate that theory gives."""

import numpy as np
import pytest

from skflow import FlowOutlierDetector
from tests.settings import ONE_GAUSSIAN
from tests.tables import unfitted

FDR, N_ROWS, N_OUTLIERS, N_TABLES = 0.2, 100, 20, 20


def test_false_discoveries_are_as_rare_as_asked_for() -> None:
    """Their expected share is at most the rate times that of normal rows, here 0.8 of 0.2."""
    shares, powers = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        detector = unfitted(FlowOutlierDetector, **ONE_GAUSSIAN).fit(rng.standard_normal((2000, 2)))
        of_tables = rng.standard_normal((N_TABLES, N_ROWS, 2))
        of_tables[:, :N_OUTLIERS] += 4.0
        for rows in of_tables:
            selected = detector.select(rows, fdr=FDR)
            shares.append(selected[N_OUTLIERS:].sum() / max(1, selected.sum()))
            powers.append(selected[:N_OUTLIERS].mean())
    expected = FDR * (1 - N_OUTLIERS / N_ROWS)
    # Tables share the calibration rows of their detector, so eight means are independent.
    means = np.reshape(shares, (8, N_TABLES)).mean(axis=1)
    error = means.std(ddof=1) / np.sqrt(8)
    assert means.mean() <= expected + 3 * error
    assert means.mean() >= 0.6 * expected
    assert np.mean(powers) > 0.8


def test_ties_at_the_lowest_p_value_are_selected_together_or_not_at_all() -> None:
    rng = np.random.default_rng(0)
    detector = unfitted(FlowOutlierDetector, **ONE_GAUSSIAN).fit(rng.standard_normal((2000, 2)))
    lowest = 1 / (detector.n_calibration_ + 1)
    n_needed = int(np.ceil(lowest * N_ROWS * 50 / 0.1))
    for n_far in (n_needed - 2, n_needed + 2):
        rows = np.zeros((50 * N_ROWS, 2))
        rows[:n_far] = 50.0 + np.arange(n_far)[:, None]
        selected = detector.select(rows, fdr=0.1)
        assert (selected[:n_far] == (n_far >= n_needed)).all()
        assert not selected[n_far:].any()


def test_the_rate_is_checked() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 2))
    detector = unfitted(FlowOutlierDetector, **ONE_GAUSSIAN).fit(X)
    with pytest.raises(ValueError, match=r"'fdr' parameter of FlowOutlierDetector\.select"):
        detector.select(X, fdr=0)
