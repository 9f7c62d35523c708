"""Unseen and broken cells of mixed tables: "What bad input gets" in api.md."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from skflow import FlowDensity
from tests.settings import CHOSEN_GAUSSIANS, TWO_GAUSSIANS, TWO_LAYERS, one_of_each

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")

N_ROWS = 300


def tidy(n_rows: int = N_ROWS) -> pd.DataFrame:
    """No hole anywhere; a column of each way to be a label or a value."""
    rng = np.random.default_rng(0)
    factor = rng.standard_normal(n_rows)
    return pd.DataFrame(
        {
            "colour": rng.choice(["red", "green"], n_rows),
            "declared": pd.Categorical(rng.choice(["a", "b"], n_rows), ["a", "b", "spare"]),
            "level": rng.choice([1, 2, 4], n_rows),
            "share": rng.choice([0.0, 0.5, 2.0], n_rows),
            "count": (100 * factor).astype(int),
            "price": (5 * np.exp(factor)).round(2),
            "number": (factor + rng.standard_normal(n_rows)).round(12),
            "positive": (1 + rng.exponential(size=n_rows)).round(12),
            "atom": np.where(factor > 0, 0.0, (1 + np.abs(factor)).round(12)),
            "constant": np.full(n_rows, 7),
            "flag": factor > 0,
            "object": pd.Series(
                np.array(["x", 1, 2.5, None], dtype=object)[rng.integers(4, size=n_rows)],
                dtype=object,
            ),
            "when": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(rng.integers(999, size=n_rows), "D"),
        }
    )


@pytest.fixture(scope="module")
def flow() -> FlowDensity:
    return FlowDensity(**TWO_LAYERS).fit(tidy())


def with_cell(name: str, value: object) -> pd.DataFrame:
    """Three rows, the middle one with ``value`` in a column."""
    cells = tidy(3)[name].astype(object)
    cells.iloc[1] = value
    column = cells if name == "object" else cells.infer_objects()
    return tidy(3).assign(**{name: column})


class Odd(NamedTuple):
    """A cell, and whether its row can be given back."""

    column: str
    value: object
    reversible: bool


ODD = {
    "a category never seen": Odd("colour", "blue", reversible=False),
    "an empty string": Odd("colour", "", reversible=False),
    "a number for a category": Odd("object", 17, reversible=False),
    "another type for a category": Odd("object", True, reversible=False),
    "a level never seen": Odd("level", 3, reversible=True),
    "a level far out": Odd("level", 10**9, reversible=True),
    "a level between two": Odd("share", 1.0, reversible=True),
    "a level off their grid": Odd("share", 0.123, reversible=True),
    "a negative number where none was": Odd("positive", -3.0, reversible=True),
    "a negative price": Odd("price", -0.25, reversible=True),
    "a number close to an atom": Odd("atom", 1e-9, reversible=True),
    "another number in a constant column": Odd("constant", 8, reversible=True),
    "a date far out": Odd("when", pd.Timestamp("2100-05-05"), reversible=True),
    "a hole where a category was": Odd("colour", None, reversible=False),
    "a hole where a level was": Odd("level", np.nan, reversible=False),
    "a hole where a count was": Odd("count", np.nan, reversible=False),
    "a hole where a number was": Odd("number", np.nan, reversible=False),
    "a hole where an atom was": Odd("atom", np.nan, reversible=False),
    "a hole in a constant column": Odd("constant", np.nan, reversible=False),
    "a hole where a flag was": Odd("flag", None, reversible=False),
    "a hole where a date was": Odd("when", pd.NaT, reversible=False),
}
every_odd = pytest.mark.parametrize("name", ODD)


@every_odd
def test_it_is_scored_as_a_rare_event(flow: FlowDensity, name: str) -> None:
    odd = ODD[name]
    rows = with_cell(odd.column, odd.value)
    scores, usual = flow.score_samples(rows), flow.score_samples(tidy(3))
    assert np.isfinite(scores).all()
    # What dtype the others have, now that one is odd, does not matter.
    np.testing.assert_allclose(scores[[0, 2]], usual[[0, 2]], rtol=1e-9)
    assert scores[1] < usual[1] - 1


@every_odd
def test_it_comes_back_or_is_refused_by_name(flow: FlowDensity, name: str) -> None:
    odd = ODD[name]
    rows = with_cell(odd.column, odd.value)
    if not odd.reversible:
        with pytest.raises(ValueError, match=f"'{odd.column}': .*(never seen|no such at fit)"):
            flow.transform(rows)
        return
    back = flow.inverse_transform(flow.transform(rows))
    assert_frame_equal(back, rows.astype(tidy(1).dtypes), check_exact=True)


def test_a_refusal_lists_all_columns_and_the_remedy(flow: FlowDensity) -> None:
    rows = tidy(5).assign(colour="blue", number=np.nan)
    with pytest.raises(ValueError, match=r"(?s)'colour': 'blue', never seen.*'number': 5 missing"):
        flow.transform(rows)
    with pytest.raises(ValueError, match="They can be scored"):
        flow.transform(rows)


def test_a_spare_category_is_known(flow: FlowDensity) -> None:
    """Declared but never seen: less likely than those that were, but reversible."""
    rows = tidy(3)
    rows.loc[1, "declared"] = "spare"
    assert flow.score_samples(rows)[1] < flow.score_samples(tidy(3))[1] - 1
    assert_frame_equal(flow.inverse_transform(flow.transform(rows)), rows, check_exact=True)


@pytest.mark.parametrize("column", ["level", "count", "share", "number", "price", "constant"])
@pytest.mark.parametrize("sign", [-1, 1])
def test_scores_fall_strictly_outward(flow: FlowDensity, column: str, sign: int) -> None:
    """Of whole numbers also where they are the labels of few levels."""
    distance = np.geomspace(1e4, 1e15, 30).round()
    rows = pd.concat([tidy(1)] * 30, ignore_index=True)
    rows[column] = sign * distance
    scores = flow.score_samples(rows)
    assert np.isfinite(scores).all()
    assert (np.diff(scores) < 0).all()


def test_levels_never_seen_fall_outward_and_come_back(flow: FlowDensity) -> None:
    rows = pd.concat([tidy(1)] * 40, ignore_index=True)
    rows["level"] = np.arange(5, 45)
    assert (np.diff(flow.score_samples(rows)) < 0).all()
    assert_frame_equal(flow.inverse_transform(flow.transform(rows)), rows, check_exact=True)


def test_one_row(flow: FlowDensity) -> None:
    for i in range(5):
        row = tidy().iloc[[i]].reset_index(drop=True)
        assert flow.score_samples(row) == pytest.approx(flow.score_samples(tidy())[i], rel=1e-9)
        assert_frame_equal(flow.inverse_transform(flow.transform(row)), row, check_exact=True)


# Dtypes that changed between fit and score

RESTORED: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "integers as floats": lambda df: df.astype({"count": float, "level": float, "constant": float}),
    "integers, narrower": lambda df: df.astype({"count": np.int16, "level": np.int8}),
    "nullable": lambda df: df.convert_dtypes(),
    "objects": lambda df: df.drop(columns="when").astype(object).assign(when=df["when"]),
    "strings as categories": lambda df: df.astype({"colour": "category"}),
    "categories as strings": lambda df: df.astype({"declared": str}),
    "dates in nanoseconds": lambda df: df.assign(when=df["when"].astype("M8[ns]")),
    "flags as numbers": lambda df: df.assign(flag=df["flag"].astype(int)),
}


@pytest.mark.parametrize("name", RESTORED)
def test_dtypes_that_changed_change_no_score(flow: FlowDensity, name: str) -> None:
    rows = tidy()
    changed = RESTORED[name](rows)
    np.testing.assert_allclose(flow.score_samples(changed), flow.score_samples(rows), rtol=1e-9)
    back = flow.inverse_transform(flow.transform(changed))
    assert_frame_equal(back, rows, check_exact=False, rtol=1e-11)
    assert (back.dtypes == rows.dtypes).all()


# Tables that are odd from the start


def assert_usable(flow: FlowDensity, rows: pd.DataFrame) -> None:
    assert np.isfinite(flow.score_samples(rows)).all()
    assert_frame_equal(flow.inverse_transform(flow.transform(rows)), rows, check_exact=True)
    assert_frame_equal(flow.sample(5, random_state=0).iloc[:0], rows.iloc[:0])


ODD_TABLES = {
    "nothing but holes": {"x": [np.nan] * 40, "y": [None] * 40, "z": [1.5, 2.5] * 20},
    "nothing but holes at all": {"x": [np.nan] * 40},
    "one value, else holes": {"x": [np.nan] * 39 + [4.0], "y": np.arange(40.0)},
    "two values, else holes": {"x": [np.nan] * 38 + [4.0, 5.0], "y": np.arange(40.0)},
    "constants alone": {"x": ["a"] * 40, "y": [1] * 40, "z": [False] * 40},
    "empty strings": {"x": ["", "a"] * 20, "y": [""] * 40},
    "one flag": {"x": [True, False, False, False] * 10},
    "one category": {"x": ["a", "b", "b", "c"] * 10},
    "two rows of labels": {"x": ["a", "b"], "y": [True, True]},
    "two rows of all kinds": {"x": ["a", None], "y": [1.5, np.nan], "z": [3, 4]},
    "holes in turn": {"x": [np.nan, 1.0, 2.5, 3.0] * 25, "y": [0.5, np.nan, np.nan, 9.0] * 25},
    "types mixed in one column": {"x": ["1", 1, 1.5, True, (1,), b"1", None] * 10},
    "few rows, many labels": {"x": list("abcdefghij"), "y": list("aabbccddee")},
}


@pytest.mark.parametrize(
    ("name", "params"), one_of_each(ODD_TABLES, [TWO_LAYERS, CHOSEN_GAUSSIANS])
)
def test_odd_tables(name: str, params: dict) -> None:
    df = pd.DataFrame(ODD_TABLES[name])
    assert_usable(FlowDensity(**params).fit(df), df)


def test_identifiers_are_refused_all_at_once() -> None:
    df = tidy().assign(
        key=[f"id {i}" for i in range(N_ROWS)], text=[f"{i} words" for i in range(N_ROWS)]
    )
    with pytest.raises(ValueError, match="identifiers or free text") as caught:
        FlowDensity(**TWO_GAUSSIANS).fit(df)
    message = str(caught.value)
    assert "X = X.drop(columns=['key', 'text'])" in message
    assert "column_kinds={'key': 'categorical', 'text': 'categorical'}" in message
    insisted = FlowDensity(
        **TWO_GAUSSIANS, column_kinds={"key": "categorical", "text": "categorical"}
    ).fit(df)
    assert_usable(insisted, df)


def test_values_outside_bounds_are_rare_and_come_back() -> None:
    rng = np.random.default_rng(1)
    df = pd.DataFrame({"x": rng.uniform(2, 5, 400), "y": rng.choice(["a", "b"], 400)})
    flow = FlowDensity(**TWO_LAYERS, bounds={"x": (2, 5)}).fit(df)
    rows = pd.concat([df.iloc[[0]]] * 6, ignore_index=True)
    rows["x"] = [2.5, 1.999, 1.0, -100.0, 5.5, 1e9]
    scores = flow.score_samples(rows)
    assert np.isfinite(scores).all()
    assert (scores[1:] < scores[0] - 5).all()
    assert scores[1] > scores[2] > scores[3]
    assert scores[4] > scores[5]
    back = flow.inverse_transform(flow.transform(rows))
    assert_frame_equal(back, rows, check_exact=True)
