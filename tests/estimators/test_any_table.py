"""Any table of finite numbers: everything finite, of the right shape, and reversible."""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from skflow import FlowDensity
from skflow.exceptions import DegenerateDensityWarning
from tests.tables import column_scale

# scikit-learn looks for NaN by a sum, which larger values overflow, with a warning.
finite = st.floats(-1e305, 1e305)
ordinary = st.floats(-1e6, 1e6)
few_levels = st.sampled_from([0.0, 1.0, -1.0, 0.5, 1e-9, 1e12])


@st.composite
def tables(draw: st.DrawFn) -> NDArray:
    """1 to 8 columns and 2 to 60 rows, with constant and duplicate columns and rows."""
    n_rows = draw(st.integers(2, 60))
    n_columns = draw(st.integers(1, 8))
    columns = []
    for _ in range(n_columns):
        if columns and draw(st.integers(0, 5)) == 0:
            columns.append(draw(st.sampled_from(columns)))
        else:
            elements = draw(st.sampled_from([finite, ordinary, few_levels]))
            columns.append(draw(arrays(np.float64, n_rows, elements=elements)))
    table = np.column_stack(columns)
    if draw(st.integers(0, 4)) == 0:
        table[: n_rows // 2] = table[0]
    return table


def check(X: NDArray, params: dict) -> None:
    flow = FlowDensity(hidden_units=4, max_iter=1, random_state=0, **params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDensityWarning)
        flow.fit(X)
    scores, Z = flow.score_samples(X), flow.transform(X)
    back = flow.inverse_transform(Z)
    assert scores.shape == (len(X),)
    assert Z.shape == (len(X), len(flow.get_feature_names_out()))
    assert back.shape == X.shape
    assert np.isfinite(scores).all()
    assert np.isfinite(Z).all()
    assert np.isfinite(back).all()
    assert np.isfinite(flow.sample(3, random_state=0)).all()
    assert np.isfinite(flow.score_samples(-X / 2)).all()
    scales = np.array([column_scale(column) for column in X.T])
    with np.errstate(over="ignore"):
        near = (np.abs(X / scales) <= 1e6).all(axis=0)
    found, expected = back[:, near] / scales[near], X[:, near] / scales[near]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


settings_with_layers = st.sampled_from(
    [{"n_layers": 0}, {"n_layers": 2}, {"n_layers": 2, "n_components": 3}]
)
quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=quiet)
@given(X=tables(), params=settings_with_layers)
def test_any_table(X: NDArray, params: dict) -> None:
    check(X, params)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=1000, deadline=None, suppress_health_check=quiet)
@given(X=tables(), params=settings_with_layers)
def test_any_of_many_tables(X: NDArray, params: dict) -> None:
    check(X, params)
