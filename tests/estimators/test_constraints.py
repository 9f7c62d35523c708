"""Constraints between columns: densities, round trips, draws and questions that know them."""

import itertools
import pickle
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp

import skflow
from skflow import FlowDensity, FlowImputer, FlowOutlierDetector
from skflow.table.constraints.constraint import Constraint
from skflow.table.constraints.mapping import MappingConstraint
from skflow.table.constraints.numeric import LinearConstraint, ProductConstraint
from skflow.table.constraints.part import PartConstraint

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")

PARAMS = {"n_layers": 0, "n_components": 2, "random_state": 0}
SUM = LinearConstraint("total", ("net", "tax"), (1.0, 1.0), step=0.01)
OF_DICE = LinearConstraint("both", ("one", "two"), (1.0, 1.0), step=1)


def invoices(n_rows: int = 800, *, broken: float = 0.0) -> pd.DataFrame:
    """Amounts of which one is the sum of two others, but in some rows."""
    rng = np.random.default_rng(0)
    net, tax = rng.lognormal(6, 1, n_rows).round(2), rng.gamma(2, 100, n_rows).round(2)
    total = (net + tax).round(2)
    wrong = rng.random(n_rows) < broken
    total[wrong] = rng.lognormal(6, 1, wrong.sum()).round(2)
    shop = rng.choice(["east", "west", "web"], n_rows)
    return pd.DataFrame({"net": net, "tax": tax, "shop": shop, "total": total})


def dice(*, broken: float = 0.05) -> pd.DataFrame:
    """Two dependent throws and their sum."""
    rng = np.random.default_rng(1)
    one = rng.integers(1, 7, 3000)
    two = np.where(rng.random(3000) < 0.3, one, rng.integers(1, 7, 3000))
    both = np.where(rng.random(3000) < broken, rng.integers(2, 13, 3000), one + two)
    return pd.DataFrame({"one": one, "both": both, "two": two})


@pytest.mark.parametrize("broken", [0.0, 0.01, 0.2])
def test_rows_come_back_and_samples_keep_constraints_as_often(broken: float) -> None:
    X = invoices(broken=broken)
    flow = FlowDensity(**PARAMS, constraints=[SUM]).fit(X)
    assert flow.schema_.constraints == (SUM,)
    pd.testing.assert_frame_equal(flow.inverse_transform(flow.transform(X)), X)
    strange = X.head(3).assign(total=[1.0, 33.33, 1e7])
    pd.testing.assert_frame_equal(flow.inverse_transform(flow.transform(strange)), strange)
    drawn = flow.sample(4000, random_state=0)
    kept = ((each["net"] + each["tax"]).round(2) == each["total"] for each in (drawn, X))
    assert abs(next(kept).mean() - next(kept).mean()) < 0.02


def test_an_implied_cell_adds_nothing_to_the_density_of_its_operands() -> None:
    X = invoices()
    whole = FlowDensity(**PARAMS, constraints=[SUM]).fit(X).score_samples(X)
    operands = FlowDensity(**PARAMS).fit(X.drop(columns="total"))
    expected = operands.score_samples(X.drop(columns="total"))
    np.testing.assert_allclose(whole, expected, atol=1e-6)


def test_a_broken_constraint_is_the_strangest_thing_about_a_row() -> None:
    X = invoices()
    detector = FlowOutlierDetector(FlowDensity(**PARAMS, constraints=[SUM]), random_state=0).fit(X)
    rows = X.head(2).copy()
    rows.loc[0, "total"] += 1.0
    assert np.asarray(detector.score_features(rows))[0].argmin() == 3
    first = detector.explain(rows).query("row == 0").iloc[0]
    assert (first["column"], first["usual"]) == ("total", f"{X.loc[0, 'total']:.4g} (100 %)")
    repaired = detector.repair(rows)
    assert (repaired["net"] + repaired["tax"]).round(2).equals(repaired["total"])


def test_densities_of_some_columns_are_sums_over_the_others() -> None:
    """All columns are few integers: sums over all rows that there may be are exact."""
    flow = FlowDensity(**PARAMS, constraints=[OF_DICE]).fit(dice())
    names = ["one", "both", "two"]
    every = pd.DataFrame(itertools.product(range(1, 7), range(2, 13), range(1, 7)), columns=names)
    log_density = flow.score_samples(every)
    assert logsumexp(log_density) == pytest.approx(0.0, abs=1e-4)
    for known in (["both", "two"], ["one", "two"], ["one", "both"], ["both"], ["one"]):
        rows = every[known].drop_duplicates().head(12)
        summed = [
            logsumexp(log_density[(every[known].to_numpy() == row).all(axis=1)])
            for row in rows.to_numpy()
        ]
        # Where both operands are unknown, one of them is drawn.
        tolerance = 0.15 if known == ["both"] else 1e-6
        np.testing.assert_allclose(flow.marginal_log_density(rows), summed, atol=tolerance)
        if len(known) == 2:
            (target,) = set(names) - set(known)
            whole = every.take(np.arange(0, len(every), 29))
            given = [
                logsumexp(log_density[(every[known].to_numpy() == row).all(axis=1)])
                for row in whole[known].to_numpy()
            ]
            expected = flow.score_samples(whole) - given
            result = flow.log_density_given(whole, targets=[target])
            np.testing.assert_allclose(result, expected, atol=1e-6)


def test_draws_of_operands_follow_the_sums_over_all_rows() -> None:
    flow = FlowDensity(**PARAMS, constraints=[OF_DICE]).fit(dice(broken=0.3))
    row = pd.DataFrame({"both": [7], "two": [2]})
    drawn = flow.sample_given(row, n_samples=4000, random_state=0)["one"]
    every = row.loc[[0] * 6].assign(one=range(1, 7))[["one", "both", "two"]]
    expected = np.exp(flow.score_samples(every) - flow.marginal_log_density(row))
    shares = drawn.value_counts(normalize=True).reindex(range(1, 7), fill_value=0.0)
    np.testing.assert_allclose(shares, expected, atol=0.03)


def test_unknown_cells_are_computed_where_constraints_determine_them() -> None:
    X = invoices()
    flow = FlowDensity(**PARAMS, constraints=[SUM]).fit(X)
    partial = X.head(24).copy()
    for place, name in enumerate(["net", "tax", "total"]):
        partial.loc[place::3, name] = np.nan
    for strategy in ("sample", "typical"):
        filled = flow.impute(partial, strategy=strategy, random_state=0)
        pd.testing.assert_frame_equal(filled, X.head(24))
    partial = X.head(20).assign(net=np.nan, tax=np.nan)
    filled = flow.impute(partial, random_state=0)
    assert (filled["net"] + filled["tax"]).round(2).equals(filled["total"])
    assert (filled["tax"] > 0).all()
    assert filled["tax"].nunique() > 10


def test_several_constraints_determine_cells_together() -> None:
    """With the total alone, the amount and its tax follow from it."""
    X = invoices(400)[["net", "shop"]].assign(postage=np.resize([0.0, 4.9, 7.5], 400))
    X["tax"] = (0.2 * X["net"]).round(2)
    X["total"] = (X["net"] + X["tax"] + X["postage"]).round(2)
    flow = FlowDensity(**PARAMS).fit(X)
    assert [each.target for each in flow.schema_.constraints] == ["tax", "total"]
    partial = X.head(6).assign(net=np.nan, tax=np.nan)
    pd.testing.assert_frame_equal(flow.impute(partial, random_state=0), X.head(6))
    drawn = flow.sample_given(X.head(6)[["total"]], n_samples=2, random_state=0)
    assert set(drawn["postage"]) == {0.0, 4.9, 7.5}
    sums = (drawn["net"] + drawn["tax"] + drawn["postage"]).round(2)
    assert sums.equals(drawn["total"])
    assert (0.2 * drawn["net"]).round(2).equals(drawn["tax"])


def test_missing_operands_imply_nothing_without_layers_as_well() -> None:
    """Probability of impossible rows, and broken constraints of complete ones, are rare."""
    rng = np.random.default_rng(5)
    X = pd.DataFrame({"a": rng.integers(0, 3, 3000), "b": rng.integers(0, 3, 3000)})
    X["c"] = X["a"] + X["b"]
    X = X.mask(rng.random(X.shape) < 0.08)
    constraint = LinearConstraint("c", ("a", "b"), (1.0, 1.0), step=1)
    flow = FlowDensity(**PARAMS, constraints=[constraint]).fit(X)
    values = ([0, 1, 2, np.nan], [0, 1, 2, np.nan], [0, 1, 2, 3, 4, np.nan])
    every = pd.DataFrame(itertools.product(*values), columns=["a", "b", "c"])
    assert logsumexp(flow.score_samples(every)) == pytest.approx(0.0, abs=2e-3)
    drawn = flow.sample(10_000, random_state=0).dropna()
    assert np.mean(drawn["a"] + drawn["b"] == drawn["c"]) > 0.995


def test_an_imputer_fills_what_constraints_determine() -> None:
    X = invoices(400)
    missing = np.random.default_rng(2).random(X.shape) < 0.15
    missing[:, 2] = False
    imputer = FlowImputer(FlowDensity(**PARAMS, constraints=[SUM]), random_state=0)
    filled = imputer.fit_transform(X.mask(missing))
    one = missing.sum(axis=1) == 1
    pd.testing.assert_frame_equal(filled[one], X[one])
    assert (filled["net"] + filled["tax"]).round(2).equals(filled["total"])


def half_up(number: float) -> float:
    """Return a number rounded to cents, ties away from 0, by decimal arithmetic."""
    return float(Decimal(str(number)).quantize(Decimal("0.01"), ROUND_HALF_UP))


OF_EVERY_FORM = {
    "product": (
        ProductConstraint("cost", ("price", "pieces"), (1, 1), step=0.01),
        lambda X: (X["price"] * X["pieces"]).round(2),
    ),
    "ratio": (
        ProductConstraint("cost", ("price", "pieces"), (1, -1), 100.0, 0.1, "nearest"),
        lambda X: (100 * X["price"] / X["pieces"]).round(1),
    ),
    "share": (
        LinearConstraint("cost", ("price",), (0.19,), step=0.01, rounding="half up"),
        lambda X: (X["price"] * 19 / 100).map(half_up),
    ),
    "mapping": (
        MappingConstraint("cost", ("pieces",), tuple((i, float(i % 4)) for i in range(1, 8))),
        lambda X: (X["pieces"] % 4).astype(float),
    ),
}


@pytest.mark.parametrize("form", OF_EVERY_FORM)
def test_constraints_of_every_form(form: str, tmp_path: Path) -> None:
    constraint, computed = OF_EVERY_FORM[form]
    rng = np.random.default_rng(3)
    X = pd.DataFrame({"price": rng.gamma(3, 10, 500).round(2), "pieces": rng.integers(1, 8, 500)})
    X["cost"] = computed(X)
    X.loc[::100, "cost"] += 1.0
    flow = FlowDensity(**PARAMS, constraints=[constraint]).fit(X)
    pd.testing.assert_frame_equal(flow.inverse_transform(flow.transform(X)), X)
    drawn = flow.sample(500, random_state=0)
    assert np.mean(computed(drawn) == drawn["cost"]) > 0.97
    for name in constraint.operands:
        partial = X.drop(columns=name).iloc[1:40]
        filled = flow.sample_given(partial, random_state=0)
        assert (computed(filled) == filled["cost"]).mean() > 0.97
    flow.save(tmp_path / "model.skflow")
    for other in (skflow.load(tmp_path / "model.skflow"), pickle.loads(pickle.dumps(flow))):
        assert other.schema_ == flow.schema_
        assert list(other.constraints) == [constraint]
        np.testing.assert_array_equal(other.score_samples(X), flow.score_samples(X))


def test_a_schema_carries_its_constraints() -> None:
    X = invoices()
    schema = FlowDensity(**PARAMS, constraints=[SUM]).fit(X).schema_
    assert "total = net + tax" in repr(schema)
    other = FlowDensity(**PARAMS, column_kinds=schema).fit(X.head(500))
    assert other.schema_ == schema
    given = FlowDensity(**PARAMS, column_kinds=schema, given=["net"]).fit(X.head(500))
    assert not given.schema_.constraints


def test_a_row_that_breaks_a_constraint_is_scored_alone() -> None:
    X = dice()
    flow = FlowDensity(**PARAMS, constraints=[OF_DICE]).fit(X)
    broken = X[X["one"] + X["two"] != X["both"]].head(3)
    alone = [flow.score_samples(broken.iloc[[row]])[0] for row in range(3)]
    np.testing.assert_allclose(alone, flow.score_samples(X)[broken.index], rtol=1e-9)


def test_densities_of_columns_that_two_constraints_connect() -> None:
    """The constraint of an unknown target is open while another one is solved for it."""
    X = dice()
    X = X[(X["one"] <= 2) & (X["two"] <= 3) & (X["both"] <= 5)]
    X = X.assign(low=(X["both"] == 3).astype(int))
    of_low = MappingConstraint("low", ("both",), ((2, 0), (3, 1), (4, 0), (5, 0)))
    flow = FlowDensity(**PARAMS, constraints=[OF_DICE, of_low]).fit(X)
    names, known = list(X.columns), ["both", "low"]
    every = pd.DataFrame(itertools.product(*(sorted(X[name].unique()) for name in names)))
    every.columns = names
    log_density = flow.score_samples(every)
    rows = pd.DataFrame({"both": [2, 5], "low": [0, 0]})
    summed = np.array(
        [
            logsumexp(log_density[(every[known].to_numpy() == row).all(axis=1)])
            for row in rows.to_numpy()
        ]
    )
    result, error = flow.log_density_given(rows, targets=known, return_error=True)
    assert error.max() < 0.5
    np.testing.assert_array_less(np.abs(result - summed), 4 * error + 1e-3)


def test_of_two_unknown_factors_the_one_of_more_values_is_solved_for() -> None:
    """Prices that are drawn hardly ever divide a cost without a rest."""
    rng = np.random.default_rng(3)
    X = pd.DataFrame({"price": rng.gamma(3, 10, 600).round(2), "pieces": rng.integers(1, 8, 600)})
    X["cost"] = (X["price"] * X["pieces"]).round(2)
    of_cost = ProductConstraint("cost", ("price", "pieces"), (1, 1), step=0.01)
    flow = FlowDensity(**PARAMS, constraints=[of_cost]).fit(X)
    rows = X[["cost"]].head(5)
    drawn = flow.sample_given(rows, random_state=0)
    assert (drawn["price"] * drawn["pieces"]).round(2).equals(drawn["cost"])
    # Prices and costs have the same step: densities of whole rows add up.
    every = rows.merge(pd.DataFrame({"pieces": range(1, 8)}), how="cross")
    every["price"] = (every["cost"] / every["pieces"]).round(2)
    every = every[(every["price"] * every["pieces"]).round(2) == every["cost"]]
    log_density = pd.Series(flow.score_samples(every[X.columns]), index=every["cost"])
    summed = log_density.groupby(level=0).agg(logsumexp).loc[rows["cost"]]
    result, error = flow.log_density_given(rows, targets=["cost"], return_error=True)
    np.testing.assert_array_less(np.abs(result - summed), 4 * error + 0.01)
    assert error.max() < 0.5


FAULTS: dict[str, tuple[Callable[[], Constraint], str]] = {
    "no tuple": (lambda: LinearConstraint("t", "net", (1.0,)), "tuple of column names"),
    "no operand": (lambda: LinearConstraint("t", (), ()), "tuple of column names"),
    "one twice": (lambda: ProductConstraint("t", ("a", "a"), (1, 1)), "different columns"),
    "too few": (lambda: LinearConstraint("t", ("a", "b"), (1.0,)), "one coefficient"),
    "zero": (lambda: LinearConstraint("t", ("a",), (0.0,)), "but 0"),
    "nan": (lambda: LinearConstraint("t", ("a",), (1.0,), np.nan), "finite"),
    "step": (lambda: LinearConstraint("t", ("a",), (1.0,), step=-1.0), "positive"),
    "rounding": (
        lambda: LinearConstraint("t", ("a",), (1.0,), 0.0, 1.0, "halfup"),  # type: ignore[arg-type]
        "half up",
    ),
    "power": (lambda: ProductConstraint("t", ("a", "b"), (1, 2)), "powers must be"),
    "three": (lambda: ProductConstraint("t", ("a", "b", "c"), (1, 1)), "two columns"),
    "factor": (lambda: ProductConstraint("t", ("a", "b"), (1, 1), 0.0), "factor must be"),
    "no pair": (lambda: MappingConstraint("t", ("a",), ()), "at least one"),
    "two values": (lambda: MappingConstraint("t", ("a",), ((1, 2), (1, 3))), "two values"),
    "missing value": (lambda: MappingConstraint("t", ("a",), ((1, None),)), "none missing"),
    "part": (lambda: PartConstraint("t", ("a",), "day"), "'hour', 'minute'"),  # type: ignore[arg-type]
    "two times": (lambda: PartConstraint("t", ("a", "b"), "hour"), "one column"),
    "two operands": (lambda: MappingConstraint("t", ("a", "b"), ((1, 2),)), "one column"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_constraints_with_faults_are_refused(fault: str) -> None:
    make, message = FAULTS[fault]
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "constraint",
    [
        LinearConstraint("total", ("net", "shop"), (1.0, 1.0)),
        LinearConstraint("shop", ("net",), (1.0,)),
        PartConstraint("total", ("shop",), "hour"),
        MappingConstraint("total", ("shop",), (("east", "much"),)),
        MappingConstraint("shop", ("total",), (("much", "east"),)),
    ],
)
def test_constraints_that_do_not_fit_their_columns_are_refused(constraint: Constraint) -> None:
    with pytest.raises(ValueError, match="does not fit its columns"):
        FlowDensity(**PARAMS, constraints=[constraint]).fit(invoices(20))


def test_lists_are_read_as_tuples() -> None:
    listed = LinearConstraint("total", ["net", "tax"], [1.0, 1.0], step=0.01)  # type: ignore[arg-type]
    assert listed == SUM


def test_many_completions_are_thinned_without_bias() -> None:
    """Both operands unknown, and a column that depends on them; then labels of many places."""
    rng = np.random.default_rng(5)
    X = pd.DataFrame(rng.integers(1, 13, (1500, 2)), columns=["one", "two"])
    X = X.assign(both=X["one"] + X["two"], high=X["one"] > rng.integers(0, 13, 1500))
    flow = FlowDensity(**PARAMS, constraints=[OF_DICE], column_kinds={"one": "integer"}).fit(X)
    rows = pd.DataFrame({"both": [3, 8, 13, 18, 23]})
    # Whole numbers beyond those that were fitted have a probability, too.
    ranges = [range(41), range(1, 13), rows["both"], [False, True]]
    every = pd.DataFrame(itertools.product(*ranges), columns=X.columns)
    log_density = flow.score_samples(every)
    summed = np.array([logsumexp(log_density[every["both"] == both]) for both in rows["both"]])
    result, error = flow.log_density_given(rows, targets=["both"], return_error=True)
    assert error.max() < 0.2
    np.testing.assert_array_less(np.abs(result - summed), 4 * error)
    drawn = flow.sample_given(rows.iloc[[2]], n_samples=3000, random_state=0)
    chances = np.exp(log_density - summed[2])[every["both"] == 13]
    own = every[every["both"] == 13].assign(chance=chances)
    for name in ("one", "high"):
        shares = drawn[name].value_counts(normalize=True)
        expected = own.groupby(name)["chance"].sum()
        np.testing.assert_allclose(
            shares.reindex(expected.index, fill_value=0), expected, atol=0.04
        )
