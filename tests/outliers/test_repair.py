"""Repaired rows are ordinary, differ in few cells, and lie near what they were."""

import copy

import numpy as np
import pandas as pd
import pytest

from skflow import FlowDensity, FlowOutlierDetector
from skflow.fitted.repair import in_turns
from tests.mixed import small_mix
from tests.settings import ONE_GAUSSIAN
from tests.tables import unfitted

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")


def related(n_rows: int, seed: int = 0) -> np.ndarray:
    """Six columns that say the same, but for noise, and two of their own."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((n_rows, 1))
    noise = 0.2 * rng.standard_normal((n_rows, 6))
    return np.concatenate((common + noise, rng.standard_normal((n_rows, 2))), axis=1)


@pytest.fixture(scope="module")
def detector() -> FlowOutlierDetector:
    return unfitted(FlowOutlierDetector, **ONE_GAUSSIAN).fit(related(2_000))


@pytest.fixture(scope="module")
def planted() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    true, rows = related(80, seed=1), np.arange(80)
    columns = rows % 6
    new = true.copy()
    new[rows, columns] = 1.5 * np.sign(-true[rows, columns]) - true[rows, columns]
    return true, new, columns


def test_planted_cells_are_restored_and_others_left_alone(detector, planted) -> None:
    true, new, columns = planted
    flagged = detector.p_values(new) < 0.05
    assert flagged.mean() > 0.8
    true, new, columns = true[flagged], new[flagged], columns[flagged]
    repaired = detector.repair(new)
    assert (detector.p_values(repaired) >= 0.1).mean() >= 0.95
    changed = repaired != new
    assert changed.sum(axis=1).mean() < 1.5
    rows = np.arange(len(new))
    assert changed[rows, columns].mean() > 0.9
    error = np.abs(repaired - true)[rows, columns]
    assert np.median(error) < 0.5 * np.median(np.abs(true[rows, columns]))


def test_a_number_becomes_its_median_given_the_others(detector, planted) -> None:
    _, new, columns = planted
    repaired = detector.repair(new)
    changed = repaired != new
    rows = np.flatnonzero(changed[np.arange(80), columns] & (changed.sum(axis=1) == 1))
    # Given five columns that say the same, a column is normal about their weighted mean.
    rng_rows = related(200_000, seed=9)[:, :6]
    precision = np.linalg.inv(np.cov(rng_rows.T))
    for i in rows[:20]:
        j, others = columns[i], np.delete(np.arange(6), columns[i])
        mean = -new[i, others] @ precision[j, others] / precision[j, j]
        assert repaired[i, j] == pytest.approx(mean, abs=0.06)


@pytest.mark.filterwarnings("ignore:.* replaced as a whole")
@pytest.mark.slow
def test_no_cell_is_changed_that_need_not_be(detector) -> None:
    """Put back, any of several changed cells makes the row strange again."""
    new = related(150, seed=4)
    new[:, [0, 3]] += 4 * np.random.default_rng(0).standard_normal((150, 2))
    repaired = detector.repair(new)
    changed = repaired != new
    changed[(changed.sum(axis=1) < 2) | changed.all(axis=1)] = False
    rows, columns = np.nonzero(changed)
    assert len(rows) > 50
    put_back = repaired[rows]
    put_back[np.arange(len(rows)), columns] = new[rows, columns]
    assert (detector.p_values(put_back) < 0.1).all()


def test_ordinary_rows_come_back_as_they_are(detector) -> None:
    fresh = related(200, seed=2)
    ordinary = fresh[detector.p_values(fresh) >= 0.1]
    np.testing.assert_array_equal(detector.repair(ordinary), ordinary)


def test_labels_holes_and_grids_are_kept_to() -> None:
    detector = unfitted(FlowOutlierDetector, **ONE_GAUSSIAN).fit(
        small_mix(600).round({"length": 1})
    )
    odd = small_mix(4, seed=5).round({"length": 1}).set_index(np.arange(10, 14))
    odd.loc[10, "colour"] = "never seen"
    odd.loc[11, "length"] = 90.0
    odd.loc[12, "length"] = np.nan
    odd.loc[13, "weight"] = -500.0
    repaired = detector.repair(odd)
    assert isinstance(repaired, pd.DataFrame)
    assert repaired.index.equals(odd.index)
    assert list(repaired.dtypes) == list(odd.dtypes)
    assert (detector.p_values(repaired) >= 0.1).all()
    assert repaired["colour"].isin(["red", "green", "blue"]).all()
    assert repaired["length"].notna().all()
    np.testing.assert_allclose(repaired["length"], repaired["length"].round(1))
    assert abs(repaired.loc[11, "length"]) < 10
    assert repaired.loc[13, "weight"] != -500.0


@pytest.mark.filterwarnings("ignore:.* replaced as a whole")
@pytest.mark.slow
def test_other_dtypes_than_those_fitted(detector) -> None:
    whole = np.round(3 * related(30, seed=3)).astype(np.int64)
    repaired = detector.repair(whole)
    assert repaired.dtype == np.float64
    ordinary = detector.p_values(whole) >= 0.1
    np.testing.assert_array_equal(repaired[ordinary], whole[ordinary])


def test_a_hole_where_none_was_is_filled_with_what_is_usual() -> None:
    """A count as floats has to be cast, and a hole has no number to cast."""
    rng = np.random.default_rng(0)
    counts = rng.integers(400, 500, 300)
    frame = pd.DataFrame({"count": counts, "twice": 2 * counts + rng.standard_normal(300)})
    detector = unfitted(FlowOutlierDetector, **ONE_GAUSSIAN).fit(frame)
    rows = frame[:3].astype({"count": float})
    rows.loc[1, "count"] = np.nan
    repaired = detector.repair(rows)
    assert repaired["count"].dtype == np.int64
    assert abs(repaired["count"][1] - counts[1]) <= 2


def test_a_cell_of_a_column_without_any_is_emptied() -> None:
    """The only label of such a column is that of missing cells."""
    frame = pd.DataFrame({"a": np.random.default_rng(0).standard_normal(300), "none": np.nan})
    detector = unfitted(FlowOutlierDetector, **ONE_GAUSSIAN).fit(frame)
    ordinary = frame[detector.p_values(frame) >= 0.2][:3]
    rows = ordinary.assign(none=1.0)
    assert (detector.p_values(rows) < 0.01).all()
    pd.testing.assert_frame_equal(detector.repair(rows), ordinary)
    assert (detector.explain(rows).groupby("row")["column"].first() == "none").all()


def test_holes_of_another_dtype_stay_holes() -> None:
    """Where holes are usual they need no repair, however they are marked."""
    rng = np.random.default_rng(0)
    counts = pd.Series(rng.integers(400, 500, 300), dtype="Int64")
    frame = pd.DataFrame({"count": counts, "other": rng.standard_normal(300)})
    frame.loc[::3, "count"] = pd.NA
    detector = unfitted(FlowOutlierDetector, **ONE_GAUSSIAN).fit(frame)
    rows = frame[:60].astype({"count": float})
    ordinary = detector.p_values(rows) >= 0.1
    repaired = detector.repair(rows)
    assert ordinary[::3].any()
    pd.testing.assert_frame_equal(repaired[ordinary], frame[:60][ordinary])


def test_rows_beyond_everything_become_ordinary(detector) -> None:
    far = np.array([[1e30, -1e30, 1e12, 0, 0, 5, 0, 1e300], np.full(8, 100.0)])
    with pytest.warns(UserWarning, match=r"1 of 2 rows .* rows \[1\], counted from 0"):
        repaired = detector.repair(far)
    assert (detector.p_values(repaired) >= 0.1).all()
    assert repaired[0, [3, 4, 6]].tolist() == [0, 0, 0]


@pytest.fixture(scope="module")
def sums() -> tuple[FlowOutlierDetector, pd.DataFrame]:
    """A total and its parts, mostly 0."""

    def draw(n_rows: int, seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        part, other = (rng.lognormal(5, 1, (2, n_rows)) * (rng.random((2, n_rows)) < 0.3)).round()
        speed = rng.normal(140, 30, n_rows).round()
        return pd.DataFrame({"part": part, "other": other, "total": part + other, "speed": speed})

    return FlowOutlierDetector(FlowDensity(n_layers=0), random_state=0).fit(draw(1_000, 0)), draw(
        12, 1
    )


@pytest.mark.slow
def test_wrong_cells_that_bear_each_other_out_are_changed_together(sums) -> None:
    """Each is what the other makes usual, so no change of one of them helps."""
    detector, right = sums
    odd = right.assign(part=7e6, total=7e6)
    repaired = detector.repair(odd)  # without a warning
    assert (detector.p_values(repaired) >= 0.1).all()
    kept = ["other", "speed"]
    same = (repaired[kept] == odd[kept]).all(axis=1)
    assert same.mean() > 0.8
    assert len(repaired.drop_duplicates()) == len(odd.drop_duplicates())
    off = (repaired["total"] - repaired["part"] - repaired["other"]).abs()
    assert (off <= 0.2 * (repaired["total"] + 20)).mean() > 0.7


@pytest.mark.slow
def test_progress_is_shown_where_it_is_asked_for(sums, capsys) -> None:
    detector, right = sums
    odd = right[:2].assign(speed=9e3)
    detector.repair(odd), detector.score_features(odd)
    assert capsys.readouterr().err == ""
    detector = copy.deepcopy(detector).set_params(verbose=1)
    detector.repair(odd), detector.score_features(odd)
    shown = capsys.readouterr().err
    assert "repair: 100%" in shown
    assert "score_features: 100%" in shown


def test_turns_cover_each_strange_cell_once() -> None:
    """One cell of a row at a time, or an eighth of the row's cells where columns are many."""
    strange = np.random.default_rng(0).random((5, 70)) < 0.3
    strange[0] = False
    strange[1] = np.arange(70) < 3
    for mask in (strange, strange[:, :64]):
        turns = list(in_turns(mask))
        cells = [(row, j) for turn in turns for j, rows in turn.items() for row in rows]
        assert sorted(cells) == [tuple(cell) for cell in np.argwhere(mask).tolist()]
        is_many = mask.shape[1] > 64
        assert len(turns) == (8 if is_many else mask.sum(axis=1).max())
        assert not is_many or max(len(turn) for turn in turns) > 5
        assert all(sum(1 in rows for rows in turn.values()) <= 1 for turn in turns)
