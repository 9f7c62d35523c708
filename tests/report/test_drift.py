"""Change against training: measured as scipy measures it, found where there is one."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from skflow import FlowOutlierDetector
from skflow.outliers.tails import Tail
from skflow.report.drift import Uniformity, compare_columns
from tests.report.conftest import Parsed, make_trips


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_p_values_are_uniform_as_two_samples_are_equal(shift: float) -> None:
    rng = np.random.default_rng(0)
    calibration, scores = rng.normal(size=2000), rng.normal(size=700) - shift
    tail = Tail(calibration)
    found = Uniformity.measure(tail.probability(scores), tail)
    expected = ks_2samp(scores, calibration, method="asymp")
    assert found.distance == pytest.approx(expected.statistic, abs=2 / 2000)
    assert found.p_value == pytest.approx(expected.pvalue, rel=0.2)
    assert (found.p_value < 0.01) == bool(shift)


def test_equal_weights_change_little() -> None:
    rng = np.random.default_rng(0)
    calibration, scores = rng.normal(size=500), rng.normal(size=300)
    tails = Tail(calibration), Tail(calibration, np.full(500, 3.0))
    plain, weighted = (Uniformity.measure(tail.probability(scores), tail) for tail in tails)
    assert weighted.distance == pytest.approx(plain.distance)
    assert weighted.p_value == pytest.approx(plain.p_value)


def test_rows_that_are_all_usual_may_have_been_fitted(
    detector: FlowOutlierDetector, page: Parsed
) -> None:
    fresh = make_trips(100, 5)
    usual = Parsed(detector.report(fresh[detector.p_values(fresh) > 0.4]).html)
    assert "rows that were fitted" in usual.texts["uniformity"]
    assert "rows that were fitted" not in page.texts["uniformity"]


def changes_of(detector: FlowOutlierDetector, X: pd.DataFrame) -> dict:
    density = detector.density_
    drawn = detector._read(density.sample(2000, random_state=0))
    codec = detector._detector.density.codec
    return {change.name: change for change in compare_columns(codec, detector._read(X), drawn)}


def test_rows_like_the_training_rows_have_not_changed(detector: FlowOutlierDetector) -> None:
    assert not any(change.is_large for change in changes_of(detector, make_trips(400, 5)).values())


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("km", lambda column: column * 2),
        ("payment", lambda column: np.where(np.arange(len(column)) % 5, "card", column)),
        ("fare", lambda column: column.where(np.arange(len(column)) % 2 == 0)),
        ("day", lambda column: column + pd.Timedelta(days=200)),
    ],
)
def test_a_changed_column_comes_first(
    detector: FlowOutlierDetector, name: str, change: object
) -> None:
    X = make_trips(400, 5)
    X[name] = change(X[name])
    found = changes_of(detector, X)
    assert next(iter(found)) == name
    assert [key for key, each in found.items() if each.is_large] == [name]


def test_distance_is_that_of_distribution_functions(detector: FlowOutlierDetector) -> None:
    X = make_trips(300, 6)
    drawn = detector.density_.sample(2000, random_state=0)
    found = changes_of(detector, X)
    assert found["km"].distance == pytest.approx(ks_2samp(X["km"], drawn["km"]).statistic)
    shares = [frame["payment"].value_counts(normalize=True) for frame in (X, drawn)]
    assert found["payment"].distance == pytest.approx((shares[0] - shares[1]).abs().sum() / 2)
