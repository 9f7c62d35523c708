"""FlowDensity(given=...): the density of some columns given others, of every kind on both sides."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from pandas.testing import assert_frame_equal
from polars.testing import assert_frame_equal as polars_equal
from scipy import stats
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skflow import FlowDensity, FlowOutlierDetector, load
from tests.mixed import every_kind, every_polars_kind
from tests.settings import (
    CHOSEN_GAUSSIANS,
    ONE_GAUSSIAN,
    ONE_TINY_LAYER,
    TWO_GAUSSIANS,
    TWO_LAYERS,
    one_of_each,
    slow_but,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::skflow.exceptions.StrangeLabelsWarning"),
    pytest.mark.usefixtures("few_candidates_in_file"),
]


def dependent(n_rows: int, seed: int = 0) -> pd.DataFrame:
    """A number, a category and a number with missing values that depend on two conditions."""
    rng = np.random.default_rng(seed)
    x, group = rng.standard_normal(n_rows), rng.choice(["a", "b"], n_rows)
    shown = rng.random(n_rows) < 1 / (1 + np.exp(-x))
    return pd.DataFrame(
        {
            "x": x,
            "y": (2 * x + (group == "a") + rng.standard_normal(n_rows) / 10).round(9),
            "group": group,
            "level": np.where(rng.random(n_rows) < 1 / (1 + np.exp(-3 * x)), "high", "low"),
            "z": np.where(shown, x + rng.standard_normal(n_rows), np.nan).round(9),
        }
    )


GIVEN = ["x", "group"]
TARGETS = ["y", "level", "z"]


@pytest.fixture(scope="module")
def flow() -> FlowDensity:
    return FlowDensity(given=GIVEN, **TWO_LAYERS).fit(dependent(400))


@pytest.mark.parametrize(
    ("first", "settings"), one_of_each([0, 1], [TWO_GAUSSIANS, ONE_TINY_LAYER])
)
def test_columns_of_every_kind_on_either_side(first: int, settings: dict[str, Any]) -> None:
    df = every_kind(200)
    given = list(df.columns[first::2])
    flow = FlowDensity(given=given, **settings).fit(df)
    assert np.isfinite(flow.score_samples(df)).all()
    Z = flow.transform(df)
    assert Z.shape[1] == len(flow.get_feature_names_out())
    assert not set(flow.get_feature_names_out()) & set(given)
    assert_frame_equal(flow.inverse_transform(Z, given=df[given]), df, check_index_type=False)
    drawn = flow.sample(2, random_state=0, given=df[given][:5])
    assert drawn.dtypes.equals(df.dtypes)
    assert_frame_equal(drawn[given], df[given].loc[np.repeat(range(5), 2)].reset_index(drop=True))


def test_polars_frames_and_arrays() -> None:
    df = every_polars_kind(120)
    given = df.columns[::2]
    flow = FlowDensity(given=given, **ONE_GAUSSIAN).fit(df)
    back = flow.inverse_transform(flow.transform(df), given=df)
    # As texts: early versions of polars tell categories of two frames apart.
    polars_equal(back[given], df[given], check_exact=True, categorical_as_str=True)
    assert flow.sample(given=df[:3], random_state=0).schema == df.schema
    X = np.random.default_rng(0).standard_normal((80, 3)).round(6)
    flow = FlowDensity(given=[2], **ONE_GAUSSIAN).fit(X)
    assert (flow.inverse_transform(flow.transform(X), given=X[:, 2:]) == X).all()
    assert flow.transform(X).shape == (80, 2)


def test_the_start_knows_the_conditions() -> None:
    """Within a tenth of a nat of the truth, in closed form: numbers, labels, missing values."""
    rows, fresh = dependent(1000), dependent(2000, seed=1)
    known = fresh.x
    missing = fresh.z.isna()
    truth = stats.norm.logpdf(fresh.y, 2 * known + (fresh.group == "a"), 0.1)
    truth += stats.logistic.logcdf(3 * known * np.where(fresh.level == "high", 1, -1))
    truth += stats.logistic.logcdf(known * np.where(missing, -1, 1))
    truth += np.where(missing, 0.0, stats.norm.logpdf(fresh.z.fillna(0), known, 1))
    flow = FlowDensity(given=GIVEN, **TWO_GAUSSIANS).fit(rows)
    assert flow.score(fresh) == pytest.approx(np.mean(truth), abs=0.1)


def test_densities_sum_and_integrate_to_one() -> None:
    """Over a category and a number with missing values: summed over labels, integrated."""
    df = dependent(400)[["x", "group", "level", "z"]]
    flow = FlowDensity(given=GIVEN, **TWO_LAYERS).fit(df)
    z = np.append(np.linspace(-40, 40, 20_001), np.nan)
    for row in range(3):
        total = 0.0
        for level in ("high", "low"):
            rows = df.iloc[[row] * len(z)].assign(z=z, level=level)
            density = np.exp(flow.score_samples(rows))
            total += np.trapezoid(density[:-1], z[:-1]) + density[-1]
        assert total == pytest.approx(1, abs=1e-3)


def test_draws_follow_the_density() -> None:
    """Distribution function of draws, by integrals of the density, is uniform."""
    df = dependent(400)[["x", "group", "y"]]
    flow = FlowDensity(given=GIVEN, **TWO_LAYERS).fit(df)
    for row in (0, 1):
        draws = flow.sample(500, random_state=0, given=df[GIVEN][row : row + 1])
        assert len(draws) == 500
        grid = np.linspace(draws.y.min() - 1, draws.y.max() + 1, 20_001)
        density = np.exp(flow.score_samples(df.iloc[[row] * len(grid)].assign(y=grid)))
        below = np.concatenate(([0.0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(grid))))
        assert stats.kstest(np.interp(draws.y, grid, below), "uniform").pvalue > 1e-3


def test_a_single_number_has_its_distribution_function_in_the_latent() -> None:
    df = dependent(400)[["x", "y"]]
    flow = FlowDensity(given=["x"], **TWO_LAYERS).fit(df)
    y = np.linspace(-8, 8, 40_001)
    rows = pd.DataFrame({"x": 0.3, "y": y})
    density = np.exp(flow.score_samples(rows))
    below = np.concatenate(([0.0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(y))))
    found = stats.norm.cdf(np.asarray(flow.transform(rows)).ravel())
    np.testing.assert_allclose(found, below, atol=1e-3)


def test_conditions_never_seen_have_finite_scores(flow: FlowDensity) -> None:
    rows = dependent(6).assign(
        x=[1e300, -1e6, np.nan, 0.0, 0.0, 0.0], group=["a", "b", "a", "never", None, "b"]
    )
    scores = flow.score_samples(rows)
    assert np.isfinite(scores).all()
    back = flow.inverse_transform(flow.transform(rows), given=rows)
    assert_frame_equal(back[TARGETS], rows[TARGETS])
    assert back.group.tolist()[:4] == ["a", "b", "a", "never"]
    drawn = flow.sample(given=rows, random_state=0)
    assert drawn.level.isin(["high", "low"]).all()
    assert drawn.y.notna().all()


def test_conditions_come_back_as_they_came() -> None:
    df = dependent(80).assign(n=np.arange(80) % 50, group=lambda df: df.group.astype("category"))
    flow = FlowDensity(given=["n", "group"], **ONE_GAUSSIAN).fit(df)
    given = pd.DataFrame({"group": pd.Categorical(["a", "new"]), "n": [0.5, 1.0]})
    drawn = flow.sample(given=given, random_state=0)
    assert list(drawn.columns) == list(df.columns)
    assert drawn.n.tolist() == [0.5, 1.0]
    assert drawn.group.tolist() == ["a", "new"]
    drawn = flow.sample(given=pl.DataFrame({"n": [7], "group": ["b"]}), random_state=0)
    assert (drawn.n.dtype, drawn.group.dtype) == (df.n.dtype, df.group.dtype)


def test_the_order_of_columns_does_not_matter(flow: FlowDensity) -> None:
    given = dependent(5)[["group", "x"]]
    first, second = (flow.sample(random_state=0, given=g) for g in (given, given[["x", "group"]]))
    assert_frame_equal(first, second)


def test_schema_says_what_is_given(flow: FlowDensity) -> None:
    assert flow.schema_.to_frame().set_index("column")["is_given"].to_dict() == {
        "x": True, "y": False, "group": True, "level": False, "z": False,
    }  # fmt: skip
    assert "given" in repr(flow.schema_).splitlines()[1]
    joint = FlowDensity(**ONE_GAUSSIAN).fit(dependent(400))
    assert joint.schema_ != flow.schema_  # another measure
    pinned = FlowDensity(given=GIVEN, column_kinds=joint.schema_, **ONE_GAUSSIAN)
    assert pinned.fit(dependent(400)).schema_ == flow.schema_


def test_files_pickles_and_clones(flow: FlowDensity, tmp_path: Path) -> None:
    rows = dependent(50, seed=2)
    flow.save(tmp_path / "model.skflow")
    for again in (load(tmp_path / "model.skflow"), pickle.loads(pickle.dumps(flow))):
        np.testing.assert_array_equal(again.score_samples(rows), flow.score_samples(rows))
        assert_frame_equal(
            again.sample(given=rows, random_state=0), flow.sample(given=rows, random_state=0)
        )
        assert (again.schema_, again.given) == (flow.schema_, GIVEN)
    assert clone(flow).fit(dependent(400)).score(rows) == flow.score(rows)


def test_searches_warm_starts_and_checkpoints(tmp_path: Path) -> None:
    df = dependent(120)
    search = GridSearchCV(FlowDensity(**ONE_GAUSSIAN), {"given": [["x"], GIVEN]}, cv=2)
    assert search.fit(df).best_params_["given"] in (["x"], GIVEN)
    flow = FlowDensity(given=GIVEN, warm_start=True, **ONE_TINY_LAYER).fit(df)
    before = flow.best_validation_score_
    assert flow.fit(df).best_validation_score_ > before - 0.5
    once = ONE_TINY_LAYER | {"early_stopping": False}
    kept = FlowDensity(given=GIVEN, checkpoint_path=tmp_path / "kept", **once)
    expected = FlowDensity(given=GIVEN, **once).fit(df).score_samples(df)
    for _ in range(2):  # the second goes on from the end of the first
        np.testing.assert_array_equal(kept.fit(df).score_samples(df), expected)


def test_validation_rows_of_ones_own() -> None:
    df = dependent(200)
    flow = FlowDensity(given=GIVEN, **TWO_LAYERS).fit(df[:150], X_val=df[150:])
    assert flow.best_validation_score_ == pytest.approx(flow.score(df[150:]), abs=1e-3)


FAULTS: dict[str, tuple[Callable[[FlowDensity], Any], str]] = {
    "no conditions": (lambda flow: flow.sample(), "call sample with given="),
    "a column too few": (lambda flow: flow.sample(given=dependent(3)[["x"]]), "lacks .'group'"),
    "a strange column": (lambda flow: flow.sample(given=dependent(3).assign(q=1)), "holds .'q'"),
    "no rows": (lambda flow: flow.sample(given=dependent(3)[:0]), "no rows"),
    "other rows": (
        lambda flow: flow.inverse_transform(np.zeros((2, 4)), given=dependent(3)),
        "3 rows and Z has 2",
    ),
    "a dictionary": (lambda flow: flow.sample(given={"x": [1.0]}), r"pd\.DataFrame"),
    "an array of one column": (lambda flow: flow.sample(given=np.zeros((2, 1))), "or all 5"),
    "another kind": (lambda flow: flow.sample(given=dependent(3).assign(x="word")), "'x'"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_conditions_that_do_not_fit_are_refused(flow: FlowDensity, fault: str) -> None:
    call, message = FAULTS[fault]
    with pytest.raises((TypeError, ValueError), match=message):
        call(flow)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (list(dependent(2).columns), "all 5 columns"),
        (["nothing"], "'nothing', which is no column"),
        ([], "names no column"),
        ([7], "7, which is no column"),
        ([True, False, False, False, False], "True, which is no column"),
        (2.5, "must be an array-like"),
    ],
)
def test_choices_that_make_no_sense_are_refused(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FlowDensity(given=given, **ONE_GAUSSIAN).fit(dependent(50))


def test_joint_densities_take_no_conditions() -> None:
    df = dependent(50)
    flow = FlowDensity(**ONE_GAUSSIAN).fit(df)
    with pytest.raises(ValueError, match="this one is joint"):
        flow.sample(given=df)
    with pytest.raises(ValueError, match="this one is joint"):
        flow.inverse_transform(flow.transform(df), given=df)
    with pytest.raises(ValueError, match="joint density"):
        FlowOutlierDetector(density=FlowDensity(given=["x"], n_layers=0)).fit(df)


def test_levels_of_a_condition_are_numbers_too() -> None:
    rng = np.random.default_rng(0)
    x = rng.choice([0.0, 1.0, 2.0, 4.0, 5.0], 400)
    y = 3 * x + rng.standard_normal(400) / 2
    flow = FlowDensity(given=["x"], **ONE_GAUSSIAN).fit(pd.DataFrame({"x": x, "y": y}))
    assert flow.schema_.columns[0].kind == "levels"
    assert len(flow._density.codec.given.layout.value_labels) == 1
    fresh = pd.DataFrame({"x": [1.0, 3.0, np.nan, 1e300]})
    drawn = flow.sample(400, random_state=0, given=fresh)["y"].to_numpy().reshape(4, 400)
    assert drawn[0].mean() == pytest.approx(3, abs=0.3)
    assert drawn[1].mean() == pytest.approx(9, abs=0.3)  # 3 is never seen, and halfway to 4
    assert 0.5 < drawn[1].std() < 1.5  # no fitted row has such a y
    assert np.isfinite(drawn).all()


def dosed(n_rows: int = 400) -> pd.DataFrame:
    """A number and a class that depend on a dose of four levels, and on a number."""
    rng = np.random.default_rng(0)
    dose, x = rng.choice([0.0, 10.0, 20.0, 50.0], n_rows), rng.standard_normal(n_rows)
    y = dose / 10 + x + rng.standard_normal(n_rows) / 5
    cured = np.where(rng.random(n_rows) < dose / 100 + 0.2, "yes", "no")
    return pd.DataFrame({"dose": dose, "x": x, "y": y, "cured": cured})


@pytest.mark.parametrize("settings", [CHOSEN_GAUSSIANS, TWO_LAYERS], ids=["start", "trained"])
def test_answers_between_levels_are_those_of_a_smooth_effect(settings: dict[str, Any]) -> None:
    """They were those of neither neighbour: 3 where 0.5 is true, with narrow intervals."""
    flow = FlowDensity(given=["dose", "x"], **settings).fit(dosed().drop(columns="cured"))
    fresh = pd.DataFrame(
        {"dose": [0.0, 5, 10, 15, 20, 35, 50] * 3, "x": np.repeat([-1.0, 0, 1], 7)}
    )
    drawn = flow.sample(400, random_state=0, given=fresh)["y"].to_numpy().reshape(-1, 400)
    truth = fresh.dose / 10 + fresh.x
    np.testing.assert_allclose(np.median(drawn, axis=1), truth, atol=0.25)
    low, high = np.quantile(drawn, [0.05, 0.95], axis=1)
    assert ((low < truth) & (truth < high)).all()
    assert (high - low < 2 * 3.29 / 5).all()


@pytest.mark.usefixtures("every_candidate")
@pytest.mark.parametrize("seed", slow_but([1], range(6)))
def test_missing_levels_leave_answers_between_levels_as_they_are(seed: int) -> None:
    """The mean at a dose of 30 was 5.2, 6.0, 5.6, 6.0, 6.6 and 6.5, by the seed."""
    rng = np.random.default_rng(seed)
    dose = rng.choice([0.0, 10.0, 50.0], 1200)
    df = pd.DataFrame({"dose": dose, "y": dose / 5 + rng.standard_normal(1200)})
    df.loc[rng.permutation(1200)[:200], "dose"] = np.nan
    flow = FlowDensity(given=["dose"], **CHOSEN_GAUSSIANS | {"random_state": seed}).fit(df)
    fresh = pd.DataFrame({"dose": [0.0, 5, 10, 20, 30, 40, 50]})
    drawn = flow.sample(2000, random_state=0, given=fresh)["y"].to_numpy().reshape(7, -1)
    np.testing.assert_allclose(drawn.mean(axis=1), fresh.dose / 5, atol=0.25)
    np.testing.assert_allclose(drawn.std(axis=1), 1.0, atol=0.25)
    missing = fresh.head(1).assign(dose=np.nan)
    spread = flow.sample(2000, random_state=0, given=missing)["y"].std()
    assert spread == pytest.approx(df["y"].std(), rel=0.1)


def test_probabilities_between_levels_are_averages_by_distance() -> None:
    df = dosed()[["dose", "cured"]]
    flow = FlowDensity(given=["dose"], **ONE_TINY_LAYER).fit(df)

    def probability(dose: float) -> float:
        return float(np.exp(flow.score_samples(df[:1].assign(dose=dose, cured="yes")))[0])

    between = 0.75 * probability(20) + 0.25 * probability(50)
    assert probability(27.5) == pytest.approx(between, rel=1e-9)
    assert probability(-10) == pytest.approx(probability(0), rel=0.5)  # beyond all levels


def test_numbers_never_seen_of_two_levels_and_of_one() -> None:
    rng = np.random.default_rng(0)
    dose, one = rng.choice([0, 1], 300), np.full(300, 7)
    df = pd.DataFrame({"dose": dose, "one": one, "y": dose + rng.standard_normal(300) / 10})
    flow = FlowDensity(given=["dose", "one"], **ONE_GAUSSIAN).fit(df)
    fresh = pd.DataFrame({"dose": [0.0, 0.5, 1.0, 9.0], "one": [7, 7, 8, 6]})
    drawn = flow.sample(300, random_state=0, given=fresh)["y"].to_numpy().reshape(4, 300)
    np.testing.assert_allclose(drawn.mean(axis=1), [0, 0.5, 1, 1], atol=0.1)
    rows = fresh.assign(y=0.5)
    np.testing.assert_array_equal(flow.score_samples(rows)[:1], flow.score_samples(rows[:1]))
    assert_frame_equal(flow.inverse_transform(flow.transform(rows), given=rows), rows)
    again = pickle.loads(pickle.dumps(flow))
    np.testing.assert_array_equal(again.score_samples(rows), flow.score_samples(rows))


def test_atoms_of_a_condition_are_numbers_too() -> None:
    rng = np.random.default_rng(0)
    x = np.where(rng.random(600) < 0.5, rng.integers(0, 8, 600) / 2, rng.uniform(0, 4, 600))
    df = pd.DataFrame({"x": x, "y": 3 * x + rng.standard_normal(600) / 2})
    flow = FlowDensity(given=["x"], **ONE_GAUSSIAN).fit(df)
    atoms = np.arange(8) / 2
    assert flow.schema_.columns[0].atoms == tuple(atoms)
    rows = flow._density.container.read(pd.DataFrame({"x": [*atoms, 0.75], "y": 0.0}))
    encoded = flow._density.codec.encode(rows).given
    assert encoded.labels[:, 0].tolist() == [*range(8), 8]  # the last: "a value"
    scale = encoded.values[-1, 0] / 0.75
    np.testing.assert_array_equal(encoded.values[:-1, 0], scale * atoms)
