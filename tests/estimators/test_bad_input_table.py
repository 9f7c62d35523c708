"""Bad input, case by case: the right result, or a typed error that says what to do.

"What bad input gets" in api.md, for every method of both estimators. The cases are named in
``bad_tables.py`` (what a first fit is given) and ``bad_rows.py`` (what comes later); what they
mean for scores is tested in ``test_bad_input.py`` and ``test_unseen.py``.
"""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from pandas.testing import assert_frame_equal
from sklearn.exceptions import NotFittedError

from skflow import FlowDensity, FlowOutlierDetector
from skflow.exceptions import StrangeLabelsWarning
from skflow.reporter import Reporter
from tests.estimators.bad_rows import LATER, Nearest, Rare, sound_table
from tests.estimators.bad_tables import BY_FIT_ALONE, FITTED, NEVER_FITTED, Refused, frame, numbers
from tests.settings import ONE_GAUSSIAN, one_of_each, slow_but
from tests.tables import correlated, unfitted

ESTIMATORS = [FlowDensity, FlowOutlierDetector]
OF_DENSITY = ["score_samples", "score", "transform"]
OF_DETECTOR = [
    "score_samples",
    "decision_function",
    "predict",
    "p_values",
    "score_features",
    "repair",
]
Fitted = dict[type, Any]

# Arrays are read by what was fitted to frames, with a word of warning.
pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:X does not have valid feature names",
        "ignore:No p-value is below",
        "ignore:the matrix subclass",
    ),
    pytest.mark.usefixtures("few_candidates_in_file", "few_fits_in_file"),
]


def fit_both(X: Any) -> Fitted:
    return {cls: unfitted(cls, **ONE_GAUSSIAN).fit(X) for cls in ESTIMATORS}


@pytest.fixture(scope="module")
def of_numbers() -> Fitted:
    return fit_both(frame(a=numbers()[:, 1]))


@pytest.fixture(scope="module")
def of_everything() -> Fitted:
    return fit_both(sound_table())


CALLS = [(FlowDensity, name) for name in OF_DENSITY]
CALLS += [(FlowOutlierDetector, name) for name in OF_DETECTOR]  # all methods that take rows


def calls(fitted: Fitted) -> list:
    return [getattr(fitted[cls], name) for cls, name in CALLS]


# What cannot be fitted


@pytest.mark.parametrize(("name", "cls"), one_of_each(NEVER_FITTED, ESTIMATORS))
def test_it_is_not_fitted(name: str, cls: type) -> None:
    make, (error, message) = NEVER_FITTED[name]
    estimator = unfitted(cls, **ONE_GAUSSIAN)
    before = vars(estimator).copy()
    with pytest.raises(error, match=message):
        estimator.fit(make())
    assert vars(estimator) == before


NEVER_READ = [name for name in NEVER_FITTED if name not in BY_FIT_ALONE]


@pytest.mark.parametrize(("name", "call"), one_of_each(NEVER_READ, CALLS))
def test_nor_read_later(of_numbers: Fitted, name: str, call: tuple[type, str]) -> None:
    make, (error, message) = NEVER_FITTED[name]
    cls, method = call
    with pytest.raises(error, match=message):
        getattr(of_numbers[cls], method)(make())


@pytest.mark.parametrize("name", slow_but(NEVER_READ[::5], NEVER_READ))
def test_nor_read_to_validate_with(name: str) -> None:
    make, (error, message) = NEVER_FITTED[name]
    if make() is not None:  # no rows to validate with
        with pytest.raises(error, match=message):
            FlowDensity(**ONE_GAUSSIAN).fit(frame(a=numbers()[:, 1]), X_val=make())


def test_a_detector_needs_three_rows() -> None:
    with pytest.raises(ValueError, match=r"2 sample\(s\) .* minimum of 3 is required by FlowOut"):
        unfitted(FlowOutlierDetector, **ONE_GAUSSIAN).fit(numbers(2))


# What can


def assert_same(back: Any, X: Any) -> None:
    """The container, and every cell, of what was given."""
    if isinstance(X, pd.DataFrame):
        # longdouble comes back in 64 bits, and all in this machine's byte order
        plain = np.longdouble not in set(X.dtypes) and not any(">" in str(x) for x in X.dtypes)
        assert_frame_equal(back, X, check_exact=True, check_dtype=plain)
    elif isinstance(X, pl.DataFrame):
        assert back.schema == X.schema
        assert back.rows() == X.rows()
    else:
        expected = np.asarray(X)
        assert type(back) is np.ndarray
        assert ((back == expected) | ((back != back) & (expected != expected))).all()


def assert_density_is_sound(density: FlowDensity, X: Any) -> None:
    scores, Z = density.score_samples(X), density.transform(X)
    assert scores.shape == (len(X),)
    assert np.isfinite(scores).all()
    assert density.score(X) == pytest.approx(scores.mean())
    assert Z.shape == (len(X), len(density.get_feature_names_out()))
    assert np.isfinite(Z).all()
    assert_same(density.inverse_transform(Z), X)
    assert np.isfinite(density.score_samples(density.sample(5, random_state=0))).all()


def assert_detector_is_sound(detector: FlowOutlierDetector, X: Any) -> None:
    scores = detector.score_samples(X)
    assert scores.shape == (len(X),)
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(detector.decision_function(X), scores - detector.offset_)
    assert set(detector.predict(X)) <= {-1, 1}
    p_values = detector.p_values(X)
    assert ((p_values > 0) & (p_values <= 1)).all()


def assert_explanations_are_sound(detector: FlowOutlierDetector, X: Any) -> Any:
    """Return the repaired rows."""
    p_values = detector.p_values(X)
    reasons = detector.score_features(X)
    assert type(reasons) is (type(X) if hasattr(X, "columns") else np.ndarray)
    assert np.shape(reasons) == np.shape(X)
    assert (np.asarray(reasons) <= 0).all()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* replaced as a whole")
        repaired = detector.repair(X)
    assert type(repaired) is type(detector.density_.sample())
    assert np.shape(repaired) == np.shape(X)
    # What is remarkable becomes less so; what is not comes back as it was, in the fitted dtypes.
    assert (detector.p_values(repaired) >= np.minimum(p_values, 0.1)).all()
    return repaired


@pytest.mark.parametrize("name", FITTED)
@pytest.mark.filterwarnings(
    "ignore::skflow.exceptions.DegenerateDensityWarning"
)  # few bits, or rows
def test_it_is_fitted(name: str) -> None:
    X = FITTED[name]()
    assert_density_is_sound(FlowDensity(**ONE_GAUSSIAN).fit(X), X)


@pytest.mark.parametrize("name", slow_but(list(FITTED)[::10], FITTED))
@pytest.mark.filterwarnings("ignore::skflow.exceptions.DegenerateDensityWarning")
def test_it_is_fitted_by_a_detector(name: str) -> None:
    X = FITTED[name]()
    if len(X) > 2:
        detector = unfitted(FlowOutlierDetector, **ONE_GAUSSIAN).fit(X)
        assert_detector_is_sound(detector, X)
        assert_explanations_are_sound(detector, X[:3])


# What comes later


@pytest.mark.parametrize("name", LATER)
def test_later_rows(of_everything: Fitted, name: str) -> None:
    make, outcome = LATER[name]
    rows = make(sound_table(3))
    if isinstance(outcome, Refused):
        for call in calls(of_everything):
            with pytest.raises(outcome.error, match=outcome.message):
                call(rows)
        return
    density, detector = (of_everything[cls] for cls in ESTIMATORS)
    with warnings.catch_warnings():
        if isinstance(outcome, Rare):  # where no cell has a fitted label, a warning says so
            warnings.simplefilter("ignore", StrangeLabelsWarning)
        assert np.isfinite(density.score_samples(rows)).all()
        assert_detector_is_sound(detector, rows)
    if isinstance(outcome, Rare):
        with pytest.raises(ValueError, match=outcome.message):
            density.transform(rows)
        return
    back = density.inverse_transform(density.transform(rows))
    pd.testing.assert_series_equal(back.dtypes, sound_table(3).dtypes)
    if isinstance(outcome, Nearest):
        assert back[outcome.column].iloc[1] in outcome.possible
        return
    np.testing.assert_allclose(density.score_samples(back), density.score_samples(rows), rtol=1e-9)


READ = [name for name, rows in LATER.items() if not isinstance(rows.outcome, Refused)]


@pytest.mark.parametrize("name", slow_but(READ[::12], READ))
@pytest.mark.filterwarnings("ignore::skflow.exceptions.StrangeLabelsWarning")
def test_later_rows_are_explained(of_everything: Fitted, name: str) -> None:
    """A twelfth of them by default: they are read as for scores, and each costs as ten scores."""
    rows = LATER[name].make(sound_table(3))
    repaired = assert_explanations_are_sound(of_everything[FlowOutlierDetector], rows)
    pd.testing.assert_series_equal(repaired.dtypes, sound_table(3).dtypes)


@pytest.mark.parametrize("name", [*OF_DENSITY, "inverse_transform", "sample"])
def test_a_density_that_is_not_fitted(name: str) -> None:
    with pytest.raises(NotFittedError, match="Call 'fit' with appropriate arguments"):
        getattr(FlowDensity(), name)(1 if name == "sample" else numbers())


@pytest.mark.parametrize("name", OF_DETECTOR)
def test_a_detector_that_is_not_fitted(name: str) -> None:
    with pytest.raises(NotFittedError, match="Call 'fit' with appropriate arguments"):
        getattr(FlowOutlierDetector(), name)(numbers())


# Latents and samples

FINITE = "Input Z contains (NaN|infinity)"
Z_NAMES = r"Z has columns named \['a', 'x'\], but latents are named \['x', 'a'\], in this order"
LATENTS = {
    "too wide": (np.zeros((2, 3)), ValueError, "Z has 3 columns, but .* 2 latents.*transform"),
    "too narrow": (np.zeros((2, 1)), ValueError, "Z has 1 columns, but .* 2 latents.*transform"),
    "no rows": (np.zeros((0, 2)), ValueError, r"0 sample\(s\)"),
    "NaN": (np.array([[0.0, np.nan]]), ValueError, FINITE),
    "infinity": (np.array([[0.0, np.inf]]), ValueError, FINITE),
    "a hole": (pd.DataFrame({"x": [None], "a": [1.0]}), (ValueError, TypeError), FINITE),
    "text": (np.array([["a", "b"]]), ValueError, "could not convert string to float"),
    "complex": (np.zeros((2, 2)) + 1j, ValueError, "Complex data not supported"),
    "1-D": (np.zeros(2), ValueError, "Expected 2D array, got 1D array"),
    "None": (None, ValueError, "Expected 2D array, got scalar array"),
    "shuffled": (pd.DataFrame({"a": [0.0], "x": [0.0]}), ValueError, Z_NAMES),
    "shuffled in polars": (pl.DataFrame({"a": [0.0], "x": [0.0]}), ValueError, Z_NAMES),
}


@pytest.mark.parametrize("name", LATENTS)
def test_latents_that_are_none(of_numbers: Fitted, name: str) -> None:
    Z, error, message = LATENTS[name]
    with pytest.raises(error, match=message):
        of_numbers[FlowDensity].inverse_transform(Z)


@pytest.mark.parametrize(
    "make", [np.asarray, np.ndarray.tolist, pd.DataFrame, pl.DataFrame, np.float32]
)
def test_latents_in_any_container(of_numbers: Fitted, make) -> None:
    density, X = of_numbers[FlowDensity], frame(a=numbers()[:, 1])
    back = density.inverse_transform(make(density.transform(X)))
    np.testing.assert_allclose(back, X, atol=1e-5)


@pytest.mark.parametrize("latent", [-1e300, -40.0, 40.0, 1e300])
def test_latents_far_out_give_rows(of_everything: Fitted, latent: float) -> None:
    density = of_everything[FlowDensity]
    Z = np.full((2, len(density.get_feature_names_out())), latent)
    assert np.isfinite(density.score_samples(density.inverse_transform(Z))).all()


@pytest.mark.parametrize("n_samples", [0, -1, 1.5, "3", None, True, 10**30])
def test_sample_refuses(of_numbers: Fitted, n_samples: Any) -> None:
    with pytest.raises(ValueError, match=r"'n_samples' parameter of FlowDensity\.sample must be"):
        of_numbers[FlowDensity].sample(n_samples)


@pytest.mark.parametrize("name", ["n_layers", "max_iter", "n_iter_no_change", "batch_size"])
def test_booleans_are_no_counts(name: str) -> None:
    with pytest.raises(ValueError, match=rf"'{name}' parameter of FlowDensity must be an int"):
        FlowDensity(**{name: True}).fit(correlated(30, 2, seed=0))


def test_samples_beyond_memory(of_numbers: Fitted) -> None:
    with pytest.raises(MemoryError, match="n_samples=100000000000 are too many at once: draw"):
        of_numbers[FlowDensity].sample(10**11)


@pytest.mark.parametrize("cls", slow_but([FlowDensity], ESTIMATORS))
def test_layers_beyond_memory(cls: type) -> None:
    with pytest.raises(MemoryError, match="Lower hidden_units, n_layers, n_bins or batch_size"):
        unfitted(cls, n_layers=1, hidden_units=10**7).fit(correlated(30, 3, seed=0))


# Parameters: scikit-learn's own check_param_validation tries values out of range, of all of them

CONTRADICTIONS = {
    "bounds out of order": (
        {"bounds": {"length": (1, 0)}},
        "'length' must be a pair .* low < high",
    ),
    "one bound": ({"bounds": {"length": (0,)}}, "'length' must be a pair"),
    "bounds that are text": ({"bounds": {"length": ("a", "b")}}, "'length' must be a pair"),
    "a bound of NaN": ({"bounds": {"length": (np.nan, 1)}}, "'length' must be a pair"),
    "a bound beyond floats": ({"bounds": {"length": (None, 10**400)}}, "'length' must be a pair"),
    "numbers to bound dates": ({"bounds": {"when": (0, 1)}}, "'when' must be a pair .* of dates"),
    "NaT to bound dates": ({"bounds": {"when": (pd.NaT, None)}}, "'when' must be"),
    "bounds of no column": ({"bounds": {"nowhere": (0, 1)}}, "bounds names 'nowhere'.*columns are"),
    "bounds of labels": (
        {"bounds": {"colour": (0, 1)}},
        "'colour', which holds no numbers: remove",
    ),
    "rows outside bounds": (
        {"bounds": {"length": (0, 1)}},
        r"'length': \d+ values outside(?s:.*)widen",
    ),
    "bounds given twice": ({"bounds": {"length": (-9, 9), 3: (-8, 8)}}, r"\['length'\] twice"),
    "kinds of no column": ({"column_kinds": {99: "integer"}}, "names 99, .*columns are 'colour'"),
    "no kind": ({"column_kinds": {"length": "real"}}, "'length' holds float64.*'real'; possible"),
    "an unhashable kind": ({"column_kinds": {"length": ["real"]}}, "'length' holds .*possible"),
    "a kind of other columns": (
        {"column_kinds": {"colour": "integer"}},
        "'colour' holds .*possible",
    ),
    "kinds given twice": (
        {"column_kinds": {"level": "levels", 5: "integer"}},
        r"\['level'\] twice",
    ),
    "no grid": ({"column_kinds": {"length": "integer"}}, "'length' .*no such grid.*round it"),
    "no levels": ({"column_kinds": {"length": "levels"}}, "'length' .*no value occurs twice.*Name"),
    "not constant": ({"column_kinds": {"count": "constant"}}, "'count' for constant, but it holds"),
    "categories of no column": ({"categorical_features": ["nowhere"]}, "names 'nowhere'.*columns"),
    "a negative index": ({"categorical_features": [-1]}, "names -1, which is no column"),
    "a short mask": (
        {"categorical_features": [True]},
        "mask must have one entry for each of the 11",
    ),
    "categories that are numbers": (
        {"column_kinds": {"count": "integer"}, "categorical_features": ["count"]},
        "contradict each other(?s:.*)'count': 'integer' in column_kinds, and in categorical_feat",
    ),
    "categories with bounds": (
        {"bounds": {"count": (-1, 600)}, "categorical_features": ["count"]},
        "contradict each other(?s:.*)'count': categorical, and in bounds(?s:.*)one of them",
    ),
    "a device unheard of": ({"device": "abacus"}, "device must be 'auto', 'cpu' or 'cuda"),
    "a device that is absent": ({"device": "cuda:99"}, "cuda:99|CUDA"),
    "a device without float64": ({"device": "mps"}, "device must be .*float64"),
    "a seed of another kind": ({"random_state": np.random.default_rng(0)}, "'random_state' param"),
    "kinds that are text": ({"column_kinds": "integer"}, "'column_kinds' parameter of Flow"),
}


@pytest.mark.parametrize(("name", "cls"), one_of_each(CONTRADICTIONS, ESTIMATORS))
def test_parameters_that_contradict_the_table(name: str, cls: type) -> None:
    params, message = CONTRADICTIONS[name]
    with pytest.raises(ValueError, match=message):
        unfitted(cls, **ONE_GAUSSIAN | params).fit(sound_table())


@pytest.mark.parametrize("contamination", [0, 0.6, -0.1, np.nan, "x", None])
def test_contamination_out_of_range(contamination: Any) -> None:
    with pytest.raises(ValueError, match=r"'contamination' parameter .* range \(0.0, 0.5\]"):
        FlowOutlierDetector(contamination=contamination).fit(numbers())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"bounds": {"length": (-9, 9)}}, r"'length': within .* there, and within \[-9, 9\]"),
        ({"categorical_features": ["count"]}, "'count': 'integer' there, and in categorical"),
    ],
)
def test_a_schema_is_contradicted(of_everything: Fitted, params: dict, message: str) -> None:
    schema = of_everything[FlowDensity].schema_
    with pytest.raises(ValueError, match=f"(?s)schema, which other.*{message}.*Leave these"):
        FlowDensity(**ONE_GAUSSIAN, column_kinds=schema, **params).fit(sound_table())


# A fit that fails


@pytest.mark.parametrize("cls", ESTIMATORS)
@pytest.mark.parametrize("name", ["inf in an array", "identifiers", "one row", "a generator"])
def test_a_failed_refit_leaves_the_earlier_fit(name: str, cls: type) -> None:
    X, (make, (error, message)) = frame(a=numbers()[:, 1]), NEVER_FITTED[name]
    estimator = unfitted(cls, **ONE_GAUSSIAN).fit(X)
    before, scores = vars(estimator).copy(), estimator.score_samples(X)
    with pytest.raises(error, match=message):
        estimator.fit(make())
    assert vars(estimator) == before
    np.testing.assert_array_equal(estimator.score_samples(X), scores)


def test_an_interrupted_detector_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    X = frame(a=numbers()[:, 1])
    params = ONE_GAUSSIAN | {"n_layers": 1, "hidden_units": 4, "max_iter": 1}
    fresh, fitted = (unfitted(FlowOutlierDetector, **params) for _ in range(2))
    scores = fitted.fit(X).score_samples(X)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Reporter, "epoch", interrupt)
    for detector in (fresh, fitted):
        with pytest.raises(KeyboardInterrupt):
            detector.fit(X + 1)
    with pytest.raises(NotFittedError):
        fresh.score_samples(X)
    np.testing.assert_array_equal(fitted.score_samples(X), scores)


def test_cases_are_sixty_and_more() -> None:
    assert min(len(NEVER_FITTED), len(LATER)) > 60
    assert len(FITTED) > 30
