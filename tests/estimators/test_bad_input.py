"""Never a NaN: "What bad input gets" in api.md, on tables of numbers.

Mixed tables have a file of their own, ``test_unseen.py``; what is refused, and by which
words, stands in ``test_bad_input_table.py``.
"""

import re
import warnings
from copy import deepcopy

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skflow import FlowDensity, FlowOutlierDetector
from skflow.exceptions import DegenerateDensityWarning, DivergenceWarning
from skflow.reporter import Reporter
from tests.settings import ONE_GAUSSIAN, TWO_EPOCHS, one_of_each, slow_but
from tests.tables import Table, correlated, unfitted


def assert_sound(flow: FlowDensity, X: NDArray) -> None:
    """Scores, latents and rows are finite and of the right shape."""
    n_rows = len(X)
    n_columns = len(flow.get_feature_names_out())
    scores = flow.score_samples(X)
    latents = flow.transform(X)
    assert scores.shape == (n_rows,)
    assert latents.shape == (n_rows, n_columns)
    assert np.isfinite(scores).all()
    assert np.isfinite(latents).all()
    assert np.isfinite(np.asarray(flow.inverse_transform(latents), dtype=np.float64)).all()
    assert np.isfinite(np.asarray(flow.sample(5, random_state=0), dtype=np.float64)).all()


def fit_quickly(X: NDArray, **params) -> FlowDensity:
    return FlowDensity(**TWO_EPOCHS | params).fit(X)


def test_constant_columns() -> None:
    X = correlated(120, 4, seed=1)
    with_constants = np.insert(X, [0, 2, 4], [7.0, 0.0, -1e200], axis=1)
    assert_sound(fit_quickly(with_constants), with_constants)
    plain = {"n_layers": 0, "n_components": 1, "early_stopping": False}
    flow, reference = fit_quickly(with_constants, **plain), fit_quickly(X, **plain)
    np.testing.assert_allclose(
        flow.score_samples(with_constants), reference.score_samples(X), atol=1e-6
    )


def test_all_columns_constant() -> None:
    X = np.tile([3.0, 0.0, -5.0], (20, 1))
    flow = fit_quickly(X)
    assert_sound(flow, X)
    np.testing.assert_allclose(flow.score_samples(X), 0, atol=1e-6)
    assert (flow.inverse_transform(flow.transform(X)) == X).all()


def test_another_value_in_a_constant_column_is_a_rare_event() -> None:
    X = np.insert(correlated(120, 2, seed=1), 1, 5.0, axis=1)
    flow = fit_quickly(X)
    other = np.repeat(X[:1], 9, axis=0)
    other[:, 1] = [5, 5 + 1e-9, 5.1, 6, 10, 100, 1e10, -1e10, 1e300]
    assert_sound(flow, other)
    scores = flow.score_samples(other)
    assert (scores[1:] < scores[0] - 1).all()
    assert (np.diff(scores[2:7]) < 0).all()
    back = flow.inverse_transform(flow.transform(other))
    np.testing.assert_allclose(back, other, rtol=1e-11)
    assert back[0, 1] == other[0, 1]


@pytest.mark.parametrize("copy", ["equal", "scaled", "sum"])
def test_duplicate_and_collinear_columns(copy: str) -> None:
    X = correlated(150, 3, seed=2)
    extra = {"equal": X[:, 0], "scaled": 3 - 2e5 * X[:, 1], "sum": X.sum(axis=1)}[copy]
    X = np.column_stack((X, extra))
    with pytest.warns(DegenerateDensityWarning, match=re.escape("['x3']")):
        flow = fit_quickly(X)
    assert_sound(flow, X)
    assert_sound(flow, X[::-1] * np.array([1, 1, 1, -1]))


@pytest.mark.usefixtures("few_candidates")
@pytest.mark.parametrize(
    "ask",
    [
        lambda X: FlowDensity(**ONE_GAUSSIAN).fit(X),
        lambda X: unfitted(FlowOutlierDetector, **ONE_GAUSSIAN).fit(X),
        lambda X: make_pipeline(FlowDensity(**ONE_GAUSSIAN), StandardScaler()).fit(X),
        lambda X: cross_val_score(FlowDensity(**ONE_GAUSSIAN), X, cv=2),
    ],
)
def test_warnings_point_at_the_line_that_asked(ask) -> None:
    X = correlated(40, 2, seed=0)
    X = np.column_stack((X, X[:, 0]))
    with pytest.warns(DegenerateDensityWarning) as told:
        ask(X)
    assert {warning.filename for warning in told} == {__file__}


@pytest.mark.parametrize(("n_rows", "n_columns"), one_of_each([2, 3, 5, 50], [1, 2, 6]))
def test_small_tables(n_rows: int, n_columns: int) -> None:
    X = correlated(n_rows, n_columns, seed=3)
    for params in ({}, {"n_components": 4}, {"early_stopping": True}):
        flow = fit_quickly(X, **params)
        assert_sound(flow, X)
        assert_sound(flow, 10 * X[:1])


def test_duplicate_rows() -> None:
    X = np.repeat(correlated(8, 3, seed=4), 15, axis=0)
    assert_sound(fit_quickly(X), X)


@pytest.mark.parametrize("size", slow_but([1e-300, 1e300], [1e-300, 1e-30, 1e30, 1e300]))
def test_columns_of_any_size(size: float) -> None:
    X = correlated(120, 3, seed=5)
    flow, scaled = fit_quickly(X / 10), fit_quickly(X / 1e4 * size)
    assert_sound(scaled, X / 1e4 * size)
    # Only the units differ: three columns, each so many times larger.
    np.testing.assert_allclose(
        scaled.score_samples(X / 1e4 * size) + 3 * np.log(size),
        flow.score_samples(X / 10) + 3 * np.log(1e3),
        atol=1.0,
    )


@pytest.mark.parametrize("value", [1e10, 1e100, 1e300, -1e300, 1.7e308, 5e-324])
def test_rows_out_to_the_largest_number(trained: FlowDensity, table: Table, value: float) -> None:
    X = table[:20].copy()
    X[np.arange(20), np.arange(20) % 5] = value
    assert_sound(trained, X)
    assert_sound(trained, np.full((3, 5), value))


def test_a_training_row_out_to_the_largest_number(table: Table) -> None:
    X = table.copy()
    X[0, 0], X[1, 2] = 1e300, -1e308
    flow = fit_quickly(X, early_stopping=False)
    assert_sound(flow, X)
    assert_sound(flow, table)


@pytest.mark.parametrize("column", range(5))
def test_scores_fall_strictly_outward(trained: FlowDensity, table: Table, column: int) -> None:
    spread = np.ptp(table[:, column])
    for edge, sign in ((table[:, column].max(), 1), (table[:, column].min(), -1)):
        rows = np.repeat(np.median(table, axis=0, keepdims=True), 60, axis=0)
        rows[:, column] = edge + sign * spread * np.geomspace(2, 1e60, 60)
        assert (np.diff(trained.score_samples(rows)) < 0).all()


@pytest.mark.usefixtures("few_candidates")
@pytest.mark.parametrize(
    "dtype",
    slow_but(
        [np.float32, object],
        [np.float16, np.float32, np.float64, np.longdouble, ">f4", ">f8", ">f2", object],
    ),
)
def test_dtypes_fit_like_their_float64_copy(dtype) -> None:
    X = correlated(100, 3, seed=6).astype(dtype)
    copy = X.astype(np.float64)
    # Of floats that are no wider than float16, the copy may be taken for decimals.
    reference = fit_quickly(copy)
    flow = fit_quickly(
        X, column_kinds=reference.schema_ if np.dtype(X.dtype).itemsize < 4 else None
    )
    np.testing.assert_array_equal(flow.score_samples(X), reference.score_samples(copy))
    np.testing.assert_array_equal(flow.transform(X), reference.transform(copy))


@pytest.mark.parametrize("dtype", slow_but([np.float16], [np.float16, ">f2"]))
def test_half_floats_fit_like_their_float64_copy_but_for_its_grid(dtype) -> None:
    """Binary fractions lie on a grid, which float16 is too coarse to show.

    In closed form: training could make any difference of so small a blur a large one.
    """
    X = correlated(100, 3, seed=6).astype(dtype)
    copy = X.astype(np.float64)
    numbers = dict.fromkeys(range(3), "continuous")
    flow = fit_quickly(X, n_layers=0)
    reference = fit_quickly(copy, n_layers=0, column_kinds=numbers)
    np.testing.assert_allclose(flow.score_samples(X), reference.score_samples(copy), atol=1e-6)


@pytest.mark.usefixtures("few_candidates")
@pytest.mark.parametrize(
    "dtype", slow_but([np.int8, ">i4", bool], [np.int8, np.uint16, np.int64, ">i4", bool])
)
def test_integer_dtypes_fit_alike(dtype) -> None:
    X = np.random.default_rng(7).integers(0, 2, size=(100, 2)) + 0
    X[:, 1] *= 1 if dtype is bool else 50
    flow, reference = fit_quickly(X.astype(dtype)), fit_quickly(X)
    np.testing.assert_array_equal(flow.score_samples(X.astype(dtype)), reference.score_samples(X))


def read_only(X: Table) -> Table:
    X = X.copy()
    X.flags.writeable = False
    return X


LAYOUTS = {
    "read-only": read_only,
    "negative strides": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
    "Fortran order": np.asfortranarray,
    "every second row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "list": lambda X: X.tolist(),
    "memory view": lambda X: memoryview(np.ascontiguousarray(X)),
}


@pytest.mark.usefixtures("few_candidates")
@pytest.mark.parametrize("name", slow_but(["negative strides", "list"], LAYOUTS))
def test_memory_layout_changes_nothing(name: str) -> None:
    X = correlated(100, 3, seed=8)
    laid_out = LAYOUTS[name](X)
    flow, reference = fit_quickly(laid_out), fit_quickly(X)
    np.testing.assert_array_equal(flow.score_samples(laid_out), reference.score_samples(X))
    np.testing.assert_array_equal(flow.transform(laid_out), reference.transform(X))


@pytest.mark.usefixtures("few_candidates")
def test_input_is_left_as_it_was(table: Table) -> None:
    X = table.copy()
    flow = fit_quickly(X)
    Z = flow.transform(X)
    Z_before = Z.copy()
    flow.score_samples(X)
    flow.inverse_transform(Z)
    np.testing.assert_array_equal(X, table)
    np.testing.assert_array_equal(Z, Z_before)


def interrupt_after(monkeypatch: pytest.MonkeyPatch, n_epochs: int, error: type) -> None:
    """Raise ``error`` at the end of an epoch, as Ctrl-C would."""
    epochs = iter(range(1, 1000))

    def raise_in_time(*_) -> None:
        if next(epochs) == n_epochs:
            raise error

    monkeypatch.setattr(Reporter, "epoch", raise_in_time)


LONG = {"max_iter": 8, "early_stopping": False}


def state_of(flow: FlowDensity, X: NDArray) -> tuple:
    return flow.score_samples(X).tolist(), flow.history_, flow.n_iter_, repr(flow.schema_)


@pytest.mark.usefixtures("few_candidates")
def test_interrupt_of_a_first_fit_keeps_the_best_weights(
    monkeypatch: pytest.MonkeyPatch, table: Table
) -> None:
    flow = FlowDensity(**TWO_EPOCHS | LONG)
    interrupt_after(monkeypatch, 5, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        flow.fit(table)
    assert flow.n_iter_ == 5
    assert_sound(flow, table)
    closed_form = FlowDensity(**TWO_EPOCHS | {"n_layers": 0, "early_stopping": False}).fit(table)
    assert flow.score(table) > closed_form.score(table)


@pytest.mark.usefixtures("few_candidates")
@pytest.mark.parametrize(
    ("error", "warm_start"), one_of_each([KeyboardInterrupt, RuntimeError], [False, True])
)
def test_interrupt_of_a_refit_keeps_the_earlier_fit(
    monkeypatch: pytest.MonkeyPatch, table: Table, error: type, warm_start: bool
) -> None:
    flow = FlowDensity(**TWO_EPOCHS | LONG | {"warm_start": warm_start}).fit(table)
    before = state_of(flow, table)
    interrupt_after(monkeypatch, 3, error)
    with pytest.raises(error):
        flow.fit(table + 1)
    assert state_of(flow, table) == before


def test_failed_first_fit_leaves_nothing(monkeypatch: pytest.MonkeyPatch, table: Table) -> None:
    flow = FlowDensity(**TWO_EPOCHS | LONG)
    before = vars(flow).copy()
    interrupt_after(monkeypatch, 3, RuntimeError)
    with pytest.raises(RuntimeError):
        flow.fit(table)
    assert vars(flow) == before


@pytest.mark.parametrize(
    ("X", "params"),
    [
        (np.full((5, 5), np.inf), {}),
        (np.zeros((1, 5)), {}),
        (np.zeros(5), {}),
        (np.ones((4, 9)), {"n_bins": 1}),
        (np.ones((4, 5)), {"device": "mps"}),
    ],
)
def test_failed_refit_leaves_the_earlier_fit(
    trained: FlowDensity, table: Table, X: NDArray, params: dict
) -> None:
    flow = deepcopy(trained)
    before = state_of(flow, table)
    with pytest.raises(ValueError, match=r"infinity|1 sample|2D array|n_bins|device"):
        flow.set_params(**params).fit(X)
    flow.set_params(device="cpu")
    assert state_of(flow, table) == before
    assert flow.n_features_in_ == 5


@pytest.mark.usefixtures("few_candidates")
def test_diverging_training_rolls_back(table: Table) -> None:
    flow = FlowDensity(**TWO_EPOCHS | LONG | {"learning_rate": 1e6})
    with pytest.warns(DivergenceWarning, match="Set learning_rate to"):
        flow.fit(table)
    assert_sound(flow, table)
    closed_form = FlowDensity(**TWO_EPOCHS | {"n_layers": 0, "early_stopping": False}).fit(table)
    assert flow.score(table) >= closed_form.score(table) - 1e-6


def test_a_sound_fit_warns_of_nothing(table: Table) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_sound(fit_quickly(table), table)
