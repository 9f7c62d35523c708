"""Missing cells filled: containers, dtypes, distributions, the transformer around it."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.pipeline import make_pipeline

import skflow
from skflow import FlowDensity, FlowImputer
from tests.estimators.test_questions import mixed
from tests.settings import ONE_GAUSSIAN, TWO_GAUSSIANS, slow_but

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")


@pytest.fixture(scope="module")
def flow() -> FlowDensity:
    """A quick density of categories, numbers and dates."""
    return FlowDensity(**TWO_GAUSSIANS).fit(mixed(600))


def clone_fitted(imputer: FlowImputer) -> FlowImputer:
    """A copy with parameters of its own."""
    copied: FlowImputer = copy.copy(imputer)
    return copied


def with_holes(rows: pd.DataFrame, share: float = 0.3, seed: int = 0) -> pd.DataFrame:
    """Some cells missing, in any column."""
    return rows.mask(np.random.default_rng(seed).random(rows.shape) < share)


def test_known_cells_container_index_and_dtypes_stay(flow: FlowDensity) -> None:
    rows = with_holes(mixed(80, seed=1)).set_index(np.arange(100, 180))
    for strategy in ("sample", "typical"):
        filled = flow.impute(rows, strategy=strategy, random_state=0)
        assert not filled.isna().any(axis=None)
        assert (filled.dtypes == rows.dtypes).all()
        assert filled.index.equals(rows.index)
        pd.testing.assert_frame_equal(filled.where(rows.notna()), rows)


def test_rows_without_missing_cells_come_back(flow: FlowDensity) -> None:
    rows = mixed(30, seed=1).dropna()
    pd.testing.assert_frame_equal(flow.impute(rows), rows)


def test_a_row_that_is_missing_as_a_whole_is_a_sample(flow: FlowDensity) -> None:
    nothing = mixed(600).mask(np.ones((600, 4), dtype=bool))
    filled, drawn = flow.impute(nothing, random_state=0), flow.sample(600, random_state=0)
    shares = (table["kind"].value_counts(normalize=True)["u"] for table in (filled, drawn))
    assert next(shares) == pytest.approx(next(shares), abs=0.07)
    present = drawn["size"].dropna()
    assert filled["size"].mean() == pytest.approx(present.mean(), abs=0.15)
    assert filled["size"].std() == pytest.approx(present.std(), rel=0.1)


def test_values_follow_their_conditional_distribution() -> None:
    """Against the regression of one column on the other, and its residuals."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(2000)
    rows = np.column_stack((x, 0.8 * x + 0.6 * rng.standard_normal(2000)))
    flow = FlowDensity(**ONE_GAUSSIAN).fit(rows)
    partial = rows.copy()
    partial[:, 1] = np.nan
    residual = flow.impute(partial, random_state=0)[:, 1] - 0.8 * x
    assert residual.mean() == pytest.approx(0, abs=0.05)
    assert residual.std() == pytest.approx(0.6, rel=0.06)
    typical = flow.impute(partial, strategy="typical", random_state=0)[:, 1]
    assert np.abs(typical - 0.8 * x)[np.abs(x) < 2].mean() < 0.08


def test_missing_is_no_value_to_draw(flow: FlowDensity) -> None:
    """In the column that was missing in a tenth of the fitted rows, too."""
    rows = mixed(300, seed=2).assign(size=np.nan)
    assert not flow.impute(rows, random_state=0)["size"].isna().any()


def test_draws_depend_on_seed_and_row_alone(flow: FlowDensity) -> None:
    rows = with_holes(mixed(60, seed=3))
    filled = flow.impute(rows, random_state=1)
    pd.testing.assert_frame_equal(filled, flow.impute(rows, random_state=1))
    pd.testing.assert_frame_equal(filled.head(20), flow.impute(rows.head(20), random_state=1))
    assert not filled.equals(flow.impute(rows, random_state=2))


def test_polars_arrays_and_nullable_columns() -> None:
    rows = pd.DataFrame(
        {"n": pd.array(range(200), dtype="Int64"), "x": np.random.default_rng(0).normal(size=200)}
    )
    flow = FlowDensity(**ONE_GAUSSIAN).fit(rows)
    partial = with_holes(rows)
    assert flow.impute(partial)["n"].dtype == "Int64"
    of_polars = flow.impute(pl.from_pandas(partial))
    assert of_polars.dtypes == [pl.Int64, pl.Float64]
    assert of_polars.null_count().sum_horizontal().item() == 0
    of_array = FlowDensity(**ONE_GAUSSIAN).fit(rows.to_numpy(dtype=np.float32))
    filled = of_array.impute(partial.to_numpy(dtype=np.float32, na_value=np.nan))
    assert filled.dtype == np.float32
    assert not np.isnan(filled).any()


def test_a_column_without_any_value_stays_missing() -> None:
    rows = pd.DataFrame({"x": np.random.default_rng(0).normal(size=50), "nothing": np.nan})
    filled = FlowDensity(**ONE_GAUSSIAN).fit(rows).impute(rows.assign(x=np.nan))
    assert filled["nothing"].isna().all()
    assert not filled["x"].isna().any()


def test_strategies_are_checked(flow: FlowDensity) -> None:
    with pytest.raises(ValueError, match="'strategy' parameter"):
        flow.impute(mixed(3), strategy="mean")


@pytest.fixture(scope="module")
def imputer() -> FlowImputer:
    """An imputer with indicators."""
    density = FlowDensity(**ONE_GAUSSIAN)
    return FlowImputer(density, add_indicator=True, random_state=0).fit(mixed(300))


def test_indicators_mark_what_was_missing(imputer: FlowImputer) -> None:
    rows = with_holes(mixed(50, seed=1))
    filled = imputer.transform(rows)
    assert list(filled.columns) == list(imputer.get_feature_names_out())
    assert list(filled.columns) == [*rows.columns, "missingindicator_size"]
    assert filled["missingindicator_size"].tolist() == rows["size"].isna().astype(int).tolist()
    of_polars = imputer.transform(pl.from_pandas(rows))
    assert of_polars.columns == list(filled.columns)


def test_a_saved_or_pickled_imputer_draws_the_same(imputer: FlowImputer, tmp_path: Path) -> None:
    rows = with_holes(mixed(50, seed=1))
    imputer.save(tmp_path / "imputer.skflow")
    for same in (
        skflow.load(tmp_path / "imputer.skflow"),
        pickle.loads(pickle.dumps(imputer)),
    ):
        assert isinstance(same, FlowImputer)
        pd.testing.assert_frame_equal(same.transform(rows), imputer.transform(rows))


@pytest.fixture(scope="module")
def several() -> FlowImputer:
    """An imputer that was fitted to several completed tables."""
    imputer = FlowImputer(FlowDensity(**ONE_GAUSSIAN), random_state=0)
    return imputer.fit(with_holes(mixed(300)))


def test_seeds_take_fits_by_turns(several: FlowImputer) -> None:
    """Each draws as its density does; a generator chooses one at random."""
    rows, fits = with_holes(mixed(50, seed=1)), [several.density_, *several._other_fits]
    assert len(fits) == 4
    assert len({fit.score(mixed(50).dropna()) for fit in fits}) == 4
    for seed in (0, 3, 5):
        filled = clone_fitted(several).set_params(random_state=seed).transform(rows)
        drawn = fits[seed % 4].impute(rows, random_state=seed)
        pd.testing.assert_frame_equal(filled, drawn)
    generator = np.random.RandomState(0)
    drawn = clone_fitted(several).set_params(random_state=generator)
    assert not drawn.transform(rows).equals(drawn.transform(rows))


def test_typical_cells_are_those_of_all_fits(several: FlowImputer) -> None:
    rows = mixed(40, seed=1).assign(size=np.nan)
    filled = clone_fitted(several).set_params(strategy="typical").transform(rows)
    fits = [several.density_, *several._other_fits]
    guesses = [fit.impute(rows, strategy="typical", random_state=0)["size"] for fit in fits]
    assert (filled["size"] > np.min(guesses, axis=0) - 0.5).all()
    assert (filled["size"] < np.max(guesses, axis=0) + 0.5).all()
    assert np.corrcoef(filled["size"], np.mean(guesses, axis=0))[0, 1] > 0.9


def test_torch_is_as_before_when_the_fits_have_drawn_by_turns(several: FlowImputer) -> None:
    rows = with_holes(mixed(40, seed=2))
    clone_fitted(several).set_params(strategy="typical").transform(rows)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_several_fits_are_saved(several: FlowImputer, tmp_path: Path) -> None:
    rows = with_holes(mixed(50, seed=1))
    several.save(tmp_path / "imputer.skflow")
    loaded = skflow.load(tmp_path / "imputer.skflow")
    assert isinstance(loaded, FlowImputer)
    for seed in (0, 3):
        same = (own.set_params(random_state=seed) for own in (loaded, clone_fitted(several)))
        pd.testing.assert_frame_equal(*(own.transform(rows) for own in same))


def test_schema_is_that_of_the_known_cells(several: FlowImputer) -> None:
    """Kinds and grids of the table with missing cells, without the event of a missing one."""
    of_rows = FlowDensity(**ONE_GAUSSIAN).fit(with_holes(mixed(300))).schema_.columns
    for fit in (several.density_, *several._other_fits):
        assert fit.schema_ == several.density_.schema_
        assert [own.kind for own in fit.schema_.columns] == [own.kind for own in of_rows]
        assert all(own.missing == () for own in fit.schema_.columns)


@pytest.mark.usefixtures("every_candidate")
@pytest.mark.usefixtures("few_fits")
def test_missing_cells_of_the_fit_are_no_event() -> None:
    """What depends on a column with missing cells is found from the rows that have them all."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=500)
    X = pd.DataFrame({"x": x, "y": x + 0.1 * rng.normal(size=500)})
    partial = X.mask(rng.random(X.shape) < [0.4, 0.4])
    filled = FlowImputer(FlowDensity(n_layers=0), random_state=0).fit_transform(partial)
    one = partial.isna().sum(axis=1) == 1
    error = (filled["y"] - filled["x"])[one].abs()
    assert error.quantile(0.9) < 0.4  # 0.16 by the truth, 2.3 by independent columns


@pytest.mark.usefixtures("few_fits")
def test_a_step_of_a_pipeline() -> None:
    X = with_holes(pd.DataFrame(np.random.default_rng(0).normal(size=(80, 2)), columns=["a", "b"]))
    imputer = FlowImputer(FlowDensity(**ONE_GAUSSIAN), random_state=0)
    pipeline = make_pipeline(imputer, FlowDensity(**ONE_GAUSSIAN)).fit(X)
    assert pipeline.score_samples(X).shape == (80,)


@pytest.mark.usefixtures("few_fits")
def test_weights_of_rows_reach_the_density() -> None:
    X = np.concatenate((np.zeros(50), np.ones(50)))[:, None] + np.linspace(0, 0.1, 100)[:, None]
    weight = np.repeat([0.0, 1.0], 50)
    imputer = FlowImputer(FlowDensity(**ONE_GAUSSIAN), random_state=0)
    filled = imputer.fit(X, sample_weight=weight).transform(np.full((50, 1), np.nan))
    assert (filled > 0.5).all()
    assert len(imputer.fit(np.where(X < 0.05, np.nan, X), sample_weight=weight).indicated_) == 0


def test_a_density_with_conditions_is_refused() -> None:
    with pytest.raises(ValueError, match="given=None"):
        FlowImputer(FlowDensity(given=["x0"])).fit(np.random.default_rng(0).normal(size=(20, 2)))


@pytest.mark.usefixtures("few_fits")
def test_tables_of_categories_alone() -> None:
    """Shares of each category given the other column, which are counted."""
    rng = np.random.default_rng(0)
    b = rng.choice(["u", "v"], 400)
    a = np.where(rng.random(400) < np.where(b == "u", 0.9, 0.2), "x", "y")
    X = pd.DataFrame({"a": a, "b": b})
    flow = FlowDensity(**ONE_GAUSSIAN).fit(X)
    partial = pd.DataFrame({"a": [None] * 2000, "b": np.repeat(["u", "v"], 1000)})
    filled = flow.impute(partial, random_state=0)
    shares = (filled["a"] == "x").groupby(filled["b"]).mean()
    np.testing.assert_allclose(shares, (X["a"] == "x").groupby(X["b"]).mean(), atol=0.07)
    holes = with_holes(X)
    assert FlowImputer(flow, random_state=0).fit_transform(holes).notna().all(axis=None)


@pytest.mark.usefixtures("few_fits")
@pytest.mark.parametrize("strategy", slow_but(["sample"], ["sample", "typical"]))
def test_columns_of_few_values(strategy: str) -> None:
    """One value in all rows that have one; and a number or date of one row, which none repeats."""
    X = pd.DataFrame({"x": np.random.default_rng(0).normal(size=60)})
    X["constant"] = np.where(np.arange(60) % 3, 5.0, np.nan)
    X["category"] = pd.Series(["q"]).reindex(range(60))
    X["number"] = pd.Series([7.0]).reindex(range(60))
    X["date"] = pd.Series([pd.Timestamp("2020-01-01")]).reindex(range(60))
    imputer = FlowImputer(FlowDensity(**ONE_GAUSSIAN), strategy=strategy, random_state=0)
    filled = imputer.fit_transform(X)
    assert (filled["constant"] == 5).all()
    assert (filled["category"] == "q").all()
    pd.testing.assert_frame_equal(filled[["number", "date"]], X[["number", "date"]])


@pytest.mark.usefixtures("few_fits")
def test_indicators_are_of_the_dtype_of_an_array() -> None:
    X = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    X[:20, 0] = np.nan
    imputer = FlowImputer(FlowDensity(**ONE_GAUSSIAN), add_indicator=True, random_state=0)
    filled = imputer.fit_transform(X)
    assert filled.dtype == np.float32
    np.testing.assert_array_equal(filled[:, 2], np.isnan(X[:, 0]))


FEW = pd.DataFrame({"k": [600] * 10, "c": ["a"] * 10})  # rows of what the next fit holds
HALF = [1, None] * 5


@pytest.fixture(scope="module")
def of_counts() -> FlowDensity:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"k": rng.integers(500, 3000, 60), "c": ["a", "b", "z"] * 20})
    return FlowDensity(**ONE_GAUSSIAN).fit(X)


@pytest.mark.parametrize(
    "rows",
    [
        FEW.assign(k=pd.array(HALF, dtype="Int8")),
        FEW.assign(c=pd.Categorical(["a", None] * 5, categories=["a"])),
        pl.from_pandas(FEW).with_columns(k=pl.Series(HALF, dtype=pl.Int8)),
        pl.from_pandas(FEW).with_columns(c=pl.Series(["a", None] * 5, dtype=pl.Enum(["a"]))),
    ],
)
def test_dtypes_that_cannot_hold_what_was_fitted_are_refused(
    rows: Any, of_counts: FlowDensity
) -> None:
    """Narrower integers would wrap around, and undeclared categories stay missing."""
    with pytest.raises(ValueError, match=r"cannot hold .*\(.*(?i:int8|cat|enum)"):
        of_counts.impute(rows, random_state=0)
    wide = pd.DataFrame({"k": pd.array(HALF, dtype="Int16"), "c": ["a", None] * 5})
    assert of_counts.impute(wide, random_state=0).notna().all(axis=None)


@pytest.mark.slow
def test_intervals_of_multiple_imputation_cover_the_mean() -> None:
    """Rubin's rules: variance within and between tables; more than half of y is missing."""
    covered, errors = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(200, 2))
        y = x @ [0.6, 0.5] + 0.7 * rng.normal(size=200)
        X = np.column_stack([x, np.where(rng.random(200) < 1 / (1 + np.exp(-x[:, 0])), np.nan, y)])
        imputer = FlowImputer(FlowDensity(n_layers=0), random_state=seed).fit(X)
        tables = [imputer.set_params(random_state=k).transform(X)[:, 2] for k in range(8)]
        means = np.array([table.mean() for table in tables])
        variance = np.mean([table.var(ddof=1) for table in tables]) / 200
        variance += (1 + 1 / len(tables)) * means.var(ddof=1)
        covered.append(abs(means.mean()) < 1.645 * np.sqrt(variance))  # the truth is 0
        errors.append(means.mean())
    assert abs(np.mean(errors)) < 0.06
    assert np.mean(covered) > 0.7
