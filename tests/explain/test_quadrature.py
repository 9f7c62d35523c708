import numpy as np
import pytest
from scipy.stats import norm, t

from skflow.explain.quadrature import log_cell_masses, log_mass_below, quantile, refine


def at(nodes, distribution):
    nodes = np.broadcast_to(np.sort(nodes), (1, len(nodes))).copy()
    return nodes, distribution.logpdf(nodes)


def test_exponential_cells_are_exact() -> None:
    nodes = np.array([[0.0, 0.3, 2.0, 7.0]])
    masses = np.exp(log_cell_masses(nodes, -1.5 * nodes))
    expected = (np.exp(-1.5 * nodes[:, :-1]) - np.exp(-1.5 * nodes[:, 1:])) / 1.5
    np.testing.assert_allclose(masses, expected, rtol=1e-12)


def test_level_cells_and_nodes_that_coincide() -> None:
    nodes = np.array([[0.0, 1.0, 1.0, 3.0]])
    np.testing.assert_allclose(np.exp(log_cell_masses(nodes, np.zeros((1, 4)))), [[1.0, 0.0, 2.0]])


@pytest.mark.parametrize("scale", [1.0, 0.03])
def test_refinement_finds_a_narrow_peak(scale) -> None:
    peak = norm(0.777, scale)
    nodes, log_density = at(np.linspace(-4.5, 4.5, 61), peak)
    log_density = np.maximum(log_density, log_density.max() - 700)
    for _ in range(2):
        nodes, log_density = refine(nodes, log_density, peak.logpdf, 24)
    assert (np.diff(nodes) >= 0).all()
    np.testing.assert_allclose(np.exp(log_cell_masses(nodes, log_density)).sum(), 1, rtol=0.01)
    assert quantile(nodes, log_density, 0.5)[0] == pytest.approx(0.777, abs=0.1 * scale)


@pytest.mark.parametrize("x", [0.01, 0.5, -1.0, 2.5, -4.0])
def test_mass_no_likelier_than_a_point_of_a_normal(x) -> None:
    nodes, log_density = at([*np.linspace(-8, 8, 801), x], norm)
    level = np.array([norm.logpdf(x)])
    below = np.exp(log_mass_below(nodes, log_density, log_density, level))
    assert below[0] == pytest.approx(2 * norm.sf(abs(x)), rel=0.01, abs=1e-3)


def test_mass_no_likelier_in_the_units_of_the_height() -> None:
    # Of x = exp(y), y being Student: the density of x decides, masses are those of y.
    distribution = t(3)
    nodes, log_density = at(np.linspace(-60, 60, 20_001), distribution)
    height = log_density - nodes
    level = np.interp(1.0, nodes[0], height[0])
    drawn = distribution.rvs(size=400_000, random_state=0)
    expected = (distribution.logpdf(drawn) - drawn <= level).mean()
    below = np.exp(log_mass_below(nodes, log_density, height, np.array([level])))
    assert below[0] == pytest.approx(expected, abs=0.003)
