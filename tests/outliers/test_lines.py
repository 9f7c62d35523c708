"""Lines of one column of many-column tables, beside the density of whole rows."""

import numpy as np
import pandas as pd
import pytest
import torch

from skflow import FlowDensity
from skflow.flow.context import NO_CONTEXT
from skflow.flow.floored_components import EllipticalComponents, regressions
from skflow.flow.mixture import Mixture
from skflow.outliers import joint_density
from skflow.outliers.column_line import ColumnLine
from skflow.outliers.conditionals import tail_log_probs
from skflow.outliers.joint_density import JointDensity
from skflow.outliers.lines import LineOfMixture, LineOfWholeRows
from tests.mixed import small_mix
from tests.settings import TWO_LAYERS

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")


def table(n_rows: int, n_columns: int = 70, seed: int = 0) -> pd.DataFrame:
    """Correlated numbers of which some are missing, and labels."""
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((n_rows, 3))
    loadings = np.random.default_rng(99).standard_normal((3, n_columns))
    numbers = factors @ loadings / 2 + rng.standard_t(5, (n_rows, n_columns))
    numbers[:, 2] += numbers[:, 1] ** 2 / 4
    X = pd.DataFrame(numbers, columns=[f"n{j}" for j in range(n_columns)])
    X["n4"] = X["n4"].mask(rng.random(n_rows) < 0.3)
    X["label"] = np.where(factors[:, 0] > 0, "a", "b")
    return X


@pytest.fixture(scope="module")
def without_layers() -> FlowDensity:
    """One Gaussian and effects of labels."""
    return FlowDensity(n_layers=0, max_time=1e-9, random_state=0).fit(table(200))


@pytest.fixture(scope="module")
def several() -> FlowDensity:
    return FlowDensity(n_layers=0, n_components=3, random_state=0).fit(small_mix(400))


@pytest.mark.parametrize("fitted", ["without_layers", "several"])
def test_points_of_a_line_are_whole_rows(fitted: str, request: pytest.FixtureRequest) -> None:
    flow = request.getfixturevalue(fitted)
    density = flow._density
    X = table(6, seed=1) if fitted == "without_layers" else small_mix(6, seed=1)
    encoded = density.codec.encode(flow._read(X))
    joint = JointDensity(density.model, "cpu", X.size)
    rng = np.random.default_rng(2)
    for k in range(0, encoded.values.shape[1], 9):
        line, layers = joint.along(encoded.labels, encoded.values, k)
        assert isinstance(line, LineOfMixture)
        assert layers is None
        whole = LineOfWholeRows(
            joint.log_prob_values, joint._factors, encoded.labels, encoded.values, k
        )
        rows = rng.integers(0, len(X), 200)
        own = np.nanstd(encoded.values[:, k]) * rng.standard_normal(200) * 10 ** rng.uniform(-1, 2)
        np.testing.assert_allclose(line.log_prob(rows, own), whole.log_prob(rows, own), atol=1e-9)
        np.testing.assert_allclose(
            line.standardised(rows, own), whole.standardised(rows, own), atol=1e-9
        )
        scans = [each.scan(rows, own, np.inf, 1e-9) for each in (line, whole)]
        assert k in scans[0].columns
        places = np.searchsorted(scans[1].columns, scans[0].columns)
        np.testing.assert_allclose(
            scans[0].standardised, scans[1].standardised[:, :, places], atol=1e-9
        )
        np.testing.assert_allclose(scans[0].log_jacobian, scans[1].log_jacobian, atol=1e-9)
        some = np.array([3, 50])
        for part, other in zip(*(scan.factors_at(some) for scan in scans), strict=True):
            np.testing.assert_allclose(part, other, atol=1e-9)


def test_residuals_that_are_not_scanned_change_little(without_layers: FlowDensity) -> None:
    """The scan leaves no column out whose residual changes by more between two nodes."""
    density = without_layers._density
    encoded = density.codec.encode(without_layers._read(table(1, seed=1)))
    joint = JointDensity(density.model, "cpu", 100)
    line, _ = joint.along(encoded.labels, encoded.values, 0)
    values = np.linspace(-3, 3, 50)
    rows = np.zeros(50, dtype=np.intp)
    y = joint.marginals.of_columns([0]).forward_and_log_det(torch.tensor(values)[None])[0][0]
    widest, change = float(y.diff().max()), 0.05
    scan = line.scan(rows, values, widest, change)
    every = line.standardised(rows, values)
    others = np.setdiff1d(np.arange(every.shape[2]), scan.columns)
    assert 0 < len(others) < every.shape[2] - 1
    assert np.abs(np.diff(every[:, :, others], axis=0)).max() <= change


def test_components_of_one_shape_are_those_of_the_mixture() -> None:
    """Elliptical components, of which some columns are absent."""
    rng = np.random.default_rng(0)
    root = torch.tensor(rng.standard_normal((12, 12)) / 3 + np.eye(12))
    components = EllipticalComponents(
        torch.tensor([0.5, 0.3, 0.2]).double(),
        torch.tensor([0.7, 1.0, 2.5]).double(),
        torch.tensor(rng.standard_normal((1, 12))),
        *regressions((root @ root.T)[None]),
    )
    mixture = Mixture.from_components(components, 3.0, has_missing=True)
    y = torch.tensor(2 * rng.standard_normal((12, 5)))
    y[3, 1] = y[11, 2] = y[0, 3] = torch.nan
    rows = torch.tensor(rng.integers(0, 5, 100))
    values = torch.tensor(rng.standard_normal(100) * 10 ** rng.uniform(-2, 3, 100))
    with torch.inference_mode():
        for j in (0, 5, 11):
            line = ColumnLine(mixture, y, j)
            whole = y[:, rows]
            whole[j] = values
            expected = mixture.log_prob(whole, NO_CONTEXT._replace(quantize=False))
            torch.testing.assert_close(line.log_prob(rows, values), expected, atol=1e-10, rtol=0)
            for part, other in zip(
                line.residuals(rows, values), mixture.residuals(whole), strict=True
            ):
                torch.testing.assert_close(part, other.expand_as(part), atol=1e-10, rtol=1e-12)


@pytest.mark.slow
def test_trained_layers_of_many_columns_are_told_by_few_points(monkeypatch) -> None:
    """Strange cells as exactly as with whole rows at all nodes, others nearly so."""
    flow = FlowDensity(**TWO_LAYERS | {"max_iter": 4}).fit(table(800))
    assert flow._density.recipe.n_layers == 2
    X = table(2, seed=1)
    X.iloc[0, 2] -= 6
    X.iloc[1, 10] += 8
    codec, rows = flow._density.codec, flow._read(X)
    found = tail_log_probs(codec, JointDensity(flow._density.model, "cpu", X.size), rows)
    monkeypatch.setattr(joint_density, "WIDE", 1000)
    exact = tail_log_probs(codec, JointDensity(flow._density.model, "cpu", X.size), rows)
    strange = (exact < np.log(0.03)) & (found < np.log(0.05))
    assert strange[0, 2]
    assert strange[1, 10]
    np.testing.assert_allclose(found[strange], exact[strange], atol=1e-9)
    errors = np.abs(found - exact)
    assert (errors > 0.05).mean() < 0.03
    assert errors.max() < 0.15
    assert errors.mean() < 0.01


def test_layers_without_training_are_dropped_and_the_density_stays() -> None:
    X = np.random.default_rng(0).standard_normal((200, 3))
    untrained = TWO_LAYERS | {"max_time": 1e-9}
    dropped = FlowDensity(**untrained).fit(X)
    kept = FlowDensity(**untrained, warm_start=True).fit(X)  # a later fit may train them
    assert len(dropped._density.model.flow.couplings) == dropped._density.recipe.n_layers == 0
    assert len(kept._density.model.flow.couplings) == kept._density.recipe.n_layers == 2
    np.testing.assert_allclose(dropped.score_samples(X), kept.score_samples(X), atol=1e-12)
    assert FlowDensity(**TWO_LAYERS).fit(X)._density.recipe.n_layers == 2
