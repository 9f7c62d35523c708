"""Constraints are found where there are any, and nowhere else."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from benchmarks.planted.constrained import MAKERS, Maker, half_even, make, others
from benchmarks.planted.independent import independent
from skflow.table.constraints.constraint import Constraint
from skflow.table.constraints.finding import find_constraints
from skflow.table.constraints.mapping import MappingConstraint
from skflow.table.constraints.numeric import LinearConstraint
from skflow.table.frames import Container
from skflow.table.inference import infer_schema
from skflow.table.storage import StoredTable
from tests.settings import slow_but

every_maker = pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.__name__)


def read(table: Any) -> StoredTable:
    names = getattr(table, "columns", [f"x{j}" for j in range(np.shape(table)[1])])
    return Container.fit(table, list(names)).read(table)


def find(table: Any, **options: Any) -> tuple[Constraint, ...]:
    stored = read(table)
    return find_constraints(stored, infer_schema(stored, **options).columns)


def spell(table: Any, **options: Any) -> list[str]:
    return [str(constraint) for constraint in find(table, **options)]


def kept(constraint: Constraint, table: Any) -> np.ndarray:
    """Return which rows of a table have the cell that is implied."""
    columns = {column.name: column for column in read(table).columns}
    target = columns[constraint.target]
    operands = [columns[name] for name in constraint.operands]
    values, implied = constraint.imply(operands, target)
    assert values.dtype == target.values.dtype
    assert not implied[~np.logical_and.reduce([operand.present for operand in operands])].any()
    return implied & target.present & (values == target.values)


@every_maker
def test_each_kind_is_found_among_broken_and_missing_cells(maker: Maker) -> None:
    table, expected = make(maker, broken=0.03, missing=0.02)
    assert spell(table) == [expected]


@every_maker
def test_each_row_has_the_cell_that_is_implied(maker: Maker) -> None:
    table, _ = make(maker, broken=0.0, missing=0.0)
    (constraint,) = find(table)
    assert kept(constraint, table).all()


@every_maker
def test_the_order_of_rows_and_columns_does_not_matter(maker: Maker) -> None:
    table, expected = make(maker, broken=0.01, seed=3)
    rng = np.random.default_rng(4)
    assert spell(table.sample(frac=1, random_state=5)) == [expected]
    if expected != "second = first":  # of two that are equal the later is the target
        names = rng.permutation(table.columns)
        names = sorted(names, key=lambda name: name in expected.split(" = ")[0].split(" by "))
        found = find(table[names])
        assert len(found) == 1
        assert set(str(found[0]).split()) >= set(table.columns) & set(expected.split())


@pytest.mark.parametrize("seed", slow_but(range(0, 20, 3), range(20)))
def test_none_is_invented(seed: int) -> None:
    assert spell(independent(seed)) == []


def invoices(n: int = 4000) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    net = rng.integers(100, 100_000, n)
    tax = half_even(net * 19)
    postage = rng.choice([0, 490, 990], n, p=[0.95, 0.03, 0.02])
    columns = {"net": net, "tax": tax, "gross": net + tax, "postage": postage}
    columns["total"] = net + tax + postage
    return pd.DataFrame({**others(rng, n), **{k: v / 100 for k, v in columns.items()}})


INVOICES = [
    "tax = 0.19 net, rounded to 0.01",
    "gross = net + tax",
    "total = gross + postage",
]


def test_constraints_that_hang_together_are_a_chain() -> None:
    assert sorted(spell(invoices())) == sorted(INVOICES)


def test_operands_come_before_targets() -> None:
    table = invoices()
    names = [name for name in reversed(table.columns) if name != "gross"]
    found = find(table[["gross", *names]])
    known = set(table.columns) - {constraint.target for constraint in found}
    for constraint in found:
        assert {*constraint.operands} <= known
        known.add(constraint.target)
    assert len(known) == table.shape[1]


def test_polars_reads_alike() -> None:
    assert sorted(spell(pl.from_pandas(invoices()))) == sorted(INVOICES)


def test_float32_and_integers() -> None:
    table = invoices().select_dtypes("number").astype(np.float32)
    # Sums of floats of 24 bits are found as well as those of 53.
    assert sorted(spell(table)) == sorted(INVOICES)
    cents = (invoices()[["net", "gross", "total", "postage"]] * 100).round().astype(np.int64)
    assert spell(cents) == ["total = gross + postage", "gross = 1.19 net, rounded to 1"][::-1]


def test_conditions_and_constants_take_no_part() -> None:
    table = invoices().assign(one=1, two=2)
    found = find(table, given=["gross"])
    assert {constraint.target for constraint in found} == {"tax", "total"}
    assert all("gross" not in (c.target, *c.operands) for c in found)


def test_few_rows_show_no_constraint() -> None:
    assert spell(invoices(150)) == []


def test_rare_parts_of_a_sum_are_found() -> None:
    table, rng = invoices(), np.random.default_rng(0)
    tolls = np.where(rng.random(len(table)) < 0.01, 6.12, 0)
    table["fee"] = tolls
    table["all"] = (table["total"] + tolls).round(2)
    assert "all = total + fee" in spell(table)


def test_mappings_go_from_the_nearest_column_to_the_next() -> None:
    rng, n = np.random.default_rng(0), 3000
    city = rng.integers(0, 100, n)
    country = city % 20
    table = pd.DataFrame(
        {
            **others(rng, n),
            "continent": np.array(["Asia", "Europe", "Africa"])[country % 3],
            "city": [f"city {k}" for k in city],
            "country": [f"country {k}" for k in country],
            "code": [f"C{k}" for k in country],
        }
    )
    found = find(table)
    assert {(c.operands[0], c.target) for c in found} == {
        ("city", "country"),
        ("country", "code"),
        ("country", "continent"),
    }
    for constraint in found:
        assert isinstance(constraint, MappingConstraint)
        counts = table.groupby([constraint.operands[0], constraint.target]).size()
        assert all(counts[pair] > 1 for pair in constraint.pairs)


def test_a_category_that_mostly_goes_with_another_determines_nothing() -> None:
    rng, n = np.random.default_rng(0), 4000
    deck = rng.integers(0, 8, n)
    table = pd.DataFrame(
        {
            "deck": [f"deck {k}" for k in deck],
            # The first class on most decks, nearly any on others; 4 % of rows in all.
            "first": np.where(rng.random(n) < 0.05 * (deck > 5), "no", "yes"),
            "mostly": np.where(
                (deck == 7) & (rng.random(n) < 0.3), "b", np.where(deck > 5, "a", "c")
            ),
        }
    )
    assert spell(table) == []


def test_an_approximation_is_no_constraint() -> None:
    rng, n = np.random.default_rng(0), 4000
    days = np.datetime64("2023-01-01") + rng.integers(0, 365, n)
    hours = rng.integers(0, 24, n).astype("m8[h]")
    months = days.astype("M8[M]").astype(int) % 12 + 1
    x = np.sort(rng.uniform(0, 50, n)).round(2)
    table = pd.DataFrame(
        {
            "day": (days + hours).astype("M8[s]"),
            "month": months,
            "x": x,
            "curved": np.round(x + 0.3 * np.sin(x / 8)),
        }
    )
    assert spell(table) == []


def test_each_target_has_one_constraint_where_many_hold() -> None:
    rng, n = np.random.default_rng(0), 2000
    x = rng.integers(0, 10**6, n)
    table = pd.DataFrame({"a": x, "b": x, "c": 3 * x, "d": x + 7, "e": x})
    found = find(table)
    assert len(found) == len({constraint.target for constraint in found}) == 4
    assert all(isinstance(constraint, LinearConstraint) for constraint in found)
    assert all(kept(constraint, table).all() for constraint in found)


def test_degrees_minutes_and_seconds() -> None:
    rng, n = np.random.default_rng(0), 1500
    degrees, minutes, seconds = (rng.integers(0, high, n) for high in (180, 60, 60))
    table = pd.DataFrame(
        {
            **others(rng, n),
            "degrees": degrees,
            "minutes": minutes,
            "seconds": seconds,
            "longitude": -np.round((3600 * degrees + 60 * minutes + seconds) / 3600, 6),
        }
    )
    expected = "longitude = -degrees - minutes / 60 - seconds / 3600, rounded to 1e-06"
    assert spell(table) == [expected]


def test_ties_of_any_convention() -> None:
    rng, n = np.random.default_rng(0), 3000
    k = rng.integers(0, 10_000, n)
    table = pd.DataFrame({"k": k, "half_up": (k + 1) // 2, "down": k // 12, "up": -(-k // 7)})
    assert sorted(spell(table)) == [
        "down = k / 12, rounded down to 1",
        "half_up = 0.5 k, rounded (half up) to 1",
        "up = k / 7, rounded up to 1",
    ]


def test_cells_missing_in_half_of_the_rows() -> None:
    rng, n = np.random.default_rng(0), 4000
    table = pd.DataFrame({**others(rng, n), "a": rng.integers(0, 999, n), "b": rng.poisson(99, n)})
    table["t"] = table["a"] + table["b"]
    for name in "abt":
        table[name] = table[name].astype("Int64").mask(rng.random(n) < 0.3)
    assert spell(table) == ["t = a + b"]


def test_columns_that_are_mostly_missing() -> None:
    rng, n = np.random.default_rng(0), 4000
    table = pd.DataFrame({**others(rng, n), "paid": rng.integers(100, 99_999, n) / 100})
    for name in ("gift", "refund", "fee"):  # each in few rows, and hardly ever in the same
        part = np.where(rng.random(n) < 0.1, rng.integers(1, 9999, n) / 100, np.nan)
        table[name] = part
        table[f"after {name}"] = (table["paid"] - part).round(2)
    # The other way round, few rows would have all operands.
    assert sorted(spell(table)) == [
        "after fee = paid - fee",
        "after gift = paid - gift",
        "after refund = paid - refund",
    ]


def test_no_formula_is_made_for_few_different_rows() -> None:
    rng = np.random.default_rng(0)
    materials = rng.gamma(3, 40, (12, 6)).round(2)
    frame = pd.DataFrame(materials[rng.integers(0, 12, 800)]).set_axis(list("abcdef"), axis=1)
    assert all(isinstance(constraint, MappingConstraint) for constraint in find(frame))


def test_cells_missing_in_all_of_many_columns() -> None:
    rng, n = np.random.default_rng(0), 4000
    table = pd.DataFrame({f"c{j}": rng.integers(0, 99_999, n) / 100 for j in range(35)})
    table["sum"] = (table["c3"] + table["c20"] + table["c31"]).round(2)
    table["tax"] = (0.19 * table["c5"] + 0.07 * table["c9"]).round(1)
    table = table.mask(rng.random(table.shape) < 0.15)
    assert sorted(spell(table)) == [
        "sum = c3 + c20 + c31",
        "tax = 0.19 c5 + 0.07 c9, rounded to 0.1",
    ]
