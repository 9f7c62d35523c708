"""Weights of a detector's rows: in its fits, its calibration and its threshold."""

from pathlib import Path

import numpy as np
import pytest

from skflow import FlowDensity, FlowOutlierDetector, load
from tests.mixed import every_kind
from tests.settings import ONE_GAUSSIAN
from tests.tables import correlated

N_ROWS = 160
MIXED = every_kind(N_ROWS)[["decimal", "nullable", "levels", "colour"]]
NUMBERS = correlated(N_ROWS, 2, seed=0)
WEIGHT = np.random.default_rng(0).choice([0.0, 0.5, 1.0, 3.7], N_ROWS)

pytestmark = pytest.mark.usefixtures("few_candidates_in_file", "few_fits_in_file")


def detector(**parameters: object) -> FlowOutlierDetector:
    return FlowOutlierDetector(FlowDensity(**ONE_GAUSSIAN), random_state=0, **parameters)


@pytest.mark.parametrize("robust", [False, True])
def test_rows_of_weight_0_are_not_there(robust: bool, tmp_path: Path) -> None:
    fitted = detector(robust=robust).fit(MIXED, sample_weight=WEIGHT)
    positive = WEIGHT > 0
    other = detector(robust=robust).fit(MIXED[positive], sample_weight=3 * WEIGHT[positive])
    np.testing.assert_array_equal(fitted.p_values(MIXED), other.p_values(MIXED))
    assert fitted.offset_ == other.offset_
    fitted.save(tmp_path / "detector")
    loaded = load(tmp_path / "detector")
    np.testing.assert_array_equal(loaded.score_samples(MIXED), fitted.score_samples(MIXED))
    np.testing.assert_array_equal(loaded.p_values(MIXED), fitted.p_values(MIXED))


def test_equal_weights_are_none() -> None:
    one, other = detector().fit(NUMBERS), detector().fit(NUMBERS, sample_weight=0.3)
    np.testing.assert_array_equal(one.score_samples(NUMBERS), other.score_samples(NUMBERS))
    assert one.offset_ == other.offset_


def test_a_contamination_is_a_share_of_the_weight() -> None:
    weight = np.random.default_rng(1).exponential(size=N_ROWS)
    labels = detector(contamination=0.2).fit_predict(NUMBERS, sample_weight=weight)
    found = np.average(labels < 0, weights=weight)
    assert found == pytest.approx(0.2, abs=weight.max() / weight.sum())


def test_p_values_are_those_of_the_weighted_population() -> None:
    """Of two groups, the one that weighs little is rare in the population, and so improbable."""
    rng = np.random.default_rng(0)
    centres = np.repeat([0.0, 8.0], [300, 300])
    X = centres[:, None] + rng.normal(size=(600, 1))
    weight = np.where(centres == 0, 0.99, 0.01)
    weighted = detector().fit(X, sample_weight=weight).p_values(X)
    unweighted = detector().fit(X).p_values(X)
    assert np.average(weighted <= 0.05, weights=weight) == pytest.approx(0.05, abs=0.03)
    assert np.median(weighted[centres > 0]) < 0.03
    assert np.median(unweighted[centres > 0]) > 0.2


def test_faulty_weights_are_refused() -> None:
    for weight, message in ((-WEIGHT, "Negative"), (0 * WEIGHT, "non-zero"), (WEIGHT[:5], "shape")):
        with pytest.raises(ValueError, match=message):
            detector().fit(NUMBERS, sample_weight=weight)
    with pytest.raises(ValueError, match=r"2 sample\(s\) with a positive sample_weight while"):
        detector().fit(NUMBERS, sample_weight=np.arange(N_ROWS) < 2)
