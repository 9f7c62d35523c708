"""Samples and latents of mixed tables."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats

from skflow import FlowDensity
from skflow.flow import blocks
from tests.mixed import every_kind, every_polars_kind, small_mix
from tests.settings import TWO_LAYERS

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")

N_SAMPLES = 3000


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return every_kind(600)


@pytest.fixture(scope="module")
def flow(table: pd.DataFrame) -> FlowDensity:
    return FlowDensity(**TWO_LAYERS).set_output(transform="pandas").fit(table)


@pytest.fixture(scope="module")
def samples(flow: FlowDensity) -> pd.DataFrame:
    return flow.sample(N_SAMPLES, random_state=0)


def test_samples_have_the_dtypes_that_were_fitted(
    samples: pd.DataFrame, table: pd.DataFrame
) -> None:
    pd.testing.assert_series_equal(samples.dtypes, table.dtypes)
    assert list(samples.index) == list(range(N_SAMPLES))
    assert samples["size"].cat.ordered


def test_labels_of_samples_are_those_that_were_seen(
    samples: pd.DataFrame, table: pd.DataFrame
) -> None:
    for name in ("levels", "flag", "maybe", "colour", "constant", "same"):
        assert set(samples[name].dropna()) <= set(table[name].dropna()), name
        assert samples[name].isna().any() == table[name].isna().any(), name
    kinds = {(type(cell), repr(cell)) for cell in table["object"]}
    assert {(type(cell), repr(cell)) for cell in samples["object"]} <= kinds


def test_values_of_samples_lie_on_their_grid(samples: pd.DataFrame) -> None:
    for name, decimals in {"decimal": 2, "atom": 3, "cap": 1}.items():
        assert (samples[name] == samples[name].round(decimals)).all(), name
    assert (samples["when"].dt.microsecond == 0).all()
    assert (samples["day"].dropna() == samples["day"].dropna().dt.floor("D")).all()
    assert (samples["while"].dropna().dt.microseconds % 1000 == 0).all()


def test_values_of_samples_lie_inside_their_support(samples: pd.DataFrame) -> None:
    for name in ("decimal", "atom", "cap"):
        assert (samples[name] >= 0).all(), name
    assert (samples["while"].dropna() >= pd.Timedelta(0)).all()
    assert samples["small"].between(-128, 127).all()


def test_given_bounds_are_kept_by_samples() -> None:
    rng = np.random.default_rng(0)
    df = pd.DataFrame({"x": rng.uniform(2, 5, 400), "k": rng.integers(1, 100, 400)})
    bounds = {"x": (2, 5), "k": (1, 99)}
    drawn = FlowDensity(**TWO_LAYERS, bounds=bounds).fit(df).sample(5000, random_state=0)
    assert drawn["x"].between(2, 5).all()
    assert drawn["k"].between(1, 99).all()


def test_missing_values_are_as_frequent_as_in_the_table(
    samples: pd.DataFrame, table: pd.DataFrame
) -> None:
    np.testing.assert_allclose(samples.isna().mean(), table.isna().mean(), atol=0.05)
    nones = [
        sum(cell is None for cell in frame["object"]) / len(frame) for frame in (samples, table)
    ]
    assert nones[0] == pytest.approx(nones[1], abs=0.04)


def test_patterns_of_missing_values_are_those_of_the_table() -> None:
    rng = np.random.default_rng(1)
    df = pd.DataFrame(rng.standard_normal((1000, 3)), columns=list("abc"))
    together = rng.random(1000) < 0.3
    df.loc[together, ["a", "b"]] = np.nan  # never one without the other
    df.loc[~together & (rng.random(1000) < 0.2), "c"] = np.nan  # never with them
    flow = FlowDensity(**TWO_LAYERS | {"max_iter": 20}).fit(df)
    drawn = flow.sample(4000, random_state=0)
    shares = [frame.isna().value_counts(normalize=True) for frame in (drawn, df)]
    found, expected = shares[0].align(shares[1], fill_value=0.0)
    assert (found - expected).abs().max() < 0.03


def test_atoms_are_as_frequent_as_in_the_table(samples: pd.DataFrame, table: pd.DataFrame) -> None:
    for name, value in {"atom": 0.0, "cap": 9.9}.items():
        found, expected = ((frame[name] == value).mean() for frame in (samples, table))
        assert found == pytest.approx(expected, abs=0.05), name


@pytest.mark.slow
def test_relations_are_those_of_the_table() -> None:
    df = small_mix(2000)
    drawn = FlowDensity(**TWO_LAYERS | {"max_iter": 15}).fit(df).sample(4000, random_state=0)
    shares = [pd.crosstab(frame["colour"], frame["flag"], normalize=True) for frame in (drawn, df)]
    pd.testing.assert_frame_equal(*shares, check_exact=False, atol=0.04, rtol=0)
    means = [frame.groupby("flag")[["length", "weight"]].mean() for frame in (drawn, df)]
    pd.testing.assert_frame_equal(*means, check_exact=False, atol=0.3, rtol=0)
    assert drawn[["length", "weight"]].corr().iloc[0, 1] == pytest.approx(
        df[["length", "weight"]].corr().iloc[0, 1], abs=0.07
    )


def test_samples_are_scored_and_come_back(flow: FlowDensity, samples: pd.DataFrame) -> None:
    rows = samples[:200]
    assert np.isfinite(flow.score_samples(rows)).all()
    back = flow.inverse_transform(flow.transform(rows))
    names = [name for name in rows if name != "digits"]  # draws of it have 16 digits
    pd.testing.assert_frame_equal(back[names], rows[names], check_exact=True)


def test_samples_do_not_depend_on_the_size_of_blocks(
    flow: FlowDensity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rows again, those drawn again for being out of reach among them."""
    together = flow.sample(300, random_state=0)
    monkeypatch.setattr(blocks, "CPU_ENTRIES", 1)
    pd.testing.assert_frame_equal(flow.sample(300, random_state=0), together)


def test_samples_of_polars_tables() -> None:
    df = every_polars_kind(300)
    drawn = FlowDensity(**TWO_LAYERS).fit(df).sample(500, random_state=0)
    assert isinstance(drawn, pl.DataFrame)
    assert drawn.schema == df.schema
    # "c" is declared and in no row: a known label, of the probability of a rare one.
    assert (drawn["enum"] == "c").mean() < 0.01
    assert drawn["nan"].is_nan().mean() == pytest.approx(0.3, abs=0.1)
    assert drawn["nan"].null_count() == 0


def test_a_level_never_seen_is_not_sampled() -> None:
    """Though many were seen once: their share says that there are more."""
    rng = np.random.default_rng(2)
    labels = [f"rare {i}" for i in range(80)] + ["often"] * 320
    df = pd.DataFrame({"x": labels, "y": rng.integers(0, 3, 400)})
    drawn = FlowDensity(**TWO_LAYERS, column_kinds={"x": "categorical"}).fit(df).sample(4000, 0)
    assert set(drawn["x"]) <= set(labels)
    assert (drawn["x"] == "often").mean() == pytest.approx(0.8, abs=0.1)
    assert drawn["x"].value_counts().drop("often").max() < 60


# Latents


def test_names_of_latents(flow: FlowDensity, table: pd.DataFrame) -> None:
    names = list(flow.get_feature_names_out())
    assert list(flow.transform(table[:3]).columns) == names
    both = {"nullable", "day", "while", "atom", "cap", "hole"}
    expected = []
    for name in table:
        expected += [f"{name}_label", name] if name in both else [name]
    assert names == expected


def test_names_of_latents_do_not_collide() -> None:
    rng = np.random.default_rng(3)
    x = np.where(rng.random(200) < 0.3, np.nan, rng.standard_normal(200))
    df = pd.DataFrame({"x": x, "x_label": rng.standard_normal(200)})
    names = FlowDensity(**TWO_LAYERS).fit(df).get_feature_names_out()
    assert len(set(names)) == 3
    assert {"x", "x_label"} < set(names)


def test_latents_of_what_is_absent_are_zero(flow: FlowDensity, table: pd.DataFrame) -> None:
    Z = flow.transform(table)
    for name in ("nullable", "day", "while", "hole"):
        absent = table[name].isna()
        assert (Z.loc[absent, name] == 0.0).all()
        assert (Z.loc[~absent, name] != 0.0).all()
    for name, value in {"atom": 0.0, "cap": 9.9}.items():
        assert ((Z[name] == 0.0) == (table[name] == value)).all()


def test_latents_of_labels_are_ordered_as_levels_are(flow: FlowDensity) -> None:
    row = every_kind(1)
    rows = pd.concat([row] * 4, ignore_index=True)
    rows["levels"] = np.array([0, 1, 2, 3], dtype=np.int16)
    assert (np.diff(flow.transform(rows)["levels"]) > 0).all()


@pytest.mark.slow
def test_latents_of_held_out_rows_are_standard_normal() -> None:
    """Of labels they are the middles of intervals, so normal only if spread over them."""
    train, fresh = small_mix(3000), small_mix(3000, seed=1)
    flow = FlowDensity(random_state=0, max_iter=10, n_components=4).fit(train)
    Z = flow.transform(fresh)
    names = list(flow.get_feature_names_out())
    assert names == ["colour", "flag", "length", "weight_label", "weight"]
    present = fresh["weight"].notna()
    for values in (Z[:, 2], Z[present, 4]):
        assert stats.kstest(values, "norm").statistic < 0.04
    correlation = np.corrcoef(Z[present][:, [2, 4]].T)[0, 1]
    assert abs(correlation) < 0.08
    # No value is predicted by a label any more.
    for j in (2, 4):
        rows = present if j == 4 else np.ones(len(Z), dtype=bool)
        for flag in (False, True):
            part = Z[rows & (fresh["flag"] == flag), j]
            assert abs(part.mean()) < 0.12
            assert 0.85 < part.std() < 1.15
