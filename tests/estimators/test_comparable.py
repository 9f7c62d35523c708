"""Two fits are comparable when their schemas agree, and model selection works on mixed tables."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skflow import FlowDensity
from tests.mixed import small_mix
from tests.settings import ONE_GAUSSIAN, TWO_EPOCHS, TWO_GAUSSIANS, TWO_LAYERS

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")


def borderline(n_rows: int = 600) -> pd.DataFrame:
    """Just enough zeros, holes and levels to be events in some folds and none in others."""
    rng = np.random.default_rng(0)
    x = np.exp(rng.standard_normal(n_rows))
    x[:12] = 0.0
    hole = rng.standard_normal(n_rows)
    hole[0] = np.nan
    level = rng.integers(0, 29, n_rows)
    return pd.DataFrame(
        {"x": x, "hole": hole, "level": level, "odd": [*["rare"] * 2, *["a"] * 598]}
    )


@pytest.fixture(scope="module")
def folds() -> tuple[pd.DataFrame, pd.DataFrame]:
    df = borderline()
    even = np.r_[0:11, 12:300]  # most of what is odd
    return df.iloc[even].reset_index(drop=True), df.drop(even).reset_index(drop=True)


def test_schemas_of_folds_differ(folds: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    """Else the tests below prove nothing."""
    first, second = (FlowDensity(**ONE_GAUSSIAN).fit(fold).schema_ for fold in folds)
    assert first != second
    differing = {a.name for a, b in zip(first.columns, second.columns, strict=True) if a != b}
    assert differing >= {"x", "hole", "odd"}


def test_a_pinned_schema_is_kept(folds: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    reference = FlowDensity(**ONE_GAUSSIAN).fit(borderline()).schema_
    flow = FlowDensity(**ONE_GAUSSIAN, column_kinds=reference)
    for fold in folds:
        assert flow.fit(fold).schema_ == reference
    assert clone(flow).fit(folds[0]).schema_ == reference


@pytest.mark.slow
def test_pinned_folds_score_on_one_measure(folds: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    """A zero is an event for both, or a number for both."""
    df = borderline()
    reference = FlowDensity(**TWO_GAUSSIANS).fit(df).schema_
    assert reference.columns[0].atoms == (0.0,)
    pinned = [FlowDensity(**TWO_GAUSSIANS, column_kinds=reference).fit(fold) for fold in folds]
    # Rescaling x shifts a density and leaves the probability of an event as it is.
    zero, hole = df.iloc[[5]], df.iloc[[0]].assign(x=1.5)
    for flow, fold in zip(pinned, folds, strict=True):
        rescaled = FlowDensity(
            **TWO_GAUSSIANS,
            column_kinds=FlowDensity(**TWO_GAUSSIANS).fit(df.assign(x=1000 * df["x"])).schema_,
        ).fit(fold.assign(x=1000 * fold["x"]))
        for row, shift in ((zero, 0.0), (hole, -np.log(1000)), (df.iloc[[50]], -np.log(1000))):
            found = rescaled.score_samples(row.assign(x=1000 * row["x"]))
            np.testing.assert_allclose(found, flow.score_samples(row) + shift, atol=1e-6)


@pytest.mark.slow
def test_schema_does_not_depend_on_anything_but_rows_and_options() -> None:
    df = small_mix(300)
    schemas = [
        FlowDensity(**TWO_LAYERS | params).fit(df).schema_
        for params in ({}, {"random_state": 5}, {"n_layers": 0}, {"early_stopping": False})
    ]
    schemas.append(FlowDensity(**TWO_LAYERS).fit(df[::-1]).schema_)
    schemas.append(FlowDensity(**TWO_LAYERS).fit(df, X_val=df[:50]).schema_)
    assert all(schema == schemas[0] for schema in schemas)


def test_a_pinned_schema_of_other_columns_is_refused() -> None:
    df = small_mix(200)
    schema = FlowDensity(**TWO_GAUSSIANS).fit(df).schema_
    with pytest.raises(ValueError, match="column_kinds is a schema of columns"):
        FlowDensity(**TWO_GAUSSIANS, column_kinds=schema).fit(df.rename(columns={"flag": "f"}))
    with pytest.raises(ValueError, match=r"(?s)other columns.*'length'"):
        FlowDensity(**TWO_GAUSSIANS, column_kinds=schema).fit(df.assign(length=df["colour"]))


def dependent(n_rows: int = 600) -> pd.DataFrame:
    """Labels and values that say nearly all of each other: a model of marginals is poor."""
    rng = np.random.default_rng(1)
    group = rng.integers(4, size=n_rows)
    x = np.where(group % 2 == 0, 1, -1) * np.abs(rng.standard_normal(n_rows)) + 3 * (group > 1)
    y = x**2 + 0.1 * rng.standard_normal(n_rows)
    return pd.DataFrame(
        {
            "a": np.array(list("pqrs"))[group],
            "b": np.array(list("uv"))[group % 2],
            "c": np.where(rng.random(n_rows) < 0.05, 1 - group % 2, group % 2),
            "x": x,
            "y": np.where(group == 3, np.nan, y),
        }
    )


@pytest.mark.slow
def test_grid_search_ranks_the_planted_model_first() -> None:
    df = dependent()
    pinned = FlowDensity(**TWO_GAUSSIANS).fit(df).schema_
    search = GridSearchCV(
        FlowDensity(hidden_units=32, n_components=2, random_state=0, column_kinds=pinned),
        [{"n_layers": [4], "max_iter": [15]}, {"n_layers": [0], "max_iter": [1]}],
        cv=KFold(2, shuffle=True, random_state=0),
    ).fit(df)
    assert search.best_params_ == {"n_layers": 4, "max_iter": 15}
    better, worse = search.cv_results_["mean_test_score"]
    assert better > worse + 0.1
    assert search.best_estimator_.schema_ == pinned


def test_cross_validation_of_a_mixed_table() -> None:
    df = small_mix(300)
    pinned = FlowDensity(**TWO_GAUSSIANS).fit(df).schema_
    flow = FlowDensity(**TWO_EPOCHS, column_kinds=pinned)
    scores = cross_val_score(flow, df, cv=2)
    assert np.isfinite(scores).all()
    assert np.ptp(scores) < 1
    by_hand = clone(flow).fit(df.iloc[150:]).score(df.iloc[:150])
    assert scores[0] == pytest.approx(by_hand, rel=1e-9)


def test_pipelines_of_mixed_tables() -> None:
    df = small_mix(300)
    pipeline = make_pipeline(
        FunctionTransformer(lambda X: X.assign(length=2 * X["length"])), FlowDensity(**TWO_EPOCHS)
    )
    pipeline.fit(df)
    by_hand = FlowDensity(**TWO_EPOCHS).fit(df.assign(length=2 * df["length"]))
    np.testing.assert_array_equal(
        pipeline.score_samples(df), by_hand.score_samples(df.assign(length=2 * df["length"]))
    )
    last = make_pipeline(FlowDensity(**TWO_EPOCHS)).fit(df)
    pd.testing.assert_frame_equal(
        last.inverse_transform(last.transform(df))[["colour", "flag"]], df[["colour", "flag"]]
    )
    frozen = make_pipeline(FrozenEstimator(by_hand)).fit(df)
    np.testing.assert_array_equal(frozen.score_samples(df), by_hand.score_samples(df))


def test_clone_keeps_options_of_columns() -> None:
    options = {
        "column_kinds": {"length": "continuous"},
        "categorical_features": ["colour"],
        "bounds": {"length": (None, 100)},
    }
    flow = FlowDensity(**TWO_LAYERS, **options).fit(small_mix(200))
    twin = clone(flow)
    assert {name: twin.get_params()[name] for name in options} == options
    assert twin.fit(small_mix(200)).schema_ == flow.schema_


def test_options_of_columns_are_left_as_they_are() -> None:
    kinds, bounds, names = {"length": "continuous"}, {"length": (-50, None)}, ["colour", "flag"]
    flow = FlowDensity(
        **TWO_LAYERS, column_kinds=kinds, bounds=bounds, categorical_features=names
    ).fit(small_mix(200))
    assert flow.column_kinds is kinds
    assert flow.bounds is bounds
    assert flow.categorical_features is names
    assert (kinds, bounds, names) == (
        {"length": "continuous"},
        {"length": (-50, None)},
        ["colour", "flag"],
    )


def test_warm_start_keeps_the_schema_and_takes_other_rows() -> None:
    """Rows of which some are new to the schema: they are rare events, not errors."""
    df = small_mix(300)
    flow = FlowDensity(**TWO_LAYERS, warm_start=True).fit(df)
    schema = flow.schema_
    more = df.assign(colour=np.where(df.index < 3, "violet", df["colour"]))
    flow.fit(more)
    assert flow.schema_ is schema
    assert np.isfinite(flow.score_samples(more)).all()
