"""FlowOutlierDetector: scores without a unit, valid p-values, manners."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import kstest, multivariate_normal, rankdata
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skflow import FlowDensity, FlowOutlierDetector
from skflow.fitted.detector import FittedScorers
from tests.mixed import every_kind, every_polars_kind, small_mix
from tests.settings import ONE_GAUSSIAN, slow_but

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")

GAUSSIAN = {"density": FlowDensity(n_layers=0, n_components=1), "random_state": 0}
TRAINED = FlowDensity(n_layers=1, hidden_units=8, n_components=2, max_iter=2)
LAYERED = {"density": TRAINED, "random_state": 0}


def draw_normal(n_rows: int, seed: int = 0) -> np.ndarray:
    root = np.random.default_rng(1).standard_normal((5, 5))
    return np.random.default_rng(seed).standard_normal((n_rows, 5)) @ root


def clustered_plane(n_rows: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.array([[1.0, 4.0], [2.0, 1.0], [-1.5, 3.0]])
    return centres[rng.integers(3, size=n_rows)] + rng.standard_normal((n_rows, 2))


@pytest.fixture(scope="module")
def detector() -> FlowOutlierDetector:
    return FlowOutlierDetector(**GAUSSIAN).fit(draw_normal(600))


@pytest.fixture(scope="module")
def mixed() -> FlowOutlierDetector:
    return FlowOutlierDetector(**LAYERED).fit(small_mix(400))


def test_scores_order_rows_as_the_true_density_does(detector) -> None:
    root = np.random.default_rng(1).standard_normal((5, 5))
    new = 2 * draw_normal(500, seed=2)
    true = multivariate_normal(np.zeros(5), root.T @ root).logpdf(new)
    correlation = np.corrcoef(rankdata(detector.score_samples(new)), rankdata(true))[0, 1]
    assert correlation > 0.9


def test_decision_is_the_score_from_the_threshold(detector) -> None:
    new = 3 * draw_normal(200, seed=3)
    scores, decision = detector.score_samples(new), detector.decision_function(new)
    assert scores.dtype == decision.dtype == np.float64
    np.testing.assert_array_equal(decision, scores - detector.offset_)
    np.testing.assert_array_equal(detector.predict(new), np.where(decision >= 0, 1, -1))
    assert set(detector.predict(new)) == {-1, 1}


@pytest.mark.parametrize("n_rows", slow_but([300], [300, 2_400]))
def test_p_values_of_fresh_normal_rows_are_uniform(n_rows) -> None:
    shares = []
    for seed in range(4):
        detector = FlowOutlierDetector(**GAUSSIAN | {"random_state": seed})
        p = detector.fit(draw_normal(n_rows, seed=seed)).p_values(
            draw_normal(2_000, seed=100 + seed)
        )
        assert p.min() >= 1 / (detector.n_calibration_ + 1)
        assert kstest(p, "uniform").statistic < 0.12
        shares.append([(p <= 0.01).mean(), (p <= 0.05).mean(), (p <= 0.5).mean()])
    # Cross-fitting errs on the safe side: the whole is fitted to more rows than its parts.
    for share, alpha in zip(np.mean(shares, axis=0), (0.01, 0.05, 0.5), strict=True):
        assert 0.5 * alpha < share < 1.4 * alpha


def test_calibration_rows_are_held_out_of_many_and_all_of_few() -> None:
    assert FlowOutlierDetector(**GAUSSIAN).fit(draw_normal(2_000)).n_calibration_ == 500
    assert FlowOutlierDetector(**GAUSSIAN).fit(draw_normal(150)).n_calibration_ == 150


def test_calibration_rows_are_fitted_by_nothing(monkeypatch) -> None:
    # Every number occurs once: no fit may have seen one of the rows that it judges.
    fitted: list[set] = []
    judged: list[set] = []
    fit = FlowDensity._fit
    measure = FittedScorers.measure

    def spy_fit(self, known, rows, *args, **options):
        fitted.append(set(rows.stored(slice(None)).columns[0].values))
        return fit(self, known, rows, *args, **options)

    def spy_measure(self, table, device):
        judged.append(set(table.columns[0].values))
        return measure(self, table, device)

    monkeypatch.setattr(FlowDensity, "_fit", spy_fit)
    monkeypatch.setattr(FittedScorers, "measure", spy_measure)
    FlowOutlierDetector(**GAUSSIAN).fit(draw_normal(120))
    assert len(fitted) == 1 + len(judged)
    for own, others in zip(judged, fitted[1:], strict=True):
        assert not own & others
    assert set.union(*judged) == fitted[0]
    fitted.clear()
    judged.clear()
    FlowOutlierDetector(**GAUSSIAN).fit(draw_normal(2_000))
    assert len(fitted) == len(judged) == 1
    assert not judged[0] & fitted[0]


def test_auto_flags_about_one_normal_row_in_a_hundred() -> None:
    detector = FlowOutlierDetector(**GAUSSIAN).fit(draw_normal(4_000))
    flagged = detector.predict(draw_normal(8_000, seed=9)) == -1
    assert 0.005 < flagged.mean() < 0.02


@pytest.mark.parametrize("n_rows", slow_but([99, 199, 2_000], [99, 100, 198, 199, 600, 2_000]))
def test_auto_flags_where_the_p_value_is_at_most_a_hundredth(n_rows) -> None:
    X = clustered_plane(n_rows, seed=0)
    detector = FlowOutlierDetector(**GAUSSIAN).fit(X)
    calibration = detector._detector.calibration.scores
    assert detector.offset_ in calibration
    scores = np.concatenate((calibration, np.nextafter(calibration, -np.inf)))
    np.testing.assert_array_equal(
        scores < detector.offset_, detector._detector.p_values(scores) <= 0.01
    )
    for rows in (X, 2 * clustered_plane(2_000, seed=9), clustered_plane(500, seed=1)):
        p = detector.p_values(rows)
        np.testing.assert_array_equal(detector.predict(rows) == -1, p <= 0.01)
    assert (p <= 0.01).any() or n_rows < 600


def test_auto_and_p_values_agree_on_mixed_tables(mixed) -> None:
    rows = pd.concat([small_mix(400, seed=8), small_mix(400)])
    np.testing.assert_array_equal(mixed.predict(rows) == -1, mixed.p_values(rows) <= 0.01)


@pytest.mark.usefixtures("few_fits")
def test_a_share_is_a_quantile_of_the_training_rows() -> None:
    X = draw_normal(300)
    detector = FlowOutlierDetector(contamination=0.1, **GAUSSIAN).fit(X)
    assert (detector.predict(X) == -1).sum() == 30
    assert detector.offset_ == pytest.approx(np.percentile(detector.score_samples(X), 10))
    labels = clone(detector).fit_predict(X)
    np.testing.assert_array_equal(labels, detector.predict(X))


def test_few_rows_cannot_reach_a_hundredth() -> None:
    detector = FlowOutlierDetector(**GAUSSIAN).fit(draw_normal(40))
    with pytest.warns(UserWarning, match="below 0.0244, because 40 rows"):
        p = detector.p_values(1e6 * np.ones((1, 5)))
    assert p == pytest.approx(1 / 41)
    assert detector.predict(1e6 * np.ones((1, 5))) == -1


@pytest.mark.usefixtures("few_fits")
@pytest.mark.parametrize("factor", [1_000.0, 2.0**-30])
def test_units_change_nothing(factor) -> None:
    scales = np.array([1.0, factor, 1.0, 1.0, 1 / factor])
    X, new = draw_normal(150), 2 * draw_normal(20, seed=5)
    one = FlowOutlierDetector(**GAUSSIAN).fit(X)
    other = FlowOutlierDetector(**GAUSSIAN).fit(X * scales)
    np.testing.assert_allclose(
        other.score_samples(new * scales), one.score_samples(new), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(
        other.score_features(new * scales), one.score_features(new), rtol=1e-5, atol=1e-5
    )


def test_one_strange_column_is_not_drowned_by_twenty_ordinary_ones() -> None:
    rng = np.random.default_rng(0)
    detector = FlowOutlierDetector(**GAUSSIAN).fit(rng.standard_normal((2_000, 21)))
    new = rng.standard_normal((200, 21)) * 0.8
    new[:, 7] = 7.0
    assert (detector.p_values(new) <= 0.01).mean() > 0.95


def test_a_strange_combination_of_ordinary_values_is_found() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2_000, 8))
    X[:, 1] = X[:, 0] + 0.05 * rng.standard_normal(2_000)
    detector = FlowOutlierDetector(**GAUSSIAN).fit(X)
    new = 0.8 * rng.standard_normal((200, 8))
    new[:, 0], new[:, 1] = 0.7, -0.7
    assert (detector.p_values(new) <= 0.01).mean() > 0.95


def test_robust_finds_outliers_among_its_training_rows() -> None:
    rng = np.random.default_rng(0)
    normal, group = draw_normal(450), draw_normal(50, seed=7) * 0.2 + 12
    X, is_outlier = np.concatenate((normal, group)), np.repeat([False, True], [450, 50])
    order = rng.permutation(500)
    X, is_outlier = X[order], is_outlier[order]
    robust = FlowOutlierDetector(robust=True, **GAUSSIAN).fit(X)
    assert roc_auc_score(is_outlier, -robust.score_samples(X)) > 0.999
    assert (robust.predict(X[is_outlier]) == -1).all()
    assert (robust.predict(draw_normal(1_000, seed=8)) == -1).mean() < 0.05
    drawn = robust.density_.sample(500, random_state=0)
    assert robust.density_.score_samples(group).max() < robust.density_.score_samples(drawn).min()


def test_robust_learns_a_common_category() -> None:
    rng = np.random.default_rng(0)

    def payments(n_rows: int) -> pd.DataFrame:
        frame = pd.DataFrame(rng.normal(size=(n_rows, 2)), columns=["amount", "age"])
        return frame.assign(by=np.where(rng.random(n_rows) < 0.12, "card", "cash"))

    robust = FlowOutlierDetector(robust=True, **GAUSSIAN).fit(payments(1_000))
    drawn = robust.density_.sample(1_000, random_state=0)
    assert 0.08 < (drawn["by"] == "card").mean() < 0.16
    fresh = payments(2_000)
    assert (robust.predict(fresh[fresh["by"] == "card"]) == -1).mean() < 0.1


def test_robust_costs_little_where_nothing_is_strange() -> None:
    X, fresh = draw_normal(1_000), draw_normal(2_000, seed=4)
    robust = FlowOutlierDetector(robust=True, **GAUSSIAN).fit(X)
    assert (robust.p_values(fresh) <= 0.01).mean() < 0.03
    assert robust.n_calibration_ > 950


def test_density_is_a_fitted_flow_density(detector) -> None:
    assert isinstance(detector.density_, FlowDensity)
    X = draw_normal(10)
    np.testing.assert_allclose(
        detector.density_.inverse_transform(detector.density_.transform(X)), X, atol=1e-9
    )
    assert detector.n_iter_ == detector.density_.n_iter_


def rare_categories(n_rows: int, seed: int, *, fewest: int) -> pd.DataFrame:
    """Categories and levels of which many occur ``fewest`` times; the others are common."""
    rng = np.random.default_rng(seed)
    rare = np.repeat(np.arange(5, 5 + n_rows // (4 * fewest)), fewest)
    codes = rng.permutation(np.concatenate((rare, rng.integers(5, size=n_rows - len(rare)))))
    levels = np.concatenate((np.repeat([7, 8, 9], 2), rng.integers(4, size=n_rows - 6)))
    shop = pd.Series([f"shop {code}" for code in codes])
    shop[rng.random(n_rows) < 2 / n_rows] = None
    return pd.DataFrame({"shop": shop, "level": levels, "size": rng.normal(size=n_rows)})


@pytest.mark.parametrize(
    ("n_rows", "fewest", "robust"),
    slow_but(
        [(240, 2, True), (2_000, 1, False)],
        [(240, 1, False), (240, 2, True), (2_000, 1, False), (2_000, 3, True)],
    ),
)
def test_the_density_knows_what_all_training_rows_hold(n_rows, fewest, robust) -> None:
    X = rare_categories(n_rows, seed=fewest, fewest=fewest)
    detector = FlowOutlierDetector(robust=robust, **GAUSSIAN).fit(X)
    density = detector.density_
    assert density.schema_ == FlowDensity(**ONE_GAUSSIAN).fit(X).schema_
    pd.testing.assert_frame_equal(density.inverse_transform(density.transform(X)), X)
    fresh = X.iloc[[0]].assign(shop="never seen")
    assert np.isfinite(detector.score_samples(fresh)).all()
    assert density.score_samples(X).min() > -30


def test_labels_that_no_fitted_row_has_are_as_likely_as_rare_ones() -> None:
    X = rare_categories(2_000, seed=0, fewest=2)[["shop", "level"]]
    detector = FlowOutlierDetector(clone(TRAINED).set_params(max_iter=30), random_state=0).fit(X)
    density = detector.density_
    names = density.schema_.columns[0].levels
    unfitted = detector._detector.scorers.unfitted[: len(names)]
    assert 10 < unfitted.sum() < 0.2 * len(names)
    every = pd.DataFrame({"shop": names, "level": 1})
    log_probs = density.score_samples(every)
    rare = np.array([int(name[5:]) >= 5 for name in names]) & ~unfitted
    gap = np.median(log_probs[rare]) - log_probs[unfitted]
    assert gap.min() > -1
    assert gap.max() < 3


def test_p_values_hold_where_many_categories_are_rare() -> None:
    def shops(seed: int, n_rows: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        rare = rng.random(n_rows) < 0.3
        codes = np.where(rare, rng.integers(5, 3_000, size=n_rows), rng.integers(5, size=n_rows))
        frame = pd.DataFrame({"shop": [f"shop {code}" for code in codes]})
        return frame.assign(size=rng.normal(size=n_rows))

    shares = []
    for seed in range(4):
        detector = FlowOutlierDetector(**GAUSSIAN | {"random_state": seed})
        p = detector.fit(shops(seed, 300)).p_values(shops(100 + seed, 2_000))
        shares.append([(p <= alpha).mean() for alpha in (0.05, 0.1, 0.5)])
    # A shop new to all rows is no stranger than one new to the rows that were fitted.
    for share, alpha in zip(np.mean(shares, axis=0), (0.05, 0.1, 0.5), strict=True):
        assert 0.6 * alpha < share < 1.3 * alpha


def test_parameters_of_the_density_are_nested() -> None:
    detector = FlowOutlierDetector(FlowDensity(n_layers=0, tol=0.5))
    own = {"contamination", "density", "n_jobs", "random_state", "robust", "verbose"}
    nested = {f"density__{name}" for name in FlowDensity().get_params()}
    assert detector.get_params().keys() == own | nested
    assert FlowOutlierDetector().get_params().keys() == own
    detector.set_params(density__tol=0.25, robust=True)
    assert detector.density.tol == 0.25
    assert clone(detector).get_params(deep=False).keys() == own
    assert repr(detector) == (
        "FlowOutlierDetector(density=FlowDensity(n_layers=0, tol=0.25), robust=True)"
    )
    with pytest.raises(ValueError, match="Invalid parameter 'n_layers' for estimator FlowOutlier"):
        detector.set_params(n_layers=1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'n_layers'"):
        FlowOutlierDetector(n_layers=0)


@pytest.mark.usefixtures("few_fits")
def test_the_density_given_is_fitted_as_a_clone() -> None:
    given = FlowDensity(n_layers=0, n_components=2, tol=0.5, random_state=7, verbose=1)
    parameters = given.get_params()
    detector = FlowOutlierDetector(given, random_state=0).fit(draw_normal(50))
    assert detector.density is given
    assert given.get_params() == parameters
    assert vars(given) == parameters  # not fitted
    fitted = detector.density_.get_params()
    assert {name for name in parameters if fitted[name] != parameters[name]} == {
        "random_state",
        "verbose",
    }


@pytest.mark.usefixtures("few_fits")
def test_the_seed_of_the_detector_decides_and_not_that_of_its_density() -> None:
    X = draw_normal(60)
    scores = [
        FlowOutlierDetector(FlowDensity(**ONE_GAUSSIAN | {"random_state": own}), random_state=seed)
        .fit(X)
        .score_samples(X)
        for own, seed in [(None, 0), (3, 0), (3, 1)]
    ]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert (scores[1] != scores[2]).any()


@pytest.mark.usefixtures("few_fits")
def test_without_a_density_its_defaults_are_fitted() -> None:
    X = draw_normal(20)[:, :2]
    fits = [FlowOutlierDetector(d, random_state=0).fit(X) for d in (None, FlowDensity())]
    assert fits[0].density is None
    np.testing.assert_array_equal(*(fit.score_samples(X) for fit in fits))


@pytest.mark.parametrize("density", [3, "auto", FlowDensity, StandardScaler()])
def test_what_is_no_density_is_refused(density) -> None:
    detector = FlowOutlierDetector(density)
    with pytest.raises(ValueError, match="'density' parameter of FlowOutlierDetector must be"):
        detector.fit(draw_normal(40))


def test_parameters_of_the_density_are_checked() -> None:
    with pytest.raises(ValueError, match="'n_layers' parameter of FlowDensity must be"):
        FlowOutlierDetector(FlowDensity(n_layers=-1)).fit(draw_normal(40))


@pytest.mark.slow
def test_a_grid_searches_parameters_of_the_density() -> None:
    X = np.concatenate((draw_normal(80), 9 + draw_normal(6, seed=1)))
    y = np.repeat([1, -1], [80, 6])
    grid = {"density__n_components": [1, 2], "robust": [False, True]}
    search = GridSearchCV(FlowOutlierDetector(**GAUSSIAN), grid, scoring="accuracy", cv=2)
    best = search.fit(X, y).best_estimator_
    assert best.density_.n_components == search.best_params_["density__n_components"]
    assert GAUSSIAN["density"].n_components == 1


@pytest.mark.usefixtures("every_candidate")
@pytest.mark.usefixtures("shared_workers")
def test_cross_fits_side_by_side_give_the_same_result(capfd) -> None:
    X = small_mix(100)
    given = LAYERED | {"density": clone(TRAINED).set_params(max_iter=1)}
    alone = FlowOutlierDetector(**given).fit(X)
    together = FlowOutlierDetector(**given, n_jobs=2, verbose=1).fit(X)
    np.testing.assert_array_equal(together.score_samples(X), alone.score_samples(X))
    np.testing.assert_array_equal(together.p_values(X), alone.p_values(X))
    assert together.offset_ == alone.offset_
    shown = re.split(r"[\r\n]+", capfd.readouterr().err.strip())
    assert shown[0].startswith("fit 1 of 6")
    assert all(line.startswith("fits 2 to 6 of 6, calibrating: ") for line in shown[1:])
    assert "5/5" in shown[-1]


@pytest.mark.usefixtures("few_fits")
def test_a_warm_start_of_the_density_goes_on() -> None:
    X = draw_normal(60)
    density = clone(TRAINED).set_params(warm_start=True, early_stopping=False, n_components=1)
    detector = FlowOutlierDetector(density, random_state=0).fit(X)
    first = detector.density_.history_["train_score"]
    second = detector.fit(X).density_.history_["train_score"]
    assert second[0] > first[0]
    with pytest.raises(
        ValueError, match="X has 4 features, but FlowOutlierDetector is expecting 5"
    ):
        detector.fit(X[:, :4])


@pytest.mark.usefixtures("few_fits")
def test_in_a_pipeline_and_under_cross_validation() -> None:
    X = draw_normal(60)
    pipeline = make_pipeline(StandardScaler(), FlowOutlierDetector(**GAUSSIAN)).fit(X)
    assert pipeline.predict(1e3 * np.ones((1, 5))) == -1
    assert pipeline.score_samples(X).shape == (60,)
    labels = cross_val_predict(FlowOutlierDetector(**GAUSSIAN), X, cv=3)
    assert set(labels) <= {-1, 1}


@pytest.mark.usefixtures("few_fits")
@pytest.mark.parametrize("make", slow_but([every_polars_kind], [every_kind, every_polars_kind]))
def test_every_kind_of_column(make) -> None:
    frame = make(60)
    detector = FlowOutlierDetector(**GAUSSIAN).fit(frame)
    scores = detector.score_samples(frame[:20])
    assert np.isfinite(scores).all()
    reasons = detector.score_features(frame[:5])
    assert isinstance(reasons, type(frame))
    assert list(reasons.columns) == list(frame.columns)
    assert np.isfinite(reasons.to_numpy()).all()
    repaired = detector.repair(frame[:5])
    assert isinstance(repaired, type(frame))
    assert list(repaired.dtypes) == list(frame.dtypes)


@pytest.mark.usefixtures("few_fits")
def test_reasons_come_in_the_container_of_the_rows(mixed) -> None:
    frame = small_mix(10, seed=3).set_index(np.arange(100, 110))
    reasons = mixed.score_features(frame)
    assert isinstance(reasons, pd.DataFrame)
    assert reasons.index.equals(frame.index)
    in_polars = FlowOutlierDetector(**GAUSSIAN).fit(pl.from_pandas(small_mix(100)))
    assert isinstance(in_polars.score_features(pl.from_pandas(frame)), pl.DataFrame)
    array = FlowOutlierDetector(**GAUSSIAN).fit(draw_normal(60)).score_features(draw_normal(4))
    assert isinstance(array, np.ndarray)
    assert array.shape == (4, 5)


def test_the_cell_that_was_changed_is_blamed(detector) -> None:
    new = draw_normal(60, seed=11)
    columns = np.arange(60) % 5
    new[np.arange(60), columns] += 6 * new.std(axis=0)[columns]
    blamed = detector.score_features(new).argmin(axis=1)
    assert (blamed == columns).mean() > 0.7  # relations are mutual: others are strange as well


@pytest.mark.usefixtures("few_fits")
def test_a_failed_fit_leaves_the_earlier_one(detector) -> None:
    twice = FlowOutlierDetector(**GAUSSIAN).fit(draw_normal(50))
    before = twice.score_samples(draw_normal(5))
    with pytest.raises(ValueError, match="infinity"):
        twice.fit(np.full((10, 5), np.inf))
    np.testing.assert_array_equal(twice.score_samples(draw_normal(5)), before)


@pytest.mark.usefixtures("few_fits")
def test_an_integer_seed_decides_everything_and_touches_nothing() -> None:
    X = small_mix(60)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    scores = [FlowOutlierDetector(**LAYERED).fit(X).score_samples(X) for _ in range(2)]
    np.testing.assert_array_equal(*scores)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_strange_cells_of_a_frame_are_named(mixed) -> None:
    frame = small_mix(3, seed=5)
    frame["weight"] = [0.0, np.nan, 1.0]
    frame.loc[0, "length"] = 40.0
    frame.loc[1, "colour"] = "violet"
    frame.loc[2, "length"] = np.nan
    reasons = mixed.score_features(frame)
    assert list(reasons.idxmin(axis=1)) == ["length", "colour", "length"]
    assert (mixed.predict(frame) == -1).all()


@pytest.mark.parametrize("n_rows", [40, 150])
def test_a_notebook_shows_schema_threshold_and_calibration(n_rows) -> None:
    detector = FlowOutlierDetector(**GAUSSIAN)
    assert "P-values are counted" not in detector._repr_html_inner()
    frame = pd.DataFrame(draw_normal(n_rows), columns=list("abcde"))
    shown = detector.fit(frame)._repr_html_inner()
    assert detector.density_.schema_._repr_html_() in shown
    assert f"score below {detector.offset_:.4g}" in shown
    assert f"among {n_rows} calibration rows" in shown
    assert ("p-value of at most 0.01" in shown) == (n_rows >= 99)
