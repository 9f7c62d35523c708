"""Densities of columns with rounding levels: sums, samples, reasons, conditionals, files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from skflow import FlowDensity, FlowRegressor, load
from skflow.outliers.conditionals import tail_log_probs
from skflow.outliers.joint_density import JointDensity
from skflow.table.schema import Schema
from tests.table.test_rounding import heaped

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")

ONE_LAYER = {"n_layers": 1, "max_iter": 3, "n_components": 3, "random_state": 0}
GRID = pd.DataFrame({"price": np.arange(60_000)})


def table(n_rows: int, seed: int) -> pd.DataFrame:
    """Prices, a quarter of which are 0 or missing, and their doubled logarithm with noise."""
    rng = np.random.default_rng(1000 + seed)
    price = pd.Series(heaped(n_rows, seed)).astype("Int64")
    size = 2 * np.log1p(price.astype(float)) + rng.normal(0, 1, n_rows)
    u = rng.random(n_rows)
    price = price.mask(u < 0.2, 0).mask(u > 0.95)
    return pd.DataFrame({"price": price, "size": size})


@pytest.fixture(scope="module")
def alone() -> FlowDensity:
    return FlowDensity(**ONE_LAYER).fit(table(3000, 0)[["price"]])


@pytest.fixture(scope="module")
def joint() -> FlowDensity:
    return FlowDensity(**ONE_LAYER).fit(table(3000, 0))


def test_probabilities_sum_to_one(alone: FlowDensity) -> None:
    """That of 0, which is an atom, and of missing values included."""
    schema = alone.schema_.columns[0]
    assert (schema.step, schema.rounding, schema.atoms) == (1, (100, 500), (0,))
    missing = pd.DataFrame({"price": pd.array([pd.NA], dtype="Int64")})
    total = np.exp(alone.score_samples(GRID)).sum() + np.exp(alone.score_samples(missing))[0]
    assert total == pytest.approx(1, abs=0.01)


def test_samples_are_as_round_as_rows(joint: FlowDensity) -> None:
    real, drawn = table(20_000, 1)["price"], joint.sample(20_000)["price"]
    for step in (100, 500):
        shares = [(column.dropna() % step == 0).mean() for column in (real, drawn)]
        assert shares[0] == pytest.approx(shares[1], abs=0.02)
    assert (drawn.dropna() >= 0).all()


def test_rows_come_back(joint: FlowDensity) -> None:
    rows = table(500, 2)
    back = joint.inverse_transform(joint.transform(rows))
    assert (back["price"].fillna(-1) == rows["price"].fillna(-1)).all()
    assert joint.transform(rows).shape == (500, 3)


def without_levels(schema: Schema) -> Schema:
    return replace(schema, columns=tuple(replace(c, rounding=()) for c in schema.columns))


def test_levels_gain_on_new_rows(alone: FlowDensity) -> None:
    train, new = table(3000, 0)[["price"]], table(3000, 3)[["price"]]
    smooth = FlowDensity(**ONE_LAYER, column_kinds=without_levels(alone.schema_)).fit(train)
    assert alone.score_samples(new).mean() > smooth.score_samples(new).mean() + 0.3


def test_reasons_are_sums_over_the_grid(joint: FlowDensity) -> None:
    rows = table(3000, 4).dropna().head(4).reset_index(drop=True)
    rows.loc[3, "price"] = 0
    density = joint._density
    codec = density.codec.columns[0]
    reasons = tail_log_probs(
        density.codec, JointDensity(density.model, "cpu", 1), density.container.read(rows)
    )[:, 0]
    values = codec.labels.value_labels
    for i, (price, size) in enumerate(rows.itertuples(index=False)):
        every = pd.DataFrame({"price": pd.array([*range(16_000), pd.NA], dtype="Int64")})
        every["size"] = size
        mass = np.exp(joint.score_samples(every))
        mass /= mass.sum()
        label = codec.encode(density.container.read(every).columns[0]).labels
        own = mass[int(price)]
        if label[int(price)] in values:
            alike = mass[label == label[int(price)]]
            own = alike[alike <= own * (1 + 1e-9)].sum()
        events = mass[~np.isin(label, values)]
        tail = sum(min(own, mass[label == level].sum()) for level in values)
        tail += events[events <= own * (1 + 1e-9)].sum()
        # Near the mode, where nothing is strange, nodes are a few hundredths of it apart.
        assert np.exp(reasons[i]) == pytest.approx(tail, abs=0.03, rel=0.05)


@pytest.mark.slow
def test_conditional_distributions_are_sums() -> None:
    """Distribution function and density agree on the grid, and quantiles invert the former."""
    rows = table(2500, 0).dropna()
    regressor = FlowRegressor(FlowDensity(n_layers=0, n_components=3), random_state=0)
    regressor.fit(rows[["size"]], rows["price"].astype(int))
    distribution = regressor.predict_dist(table(3, 5)[["size"]])
    line = np.arange(40_000)
    mass = distribution.pdf(line[None])
    sums = np.cumsum(mass, axis=1)
    assert sums[:, -1] == pytest.approx(1, abs=0.01)
    at = np.array([0, 1, 99, 100, 500, 501, 2000, 4999, 10_000])
    assert distribution.cdf(at[None]) == pytest.approx(sums[:, at], abs=0.02)
    for share in (0.05, 0.5, 0.9):
        quantile = distribution.ppf(share)
        assert (distribution.cdf(quantile) >= share).all()
        assert (distribution.probability_below(quantile) < share).all()
    mean = (line * mass).sum(axis=1)
    assert distribution.mean() == pytest.approx(mean, rel=0.02)
    deviation = np.sqrt((line**2 * mass).sum(axis=1) - mean**2)
    assert distribution.std() == pytest.approx(deviation, rel=0.05)
    entropy = -(mass * np.log(np.where(mass > 0, mass, 1))).sum(axis=1)
    assert distribution.entropy() == pytest.approx(entropy, abs=0.05)
    # One event is "a number", whatever its level, so the mode may have less mass than an atom.
    likeliest = mass[:, 1:].max(axis=1)
    at_mode = mass[np.arange(3), distribution.mode().astype(int)]
    assert ((at_mode > 0.8 * likeliest) | (distribution.mode() == 0)).all()


def test_a_file_keeps_levels(joint: FlowDensity, tmp_path: Path) -> None:
    joint.save(tmp_path / "rounded.skflow")
    loaded = load(tmp_path / "rounded.skflow")
    rows = table(100, 6)
    assert loaded.schema_ == joint.schema_
    assert (loaded.score_samples(rows) == joint.score_samples(rows)).all()


def test_unknown_cells_are_drawn_and_summed_out(joint: FlowDensity) -> None:
    rows = table(20, 7)
    drawn = joint.sample_given(rows[["size"]], n_samples=200, random_state=0)
    assert (drawn["price"].dropna() % 100 == 0).mean() > 0.6


def test_polars_has_the_same_levels(alone: FlowDensity) -> None:
    frame = pl.from_pandas(table(3000, 0)[["price"]])
    other = FlowDensity(**ONE_LAYER).fit(frame)
    assert other.schema_.columns[0].rounding == alone.schema_.columns[0].rounding
    assert other.score_samples(frame[:9]) == pytest.approx(
        alone.score_samples(table(3000, 0)[["price"]][:9])
    )


@pytest.mark.usefixtures("few_fits")
def test_modes_are_the_likeliest_of_all_numbers() -> None:
    generator = np.random.default_rng(5)
    x = generator.normal(size=400)
    step = generator.choice([1, 50, 500], 400, p=[0.2, 0.3, 0.5])
    y = np.exp(7 + 0.5 * x + 0.3 * generator.normal(size=400))
    y = (np.round(y / step) * step).astype(int)
    predicted = FlowRegressor(FlowDensity(n_layers=0, n_components=2), random_state=0)
    predicted = predicted.fit(x[:, None], y).predict_dist(x[:3, None])
    every = np.arange(0, 5001)
    of_every = predicted.pdf(np.tile(every, (3, 1)))
    assert (predicted.pdf(predicted.mode()) >= 0.97 * of_every.max(axis=1)).all()


def test_conditions_have_the_atoms_of_a_column_without_levels() -> None:
    """A condition has no rounding levels: a number that they would explain is an atom."""
    rng = np.random.default_rng(0)
    n = 1200
    smooth = rng.integers(0, 4000, n)
    price = np.where(rng.random(n) < 0.6, 500 * rng.integers(0, 8, n), smooth)
    rows = pd.DataFrame({"price": price, "size": np.log1p(price) + rng.normal(0, 1, n)})
    settings = {"n_layers": 0, "n_components": 1, "random_state": 0}
    joint_schema = FlowDensity(**settings).fit(rows).schema_.columns[0]
    given_schema = FlowDensity(**settings, given=["price"]).fit(rows).schema_.columns[0]
    assert joint_schema.rounding
    assert not given_schema.rounding
    assert set(given_schema.atoms) >= set(range(0, 4000, 500)) > set(joint_schema.atoms)
