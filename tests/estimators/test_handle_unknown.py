"""handle_unknown="ignore": what was never seen comes back as missing, all else as it was."""

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from skflow import FlowDensity, FlowOutlierDetector, load
from tests.estimators.test_any_mixed_table import are_words, tables
from tests.mixed import every_kind, every_polars_kind
from tests.settings import TWO_GAUSSIANS, TWO_LAYERS
from tests.tables import unfitted

pytestmark = [
    pytest.mark.filterwarnings("ignore::skflow.exceptions.StrangeLabelsWarning"),
    pytest.mark.usefixtures("few_candidates_in_file"),
]

IGNORE = {"handle_unknown": "ignore"}
NEVER = "never seen"
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


def with_unknown(rows: pd.DataFrame, lost: np.ndarray) -> pd.DataFrame:
    """Put a word never seen into the lost cells of words, and a hole into those of all else."""
    columns = {}
    for j, name in enumerate(rows):
        column = rows[name]
        if column.dtype.kind in "iub" and isinstance(column.dtype, np.dtype):
            nullable = pd.Series(column.tolist(), dtype="boolean" if column.dtype == bool else None)
            column = nullable if column.dtype == bool else column.astype(nullable_name(column))
        word = NEVER if column.dtype in (object, "str") else pd.NA
        columns[name] = column.mask(lost[:, j], word)
    return pd.DataFrame(columns, index=rows.index)


def nullable_name(column: pd.Series) -> str:
    return column.dtype.name.replace("i", "I").replace("u", "U")


def assert_unknown_is_missing(flow: FlowDensity, rows: pd.DataFrame, lost: np.ndarray) -> None:
    """Unknown cells come back missing, and all others as they were."""
    scores, Z = flow.score_samples(rows), flow.transform(rows)
    assert np.isfinite(scores).all()
    assert np.isfinite(Z).all()
    back = flow.inverse_transform(Z)
    for j, name in enumerate(rows):
        there = ~(lost[:, j] | rows[name].isna().to_numpy())
        np.testing.assert_array_equal(back[name].isna().to_numpy(), ~there, err_msg=name)
        came, given_back = (frame[name].astype(object)[there].tolist() for frame in (rows, back))
        assert came == given_back, name


def check(df: pd.DataFrame, layers: int, seed: int) -> None:
    insisted = {name: "categorical" for name in df if are_words(df[name])}
    parameters = {"hidden_units": 4, "max_iter": 1, "random_state": 0, "n_layers": layers}
    flow = FlowDensity(**parameters, **IGNORE, column_kinds=insisted or None).fit(df)
    assert_frame_equal(flow.inverse_transform(flow.transform(df)), df, check_exact=True)
    lost = np.random.default_rng(seed).random(df.shape) < 0.3
    numeric = [df[name].dtype == object and not are_words(df[name]) for name in df]
    lost[:, numeric] = False  # objects that are all numbers take no word
    assert_unknown_is_missing(flow, with_unknown(df, lost), lost)
    drawn = flow.sample(4, random_state=0)
    assert (drawn.dtypes == df.dtypes).all()
    seen = df.isna().any()
    assert not (drawn.isna().any() & ~seen).any()


any_case = given(df=tables(), layers=st.sampled_from([0, 2]), seed=st.integers(0, 99))


@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=QUIET)
@any_case
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_any_mixed_table(df: pd.DataFrame, layers: int, seed: int) -> None:
    check(df, layers, seed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=400, deadline=None, suppress_health_check=QUIET)
@any_case
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_any_of_many_mixed_tables(df: pd.DataFrame, layers: int, seed: int) -> None:
    check(df, layers, seed)


@pytest.fixture(
    scope="module", params=[TWO_GAUSSIANS, pytest.param(TWO_LAYERS, marks=pytest.mark.slow)]
)
def flows(request: pytest.FixtureRequest) -> tuple[FlowDensity, FlowDensity]:
    """Two that differ in this parameter alone."""
    rows = every_kind(300)
    fits = [FlowDensity(**request.param, handle_unknown=h).fit(rows) for h in ("error", "ignore")]
    return fits[0], fits[1]


def test_known_rows_and_scores_are_as_ever(flows: tuple[FlowDensity, FlowDensity]) -> None:
    error, ignore = flows
    rows = every_kind(100, seed=1)
    np.testing.assert_array_equal(ignore.transform(rows), error.transform(rows))
    assert_frame_equal(ignore.inverse_transform(ignore.transform(rows)), rows, check_exact=True)
    assert_frame_equal(ignore.sample(50, random_state=1), error.sample(50, random_state=1))
    odd = with_unknown(rows, np.random.default_rng(0).random(rows.shape) < 0.2)
    np.testing.assert_array_equal(ignore.score_samples(odd), error.score_samples(odd))
    with pytest.raises(ValueError, match="cannot be transformed"):
        error.transform(odd)


def test_every_kind(flows: tuple[FlowDensity, FlowDensity]) -> None:
    rows = every_kind(100, seed=1)
    lost = np.random.default_rng(0).random(rows.shape) < 0.3
    assert_unknown_is_missing(flows[1], with_unknown(rows, lost), lost)
    lost[:] = True
    assert_unknown_is_missing(flows[1], with_unknown(rows, lost), lost)


def test_latents_of_labels_never_seen_are_at_the_end_of_the_line() -> None:
    rows = pd.DataFrame({"letter": list("aabc") * 50, "x": np.arange(200) / 8})
    flow = FlowDensity(**TWO_GAUSSIANS, **IGNORE).fit(rows)
    usual = flow.transform(rows)
    unknown = flow.transform(rows.assign(letter="z", x=np.nan))
    assert (unknown[:, 0] < usual[:, 0].min()).all()
    assert (unknown[:, 1] == 0).all()
    assert (usual[:, 1] != 0).all()


def test_numbers_never_seen_still_come_back() -> None:
    """In a column of levels a hole has a place of its own beside them."""
    rows = pd.DataFrame({"level": np.arange(200) % 4})
    flow = FlowDensity(**TWO_GAUSSIANS, **IGNORE).fit(rows)
    odd = pd.DataFrame({"level": pd.array([1, 7, None, -5, 10**6, None, 2], dtype="Int64")})
    assert_frame_equal(flow.inverse_transform(flow.transform(odd)), odd, check_exact=True)


COUNTS = np.random.default_rng(0).permutation(200).reshape(100, 2)
LETTERS = np.array(["a", "b", "c", "a"])
ARRAYS = {
    "int16": (COUNTS.astype(np.int16), np.float64),
    "uint64": (COUNTS.astype(np.uint64), np.float64),
    "beyond floats": (2**60 + COUNTS, object),
    "bool": (COUNTS % 3 == 0, object),
    "text": (LETTERS[COUNTS % 4], object),
    "objects": (np.array(["a", 1, "c", 2], dtype=object)[COUNTS % 4], object),
    "float32": (COUNTS.astype(np.float32), np.float32),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(name: str) -> None:
    X, promoted = ARRAYS[name]
    flow = FlowDensity(**TWO_GAUSSIANS, **IGNORE).fit(X)
    assert flow.inverse_transform(flow.transform(X)).dtype == X.dtype
    odd = X[:5].astype(object)
    odd[2, 0] = None
    back = flow.inverse_transform(flow.transform(odd))
    assert back.dtype == promoted
    lost = np.zeros((5, 2), dtype=bool)
    lost[2, 0] = True
    assert (pd.isna(back) == lost).all()
    assert (back[~lost] == X[:5][~lost]).all()


def test_polars() -> None:
    rows = every_polars_kind(200)
    flow = FlowDensity(**TWO_GAUSSIANS, **IGNORE).fit(rows)
    assert flow.inverse_transform(flow.transform(rows)).equals(rows)
    odd = rows.with_columns(pl.when(pl.int_range(pl.len()) % 3 > 0).then(pl.all()))
    back = flow.inverse_transform(flow.transform(odd))
    assert back.schema == rows.schema
    assert back.equals(odd)


def test_in_a_pipeline(tmp_path: Path) -> None:
    rows = every_kind(200)[["colour", "flag", "decimal"]].dropna().reset_index(drop=True)
    flow = FlowDensity(**TWO_GAUSSIANS, **IGNORE).set_output(transform="pandas")
    pipeline = make_pipeline(flow, PCA(2)).fit(rows)
    odd = rows.assign(colour=NEVER, decimal=np.nan)
    assert np.isfinite(pipeline.transform(odd)).all()
    Z = flow.transform(odd.set_axis(odd.index + 7))
    assert isinstance(Z, pd.DataFrame)
    back = flow.inverse_transform(Z)
    assert (back.index == Z.index).all()
    assert back[["colour", "decimal"]].isna().all(axis=None)
    assert back["flag"].tolist() == rows["flag"].tolist()
    flow.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert loaded.handle_unknown == "ignore"
    assert_frame_equal(
        loaded.inverse_transform(loaded.transform(odd)), flow.inverse_transform(flow.transform(odd))
    )


@pytest.mark.slow
def test_detectors_pass_it_on() -> None:
    rows = every_kind(120)[["colour", "decimal"]]
    detector = unfitted(FlowOutlierDetector, **TWO_GAUSSIANS, **IGNORE).fit(rows)
    assert detector.density_.handle_unknown == "ignore"
    assert np.isfinite(detector.density_.transform(rows.assign(colour=NEVER))).all()


def test_other_values_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'handle_unknown' parameter .* must be a str among"):
        FlowDensity(handle_unknown="drop").fit(every_kind(40))
