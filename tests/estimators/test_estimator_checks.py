"""scikit-learn's own checks: all pass but one, in whose place a statistical test stands.

By default estimators make few fits, of few candidates; ``pytest -m slow`` makes as many as users
do.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from sklearn.utils import Tags, estimator_checks
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from skflow import FlowClassifier, FlowDensity, FlowImputer, FlowOutlierDetector, FlowRegressor

# Only ratios of weights count, so a row of weight 2 is no more evidence than one of weight 1, but
# two equal rows are; see test_sample_weight.py for the statistical test.
EXPECTED_TO_FAIL = {
    "check_sample_weight_equivalence_on_dense_data": "weights count by their ratios, and "
    "repeated rows are more evidence: replaced by a statistical test"
}

# The quickest density there is.
QUICK = {"n_layers": 0, "n_components": 1, "early_stopping": False}


class CategoricalFlowDensity(FlowDensity):
    """Says so in its tags: the checks then round their data to few integers.

    FlowDensity itself does not, as HistGradientBoosting: hardly anything continuous would
    be fitted.
    """

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        return tags


TINY = QUICK | {"hidden_units": 4, "n_bins": 3, "max_iter": 2}
ESTIMATORS = [
    FlowDensity(**TINY | {"n_layers": 2, "n_components": 3, "dropout": 0.1}),
    FlowOutlierDetector(FlowDensity(**QUICK)),
    FlowImputer(FlowDensity(**QUICK)),
    FlowRegressor(FlowDensity(**QUICK)),
    FlowClassifier(FlowDensity(max_iter=2, early_stopping=False)),
    CategoricalFlowDensity(**TINY | {"n_layers": 1}),
]

# Each makes many fits.
LONG_CHECKS = {
    "check_array_api_input",
    "check_dtype_object",
    "check_estimators_dtypes",
    "check_estimators_pickle",
    "check_fit_idempotent",
    "check_fit_score_takes_y",
    "check_methods_subset_invariance",
    "check_pipeline_consistency",
    "check_positive_only_tag_during_fit",
    "check_sample_weight_equivalence_on_dense_data",
    "check_transformer_data_not_an_array",
    "check_transformer_general",
    "check_transformer_preserve_dtypes",
}

# A warm start of trained layers goes on where it was: two fits cannot agree.
MORE_ESTIMATORS = [
    FlowDensity(),
    FlowDensity(max_iter=5),
    FlowDensity(n_layers=0, warm_start=True),
    FlowDensity(n_layers=0, n_components=1),
    FlowDensity(n_layers=1, hidden_units=4, batch_size=8, max_iter=2, early_stopping=True),
    FlowDensity(n_layers=2, hidden_units=4, weight_decay=0.01, learning_rate=0.01, max_iter=2),
    FlowDensity(n_layers=2, hidden_units=4, max_time=0.05, tol=0.1, n_iter_no_change=1),
    FlowOutlierDetector(),
    FlowOutlierDetector(FlowDensity(max_iter=2)),
    FlowOutlierDetector(FlowDensity(n_layers=0), robust=True),
    FlowOutlierDetector(FlowDensity(n_layers=0), contamination=0.1),
    FlowOutlierDetector(FlowDensity(n_layers=0, warm_start=True)),
    FlowImputer(),
    FlowImputer(FlowDensity(n_layers=0), strategy="typical", add_indicator=True),
    FlowRegressor(FlowDensity(max_iter=5)),
    FlowClassifier(FlowDensity(max_iter=20)),
]

# check_array_api_input fits columns that are linear functions of others, and is told so.
expect_degenerate = pytest.mark.filterwarnings("ignore::skflow.exceptions.DegenerateDensityWarning")

few_fits = pytest.mark.usefixtures("few_fits", "few_candidates")

# What parametrize_with_checks does not yield.
FURTHER_CHECKS = [
    "check_dataframe_column_names_consistency",
    "check_param_validation",
    "check_get_feature_names_out_error",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_inplace_ensure_writeable",
]

# These warn by design: of the change of container itself.
SET_OUTPUT_CHECKS = [
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
]


def generated_checks() -> Iterator[Any]:
    """Return all checks of all estimators; the long ones run by default for the first of them."""
    seen = set()
    for estimator in ESTIMATORS:
        for trial in estimator_checks.estimator_checks_generator(
            estimator, expected_failed_checks=EXPECTED_TO_FAIL, mark="xfail"
        ):
            estimator, check = values = getattr(trial, "values", trial)
            is_slow = check.func.__name__ in LONG_CHECKS & seen
            seen.add(check.func.__name__)
            marks = [*getattr(trial, "marks", ()), *([pytest.mark.slow] if is_slow else [])]
            yield pytest.param(*values, marks=marks)


def name_of(value: Any) -> str:
    """Return the name of an estimator or a check."""
    return value.func.__name__ if isinstance(value, partial) else type(value).__name__


@few_fits
@expect_degenerate
@pytest.mark.parametrize(("estimator", "check"), [*generated_checks()], ids=name_of)
def test_generated_checks(estimator, check) -> None:
    check(estimator)


@pytest.mark.slow
@expect_degenerate
@parametrize_with_checks(MORE_ESTIMATORS, expected_failed_checks=lambda estimator: EXPECTED_TO_FAIL)
def test_generated_checks_of_more_parameters(estimator, check) -> None:
    check(estimator)


SEEDED = [
    FlowDensity(n_layers=1, hidden_units=4, n_components=2, max_iter=2),
    FlowOutlierDetector(FlowDensity(n_layers=0, n_components=1)),
]


@pytest.mark.slow
@expect_degenerate
@pytest.mark.filterwarnings("ignore:No p-value", "ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize("seed", range(100))
@pytest.mark.parametrize("estimator", SEEDED, ids=lambda estimator: type(estimator).__name__)
def test_generated_checks_of_any_seed(monkeypatch, estimator, seed: int) -> None:
    """The checks set seed 0 before they fit: here another."""
    set_random_state = estimator_checks.set_random_state

    def set_another(estimator, random_state: int = 0) -> None:
        set_random_state(estimator, random_state + seed)

    monkeypatch.setattr(estimator_checks, "set_random_state", set_another)
    check_estimator(estimator, on_skip=None, expected_failed_checks=EXPECTED_TO_FAIL)


@pytest.mark.parametrize("name", FURTHER_CHECKS)
def test_further_checks(name: str) -> None:
    check = getattr(estimator_checks, name)
    check("FlowDensity", FlowDensity(**QUICK))


@few_fits
@pytest.mark.parametrize(
    "name", ["check_dataframe_column_names_consistency", "check_param_validation"]
)
def test_further_checks_of_the_detector(name: str) -> None:
    check = getattr(estimator_checks, name)
    check("FlowOutlierDetector", FlowOutlierDetector(FlowDensity(**QUICK)))


@few_fits
@pytest.mark.parametrize("estimator_class", [FlowRegressor, FlowClassifier])
@pytest.mark.parametrize(
    "name", ["check_dataframe_column_names_consistency", "check_param_validation"]
)
def test_further_checks_of_supervised_estimators(estimator_class, name: str) -> None:
    check = getattr(estimator_checks, name)
    check(estimator_class.__name__, estimator_class(FlowDensity(**QUICK)))


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", SET_OUTPUT_CHECKS)
def test_set_output_checks(name: str) -> None:
    check = getattr(estimator_checks, name)
    check("FlowDensity", FlowDensity(**QUICK))


def test_tags_promise_what_the_checks_test() -> None:
    tags = FlowDensity().__sklearn_tags__()
    assert not tags.non_deterministic
    assert tags.input_tags.allow_nan
    assert tags.input_tags.string
    assert not tags.input_tags.categorical
    assert not tags.no_validation
    assert tags.transformer_tags.preserves_dtype == ["float64"]
