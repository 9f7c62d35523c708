"""A density along lines, corrected by a log-ratio that is known at few points."""

import numpy as np
import pytest
from scipy.stats import norm

from skflow.outliers.corrections import LogRatio, interpolate_ratio
from skflow.outliers.quadrature import Curve, Nodes

PLACES = np.linspace(-8, 8, 161)


def normal_curve(n_rows: int) -> Curve:
    places = np.broadcast_to(PLACES, (n_rows, len(PLACES)))
    heights = norm.logpdf(places)
    return Curve.through(Nodes(places, heights, heights, np.zeros(places.shape)))


def test_parabolas_are_interpolated_exactly_but_for_the_outermost_cells() -> None:
    rng = np.random.default_rng(0)
    places = np.sort(rng.normal(size=(4, 9)), axis=1)
    places[2, 6:] = places[2, 5]  # padding
    values = 1 - 2 * places + 3 * places**2
    known = Curve.through(Nodes(places, values, values, np.zeros(places.shape)))
    ratio, rows = LogRatio(known), np.repeat(np.arange(4), 50)
    last = np.where(np.arange(4) == 2, places[:, 4], places[:, 7])
    at = rng.uniform(places[rows, 1], last[rows])
    np.testing.assert_allclose(ratio(rows, at), 1 - 2 * at + 3 * at**2, atol=1e-12)
    np.testing.assert_allclose(ratio(np.arange(4), places[:, -1] + 3), values[:, -1], atol=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.7, -1.5])
def test_shares_of_a_product_are_those_of_the_closed_form(shift: float) -> None:
    """A normal density times a ratio that makes it another one, with a bump at one side."""
    own = np.array([-1.0, 0.2, 0.9, 2.0])

    def log_ratio(x: np.ndarray) -> np.ndarray:
        return norm.logpdf(x, shift, 0.9) - norm.logpdf(x) + 0.5 * np.exp(-4 * (x - 1) ** 2)

    def evaluate(rows: np.ndarray, at: np.ndarray) -> Nodes:
        n_evaluated.append(len(at))
        return Nodes(at, log_ratio(at), log_ratio(at), np.zeros(len(at)))

    n_evaluated: list[int] = []
    curve, level = normal_curve(len(own)), norm.logpdf(own)
    ratio, uncertain = interpolate_ratio(curve, level, own, evaluate)
    assert not len(uncertain)
    assert sum(n_evaluated) < 50 * len(own)
    product, raised = ratio.multiply(curve), level + ratio(np.arange(len(own)), own)
    found = product.log_mass_below(raised) - product.log_mass()
    fine = np.linspace(-8, 8, 200_001)
    heights = norm.logpdf(fine) + log_ratio(fine)
    expected = [
        np.log(np.exp(heights[heights <= height]).sum() / np.exp(heights).sum())
        for height in norm.logpdf(own) + log_ratio(own)
    ]
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_points_of_a_grid_are_all_that_is_asked_for() -> None:
    steps = np.arange(-3, 4.0)
    rough = np.random.default_rng(0).normal(size=7)

    def evaluate(rows: np.ndarray, at: np.ndarray) -> Nodes:
        near = np.clip(np.rint(at), -3, 3)
        values = rough[near.astype(int) + 3]
        return Nodes(near, values, values, near)

    places = np.broadcast_to(steps, (2, 7))
    heights = norm.logpdf(places)
    curve = Curve.through(Nodes(places, heights, heights, places), step=1.0)
    own = np.array([0.0, 2.0])
    ratio, uncertain = interpolate_ratio(curve, norm.logpdf(own), own, evaluate)
    assert not len(uncertain)
    np.testing.assert_allclose(ratio(np.ones(7, int), steps), rough, atol=1e-12)
