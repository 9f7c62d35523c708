"""Weights in the initialization: a row of weight 2 counts as two equal rows, one of 0 as none."""

from operator import attrgetter

import numpy as np
import pytest
import torch
from torch import Tensor

from skflow.clock import Clock
from skflow.initialization import imputation
from skflow.initialization.gaussian_mixture import PriorStrength
from skflow.initialization.imputation import impute
from skflow.initialization.label_tree import fit_label_tree
from skflow.initialization.marginals import fit_marginals
from skflow.initialization.search import (
    InitialConfig,
    InitialFit,
    MarginalChoice,
    SearchContext,
    _Search,
    fit_initial,
)
from skflow.rows import EncodedRows, concatenate, weighted_mean
from tests.laws import seeded

N_LABELS = (3, 2)
N_ROWS = 400


def rows_with(weight: np.ndarray | None) -> EncodedRows:
    """Two modes, a tail, a bound, a value repeated often, all related to two labels."""
    rng = np.random.default_rng(0)
    labels = np.column_stack((rng.integers(3, size=N_ROWS), rng.integers(2, size=N_ROWS)))
    labels[:, 1] = np.where(rng.random(N_ROWS) < 0.7, labels[:, 0] > 1, labels[:, 1])
    base = rng.standard_normal(N_ROWS) + labels[:, 0]
    values = np.column_stack(
        (
            np.where(rng.random(N_ROWS) < 0.5, base, 1e3 + base),
            rng.standard_t(2, N_ROWS) + base,
            np.exp(base + rng.standard_normal(N_ROWS)),
            np.maximum(base, 0.5) - labels[:, 1],
        )
    )
    nothing = np.full(labels.shape, np.nan)
    zeros = np.zeros(N_ROWS)
    return EncodedRows(labels, nothing, values, np.zeros_like(values), zeros, weight)


def repeated(rows: EncodedRows) -> EncodedRows:
    """Each row as often as its weight says."""
    plain = rows_with(None)
    return plain.take(np.repeat(np.arange(N_ROWS), rows.weight.astype(int)))


def weights() -> np.ndarray:
    return np.random.default_rng(1).choice([0.0, 1.0, 2.0, 3.0], N_ROWS, p=[0.2, 0.4, 0.3, 0.1])


@pytest.fixture
def rows_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rows are drawn: what is drawn would differ with the number of rows."""
    monkeypatch.setattr(torch, "randperm", lambda n, **options: torch.arange(n))


def design() -> SearchContext:
    bounds = [(-np.inf, np.inf), (-np.inf, np.inf), (0.0, np.inf), (-np.inf, np.inf)]
    return SearchContext(bounds, N_LABELS, bound=4.0, clock=Clock())


def fit(rows: EncodedRows, n_bins: int, n_components: int) -> InitialFit:
    strength = PriorStrength(pooled_rows=1.0, diagonal_rows=2.0)
    config = InitialConfig(MarginalChoice(n_bins, shifts=True), n_components, strength)
    return fit_initial(rows, None, n_components, design(), seeded(0), config)


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize("n_bins", [1, 12])
@pytest.mark.parametrize("n_components", [1, 5])
@pytest.mark.usefixtures("rows_in_their_order")
def test_weights_count_as_repeated_rows(n_bins: int, n_components: int) -> None:
    rows = rows_with(weights())
    weighted, plain = (fit(each, n_bins, n_components) for each in (rows, repeated(rows)))
    assert_same(weighted.marginals.own.state_dict(), plain.marginals.own.state_dict())
    assert_same(weighted.mixture.state_dict(), plain.mixture.state_dict())
    unweighted = fit(rows_with(None), n_bins, n_components)
    assert (weighted.marginals.own.x_knots - unweighted.marginals.own.x_knots).abs().max() > 1e-3


@pytest.mark.usefixtures("rows_in_their_order")
def test_rows_without_weight_are_not_there() -> None:
    rows = rows_with((weights() > 1).astype(float))
    weighted, plain = fit(rows, 12, 5), fit(repeated(rows), 12, 5)
    assert_same(weighted.marginals.own.state_dict(), plain.marginals.own.state_dict())
    assert_same(weighted.mixture.state_dict(), plain.mixture.state_dict())


@pytest.mark.parametrize("scale", [1.0, 2.5])
@pytest.mark.usefixtures("rows_in_their_order")
def test_equal_weights_leave_means_alone(scale: float) -> None:
    """Weights of 1 are no weights, to the bit; others change how much priors count, no mean."""
    rows, plain = rows_with(np.full(N_ROWS, scale)), rows_with(None)
    if scale == 1.0:
        for part in ("marginals.own", "mixture"):
            found, expected = (attrgetter(part)(fit(each, 12, 5)) for each in (rows, plain))
            for name, tensor in expected.state_dict().items():
                assert torch.equal(found.state_dict()[name], tensor), name
    assert weighted_mean(rows.values.T, rows.weight) == pytest.approx(rows.values.mean(axis=0))


def test_label_tables_count_weights() -> None:
    rows = rows_with(weights())
    labels, copies = (torch.tensor(each.labels.T) for each in (rows, repeated(rows)))
    weighted = fit_label_tree(labels, N_LABELS, torch.tensor(rows.weight))
    plain = fit_label_tree(copies, N_LABELS)
    assert weighted.parents == plain.parents == [-1, 0]
    assert weighted.floor == pytest.approx(plain.floor, rel=1e-12)
    for found, expected in zip(
        (*weighted.log_frequencies, *weighted.log_tables),
        (*plain.log_frequencies, *plain.log_tables),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_searches_score_by_weights() -> None:
    """On held-out rows of weights, candidates score as on the same rows repeated."""
    rows = rows_with(weights())
    plain = fit(rows_with(None), 12, 3)
    search = _Search(3, design(), seeded(0))
    found, expected = (
        search._gaussianize(plain.marginals, each).mean_log_density(plain.mixture)
        for each in (rows, repeated(rows))
    )
    assert found == pytest.approx(expected, rel=1e-9)
    unweighted = search._gaussianize(plain.marginals, rows_with(None))
    assert found != pytest.approx(unweighted.mean_log_density(plain.mixture))


def test_values_are_imputed_by_weighted_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Means of what is missing, given the rest, where no noise is drawn."""
    monkeypatch.setattr(imputation, "_normal_like", lambda y, generator: torch.zeros_like(y))
    rows = rows_with(weights())
    y = torch.tensor(rows.values[:, 1:].T.copy()).log1p().nan_to_num(0.0)
    y[0, ::3] = torch.nan
    copies = torch.tensor(np.repeat(np.arange(N_ROWS), rows.weight.astype(int)))
    found = impute(y, seeded(0), weight=torch.tensor(rows.weight))[:, copies]
    torch.testing.assert_close(found, impute(y[:, copies], seeded(0)), rtol=1e-9, atol=1e-9)


def test_missing_values_take_no_weight_along() -> None:
    rows = rows_with(weights())
    table = rows.values.copy()
    table[::4, 1] = np.nan
    copies = np.repeat(np.arange(N_ROWS), rows.weight.astype(int))
    found, expected = fit_marginals(table, 8, weight=rows.weight), fit_marginals(table[copies], 8)
    assert_same(found.state_dict(), expected.state_dict())


def test_rows_are_joined_with_their_weights() -> None:
    rows = rows_with(weights())
    joined = concatenate((rows.take(slice(100)), rows.take(slice(100, None))))
    for name, array in vars(rows).items():
        np.testing.assert_array_equal(getattr(joined, name), array, err_msg=name)
    assert joined.mass == rows.weight.sum()
    assert rows_with(None).mass == N_ROWS
