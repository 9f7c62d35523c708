"""The report on a density says what its methods say."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import kstest, sem

from skflow import FlowDensity
from skflow.report import DensityReport
from skflow.report.density import compare_pairs, measure_latents
from tests.report.conftest import Parsed, make_trips
from tests.report.test_text import HOSTILE
from tests.settings import ONE_GAUSSIAN, TWO_EPOCHS


@pytest.fixture(scope="module")
def flow() -> FlowDensity:
    """A density of trips, with two epochs of training."""
    return FlowDensity(**TWO_EPOCHS).fit(make_trips(300, 0))


def test_numbers_are_those_of_the_estimator(flow: FlowDensity) -> None:
    X = make_trips(100, 1)
    page = Parsed(flow.report(X).html)
    assert float(page.texts["score"]) == pytest.approx(flow.best_validation_score_, rel=1e-3)
    assert float(page.texts["score-of-rows"]) == pytest.approx(flow.score(X), rel=1e-3)
    assert page.texts["n-epochs"] == "2 epochs"
    assert page.texts["n-columns"] == "5"
    n_parameters = sum(each.numel() for each in flow._density.model.parameters())
    assert page.texts["n-parameters"] == f"{n_parameters:,}"
    assert page.texts["equal"].removesuffix(" %") == f"{100 * flow.inverse_error_.share_equal:.3g}"
    for column in flow.schema_.columns:
        assert column.name in page.texts["kind-table"]
        assert column.describe() in page.texts["kind-table"]


def test_the_error_of_a_score_is_that_of_a_mean(flow: FlowDensity) -> None:
    X = make_trips(100, 1)
    error = sem(flow.score_samples(X))
    assert f"standard error {error:.2g}; 100 rows" in flow.report(X).html
    assert "standard error" not in flow.report(X[:1]).html  # that of one row is not known


def test_latents_are_those_of_transform(flow: FlowDensity) -> None:
    X = make_trips(200, 1)
    Z = pd.DataFrame(flow.transform(X), columns=flow.get_feature_names_out())
    found = measure_latents(flow._density, flow._read(X), "cpu")
    assert {fit.name for fit in found} == {"km", "fare", "day"}
    for fit in found:
        there = Z[fit.name][Z[fit.name] != 0]
        assert (fit.n_rows, fit.mean) == (len(there), pytest.approx(there.mean()))
        assert fit.deviation == pytest.approx(there.std(ddof=0))
        assert fit.distance == pytest.approx(kstest(there, "norm").statistic)


def test_a_pair_that_draws_miss_comes_first() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(500, 3)), columns=list("abc"))
    flow = FlowDensity(**ONE_GAUSSIAN).fit(X)
    new = X.assign(c=-X["a"] + 0.1 * rng.normal(size=500))
    drawn = flow._read(flow.sample(2000, random_state=0))
    first = compare_pairs(flow._density.codec, flow._read(new), drawn)[0]
    assert (first.one, first.other) == ("a", "c")
    assert first.here == pytest.approx(new["a"].corr(new["c"], method="spearman"), abs=0.02)
    assert abs(first.there) < 0.2


@pytest.mark.parametrize("kind", ["array", "polars", "one row", "no rows", "initialization"])
def test_any_density_has_a_report(kind: str) -> None:
    frame = make_trips(150, 0)[["km", "payment"]]
    table: Any = {"array": frame[["km"]].to_numpy(), "polars": pl.from_pandas(frame)}.get(
        kind, frame
    )
    flow = FlowDensity(**ONE_GAUSSIAN).fit(table)
    report = flow.report(None if kind == "no rows" else table[:1] if kind == "one row" else table)
    page = Parsed(report.html)
    assert isinstance(report, DensityReport)
    assert "script" not in page.tags
    assert "script-src 'none'" in report.html
    assert ("score-of-rows" in page.texts) == (kind != "no rows")


def test_conditions_are_those_of_the_rows() -> None:
    X = make_trips(300, 0)
    flow = FlowDensity(given=["payment"], **ONE_GAUSSIAN).fit(X)
    assert "pass rows to see draws" in flow.report().html
    cash = X.assign(payment="cash")
    page = Parsed(flow.report(cash).html)
    row = page.texts["column-table"].partition("payment")[2]
    assert "cash\u2069 100 %" in row


def test_hostile_names_are_text() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({HOSTILE[0]: rng.choice(HOSTILE[:9], 100), HOSTILE[1]: rng.normal(size=100)})
    report = FlowDensity(**ONE_GAUSSIAN).fit(X).report(X, title=HOSTILE[0])
    page = Parsed(report.html)
    assert not {"script", "img"} & {*page.tags}
    assert page.tags.count("title") == 1
    assert HOSTILE[1] in page.texts["column-table"]


def test_kinds_of_columns_are_in_words() -> None:
    X = pd.DataFrame({"gain": np.random.default_rng(0).normal(size=100), "lost": [None] * 100})
    kinds = Parsed(FlowDensity(**ONE_GAUSSIAN).fit(X).report().html).texts["kind-table"]
    assert "gainany numbersthe numbers lie on no common gridfloat64" in kinds
    assert "lostnothingall of its cells are missing\u200emissing (None)object" in kinds
