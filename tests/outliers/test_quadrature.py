"""Integrals along lines beside closed forms, sums over grids and draws."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm, t

from skflow.outliers.quadrature import Curve, Nodes, refine


def curve_of(nodes, log_density, heights=None, step: float = 0.0) -> Curve:
    """One row; steps of the grid are counted from 0."""
    parts = (nodes, log_density, log_density if heights is None else heights)
    rows = [np.atleast_2d(np.asarray(part, dtype=float)) for part in parts]
    return Curve.through(Nodes(*rows, rows[0] / (step or 1.0)), step=step)


def refined(density, nodes, x: float, step: float = 0.0) -> tuple[Curve, np.ndarray]:
    def evaluate(rows, places) -> Nodes:
        if step:
            places = np.rint(places / step) * step
        log_density = np.maximum(density(places), -1e4)
        return Nodes(places, log_density, log_density, places / (step or 1.0))

    nodes = np.array([*nodes, x])
    first = evaluate(None, nodes)
    level = np.array([max(density(x), -1e4)])
    curve = curve_of(first.places, first.log_density, step=step)
    return refine(curve, level, evaluate), level


def test_exponential_cells_are_exact() -> None:
    nodes = np.array([0.0, 0.3, 2.0, 7.0])
    masses = np.exp(curve_of(nodes, -1.5 * nodes).log_masses())
    expected = (np.exp(-1.5 * nodes[:-1]) - np.exp(-1.5 * nodes[1:])) / 1.5
    np.testing.assert_allclose(masses, [expected], rtol=1e-12)


def test_level_cells_and_nodes_that_coincide() -> None:
    masses = np.exp(curve_of([0.0, 1.0, 1.0, 3.0], np.zeros(4)).log_masses())
    np.testing.assert_allclose(masses, [[1.0, 2.0, 0.0]])


def test_nodes_are_added_to_some_rows() -> None:
    places = np.array([[0.0, 1.0, 2.0], [0.0, 4.0, 8.0]])
    curve = Curve.through(Nodes(*[places] * 4))
    added = np.array([3.0, 0.5, 4.0, 7.0])
    curve = curve.with_nodes(np.array([1, 0, 1, 1]), Nodes(*[added] * 4))
    assert curve.nodes.places[0].tolist() == [0.0, 0.5, 1.0, 2.0, 2.0, 2.0]
    assert curve.nodes.places[1].tolist() == [0.0, 3.0, 4.0, 7.0, 8.0, 8.0]


@pytest.mark.parametrize("scale", [1.0, 0.03])
def test_refinement_converges_on_a_peak_that_is_seen(scale) -> None:
    peak = norm(0.777, scale)
    curve, _ = refined(peak.logpdf, np.linspace(-4.5, 4.5, 46), 0.777)
    assert (np.diff(curve.nodes.places) >= 0).all()
    np.testing.assert_allclose(np.exp(curve.log_mass()), 1, rtol=0.02)
    assert curve.quantile(0.5)[0] == pytest.approx(0.777, abs=0.1 * scale)


@pytest.mark.parametrize("x", [0.01, 0.5, -1.0, 2.5, -4.0, 7.0])
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_mass_no_likelier_than_a_point_of_a_normal(x, scale) -> None:
    fan = scale * np.array([-9, -4, -2, 0, 2, 4, 9])
    curve, level = refined(norm(0, scale).logpdf, [-40, *fan, 40], x * scale)
    below = curve.log_mass_below(level)
    assert below[0] == pytest.approx(np.log(2 * norm.sf(abs(x))), abs=0.03)


def test_mass_no_likelier_in_the_units_of_the_height() -> None:
    # x = exp(y), and y is Student's: the density of x decides, masses are those of y.
    distribution = t(3)
    nodes = np.linspace(-60, 60, 20_001)
    log_density = distribution.logpdf(nodes)
    height = log_density - nodes
    level = np.interp(1.0, nodes, height)
    drawn = distribution.rvs(size=400_000, random_state=0)
    expected = (distribution.logpdf(drawn) - drawn <= level).mean()
    below = curve_of(nodes, log_density, height).log_mass_below(np.array([level]))
    assert np.exp(below[0]) == pytest.approx(expected, abs=0.003)


@pytest.mark.parametrize("scale", [0.1, 0.3, 1.0, 30.0])
@pytest.mark.parametrize("x", [0.0, 1.0, -2.0, 90.0])
def test_on_a_grid_its_points_are_summed_over(scale, x) -> None:
    """Down to peaks so narrow that they lie between grid points; ties count."""

    def density(y):
        return np.logaddexp(norm(0.3, scale).logpdf(y), np.log(1e-4) + norm(0, 100).logpdf(y))

    nodes = [*np.linspace(-500, 500, 30), *np.rint(np.linspace(-3 * scale, 3 * scale, 7))]
    curve, level = refined(density, nodes, x, step=1.0)
    grid = np.arange(-500.0, 501.0)
    every = density(grid)
    assert curve.log_mass()[0] == pytest.approx(logsumexp(every), abs=0.03)
    expected = logsumexp(every[every <= level[0] + 1e-9])
    assert curve.log_mass_below(level)[0] == pytest.approx(expected, abs=0.03)


def test_cells_of_several_steps_hold_a_geometric_series() -> None:
    log_terms = -0.7 * np.arange(9)
    for ends in (log_terms, log_terms[::-1]):
        curve = curve_of([0.0, 0.5, 4.0], ends[[0, 1, 8]], step=0.5)
        expected = logsumexp(ends) + np.log(0.5)
        ends_count_half = np.log(np.exp(ends[[0, -1]]).sum() / 4)
        total = np.logaddexp(curve.log_mass()[0], ends_count_half)
        assert total == pytest.approx(expected, abs=1e-9)
        level = np.array([log_terms[3]])
        below = np.exp(curve.log_mass_below(level)[0]) + 0.25 * np.exp(log_terms[8])
        assert below == pytest.approx(0.5 * np.exp(log_terms[3:]).sum(), rel=1e-9)
