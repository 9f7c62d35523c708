"""Tables of more columns than rows: density beside Ledoit-Wolf's, laws, and what is not tried."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.base import clone
from sklearn.covariance import LedoitWolf

from skflow import FlowDensity, FlowOutlierDetector, load
from skflow.flow.model import Rows


def spectra(n_rows: int, n_columns: int, seed: int = 0) -> np.ndarray:
    """Float32 rows of a factor model with heavy tails."""
    loadings = np.random.default_rng(1).normal(size=(4, n_columns))
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n_rows, 4)) @ loadings + 0.5 * rng.normal(size=(n_rows, n_columns))
    radii = np.sqrt(rng.chisquare(5, size=(n_rows, 1)) / 5)
    return (3 + rows / radii).astype(np.float32)


@pytest.fixture(scope="module")
def wide() -> FlowDensity:
    return FlowDensity(random_state=0).fit(spectra(120, 160))


def test_it_is_ahead_of_ledoit_wolf(wide: FlowDensity) -> None:
    fresh = spectra(300, 160, seed=2)
    peer = LedoitWolf().fit(spectra(120, 160)).score(fresh)
    assert wide.score(fresh) > peer + 5


def test_rows_and_seeded_samples_come_back(wide: FlowDensity, tmp_path) -> None:
    X = spectra(120, 160)
    assert wide.inverse_error_.share_equal == 1
    np.testing.assert_array_equal(wide.inverse_transform(wide.transform(X)), X)
    assert wide.sample(50, random_state=0).shape == (50, 160)
    wide.save(tmp_path / "wide.skflow")
    loaded = load(tmp_path / "wide.skflow")
    np.testing.assert_array_equal(loaded.score_samples(X), wide.score_samples(X))


def test_latents_are_standard_normal(wide: FlowDensity) -> None:
    z = wide.transform(spectra(400, 160, seed=3))
    assert abs(z.mean()) < 0.05
    assert abs(z.std() - 1) < 0.1


def test_few_rows_per_column_have_no_layers_by_default(wide: FlowDensity) -> None:
    assert wide.n_iter_ == 1
    assert (
        clone(wide)
        .set_params(n_layers=1, hidden_units=8, max_iter=2)
        .fit(spectra(120, 160))
        .n_iter_
        == 2
    )


def test_samples_of_a_nearly_low_rank_table_are_as_wide_as_the_table() -> None:
    n_columns, rank, noise = 160, 6, 1e-3
    rng = np.random.default_rng(0)
    loadings = rng.normal(size=(rank, n_columns)) / np.sqrt(rank)
    X, fresh = (
        9 + rng.normal(size=(n, rank)) @ loadings + noise * rng.normal(size=(n, n_columns))
        for n in (90, 500)
    )
    flow = FlowDensity(random_state=0).fit(X)
    drawn = flow.sample(1000, random_state=0)
    covariance = loadings.T @ loadings + noise**2 * np.eye(n_columns)
    truth = stats.multivariate_normal(np.full(n_columns, 9), covariance)
    np.testing.assert_allclose(drawn.std(axis=0), X.std(axis=0), rtol=0.12)
    assert np.abs(np.corrcoef(drawn.T) - np.corrcoef(X.T)).max() < 0.15
    assert flow.score(fresh) > truth.logpdf(fresh).mean() - 15  # 0.1 nats per column


@pytest.mark.slow
def test_a_fit_goes_on_from_its_checkpoint(tmp_path) -> None:
    flow = FlowDensity(
        n_layers=1,
        hidden_units=8,
        max_iter=2,
        random_state=0,
        checkpoint_path=tmp_path / "fit.checkpoint",
    )
    X = spectra(120, 160)
    np.testing.assert_array_equal(flow.fit(X).score_samples(X), clone(flow).fit(X).score_samples(X))


@pytest.mark.slow
def test_a_thousand_columns_come_back() -> None:
    X = spectra(200, 1000)
    wide = FlowDensity(random_state=0).fit(X)
    np.testing.assert_array_equal(wide.inverse_transform(wide.transform(X)), X)
    assert wide.score(spectra(200, 1000, seed=2)) > LedoitWolf().fit(X).score(
        spectra(200, 1000, seed=2)
    )


def test_the_proposal_for_unknown_cells_is_near_the_density(wide: FlowDensity) -> None:
    """Components of one shape at several radii: 160 columns differ by few nats."""
    density = wide._density
    batch, _ = density.model.gaussianize(Rows.of(density.codec.encode(_stored(wide, 300))))
    components = density.components
    with torch.inference_mode():
        log_q = components.log_weights()[:, None] + components.log_probs_of_present(batch.y)
        log_p = density.model.flow.log_prob(batch)
    assert -1 < float((log_p - torch.logsumexp(log_q, dim=0)).mean()) < 8


def _stored(wide: FlowDensity, n_rows: int):
    return wide._density.container.read(spectra(n_rows, 160, seed=2))


def indicators(n_rows: int, n_columns: int, seed: int = 0) -> np.ndarray:
    """Indicators of five topics, and copies of the first hundred columns at the end."""
    chances = np.random.default_rng(1).beta(0.2, 2, size=(5, n_columns))
    rng = np.random.default_rng(seed)
    rows = rng.random((n_rows, n_columns)) < chances[rng.integers(5, size=n_rows)]
    rows[:, -100:] = rows[:, :100] ^ (rng.random((n_rows, 100)) < 0.02)
    return rows.astype(np.float32)


@pytest.mark.slow
def test_a_thousand_indicators_come_back() -> None:
    X, fresh = indicators(400, 1000), indicators(200, 1000, seed=2)
    wide = FlowDensity(max_iter=4, random_state=0).fit(X)
    np.testing.assert_array_equal(wide.inverse_transform(wide.transform(X)), X)
    shares = (X.sum(axis=0) + 0.5) / (len(X) + 1)
    alone = (fresh * np.log(shares) + (1 - fresh) * np.log1p(-shares)).sum(axis=1).mean()
    assert wide.score(fresh) > alone + 30


@pytest.mark.slow
def test_reasons_of_many_columns_add_up() -> None:
    """Two wrong cells of 100 columns are the first reason."""
    X = spectra(300, 100)
    detector = FlowOutlierDetector(FlowDensity(n_layers=0), random_state=0).fit(X)
    rows = spectra(1, 100, seed=3)
    rows[:, [40, 90]] += np.float32([25, -25])
    reasons = detector.explain(rows)
    sums = reasons.groupby("row")["contribution"].sum()
    np.testing.assert_allclose(sums, detector.score_samples(rows), atol=1e-6)
    for _, own in reasons.groupby("row"):
        assert {*", ".join(own["column"][own["contribution"] < -1]).split(", ")} == {"x40", "x90"}
