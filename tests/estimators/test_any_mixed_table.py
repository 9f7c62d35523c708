"""Any mixed table: everything finite, and the same rows back."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from skflow import FlowDensity
from skflow.exceptions import DegenerateDensityWarning, LostDigitsWarning

LARGE = 2**39
words = st.text(max_size=3)
float32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
float16 = st.floats(width=16, allow_nan=False, allow_infinity=False)
# Mostly of one scale, where the smallest numbers are the hardest.
ordinary = st.one_of(st.just(0.0), st.floats(-(2**20), 2**20, width=32))
objects = st.one_of(words, st.integers(-3, 3), st.booleans(), st.sampled_from([1.5, (1,), b"a"]))

# Elements, dtype and missing marker of a column, all of which are promised back.
KINDS = {
    "flag": (st.booleans(), "bool", None),
    "maybe": (st.booleans(), "boolean", pd.NA),
    "word": (words, "str", np.nan),
    "object": (objects, "object", None),
    "category": (st.sampled_from(["a", "b", ""]), pd.CategoricalDtype(["", "b", "c", "a"]), np.nan),
    "level": (st.sampled_from([-1, 0, 7]), "int8", None),
    "integer": (st.integers(-LARGE, LARGE), "int64", None),
    "nullable": (st.integers(-1000, 1000), "Int32", pd.NA),
    "float16": (float16, "float16", np.nan),
    "float32": (ordinary, "float32", np.nan),
    "any float32": (float32, "float32", np.nan),
    "decimal": (st.integers(-(10**6), 10**6).map(lambda cents: cents / 100), "float64", np.nan),
    "atom": (st.sampled_from([0.0, 0.0, 0.5, 2.5, 3.25]), "float64", np.nan),
    "date": (st.integers(-LARGE, LARGE), "datetime64[s]", pd.NaT),
    "zoned": (st.integers(0, 10**9), "datetime64[us, Asia/Tokyo]", pd.NaT),
    "duration": (st.integers(0, LARGE), "timedelta64[ms]", pd.NaT),
}


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """1 to 5 columns and 2 to 40 rows, with holes, repeated values and repeated columns."""
    n_rows = draw(st.integers(2, 40))
    columns = {}
    for j in range(draw(st.integers(1, 5))):
        elements, dtype, marker = KINDS[draw(st.sampled_from(sorted(KINDS)))]
        some = draw(st.lists(elements, min_size=1, max_size=n_rows))
        cells = pd.Series(np.resize(np.arange(len(some)), n_rows)).map(dict(enumerate(some)))
        column = pd.Series(cells.tolist(), dtype=object)
        if str(dtype).startswith(("datetime64[us", "datetime64", "timedelta64")):
            column = pd.Series(column.astype("int64").to_numpy()).astype(dtype)
        else:
            column = column.astype(dtype)
        if marker is not None or str(dtype) == "object":
            holes = draw(st.lists(st.booleans(), min_size=n_rows, max_size=n_rows))
            if draw(st.booleans()):
                column = column.mask(np.array(holes), marker)
        columns[f"c{j}"] = column
    return pd.DataFrame(columns)


def are_words(column: pd.Series) -> bool:
    if column.dtype not in (object, "str"):
        return False
    kind = pd.api.types.infer_dtype(column.dropna(), skipna=False)
    return kind not in ("integer", "floating", "mixed-integer-float", "boolean", "empty")


def check(df: pd.DataFrame, params: dict) -> None:
    # Columns of distinct words look like identifiers.
    insisted = {name: "categorical" for name in df if are_words(df[name])}
    flow = FlowDensity(
        hidden_units=4, max_iter=1, random_state=0, column_kinds=insisted or None, **params
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDensityWarning)
        warnings.simplefilter("ignore", LostDigitsWarning)
        flow.fit(df)
    assert np.isfinite(flow.score_samples(df)).all()
    Z = flow.transform(df)
    assert np.isfinite(Z).all()
    back = flow.inverse_transform(Z)
    assert_frame_equal(back, df, check_exact=True)
    drawn = flow.sample(4, random_state=0)
    assert (drawn.dtypes == df.dtypes).all()
    assert np.isfinite(flow.score_samples(drawn)).all()
    alone = [flow.score_samples(df.iloc[[i]])[0] for i in range(min(3, len(df)))]
    np.testing.assert_allclose(alone, flow.score_samples(df)[:3], rtol=1e-9, atol=1e-9)


params = st.sampled_from(
    [{"n_layers": 0}, {"n_layers": 2}, {"n_layers": 2, "n_components": 3}, {"early_stopping": True}]
)
quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=quiet)
@given(df=tables(), params=params)
def test_any_mixed_table(df: pd.DataFrame, params: dict) -> None:
    check(df, params)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=1000, deadline=None, suppress_health_check=quiet)
@given(df=tables(), params=params)
def test_any_of_many_mixed_tables(df: pd.DataFrame, params: dict) -> None:
    check(df, params)
