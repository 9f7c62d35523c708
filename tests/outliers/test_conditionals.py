"""Columns given a row's others, beside closed forms, enumeration and dense grids."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest, norm

from skflow import FlowDensity
from skflow.outliers import value_densities
from skflow.outliers.conditionals import Conditional, tail_log_probs
from skflow.outliers.joint_density import JointDensity
from tests.mixed import small_mix
from tests.settings import TWO_LAYERS

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")


def explain(flow: FlowDensity, X) -> np.ndarray:
    density = flow._density
    joint = JointDensity(density.model, "cpu", X.size)
    return tail_log_probs(density.codec, joint, flow._read(X))


def given(flow: FlowDensity, X, j: int) -> Conditional:
    density = flow._density
    rows = density.codec.encode(flow._read(X))
    return Conditional(density.codec, JointDensity(density.model, "cpu", X.size), rows, j)


@pytest.fixture(scope="module")
def mixed() -> tuple[FlowDensity, pd.DataFrame]:
    return FlowDensity(**TWO_LAYERS).fit(small_mix(600)), small_mix(300, seed=1)


def test_gaussian_columns_are_those_of_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    root = rng.standard_normal((4, 4)) + np.eye(4)
    X, new = rng.standard_normal((4000, 4)) @ root, rng.standard_normal((200, 4)) @ root
    flow = FlowDensity(n_layers=0, n_components=1, random_state=0).fit(X)
    precision = np.linalg.inv(root.T @ root)
    standardised = new @ precision / np.sqrt(precision.diagonal())
    expected = 2 * norm.sf(np.abs(standardised))
    # Both are estimates of the same: the fitted Gaussian is not quite the true one.
    assert np.abs(np.exp(explain(flow, new)) - expected).mean() < 0.03


def test_labels_are_enumerated(mixed) -> None:
    flow, new = mixed
    new = new[new["weight"].notna()]
    frames = [new.assign(colour=colour) for colour in ("blue", "green", "red")]
    log_joint = np.stack([flow.score_samples(frame) for frame in frames])
    probs = np.exp(log_joint - log_joint.max(axis=0))
    probs /= probs.sum(axis=0)
    own = probs[np.searchsorted(["blue", "green", "red"], new["colour"]), np.arange(len(new))]
    expected = np.where(probs <= own * (1 + 1e-9), probs, 0).sum(axis=0)
    # Networks of labels compute in float32.
    np.testing.assert_allclose(np.exp(explain(flow, new)[:, 0]), expected, atol=1e-5)


def test_the_likeliest_cell_has_the_tail_of_all_draws_exactly(mixed) -> None:
    """A sum of all probabilities that rounding leaves below 1 is not shown as -4.4e-16."""
    flow, new = mixed
    tails = explain(flow, new)
    of_all = tails[tails > -1e-9]
    assert len(of_all) > 100
    assert (of_all == 0).all()


@pytest.mark.slow
def test_values_are_integrated_over(mixed) -> None:
    flow, new = mixed
    new = new.iloc[:40]
    grid = np.linspace(-15, 20, 7001)
    tails = np.exp(explain(flow, new)[:, 2])
    for i in range(len(new)):
        line = pd.concat([new.iloc[[i]]] * len(grid)).assign(length=grid)
        density = np.exp(flow.score_samples(line))
        own = np.exp(flow.score_samples(new.iloc[[i]]))
        expected = density[density <= own].sum() / density.sum()
        # Near the mode, where nothing is strange, nodes are a few hundredths of it apart.
        assert tails[i] == pytest.approx(expected, abs=0.01 if expected < 0.5 else 0.03)


def test_a_hole_is_a_label_beside_the_values(mixed) -> None:
    flow, new = mixed
    columns = given(flow, new, 3)
    hole = flow.score_samples(new.assign(weight=np.nan))
    grid = np.linspace(-40, 60, 4001)
    for i in range(10):
        line = pd.concat([new.iloc[[i]]] * len(grid)).assign(weight=grid)
        of_values = np.exp(flow.score_samples(line)).sum() * (grid[1] - grid[0])
        missing = np.exp(hole[i]) / (np.exp(hole[i]) + of_values)
        assert np.exp(columns.log_probs[i]).max() == pytest.approx(
            max(missing, 1 - missing), abs=0.01
        )


def test_normal_cells_are_at_most_uniform(mixed) -> None:
    flow, _ = mixed
    drawn = flow.sample(1500, random_state=3)
    tails = np.exp(explain(flow, drawn))
    for j in range(tails.shape[1]):
        for alpha in (0.01, 0.05, 0.2, 0.5):
            share = (tails[:, j] <= alpha).mean()
            assert share <= alpha + 4 * np.sqrt(alpha * (1 - alpha) / len(drawn))
    # A column of values alone has no ties: its tails are uniform.
    assert kstest(tails[:, 2], "uniform").pvalue > 1e-3


def test_nodes_are_dense_enough(mixed, monkeypatch) -> None:
    flow, new = mixed
    new = new.iloc[:60].copy()
    new.loc[:9, "length"] = new["length"].iloc[:10].to_numpy() + 3
    usual = explain(flow, new)
    monkeypatch.setattr(value_densities, "INNER", np.linspace(-4.5, 4.5, 2001))
    np.testing.assert_allclose(explain(flow, new), usual, atol=0.1)


def test_far_rare_and_absent_cells_have_finite_tails(mixed) -> None:
    flow, new = mixed
    odd = new.iloc[:5].copy()
    odd.loc[odd.index[0], "length"] = 1e300
    odd.loc[odd.index[1], "length"] = -1e9
    odd.loc[odd.index[2], "length"] = np.nan  # none was at fit
    odd.loc[odd.index[3], "colour"] = "never seen"
    odd.loc[odd.index[4], "weight"] = 1e6
    tails = explain(flow, odd)
    assert np.isfinite(tails).all()
    assert (tails <= 0).all()
    strangest = odd.columns[tails.argmin(axis=1)]
    assert list(strangest[:4]) == ["length", "length", "length", "colour"]
    assert tails[0].min() < tails[1].min()
