"""Tables of more columns than rows: density beside Ledoit-Wolf's, laws, and what is not tried."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.covariance import LedoitWolf

from skflow import FlowDensity, load


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
